/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A power button that is nothing but an interrupt: each is one press (Linux,
 * Documentation/devicetree/bindings/input/gpio-keys.yaml, a key without a GPIO).
 */
#include <errno.h>
#include <stdlib.h>

#include "devices/platform/chips.h"
#include "vmm/board.h"
#include "vmm/util.h"

struct power_key {
	struct device device;
	uint32_t gsi;
};

static void power_key_press(struct device *device)
{
	struct power_key *key = container_of(device, struct power_key, device);

	board_pulse_line(device->board, key->gsi);
}

static void power_key_destroy(struct device *device)
{
	free(container_of(device, struct power_key, device));
}

static int power_key_create(struct board *board unused_param,
			    const void *config, void *opened unused_param,
			    struct device **out, struct error *err)
{
	static const struct device_ops ops = {
		.power_button = power_key_press,
		.destroy = power_key_destroy,
	};
	const struct chip_place *place = config;
	struct power_key *key = calloc(1, sizeof(*key));

	if (!key)
		return error_set(err, ENOMEM, "out of memory");
	key->device.class = place->class;
	key->device.ops = &ops;
	key->gsi = place->gsi;
	*out = &key->device;
	return 0;
}

const struct device_class power_key_class = {
	.name = "power_key",
	.create = power_key_create,
};
