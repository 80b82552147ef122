/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_PLATFORM_CHIP_H
#define DEVICES_PLATFORM_CHIP_H

#include <pthread.h>

#include "devices/device.h"
#include "vmm/board.h"

/* What every chip's own struct begins with. */
struct chip {
	struct device device;
	/* set at creation */
	struct board *board;
	struct chip_place place;
	/* Guards the chip's own state. A line may be set with it held, so that
	 * of an interrupt controller comes last. */
	pthread_mutex_t lock;
};

/* What is the same for all chips of a class. */
struct chip_kind {
	const struct device_class *class;
	const struct device_ops *ops;
	size_t size; /* bytes of its own struct */
	uint64_t len; /* ports or bytes that it answers at; 0: none */
	const struct bus_ops *bus_ops; /* called with its own struct */
};

/*
 * Make a chip at *place (copied), zeroed, and put it on its bus. No vCPU runs.
 * Main thread. Returns 0, or -errno with a message; *out is untouched then.
 */
int chip_create(struct board *board, const struct chip_kind *kind,
		const struct chip_place *place, struct device **out,
		struct error *err);

/* Take it off its bus and free it: device_ops.destroy, or the end of it. Main
 * thread, no vCPU inside an access. */
void chip_destroy(struct device *device);

#endif
