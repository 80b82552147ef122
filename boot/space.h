/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_SPACE_H
#define BOOT_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/request.h"
#include "vmm/error.h"

/* ELF segments, boot structures, initramfs. */
#define SPACE_MAX_CLAIMS 72

struct space_claim {
	gpa_t gpa;
	uint64_t len; /* not 0, gpa + len does not overflow */
	const char *what; /* for messages; a string that outlives the space */
};

/*
 * Who uses which part of the guest's RAM while it is being filled. RAM is what
 * the memory map calls RAM; a claim lies in one such range.
 */
struct space {
	const struct boot_range *map;
	unsigned int nr_map;
	struct space_claim claims[SPACE_MAX_CLAIMS];
	unsigned int nr;
};

/* Start with nothing claimed. The map is borrowed while the space is used. One
 * thread, as all here. */
void space_init(struct space *s, const struct boot_range *map,
		unsigned int nr_map);

/*
 * Keep [gpa, gpa + len) from others, RAM or not (boot structures).
 * -ENOSPC too many claims, -EINVAL when the range is empty or overflows.
 */
int space_reserve(struct space *s, gpa_t gpa, uint64_t len, const char *what,
		  struct error *err);

/*
 * As space_reserve() for something that is loaded: it must be RAM and free.
 * -ENOSPC not RAM, -EINVAL overlaps an earlier claim. The message starts with
 * `what` and has no option in front.
 */
int space_claim(struct space *s, gpa_t gpa, uint64_t len, const char *what,
		struct error *err);

/* What space_find() is to look for. */
struct space_want {
	uint64_t len; /* bytes */
	uint64_t align; /* a power of two */
	gpa_t min, max; /* first and last address it may use */
	bool high; /* the highest place, else the lowest */
};

/*
 * Find len free bytes of RAM; claims nothing.
 * Returns 0 and *gpa, or -ENOSPC.
 */
int space_find(const struct space *s, const struct space_want *want,
	       gpa_t *gpa);

#endif
