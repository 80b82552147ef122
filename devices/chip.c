/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/chip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/byteorder.h"
#include "vmm/util.h"

static void chip_read(void *opaque, uint64_t off, void *data, unsigned int len)
{
	struct chip *chip = opaque;
	const struct chip_kind *kind = chip->device.class->chip;

	if (!kind->read)
		return;
	mutex_guard(&chip->lock);
	le_store(data, kind->read(chip, off, len), len);
}

static void chip_write(void *opaque, uint64_t off, const void *data,
		       unsigned int len)
{
	struct chip *chip = opaque;
	const struct chip_kind *kind = chip->device.class->chip;

	mutex_guard(&chip->lock);
	kind->write(chip, off, le_load(data, len), len);
}

static const struct bus_ops chip_bus_ops = { chip_read, chip_write };

static struct bus *chip_bus(struct chip *chip)
{
	return chip->place.pio ? &chip->board->pio : &chip->board->mmio;
}

static void chip_free(struct chip *chip)
{
	pthread_mutex_destroy(&chip->lock);
	free(chip);
}

int chip_create(struct board *board, const void *config,
		void *opened unused_param, struct device **out,
		struct error *err)
{
	const struct chip_place *place = config;
	const struct device_class *class = place->class;
	const struct chip_kind *kind = class->chip;
	struct chip *chip = calloc(1, kind->size);
	int r;

	if (!chip)
		return error_set(err, ENOMEM, "out of memory");
	chip->device.class = class;
	chip->device.ops = &kind->ops;
	chip->board = board;
	chip->place = *place;
	pthread_mutex_init(&chip->lock, NULL);
	r = bus_add(chip_bus(chip), place->base,
		    kind->len ? kind->len : place->len, &chip_bus_ops, chip);
	if (r) {
		chip_free(chip);
		return error_set(err, r, "%s: %s", class->name, strerror(-r));
	}
	r = kind->init ? kind->init(chip, err) : 0;
	if (r) {
		kind->ops.destroy(&chip->device);
		return r;
	}
	if (kind->ops.reset)
		kind->ops.reset(&chip->device);
	*out = &chip->device;
	return 0;
}

void chip_destroy(struct device *device)
{
	struct chip *chip = container_of(device, struct chip, device);

	bus_remove(chip_bus(chip), chip->place.base);
	chip_free(chip);
}
