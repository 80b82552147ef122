/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "power.h"

#include "acpi.h"
#include "clock.h"
#include "io.h"
#include "memory.h"
#include "ring0.h"
#include "text.h"
#include "triple_fault.h"

#define SLEEP_ENABLE 0x20 /* SLEEP_CONTROL_REG; the type is at bit 2 */
#define PM1_SLEEP_ENABLE 0x2000 /* PM1_CNT; the type is at bit 10 */
#define S5_TYPE_HW_REDUCED 5
#define S5_TYPE_PM1 0
#define GAS_MEMORY 0
#define GAS_PORT 1

#define SETTLE_US 200000 /* a monitor may leave asynchronously */

static bool gas_write(const struct acpi_gas *gas, uint8_t value)
{
	if (!gas->addr)
		return false;
	if (gas->space == GAS_MEMORY) {
		if (gas->addr >> 32)
			memory_map_registers(gas->addr, 1);
		mmio_write8(gas->addr, value);
	} else if (gas->space == GAS_PORT) {
		out8((uint16_t)gas->addr, value);
	} else {
		return false;
	}
	return true;
}

void power_triple_fault(void)
{
	ring0_call(RING0_NO_IDT, 0, 0);
	for (;;)
		__asm__ volatile("ud2");
}

void power_off(void)
{
	const struct acpi_fadt *fadt = (const void *)acpi_find("FACP");
	unsigned type;

	if (!fadt) {
		say("no FADT: triple fault instead of power-off");
		power_triple_fault();
	}
	if (fadt->flags & ACPI_FADT_HW_REDUCED) {
		type = acpi_s5_type(S5_TYPE_HW_REDUCED);
		gas_write(&fadt->sleep_control,
			  (uint8_t)(type << 2 | SLEEP_ENABLE));
	} else {
		type = acpi_s5_type(S5_TYPE_PM1);
		out16((uint16_t)fadt->pm1a_cnt_blk,
		      (uint16_t)(type << 10 | PM1_SLEEP_ENABLE));
	}
	clock_wait_us(SETTLE_US);
	say("FATAL: power-off did nothing");
	power_triple_fault();
}

void power_reset(void)
{
	const struct acpi_fadt *fadt = (const void *)acpi_find("FACP");

	if (fadt && (fadt->flags & ACPI_FADT_RESET_REG_SUP) &&
	    gas_write(&fadt->reset_reg, fadt->reset_value))
		clock_wait_us(SETTLE_US);
	say("FATAL: the ACPI reset register did nothing");
	power_triple_fault();
}

const struct power_way power_ways[] = {
	{ "off", power_off },
	{ "reset", power_reset },
	{ "triple", power_triple_fault },
	{ 0 },
};
