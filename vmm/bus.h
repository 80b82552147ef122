/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <pthread.h>
#include <stdint.h>

#include "vmm/error.h"

#define BUS_MAX_RANGES 96

/*
 * What a device does with an access. off is relative to the range's base, len
 * is 1, 2, 4 or 8 and off + len lies inside the range. data holds ones when read()
 * is called. NULL: reads as ones, writes are lost. Called on a vCPU thread with
 * no lock held.
 */
struct bus_ops {
	void (*read)(void *opaque, uint64_t off, void *data, unsigned int len);
	void (*write)(void *opaque, uint64_t off, const void *data,
		      unsigned int len);
};

struct bus_range {
	uint64_t base;
	uint64_t len;
	const struct bus_ops *ops;
	void *opaque;
};

/* One address space: ports or memory. Sorted by base. */
struct bus {
	pthread_rwlock_t lock; /* guards the rest */
	struct bus_range ranges[BUS_MAX_RANGES];
	unsigned int nr;
};

/* Start with no range, in the caller's storage. */
void bus_init(struct bus *bus);
/* Forget all ranges. No thread uses the bus any more. */
void bus_fini(struct bus *bus);

/*
 * Have ops called for accesses to [base, base + len), addresses or ports. ops
 * and opaque are borrowed until bus_remove().
 * Any thread. -EEXIST: overlaps another range, -ENOSPC: table full, -EINVAL:
 * empty or wrapping.
 */
int bus_add(struct bus *bus, uint64_t base, uint64_t len,
	    const struct bus_ops *ops, void *opaque);
/* Forget the range that begins at base, if there is one. Accesses under way on
 * other vCPUs may still call the ops: stop the vCPUs before freeing what opaque
 * points to. Any thread. */
void bus_remove(struct bus *bus, uint64_t base);

/* Read len bytes, 1, 2, 4 or 8, at addr. -ENXIO, and all ones in data, when no
 * range covers all of them. vCPU threads. */
int bus_read(struct bus *bus, uint64_t addr, void *data, unsigned int len);
/* Write len bytes at addr. -ENXIO, and the value is lost, when no range covers
 * all of them. vCPU threads. */
int bus_write(struct bus *bus, uint64_t addr, const void *data,
	      unsigned int len);

#endif
