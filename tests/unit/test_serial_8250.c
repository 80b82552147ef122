/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The UART between a vCPU's port accesses and a console double, which keeps
 * what is written and offers what is typed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "devices/platform/chips.h"
#include "tests/lib/fake_vm.h"
#include "tests/unit/console_fixture.h"
#include "vmm/util.h"

#define PORT 0x3f8
#define GSI 4u

#define DATA 0
#define IER 1
#define IIR 2
#define FCR 2
#define LCR 3
#define MCR 4
#define LSR 5
#define MSR 6
#define SCR 7

#define FIFO 16u

/* ---- the host ---- */

static const char *typed = ""; /* not yet taken by the port */

/* The loop: type as much as the port takes; stop watching when it is full. */
static void feed(void)
{
	while (con.watched && *typed) {
		size_t room = con.config.room(con.config.opaque);
		size_t len = MIN(room, strlen(typed));

		if (!room) {
			con.watched = false;
			return;
		}
		con.config.input(con.config.opaque, (const uint8_t *)typed,
				 len);
		typed += len;
	}
}

static void type(const char *text)
{
	typed = text;
	feed();
}

/* ---- the guest ---- */

static struct fake_vm fv;
static struct device *dev;
static const struct chip_place place = {
	.class = &serial_8250_class, .pio = true, .base = PORT, .gsi = GSI
};

static int setup(void **state unused_param)
{
	fake_vm_init(&fv);
	fv.config.serial.mode = SERIAL_NULL;
	typed = "";
	dev = fake_vm_add(&fv, &serial_8250_class, &place);
	assert_non_null(dev);
	return 0;
}

static int teardown(void **state unused_param)
{
	fake_vm_fini(&fv);
	return 0;
}

static uint8_t in(unsigned int reg)
{
	return (uint8_t)fake_pio_read(&fv, (uint16_t)(PORT + reg), 1);
}

static void out(unsigned int reg, uint8_t v)
{
	fake_pio_write(&fv, (uint16_t)(PORT + reg), v, 1);
}

static bool line(void)
{
	return fv.lines >> GSI & 1;
}

static void test_power_on(void **state unused_param)
{
	assert_int_equal(in(IER), 0);
	assert_int_equal(in(IIR), 0x01);
	assert_int_equal(in(LCR), 0);
	assert_int_equal(in(MCR), 0);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(MSR), 0xb0);
	assert_int_equal(in(SCR), 0);
	assert_false(line());
	assert_int_equal(fake_pio_read(&fv, PORT + 8, 1), 0xff);
	assert_int_equal(fake_pio_read(&fv, PORT - 1, 1), 0xff);
}

static void test_registers(void **state unused_param)
{
	out(SCR, 0xa5);
	assert_int_equal(in(SCR), 0xa5);
	out(IER, 0xff);
	assert_int_equal(in(IER), 0x0f);
	out(IER, 0);
	out(MCR, 0xff);
	assert_int_equal(in(MCR), 0x1f);
	out(MCR, 0);
	out(LSR, 0); /* read only */
	assert_int_equal(in(LSR), 0x60);
	out(MSR, 0);
	assert_int_equal(in(MSR), 0xb0);
}

/* With DLAB, the first two registers are the divisor. */
static void test_divisor(void **state unused_param)
{
	out(LCR, 0x83);
	out(DATA, 0x0c);
	out(IER, 0x01);
	assert_int_equal(in(DATA), 0x0c);
	assert_int_equal(in(IER), 0x01);
	assert_int_equal(in(LCR), 0x83);
	assert_int_equal(con.nr_out, 0);
	out(LCR, 0x03);
	assert_int_equal(in(IER), 0);
	assert_int_equal(in(DATA), 0);
	assert_false(line());
}

static void test_fifo_is_seen(void **state unused_param)
{
	out(FCR, 0x07);
	assert_int_equal(in(IIR), 0xc1); /* as Linux tells a 16550A */
	out(FCR, 0);
	assert_int_equal(in(IIR), 0x01);
}

static void test_output(void **state unused_param)
{
	const char *text = "hello\n";
	unsigned int i;

	for (i = 0; text[i]; i++) {
		assert_int_equal(in(LSR)&0x60, 0x60);
		out(DATA, (uint8_t)text[i]);
	}
	assert_int_equal(con.nr_out, 6);
	assert_memory_equal(con.out, text, 6);
	assert_false(line());
	/* A wide access writes one byte. */
	fake_pio_write(&fv, PORT, 0x42414241, 4);
	assert_int_equal(con.nr_out, 7);
	assert_int_equal(fake_pio_read(&fv, PORT + LSR, 2), 0xff60);
}

static void test_transmitter_interrupt(void **state unused_param)
{
	/* Enabling it while empty raises it; reading IIR takes it back. */
	out(IER, 0x02);
	assert_true(line());
	assert_int_equal(in(IIR), 0x02);
	assert_false(line());
	assert_int_equal(in(IIR), 0x01);
	out(IER, 0x02); /* already on */
	assert_false(line());
	out(DATA, 'x');
	assert_true(line());
	out(DATA, 'y');
	assert_int_equal(in(IIR), 0x02);
	assert_false(line());
	out(DATA, 'z');
	out(IER, 0);
	assert_false(line());
	assert_int_equal(in(IIR), 0x01);
}

static void test_input(void **state unused_param)
{
	out(IER, 0x01);
	type("ab");
	assert_true(line());
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(IIR), 0x04); /* reading it takes nothing */
	assert_int_equal(in(DATA), 'a');
	assert_true(line());
	assert_int_equal(in(DATA), 'b');
	assert_false(line());
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(DATA), 0);
}

/* Received data goes before an empty transmitter. */
static void test_priority(void **state unused_param)
{
	out(IER, 0x03);
	type("a");
	assert_int_equal(in(IIR), 0x04);
	in(DATA);
	assert_true(line());
	assert_int_equal(in(IIR), 0x02);
	assert_false(line());
}

static void test_polled_input(void **state unused_param)
{
	type("q");
	assert_false(line());
	assert_int_equal(in(IIR), 0x01);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(DATA), 'q');
}

/* More than the FIFO holds comes in order, as the guest reads. */
static void test_flow(void **state unused_param)
{
	const char *text = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";
	unsigned int i;

	type(text);
	assert_int_equal(typed - text, FIFO);
	for (i = 0; text[i]; i++) {
		assert_int_equal(in(LSR)&1, 1);
		assert_int_equal(in(DATA), (uint8_t)text[i]);
		feed();
	}
	assert_int_equal(in(LSR)&1, 0);
}

/* A driver clears the FIFO when it opens the port: typing works on. */
static void test_clear_full_fifo(void **state unused_param)
{
	type("0123456789abcdefXYZ");
	assert_false(con.watched);
	out(FCR, 0x07);
	assert_int_equal(in(LSR)&1, 0);
	feed();
	assert_int_equal(in(LSR)&1, 1);
	assert_int_equal(in(DATA), 'X');
}

static void test_loopback(void **state unused_param)
{
	out(MCR, 0x10);
	assert_int_equal(in(MSR), 0);
	out(MCR, 0x1a); /* RTS, OUT2: CTS, DCD */
	assert_int_equal(in(MSR), 0x90);
	out(MCR, 0x15); /* DTR, OUT1: DSR, RI */
	assert_int_equal(in(MSR), 0x60);
	out(DATA, 0x5a);
	assert_int_equal(con.nr_out, 0);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(DATA), 0x5a);
	out(MCR, 0);
	assert_int_equal(in(MSR), 0xb0);
}

static void test_loopback_overrun(void **state unused_param)
{
	unsigned int i;

	out(MCR, 0x10);
	for (i = 0; i < FIFO + 5; i++)
		out(DATA, (uint8_t)i);
	for (i = 0; i < FIFO; i++)
		assert_int_equal(in(DATA), i);
	assert_int_equal(in(LSR)&1, 0);
}

static void test_reset(void **state unused_param)
{
	out(FCR, 1);
	out(SCR, 7);
	type("0123456789abcdefZ");
	out(IER, 0x03);
	assert_true(line());
	dev->ops->reset(dev);
	assert_int_equal(in(IER), 0);
	assert_int_equal(in(SCR), 0);
	assert_int_equal(in(IIR), 1);
	assert_int_equal(in(LSR), 0x60);
	feed();
	assert_int_equal(in(DATA), 'Z');
}

/* What is typed waits for the machine to go on. */
static void test_pause(void **state unused_param)
{
	fake_pio_write(&fv, PORT + IER, 1, 1);
	dev->ops->quiesce(dev);
	type("ab");
	assert_false(line());
	assert_int_equal(fake_pio_read(&fv, PORT + LSR, 1) & 1, 0);
	dev->ops->resume(dev);
	feed();
	assert_true(line());
	assert_int_equal(fake_pio_read(&fv, PORT + DATA, 1), 'a');
	assert_int_equal(fake_pio_read(&fv, PORT + DATA, 1), 'b');
	/* A reset starts it again. */
	dev->ops->quiesce(dev);
	dev->ops->reset(dev);
	type("c");
	assert_int_equal(fake_pio_read(&fv, PORT + DATA, 1), 'c');
}

static void test_quit(void **state unused_param)
{
	con.config.quit(con.config.opaque);
	assert_int_equal(atomic_load(&fv.board.event), VM_EVENT_STOP);
}

/* --serial off: no port at all. */
static void test_off(void **state unused_param)
{
	fake_vm_init(&fv);
	fv.config.serial.mode = SERIAL_OFF;
	assert_non_null(fake_vm_add(&fv, &serial_8250_class, &place));
	assert_int_equal(in(LSR), 0xff);
	out(DATA, 'x');
	assert_int_equal(con.nr_out, 0);
	fake_vm_fini(&fv);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_power_on),
		UNIT(test_registers),
		UNIT(test_divisor),
		UNIT(test_fifo_is_seen),
		UNIT(test_output),
		UNIT(test_transmitter_interrupt),
		UNIT(test_input),
		UNIT(test_priority),
		UNIT(test_polled_input),
		UNIT(test_flow),
		UNIT(test_clear_full_fifo),
		UNIT(test_loopback),
		UNIT(test_loopback_overrun),
		UNIT(test_reset),
		UNIT(test_pause),
		UNIT(test_quit),
		cmocka_unit_test(test_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
