/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Power of a hardware-reduced ACPI machine (ACPI 6.5 section 4.1): sleep
 * control and reset registers, and the event byte behind the Generic Event
 * Device (section 5.6.9), which the guest's _EVT method reads when the GED's
 * interrupt fires.
 */
#include <stdatomic.h>
#include <string.h>

#include "boot/acpi.h"
#include "devices/platform/chip.h"
#include "devices/registry.h"
#include "vmm/irq.h"
#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/board.h"

struct acpi_power {
	struct chip chip;
	/* any thread: ACPI_GED_*, not yet read by the guest */
	atomic_uint events;
};

static void acpi_power_read(void *opaque, uint64_t off, void *data,
			    unsigned int len)
{
	struct acpi_power *ap = opaque;

	memset(data, 0, len);
	if (off == ACPI_POWER_EVENT)
		*(uint8_t *)data = (uint8_t)atomic_exchange(&ap->events, 0);
}

static void acpi_power_write(void *opaque, uint64_t off, const void *data,
			     unsigned int len unused_param)
{
	struct acpi_power *ap = opaque;
	uint8_t value = *(const uint8_t *)data;

	if (off == ACPI_POWER_SLEEP && value == ACPI_SLEEP_S5) {
		log_info("the guest powers off");
		board_raise(ap->chip.board, VM_EVENT_POWEROFF);
	} else if (off == ACPI_POWER_RESET && value == ACPI_POWER_RESET_VALUE) {
		log_info("the guest resets");
		board_raise(ap->chip.board, VM_EVENT_RESET);
	}
}

static const struct bus_ops acpi_power_bus_ops = {
	.read = acpi_power_read,
	.write = acpi_power_write,
};

static void acpi_power_button(struct device *device)
{
	struct acpi_power *ap =
		container_of(device, struct acpi_power, chip.device);

	atomic_fetch_or(&ap->events, ACPI_GED_POWER_BUTTON);
	irq_pulse(ap->chip.board, ap->chip.place.gsi);
}

static void acpi_power_reset(struct device *device)
{
	struct acpi_power *ap =
		container_of(device, struct acpi_power, chip.device);

	atomic_store(&ap->events, 0);
}

static const struct device_ops acpi_power_ops = {
	.reset = acpi_power_reset,
	.power_button = acpi_power_button,
	.destroy = chip_destroy,
};

static int acpi_power_create(struct board *board, const void *config,
			     void *opened unused_param, struct device **out,
			     struct error *err)
{
	static const struct chip_kind kind = {
		.class = &acpi_power_class,
		.ops = &acpi_power_ops,
		.size = sizeof(struct acpi_power),
		.len = ACPI_POWER_PORTS,
		.bus_ops = &acpi_power_bus_ops,
	};

	return chip_create(board, &kind, config, out, err);
}

const struct device_class acpi_power_class = {
	.name = "acpi_power",
	.kind = DEVICE_PLATFORM,
	.create = acpi_power_create,
};
