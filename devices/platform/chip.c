/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/platform/chip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util.h"

static struct bus *chip_bus(struct chip *chip)
{
	return chip->place.pio ? &chip->board->pio : &chip->board->mmio;
}

static void chip_free(struct chip *chip)
{
	pthread_mutex_destroy(&chip->lock);
	free(chip);
}

int chip_create(struct board *board, const struct chip_kind *kind,
		const struct chip_place *place, struct device **out,
		struct error *err)
{
	struct chip *chip = calloc(1, kind->size);
	int r = 0;

	if (!chip)
		return error_set(err, ENOMEM, "out of memory");
	chip->device.class = kind->class;
	chip->device.ops = kind->ops;
	chip->board = board;
	chip->place = *place;
	pthread_mutex_init(&chip->lock, NULL);
	if (kind->len)
		r = bus_add(chip_bus(chip), place->base, kind->len,
			    kind->bus_ops, chip);
	if (r) {
		chip_free(chip);
		return error_set(err, r, "%s: %s", place->class_name,
				 strerror(-r));
	}
	*out = &chip->device;
	return 0;
}

void chip_destroy(struct device *device)
{
	struct chip *chip = container_of(device, struct chip, device);

	bus_remove(chip_bus(chip), chip->place.base);
	chip_free(chip);
}
