/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * ARM's UART and clock between a vCPU's accesses and a console double, which
 * keeps what is written and offers what is typed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "devices/platform/chips.h"
#include "tests/lib/fake_vm.h"
#include "tests/unit/console_fixture.h"
#include "vmm/util.h"

#define UART 0x9000000ull
#define CLOCK 0x9001000ull
#define GSI 1u

#define DR 0x00
#define FR 0x18
#define LCRH 0x2c
#define CR 0x30
#define IMSC 0x38
#define RIS 0x3c
#define MIS 0x40
#define ICR 0x44

#define RX 0x50u /* there is something, and it waits */
#define TX 0x20u

/* ---- the host ---- */

static size_t room(void)
{
	return con.config.room(con.config.opaque);
}

static void type(const char *text)
{
	con.config.input(con.config.opaque, (const uint8_t *)text,
			 strlen(text));
}

/* ---- the guest ---- */

static struct fake_vm fv;
static struct device *dev;

static int setup(void **state unused_param)
{
	static const struct chip_place uart = { .class = &pl011_class,
						.base = UART,
						.gsi = GSI };
	static const struct chip_place rtc = { .class = &pl031_class,
					       .base = CLOCK };

	fake_vm_init(&fv);
	fv.config.serial.mode = SERIAL_NULL;
	dev = fake_vm_add(&fv, &pl011_class, &uart);
	assert_non_null(dev);
	assert_non_null(fake_vm_add(&fv, &pl031_class, &rtc));
	return 0;
}

static int teardown(void **state unused_param)
{
	fake_vm_fini(&fv);
	return 0;
}

static uint32_t in(unsigned int reg)
{
	return (uint32_t)fake_mmio_read(&fv, UART + reg, 4);
}

static void out(unsigned int reg, uint32_t v)
{
	fake_mmio_write(&fv, UART + reg, v, 4);
}

static bool line(void)
{
	return fv.lines >> GSI & 1;
}

static void test_power_on(void **state unused_param)
{
	assert_int_equal(in(CR), 0x300);
	assert_int_equal(in(FR), 0x97); /* all is empty, modem lines are up */
	assert_int_equal(in(IMSC), 0);
	assert_int_equal(in(RIS), 0);
	assert_int_equal(room(), 1); /* without FIFOs */
	assert_false(line());
	assert_int_equal(in(DR), 0);
	assert_int_equal(fake_mmio_read(&fv, UART + 0x2000, 4), UINT32_MAX);
}

/* What Linux' bus and driver know it by. */
static void test_ids(void **state unused_param)
{
	static const uint8_t uart[] = { 0x11, 0x10, 0x34, 0x00,
					0x0d, 0xf0, 0x05, 0xb1 };

	for (unsigned int i = 0; i < sizeof(uart); i++)
		assert_int_equal(in(0xfe0 + 4 * i), uart[i]);
	assert_int_equal(fake_mmio_read(&fv, CLOCK + 0xfe0, 4), 0x31);
	assert_int_equal(fake_mmio_read(&fv, CLOCK + 0xffc, 4), 0xb1);
}

static void test_output(void **state unused_param)
{
	out(DR, 'h');
	out(DR, 'i');
	assert_int_equal(con.nr_out, 2);
	assert_memory_equal(con.out, "hi", 2);
	assert_int_equal(in(RIS), TX);
	assert_false(line());
	out(IMSC, TX);
	assert_true(line());
	out(ICR, TX);
	assert_false(line());
	out(DR, '!');
	assert_true(line());
	assert_int_equal(in(MIS), TX);
}

static void test_input(void **state unused_param)
{
	out(LCRH, 0x70);
	out(IMSC, RX);
	assert_int_equal(room(), 16);
	type("abc");
	assert_true(line());
	assert_int_equal(in(FR)&0x50, 0);
	assert_int_equal(in(DR), 'a');
	assert_int_equal(in(DR), 'b');
	assert_true(line());
	con.watched = false;
	assert_int_equal(in(DR), 'c');
	assert_true(con.watched);
	assert_false(line());
	assert_int_equal(in(FR)&0x10, 0x10);
}

static void test_full(void **state unused_param)
{
	out(LCRH, 0x70);
	type("0123456789abcdefLOST");
	assert_int_equal(room(), 0);
	assert_int_equal(in(FR)&0x50, 0x40);
	/* Without FIFOs it holds one, and takes no more until all is read. */
	out(LCRH, 0x60);
	assert_int_equal(room(), 0);
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(in(DR), "0123456789abcdef"[i]);
	assert_int_equal(in(DR), 0);
	assert_int_equal(room(), 1);
}

static void test_loopback(void **state unused_param)
{
	out(CR, 0x381);
	out(DR, 'x');
	assert_int_equal(con.nr_out, 0);
	assert_int_equal(in(DR), 'x');
}

static void test_bits(void **state unused_param)
{
	static const struct {
		unsigned int reg;
		uint32_t bits;
	} regs[] = { { 0x20, 0xff },  { 0x24, 0xffff }, { 0x28, 0x3f },
		     { LCRH, 0xff },  { CR, 0xff87 },	{ 0x34, 0x3f },
		     { IMSC, 0x7ff }, { 0x48, 7 },	{ FR, 0x97 },
		     { 0x004, 0 },    { 0x100, 0 } };

	for (unsigned int i = 0; i < ARRAY_SIZE(regs); i++) {
		out(regs[i].reg, UINT32_MAX);
		assert_int_equal(in(regs[i].reg), regs[i].bits);
	}
}

static void test_reset(void **state unused_param)
{
	out(LCRH, 0x70);
	out(IMSC, RX);
	type("a");
	dev->ops->reset(dev);
	assert_int_equal(in(RIS), 0);
	assert_int_equal(in(IMSC), 0);
	assert_int_equal(in(FR), 0x97);
}

static void test_pause(void **state unused_param)
{
	dev->ops->quiesce(dev);
	assert_int_equal(room(), 0);
	dev->ops->resume(dev);
	assert_int_equal(room(), 1);
}

static void test_clock(void **state unused_param)
{
	uint32_t now = (uint32_t)time(NULL), then;

	then = (uint32_t)fake_mmio_read(&fv, CLOCK, 4);
	assert_true(then - now < 60);
	fake_mmio_write(&fv, CLOCK + 8, 1000, 4);
	then = (uint32_t)fake_mmio_read(&fv, CLOCK, 4);
	assert_true(then - 1000 < 60);
	assert_int_equal(fake_mmio_read(&fv, CLOCK + 0xc, 4), 1);
}

/* One press is one interrupt. */
static void test_power_key(void **state unused_param)
{
	static const struct chip_place place = { .class = &power_key_class,
						 .gsi = GSI + 1 };
	struct device *key = fake_vm_add(&fv, &power_key_class, &place);
	unsigned int before = fv.line_changes;

	assert_non_null(key);
	key->ops->power_button(key);
	assert_int_equal(fv.line_changes, before + 2);
	assert_int_equal(fv.lines, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_power_on), T(test_ids),	     T(test_output),
		T(test_input),	  T(test_full),	     T(test_loopback),
		T(test_bits),	  T(test_reset),     T(test_pause),
		T(test_clock),	  T(test_power_key),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
