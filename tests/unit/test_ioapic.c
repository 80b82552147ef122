/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Lines of chips, through the I/O APIC, to messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "boot/x86/acpi.h"
#include "devices/platform/chips.h"
#include "tests/lib/fake_vm.h"
#include "vmm/util.h"

#define BASE 0xfec00000u
#define SELECT BASE
#define WINDOW (BASE + 0x10)
#define REG_VERSION 1u
#define REG_TABLE 0x10u
#define MASKED (1u << 16)
#define LOGICAL (1u << 11)

#define PORT 0x600u
#define GSI 5u

static struct fake_vm fv;
static struct device *io, *power;

static uint32_t reg(uint32_t index)
{
	fake_mmio_write(&fv, SELECT, index, 4);
	return (uint32_t)fake_mmio_read(&fv, WINDOW, 4);
}

static void set_reg(uint32_t index, uint32_t v)
{
	fake_mmio_write(&fv, SELECT, index, 4);
	fake_mmio_write(&fv, WINDOW, v, 4);
}

/* Pin gsi: vector, to this processor. */
static void set_pin(uint32_t gsi, uint32_t low, uint8_t to)
{
	set_reg(REG_TABLE + 2 * gsi + 1, (uint32_t)to << 24);
	set_reg(REG_TABLE + 2 * gsi, low);
}

static void expect_msi(unsigned int nr, uint64_t addr, uint32_t data)
{
	assert_int_equal(fv.nr_msi, nr);
	assert_int_equal(fv.msi[nr - 1].addr, addr);
	assert_int_equal(fv.msi[nr - 1].data, data);
}

static int setup(void **state unused_param)
{
	static const struct chip_place io_place = { .class = &ioapic_class,
						    .base = BASE,
						    .nr_pins = 8 };
	static const struct chip_place power_place = {
		.class = &acpi_power_class,
		.pio = true,
		.base = PORT,
		.gsi = GSI,
	};

	fake_vm_init(&fv);
	io = fake_vm_add(&fv, &ioapic_class, &io_place);
	power = fake_vm_add(&fv, &acpi_power_class, &power_place);
	assert_true(io && power);
	return 0;
}

static int teardown(void **state unused_param)
{
	fake_vm_fini(&fv);
	return 0;
}

static void test_registers(void **state unused_param)
{
	unsigned int i, pins = (reg(REG_VERSION) >> 16) + 1;

	assert_int_equal(pins, 8);
	for (i = 0; i < pins; i++)
		assert_int_equal(reg(REG_TABLE + 2 * i), MASKED);
	set_reg(REG_TABLE, 0xffffffff);
	assert_int_equal(reg(REG_TABLE), 0xffffffff & ~(1u << 12 | 1u << 14));
	set_reg(REG_TABLE + 2 * pins, 0); /* nothing is there */
	board_pulse_line(&fv.board, pins);
	assert_int_equal(fv.nr_msi, 0);
}

static void test_edge(void **state unused_param)
{
	set_pin(GSI, 0x31, 2);
	board_set_line(&fv.board, GSI, true);
	expect_msi(1, 0xfee02000, 0x31);
	board_set_line(&fv.board, GSI, true);
	assert_int_equal(fv.nr_msi, 1);
	board_set_line(&fv.board, GSI, false);
	board_pulse_line(&fv.board, GSI);
	assert_int_equal(fv.nr_msi, 2);
	set_pin(GSI, LOGICAL | 0x32, 1);
	board_pulse_line(&fv.board, GSI);
	expect_msi(3, 0xfee01004, 0x32);
}

static void test_masked(void **state unused_param)
{
	set_pin(GSI, MASKED | 0x31, 0);
	board_pulse_line(&fv.board, GSI);
	board_pulse_line(&fv.board, GSI);
	assert_int_equal(fv.nr_msi, 0);
	set_pin(GSI, 0x31, 0);
	expect_msi(1, 0xfee00000, 0x31);
	board_pulse_line(&fv.board, GSI);
	set_pin(GSI, MASKED, 0);
	board_pulse_line(&fv.board, GSI);
	io->ops->reset(io);
	set_pin(GSI, 0x31, 0);
	assert_int_equal(fv.nr_msi, 2);
}

/* The power button of a machine that is paused is pressed when it goes on. */
static void test_held(void **state unused_param)
{
	set_pin(GSI, 0x31, 0);
	board_hold_irqs(&fv.board, true);
	power->ops->power_button(power);
	power->ops->power_button(power);
	assert_int_equal(fv.nr_msi, 0);
	board_hold_irqs(&fv.board, false);
	io->ops->resume(io);
	expect_msi(1, 0xfee00000, 0x31);
	assert_int_equal(fake_pio_read(&fv, PORT + ACPI_POWER_EVENT, 1),
			 ACPI_GED_POWER_BUTTON);
	io->ops->resume(io);
	assert_int_equal(fv.nr_msi, 1);
	/* What is masked as well waits for that too. */
	board_hold_irqs(&fv.board, true);
	board_pulse_line(&fv.board, GSI);
	set_pin(GSI, MASKED | 0x31, 0);
	board_hold_irqs(&fv.board, false);
	io->ops->resume(io);
	assert_int_equal(fv.nr_msi, 1);
	set_pin(GSI, 0x31, 0);
	assert_int_equal(fv.nr_msi, 2);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_registers),
		UNIT(test_edge),
		UNIT(test_masked),
		UNIT(test_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
