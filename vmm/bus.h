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
 * is 1, 2, 4 or 8 and off + len lies inside the range. Called on a vCPU thread
 * with no lock held.
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

void bus_init(struct bus *bus);
void bus_fini(struct bus *bus);

/* Any thread. -EEXIST: overlaps another range, -ENOSPC: table full, -EINVAL:
 * empty or wrapping. */
int bus_add(struct bus *bus, uint64_t base, uint64_t len,
	    const struct bus_ops *ops, void *opaque);
/* Any thread. Accesses under way on other vCPUs may still call the ops: stop
 * the vCPUs before freeing what opaque points to. */
void bus_remove(struct bus *bus, uint64_t base);

/* vCPU threads. Reads of nothing give all ones, writes to nothing are lost.
 * Returns 0, or -ENXIO when no range covers the access. */
int bus_read(struct bus *bus, uint64_t addr, void *data, unsigned int len);
int bus_write(struct bus *bus, uint64_t addr, const void *data,
	      unsigned int len);

#endif
