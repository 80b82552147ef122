/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The debug port: a time stamp in the log per value written. It is the boot
 * timer: a kernel or init writes a byte when it reaches a point. Linux also
 * writes here to wait a moment, so stamps are only shown with -vv.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/registry.h"
#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/board.h"

struct debug_port {
	struct device device;
	struct board *board;
	uint64_t base;
};

static void debug_port_read(void *opaque unused_param,
			    uint64_t off unused_param, void *data,
			    unsigned int len)
{
	memset(data, 0xff, len);
}

static void debug_port_write(void *opaque unused_param,
			     uint64_t off unused_param, const void *data,
			     unsigned int len unused_param)
{
	log_debug("debug port: %#04x at %llu us", *(const uint8_t *)data,
		  (unsigned long long)log_uptime_ns() / 1000);
}

static const struct bus_ops debug_port_bus_ops = {
	.read = debug_port_read,
	.write = debug_port_write,
};

static void debug_port_destroy(struct device *device)
{
	struct debug_port *dp = container_of(device, struct debug_port, device);

	bus_remove(&dp->board->pio, dp->base);
	free(dp);
}

static const struct device_ops debug_port_ops = {
	.destroy = debug_port_destroy,
};

static int debug_port_create(struct board *board, const void *config,
			     void *opened unused_param, struct device **out,
			     struct error *err)
{
	const struct chip_place *place = config;
	struct debug_port *dp = calloc(1, sizeof(*dp));
	int r;

	if (!dp)
		return error_set(err, ENOMEM, "out of memory");
	dp->device.class = &debug_port_class;
	dp->device.ops = &debug_port_ops;
	dp->board = board;
	dp->base = place->base;
	r = bus_add(&board->pio, place->base, 1, &debug_port_bus_ops, dp);
	if (r) {
		free(dp);
		return error_set(err, r, "debug port: %s", strerror(-r));
	}
	*out = &dp->device;
	return 0;
}

const struct device_class debug_port_class = {
	.name = "debug_port",
	.kind = DEVICE_PLATFORM,
	.create = debug_port_create,
};
