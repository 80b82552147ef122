/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/bus.h"

#include <string.h>

#include "vmm/byteorder.h"
#include "vmm/log.h"
#include "vmm/util.h"

void bus_init(struct bus *bus)
{
	memset(bus, 0, sizeof(*bus));
	pthread_rwlock_init(&bus->lock, NULL);
}

void bus_fini(struct bus *bus)
{
	pthread_rwlock_destroy(&bus->lock);
	bus->nr = 0;
}

/* Index of the first range whose base is above addr. */
static unsigned int bus_upper(const struct bus *bus, uint64_t addr)
{
	unsigned int lo = 0, hi = bus->nr;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (bus->ranges[mid].base > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static int bus_insert_locked(struct bus *bus, const struct bus_range *r)
{
	unsigned int i = bus_upper(bus, r->base);

	if (i > 0 && r->base - bus->ranges[i - 1].base < bus->ranges[i - 1].len)
		return -EEXIST;
	if (i < bus->nr && bus->ranges[i].base - r->base < r->len)
		return -EEXIST;
	if (bus->nr == BUS_MAX_RANGES)
		return -ENOSPC;
	memmove(&bus->ranges[i + 1], &bus->ranges[i],
		(bus->nr - i) * sizeof(bus->ranges[0]));
	bus->ranges[i] = *r;
	bus->nr++;
	return 0;
}

int bus_add(struct bus *bus, uint64_t base, uint64_t len,
	    const struct bus_ops *ops, void *opaque)
{
	struct bus_range r = {
		.base = base, .len = len, .ops = ops, .opaque = opaque
	};
	int ret;

	if (!len || base + (len - 1) < base)
		return -EINVAL;
	pthread_rwlock_wrlock(&bus->lock);
	ret = bus_insert_locked(bus, &r);
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

void bus_remove(struct bus *bus, uint64_t base)
{
	unsigned int i;

	pthread_rwlock_wrlock(&bus->lock);
	i = bus_upper(bus, base);
	if (i > 0 && bus->ranges[i - 1].base == base) {
		bus->nr--;
		memmove(&bus->ranges[i - 1], &bus->ranges[i],
			(bus->nr - (i - 1)) * sizeof(bus->ranges[0]));
	}
	pthread_rwlock_unlock(&bus->lock);
}

/*
 * The range is copied and the lock dropped before the device runs: a device
 * may move its own range from inside a write (PCI BARs).
 */
static bool bus_find(struct bus *bus, uint64_t addr, unsigned int len,
		     struct bus_range *out)
{
	unsigned int i;

	pthread_rwlock_rdlock(&bus->lock);
	i = bus_upper(bus, addr);
	if (i > 0)
		*out = bus->ranges[i - 1];
	pthread_rwlock_unlock(&bus->lock);
	return i > 0 && addr - out->base < out->len &&
	       len <= out->len - (addr - out->base);
}

int bus_read(struct bus *bus, uint64_t addr, void *data, unsigned int len)
{
	struct bus_range r;

	memset(data, 0xff, len);
	if (!bus_find(bus, addr, len, &r))
		return -ENXIO;
	if (r.ops->read)
		r.ops->read(r.opaque, addr - r.base, data, len);
	log_trace("guest reads %u at %#llx: %#llx", len, llu(addr),
		  llu(le_load(data, len)));
	return 0;
}

int bus_write(struct bus *bus, uint64_t addr, const void *data,
	      unsigned int len)
{
	struct bus_range r;

	if (!bus_find(bus, addr, len, &r))
		return -ENXIO;
	log_trace("guest writes %u at %#llx: %#llx", len, llu(addr),
		  llu(le_load(data, len)));
	if (r.ops->write)
		r.ops->write(r.opaque, addr - r.base, data, len);
	return 0;
}
