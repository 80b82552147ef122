/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The debug port: a time stamp in the log per value written. It is the boot
 * timer: a kernel or init writes a byte when it reaches a point. Linux also
 * writes here to wait a moment, so stamps are only shown with -vv.
 */
#include "devices/chip.h"
#include "devices/platform/chips.h"
#include "vmm/log.h"
#include "vmm/util.h"

static void debug_port_write(struct chip *chip unused_param,
			     uint64_t off unused_param, uint64_t value,
			     unsigned int len unused_param)
{
	log_debug("debug port: %#04x at %llu us", (uint8_t)value,
		  llu(log_uptime_ns()) / 1000);
}

static const struct chip_kind debug_port = {
	.size = sizeof(struct chip),
	.len = 1,
	.write = debug_port_write,
	.ops.destroy = chip_destroy,
};

const struct device_class debug_port_class =
	CHIP_CLASS("debug_port", &debug_port);
