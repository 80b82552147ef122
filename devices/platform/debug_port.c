/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The debug port: a time stamp in the log per value written. It is the boot
 * timer: a kernel or init writes a byte when it reaches a point. Linux also
 * writes here to wait a moment, so stamps are only shown with -vv.
 */
#include "devices/platform/chip.h"
#include "devices/registry.h"
#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/board.h"

static void debug_port_write(void *opaque unused_param,
			     uint64_t off unused_param, const void *data,
			     unsigned int len unused_param)
{
	log_debug("debug port: %#04x at %llu us", *(const uint8_t *)data,
		  (unsigned long long)log_uptime_ns() / 1000);
}

static const struct bus_ops debug_port_bus_ops = { .write = debug_port_write };

static const struct device_ops debug_port_ops = {
	.destroy = chip_destroy,
};

static int debug_port_create(struct board *board, const void *config,
			     void *opened unused_param, struct device **out,
			     struct error *err)
{
	static const struct chip_kind kind = {
		.class = &debug_port_class,
		.ops = &debug_port_ops,
		.size = sizeof(struct chip),
		.len = 1,
		.bus_ops = &debug_port_bus_ops,
	};

	return chip_create(board, &kind, config, out, err);
}

const struct device_class debug_port_class = {
	.name = "debug_port",
	.kind = DEVICE_PLATFORM,
	.create = debug_port_create,
};
