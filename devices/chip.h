/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_CHIP_H
#define DEVICES_CHIP_H

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

/* What is the same for all chips of a class, which names it as its `chip`. */
struct chip_kind {
	size_t size; /* bytes of its own struct */
	uint64_t len; /* ports or bytes that it answers at; 0: place.len */
	/*
	 * The guest reads, or writes, a value of len bytes at off from
	 * place.base; see struct bus_ops. vCPU thread, chip's lock held. read
	 * NULL: it reads as ones.
	 */
	uint64_t (*read)(struct chip *chip, uint64_t off, unsigned int len);
	void (*write)(struct chip *chip, uint64_t off, uint64_t value,
		      unsigned int len);
	/* The chip is made, zeroed and on its bus: the rest of it. -errno with
	 * a message; ops.destroy follows. NULL: there is no more. */
	int (*init)(struct chip *chip, struct error *err);
	/* reset is called after init, too. destroy ends with chip_destroy(). */
	struct device_ops ops;
};

/* A class of chips, what it is, and what else there is to say: ".is_bus = true". */
#define CHIP_CLASS(class_name, what, ...)                                \
	{                                                                \
		.name = class_name, .create = chip_create, .chip = what, \
		__VA_ARGS__                                              \
	}

/* device_class.create of all chips; config is the chip's place. */
int chip_create(struct board *board, const void *config, void *opened,
		struct device **out, struct error *err);

/* Take it off its bus and free it. Main thread, no vCPU inside an access. */
void chip_destroy(struct device *device);

#endif
