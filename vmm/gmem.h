/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_GMEM_H
#define VMM_GMEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"

typedef uint64_t gpa_t;

#define GMEM_MAX_REGIONS 16
#define GMEM_MAX_MAPPED 8

/* Memory comes and goes in multiples of this: Linux' smallest block. */
#define GMEM_BLOCK (128ull << 20)

/* How the guest's memory is backed; mirrors --memory. */
struct gmem_config {
	uint64_t size; /* bytes, multiple of 4 KiB */
	bool shared; /* memfd, MAP_SHARED */
	bool hugepages; /* hugetlbfs pages */
	bool prefault; /* populate all of it before the guest runs */
	bool thp; /* ask for transparent huge pages */
	bool mergeable; /* ask KSM to merge equal pages */
};

struct gmem_region {
	gpa_t gpa;
	uint64_t len; /* bytes */
	uint8_t *hva;
	int fd; /* memfd, or -1 when anonymous */
};

/*
 * Addresses where RAM may come and go. The host's addresses stay reserved, and
 * memory is there to write to once it was plugged: a device that holds on to a
 * pointer into what went reaches pages that nobody reads.
 */
struct gmem_hot {
	gpa_t gpa;
	uint64_t len; /* bytes; 0: none */
	uint8_t *hva;
	int fd; /* memfd, or -1 when anonymous */
	_Atomic uint64_t *plugged; /* a bit per GMEM_BLOCK */
};

/*
 * Guest RAM. Regions are only added, never moved, while devices run; readers
 * on any thread take `nr` with acquire order, or bits of what is plugged, and
 * need no lock.
 */
struct gmem {
	struct gmem_region regions[GMEM_MAX_REGIONS];
	atomic_uint nr;
	struct gmem_hot hot;
	struct gmem_config config;
	/* What is mapped from files, for KVM to know ahead: the first ones.
	 * Changed by the main thread while no vCPU runs. */
	struct gmem_range {
		gpa_t gpa;
		uint64_t len;
	} mapped[GMEM_MAX_MAPPED];
	unsigned int nr_mapped;
};

/* Main thread. gm is the caller's storage; fini accepts a half-built one. */
void gmem_init(struct gmem *gm, const struct gmem_config *config);
void gmem_fini(struct gmem *gm);

/*
 * Map len bytes of RAM at gpa (both multiples of 4 KiB, 2 MiB with hugepages),
 * touching no page unless config.prefault. Main thread.
 * Errors: -EINVAL overlap or misalignment, -ENOSPC too many regions, -ENOMEM
 * and others from mmap(2)/memfd_create(2); the message names --memory.
 */
int gmem_add(struct gmem *gm, gpa_t gpa, uint64_t len, struct error *err);

/*
 * Reserve addresses for memory to come; both multiples of GMEM_BLOCK. Once,
 * main thread, before other threads run. -errno with a message.
 */
int gmem_reserve(struct gmem *gm, gpa_t gpa, uint64_t len, struct error *err);
/*
 * Memory comes: inside what is reserved, multiples of GMEM_BLOCK, nothing there
 * yet; it reads as zero. Main thread. -errno with a message.
 */
int gmem_plug(struct gmem *gm, gpa_t gpa, uint64_t len, struct error *err);
/* It goes, and its pages go back to the host. Main thread. */
void gmem_unplug(struct gmem *gm, gpa_t gpa, uint64_t len);
/* Where the host has it, plugged or not. */
void *gmem_hot_ptr(const struct gmem *gm, gpa_t gpa);
/* Is the GMEM_BLOCK around this address of the host, inside what is reserved,
 * plugged? Any thread. */
bool gmem_hot_is_there(const struct gmem_hot *hot, const void *hva);

/* Bytes of all regions, without what was plugged. */
uint64_t gmem_boot_size(const struct gmem *gm);

/*
 * The one door from guest address to host pointer.
 * Returns NULL when [gpa, gpa+len) is not inside one region (len 0 is valid
 * anywhere inside a region). Any thread.
 */
void *gmem_ptr(const struct gmem *gm, gpa_t gpa, uint64_t len);

/*
 * As gmem_ptr() for a buffer that may reach over the border of two regions:
 * the pointer is good for *len bytes, which is lowered to what the first
 * region holds. NULL when gpa itself is outside RAM. Any thread.
 */
void *gmem_span(const struct gmem *gm, gpa_t gpa, uint64_t *len);

/*
 * Copy to / from guest memory, across regions never. -EFAULT when outside.
 * Any thread.
 */
int gmem_write(const struct gmem *gm, gpa_t gpa, const void *buf, size_t len);
int gmem_read(const struct gmem *gm, gpa_t gpa, void *buf, size_t len);

/*
 * Fill [gpa, gpa+len) with bytes [off, off+len) of fd.
 * @map: the guest will hardly write there. When memory is private and gpa, off
 * share their offset in a page, whole pages are then mapped MAP_PRIVATE from
 * the file (page cache shared by every guest that boots the same file, copied
 * on write). The rest, and every other case, is read with pread(2) into memory
 * that can have huge pages: a page that is written costs two faults when it is
 * mapped, and none then.
 * Main thread, before vCPUs run.
 * Errors: -EFAULT outside RAM, -EIO short file, others from pread/mmap.
 */
int gmem_load_file(struct gmem *gm, gpa_t gpa, uint64_t len, int fd,
		   uint64_t off, bool map);

/* Give all pages back: memory reads as zero again, prefaulted where the config
 * says so. Main thread, no vCPU runs. -errno from madvise(2)/mmap(2). */
int gmem_clear(struct gmem *gm);

#endif
