/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_GMEM_H
#define VMM_GMEM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/list.h"
#include "vmm/pages.h"

typedef uint64_t gpa_t;

/* Ranges of each kind; a range's place in the map is also KVM's memory slot. */
#define GMEM_MAX_RAM 8u
#define GMEM_MAX_DIMMS 32u
#define GMEM_MAX_WINDOWS 16u
#define GMEM_MAX_RANGES (GMEM_MAX_RAM + GMEM_MAX_DIMMS + GMEM_MAX_WINDOWS)

/* Mappings of files into RAM, at most. */
#define GMEM_MAX_MAPPED 8

/* Memory comes and goes in multiples of this: Linux' smallest block. */
#define GMEM_BLOCK (128ull << 20)

/* How much memory the guest has, and how it is backed: what --memory says. */
struct gmem_config {
	uint64_t size; /* bytes at the start, multiple of 4 KiB */
	uint64_t hotplug_size; /* bytes it can grow by */
	bool shared; /* memfd, MAP_SHARED */
	bool hugepages; /* hugetlbfs pages */
	bool prefault; /* populate all of it before the guest runs */
	bool thp; /* ask for transparent huge pages */
	bool mergeable; /* ask KSM to merge equal pages */
};

enum gmem_kind {
	GMEM_RAM, /* there from the start, for the machine's life */
	GMEM_DIMM, /* RAM that comes and goes while the guest runs */
	/* A device's memory with a file behind it, which may be cut: payload
	 * may lie there, but not what this process parses. */
	GMEM_WINDOW,
};

/* Flags of a range. */
/* All its pages are claimed, so to pin them costs the host nothing. */
#define GMEM_POPULATED 1u
/* Not to be found: its pages are on their way, or some are still in use. */
#define GMEM_ABSENT 2u

/* Guest addresses that are memory. Plain numbers first: they are the guest's
 * and go into a snapshot; the rest is this host's. */
struct gmem_range {
	gpa_t gpa;
	uint64_t len; /* bytes; 0: no such range */
	enum gmem_kind kind;
	unsigned int slot; /* KVM's, and the place in the map */
	unsigned int flags;
	bool placed; /* of a window: gpa is where it is. Under gmem's lock */
	uint8_t *hva;
	int fd; /* memfd, or -1 when anonymous; gmem's own */
	uint64_t offset; /* of the range in fd, bytes */
	unsigned int holders; /* gmem's, of one that went */
};

/*
 * Who has to know each range by more than its addresses: KVM, a kernel that
 * holds its pages for I/O. Called on the main thread, if not said otherwise, and
 * must not wait. The caller's storage while it is registered.
 */
struct gmem_listener {
	/* RAM or a DIMM is there, and readers find it already. -errno with a
	 * message: it cannot be used; who was told of it is then told that it
	 * goes. NULL: no matter. */
	int (*added)(struct gmem_listener *gl, const struct gmem_range *range,
		     struct error *err);
	/* It, or a window, went for good: readers find it no more, and a DIMM's
	 * pages go back to the host. Who has begun host calls that may still use
	 * its addresses calls gmem_hold() in here: then nothing else comes there
	 * before gmem_release(), when what they wrote is dropped. NULL: no
	 * matter. */
	void (*removed)(struct gmem_listener *gl,
			const struct gmem_range *range);
	/* A window was put at range->gpa (there), or is taken from it, as the
	 * guest wants. Any thread, gmem's lock held. -errno with a message: it
	 * cannot be there. NULL: no matter. */
	int (*placed)(struct gmem_listener *gl, const struct gmem_range *range,
		      bool there, struct error *err);
	/* Nobody uses the addresses of the host any more. NULL: no matter. */
	void (*released)(struct gmem_listener *gl,
			 const struct gmem_range *range);
	struct list_node node; /* gmem's */
	struct gmem *gm; /* gmem's */
};

/* What readers see: ranges in order of address, DIMMs that touch as one. */
struct gmem_view {
	unsigned int nr;
	struct gmem_area {
		gpa_t gpa;
		uint64_t len;
		uint8_t *hva;
		enum gmem_kind kind;
	} areas[GMEM_MAX_RANGES];
};

/*
 * The one map of what a guest can address as memory. The main thread changes
 * it while any thread reads, and the guest's threads move windows. Readers take
 * no lock: there are two views, `version` tells which one is valid, and who finds
 * that it has moved on meanwhile reads again.
 */
struct gmem {
	/* any thread */
	atomic_uint version; /* views[version % 2] is valid */
	struct gmem_view views[2];

	/* set before other threads run */
	struct gmem_config config;
	/* Addresses for DIMMs. Those of the host stay reserved: a device that
	 * holds on to a pointer into a DIMM that went reaches pages that nobody
	 * reads. len 0: none. */
	struct gmem_range reserved;

	/* main thread, under lock (a leaf); it alone needs no lock to read all
	 * but where windows are */
	pthread_mutex_t lock;
	struct gmem_range ranges[GMEM_MAX_RANGES]; /* by slot */
	struct list_node listeners; /* in order of registration */
	/* What is mapped from files, for KVM to know ahead. Changes only while
	 * no vCPU runs, on the thread that fills memory; vCPUs read it. */
	struct gmem_mapped {
		gpa_t gpa;
		uint64_t len;
	} mapped[GMEM_MAX_MAPPED];
	unsigned int nr_mapped;
};

/* ---- life: main thread ---- */

/* An empty map. gm is the caller's storage, config is copied. */
void gmem_init(struct gmem *gm, const struct gmem_config *config);
/* Unmap all ranges but windows, close their files. Nobody listens any more, no
 * thread reads. Accepts a half-built one. */
void gmem_fini(struct gmem *gm);

/*
 * Map len bytes of RAM at gpa (both multiples of 4 KiB, 2 MiB with hugepages),
 * touching no page.
 * Errors: -EINVAL overlap or misalignment, -ENOSPC too many ranges, -ENOMEM
 * and others from mmap(2)/memfd_create(2); the message names --memory.
 */
int gmem_add(struct gmem *gm, gpa_t gpa, uint64_t len, struct error *err);

/*
 * Reserve len bytes of addresses at gpa for DIMMs; both multiples of GMEM_BLOCK.
 * Once, before other threads run. -errno with a message.
 */
int gmem_reserve(struct gmem *gm, gpa_t gpa, uint64_t len, struct error *err);

/* Let job populate all RAM, when config.prefault says so; to be started by the
 * caller. Any thread; the map does not change meanwhile. */
void gmem_populate(const struct gmem *gm, struct pages_job *job);

/*
 * Have RAM and DIMMs read as zero again. Pages go back to the host, and job is
 * to populate them anew where config.prefault says so; huge pages, which another
 * might take meanwhile, stay, and job is to clear them. The caller starts the
 * job and waits for it. Any thread; no vCPU runs, no I/O is in flight, and the
 * map does not change meanwhile. -errno from madvise(2)/mmap(2).
 */
int gmem_clear(struct gmem *gm, struct pages_job *job);

/* ---- ranges: main thread ---- */

/* The range after prev in order of slots, the first one when prev is NULL; NULL
 * when there is no other. Windows are ranges wherever they are. Good until the map
 * changes. */
const struct gmem_range *gmem_next(const struct gmem *gm,
				   const struct gmem_range *prev);
#define gmem_for_each(r, gm) \
	for ((r) = gmem_next(gm, NULL); (r); (r) = gmem_next(gm, r))

/* Register a listener: it is told of all that is there, then of changes.
 * When it refuses one, that is the answer and it is not registered. -errno with
 * a message. */
int gmem_listen(struct gmem *gm, struct gmem_listener *gl, struct error *err);
/* It is told nothing any more. One that is not registered is accepted. */
void gmem_unlisten(struct gmem_listener *gl);

/* How many DIMMs there may be at a time; 0 without gmem_reserve(). */
unsigned int gmem_max_dimms(const struct gmem *gm);
/* DIMM i, 0 to gmem_max_dimms() - 1; len 0: the place is free. */
const struct gmem_range *gmem_dimm(const struct gmem *gm, unsigned int i);
/*
 * Map DIMM i, whose place is free, at [gpa, gpa+len): inside what is reserved,
 * multiples of GMEM_BLOCK, no other DIMM there. It reads as zero, and is absent
 * until gmem_plug_end(). With config.prefault job is to populate it first; to be
 * started by the caller. -errno with a message, nothing changed.
 */
int gmem_plug_begin(struct gmem *gm, unsigned int i, gpa_t gpa, uint64_t len,
		    struct pages_job *job, struct error *err);
/* All find it from now on. -errno with a message: a listener cannot take it,
 * and it is gone again. */
int gmem_plug_end(struct gmem *gm, unsigned int i, struct error *err);
/* Take DIMM i away, absent or not; no job works on it. */
void gmem_unplug(struct gmem *gm, unsigned int i);

/* Inside removed(): somebody still uses the addresses of the range. */
void gmem_hold(struct gmem *gm, unsigned int slot);
/* Undo that, later; may call released(). */
void gmem_release(struct gmem *gm, unsigned int slot);

/*
 * Add a device's window of len bytes, a multiple of 4 KiB, at hva: a mapping that
 * stays the caller's. It is nowhere until it is placed. Returns its slot; -ENOSPC
 * when there are too many, with a message.
 */
int gmem_add_window(struct gmem *gm, uint8_t *hva, uint64_t len,
		    struct error *err);
/* Take the window of this slot away. Its mapping has to stay until listeners
 * hear of released(). */
void gmem_remove_window(struct gmem *gm, unsigned int slot);
/*
 * Have the guest find the window at gpa, and no more where it was before; if it
 * is there already nothing happens. Any thread. With a message, and then it is
 * nowhere: -EINVAL misaligned, or memory is there or may come, or what a listener
 * said.
 */
int gmem_place_window(struct gmem *gm, unsigned int slot, gpa_t gpa,
		      struct error *err);
/* It is nowhere. Any thread. */
void gmem_displace_window(struct gmem *gm, unsigned int slot);
/* Where it is; false: nowhere. Any thread. */
bool gmem_window_gpa(struct gmem *gm, unsigned int slot, gpa_t *gpa);

/* Bytes of RAM and DIMMs. */
uint64_t gmem_size(const struct gmem *gm);

/* ---- access: any thread ---- */

/*
 * The one door from guest address to host pointer, for what this process reads
 * or writes by itself: RAM and DIMMs.
 * Returns NULL when [gpa, gpa+len) is not inside one of them, where DIMMs that
 * touch are one (len 0 is valid anywhere inside). Good until the range goes;
 * after that it is harmless.
 */
void *gmem_ptr(const struct gmem *gm, gpa_t gpa, uint64_t len);

/*
 * As gmem_ptr() for payload, which may lie in a window too and reach over the
 * border of two ranges: the pointer is good for *len bytes, which is lowered to
 * what the first one holds, and *kind says what that is. NULL when gpa itself is
 * no memory.
 */
void *gmem_span(const struct gmem *gm, gpa_t gpa, uint64_t *len,
		enum gmem_kind *kind);

/* Copy len bytes of buf to what gmem_ptr() finds; -EFAULT when that is NULL. */
int gmem_write(const struct gmem *gm, gpa_t gpa, const void *buf, size_t len);

/*
 * Fill [gpa, gpa+len) with bytes [off, off+len) of fd.
 * @map: the guest will hardly write there. When memory is private and gpa, off
 * share their offset in a page, whole pages are then mapped MAP_PRIVATE from
 * the file (page cache shared by every guest that boots the same file, copied
 * on write). The rest, and every other case, is read with pread(2) into memory
 * that can have huge pages: a page that is written costs two faults when it is
 * mapped, and none then.
 * Any thread; no vCPU runs, and nobody else uses guest memory.
 * Errors: -EFAULT outside RAM, -EIO short file, others from pread/mmap.
 */
int gmem_load_file(struct gmem *gm, gpa_t gpa, uint64_t len, int fd,
		   uint64_t off, bool map);

#endif
