/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Power of a hardware-reduced ACPI machine (ACPI 6.5 section 4.1): sleep
 * control and reset registers, and the event byte behind the Generic Event
 * Device (section 5.6.9), which the guest's _EVT method reads when the GED's
 * interrupt fires.
 */
#include <stdatomic.h>

#include "boot/x86/acpi.h"
#include "devices/chip.h"
#include "devices/platform/chips.h"
#include "vmm/log.h"
#include "vmm/util.h"

struct acpi_power {
	struct chip chip;
	/* any thread: ACPI_GED_*, not yet read by the guest */
	atomic_uint events;
};

static uint64_t acpi_power_read(struct chip *chip, uint64_t off,
				unsigned int len unused_param)
{
	struct acpi_power *ap = container_of(chip, struct acpi_power, chip);

	return off == ACPI_POWER_EVENT ? atomic_exchange(&ap->events, 0) : 0;
}

static void acpi_power_write(struct chip *chip, uint64_t off, uint64_t value,
			     unsigned int len unused_param)
{
	if (off == ACPI_POWER_SLEEP && (uint8_t)value == ACPI_SLEEP_S5) {
		log_info("the guest powers off");
		board_raise(chip->board, VM_EVENT_POWEROFF);
	} else if (off == ACPI_POWER_RESET &&
		   (uint8_t)value == ACPI_POWER_RESET_VALUE) {
		log_info("the guest resets");
		board_raise(chip->board, VM_EVENT_RESET);
	}
}

static void acpi_power_button(struct device *device)
{
	struct acpi_power *ap =
		container_of(device, struct acpi_power, chip.device);

	atomic_fetch_or(&ap->events, ACPI_GED_POWER_BUTTON);
	board_pulse_line(ap->chip.board, ap->chip.place.gsi);
}

static void acpi_power_reset(struct device *device)
{
	container_of(device, struct acpi_power, chip.device)->events = 0;
}

static const struct chip_kind acpi_power = {
	.size = sizeof(struct acpi_power),
	.len = ACPI_POWER_PORTS,
	.read = acpi_power_read,
	.write = acpi_power_write,
	.ops = {
		.reset = acpi_power_reset,
		.power_button = acpi_power_button,
		.destroy = chip_destroy,
	},
};

const struct device_class acpi_power_class =
	CHIP_CLASS("acpi_power", &acpi_power);
