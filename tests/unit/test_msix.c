/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/pci/msix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "vmm/util.h"

#define NR 70u /* pending bits in two words */

struct sink {
	uint64_t addr;
	uint32_t data;
	unsigned int nr;
	bool held;
};

static struct msix m;
static struct sink sink;

static bool sink_send(void *opaque, uint64_t addr, uint32_t data)
{
	struct sink *s = opaque;

	if (s->held)
		return false;
	s->addr = addr;
	s->data = data;
	s->nr++;
	return true;
}

static int setup(void **state unused_param)
{
	sink = (struct sink){ 0 };
	assert_int_equal(msix_init(&m, NR, sink_send, &sink), 0);
	return 0;
}

static int teardown(void **state unused_param)
{
	msix_fini(&m);
	msix_fini(&m); /* accepts one that is gone */
	return 0;
}

static void write32(uint64_t off, uint32_t v)
{
	msix_table_write(&m, off, &v, 4);
}

static uint32_t read32(uint64_t off)
{
	uint32_t v = 0xdeadbeef;

	msix_table_read(&m, off, &v, 4);
	return v;
}

static bool is_pending(unsigned int vector)
{
	uint64_t bits = 0;

	msix_pba_read(&m, vector / 64 * 8, &bits, 8);
	return bits >> (vector % 64) & 1;
}

static void set_vector(unsigned int vector, bool masked)
{
	write32(16 * vector, 0xfee01000 + vector);
	write32(16 * vector + 4, vector);
	write32(16 * vector + 8, 0x4000 + vector);
	write32(16 * vector + 12, masked);
}

static void expect_sent(unsigned int nr, unsigned int vector)
{
	assert_int_equal(sink.nr, nr);
	assert_int_equal(sink.addr,
			 (uint64_t)vector << 32 | (0xfee01000 + vector));
	assert_int_equal(sink.data, 0x4000 + vector);
}

static void test_power_on(void **state unused_param)
{
	unsigned int i;

	for (i = 0; i < NR; i++) {
		assert_int_equal(read32(16 * i), 0);
		assert_int_equal(read32(16 * i + 12),
				 PCI_MSIX_ENTRY_CTRL_MASKBIT);
		assert_false(is_pending(i));
	}
}

static void test_send(void **state unused_param)
{
	set_vector(0, false);
	set_vector(69, false);
	msix_set_control(&m, true, false);
	msix_notify(&m, 69);
	expect_sent(1, 69);
	msix_notify(&m, 0);
	expect_sent(2, 0);
	msix_notify(&m, 0);
	expect_sent(3, 0);
	assert_false(is_pending(0));
	assert_false(is_pending(69));
}

static void test_disabled(void **state unused_param)
{
	set_vector(3, false);
	msix_notify(&m, 3);
	assert_int_equal(sink.nr, 0);
	assert_false(is_pending(3));
	msix_set_control(&m, true, false);
	assert_int_equal(sink.nr, 0);
}

static void test_vector_mask(void **state unused_param)
{
	set_vector(65, true);
	set_vector(1, false);
	msix_set_control(&m, true, false);
	msix_notify(&m, 65);
	msix_notify(&m, 65);
	assert_int_equal(sink.nr, 0);
	assert_true(is_pending(65));
	assert_false(is_pending(1));
	msix_notify(&m, 1); /* others go on */
	expect_sent(1, 1);
	/* Address and data may change while it is masked. */
	write32(16 * 65 + 8, 0x4000 + 65);
	assert_int_equal(sink.nr, 1);
	write32(16 * 65 + 12, 0);
	expect_sent(2, 65); /* once, however often it was raised */
	assert_false(is_pending(65));
	write32(16 * 65 + 12, 1);
	write32(16 * 65 + 12, 0);
	assert_int_equal(sink.nr, 2);
}

static void test_function_mask(void **state unused_param)
{
	set_vector(2, false);
	set_vector(64, true);
	msix_set_control(&m, true, true);
	msix_notify(&m, 2);
	msix_notify(&m, 64);
	assert_int_equal(sink.nr, 0);
	assert_true(is_pending(2));
	assert_true(is_pending(64));
	/* A vector's own mask does not free it below the function's. */
	write32(16 * 2 + 12, 1);
	write32(16 * 2 + 12, 0);
	assert_int_equal(sink.nr, 0);
	msix_set_control(&m, true, false);
	expect_sent(1, 2);
	assert_true(is_pending(64));
	set_vector(64, false);
	expect_sent(2, 64);
}

/* While interrupts are held: it stays pending, until it is flushed. */
static void test_held(void **state unused_param)
{
	set_vector(2, false);
	set_vector(64, true);
	msix_set_control(&m, true, false);
	sink.held = true;
	msix_notify(&m, 2);
	msix_notify(&m, 2);
	msix_notify(&m, 64);
	assert_true(is_pending(2));
	msix_flush(&m);
	assert_true(is_pending(2));
	sink.held = false;
	assert_int_equal(sink.nr, 0);
	msix_flush(&m);
	expect_sent(1, 2);
	assert_false(is_pending(2));
	assert_true(is_pending(64));
	msix_flush(&m);
	assert_int_equal(sink.nr, 1);
}

static void test_reset(void **state unused_param)
{
	set_vector(2, true);
	msix_set_control(&m, true, true);
	msix_notify(&m, 2);
	msix_reset(&m);
	assert_false(is_pending(2));
	assert_int_equal(read32(16 * 2), 0);
	assert_int_equal(read32(16 * 2 + 12), PCI_MSIX_ENTRY_CTRL_MASKBIT);
	set_vector(2, false);
	msix_notify(&m, 2); /* off again */
	assert_int_equal(sink.nr, 0);
}

static void test_out_of_range(void **state unused_param)
{
	uint64_t v = 0x1122334455667788;

	msix_set_control(&m, true, false);
	msix_notify(&m, NR);
	msix_notify(&m, 0xffff);
	assert_int_equal(sink.nr, 0);
	msix_table_write(&m, 16 * NR, &v, 8);
	msix_table_write(&m, UINT64_MAX - 7, &v, 8);
	msix_table_read(&m, 16 * NR, &v, 8);
	assert_int_equal(v, 0);
	v = 1;
	msix_table_read(&m, UINT64_MAX - 7, &v, 8);
	assert_int_equal(v, 0);
	v = 1;
	msix_pba_read(&m, 16, &v, 8);
	assert_int_equal(v, 0);
	v = 1;
	msix_pba_read(&m, UINT64_MAX - 7, &v, 8);
	assert_int_equal(v, 0);
}

static void test_widths(void **state unused_param)
{
	const uint64_t v = 0x1122334455667788;
	uint64_t got = 0;
	uint16_t half = 1;

	msix_table_write(&m, 16, &v, 8);
	assert_int_equal(read32(16), 0x55667788);
	assert_int_equal(read32(20), 0x11223344);
	msix_table_read(&m, 16, &got, 8);
	assert_int_equal(got, v);
	/* Undefined by the specification: nothing happens. */
	msix_table_write(&m, 16, &half, 2);
	msix_table_write(&m, 17, &half, 1);
	msix_table_write(&m, 18, &v, 4);
	msix_table_write(&m, 20, &v, 8);
	assert_int_equal(read32(16), 0x55667788);
	assert_int_equal(read32(20), 0x11223344);
	assert_int_equal(read32(24), 0);
	msix_table_read(&m, 16, &half, 2);
	assert_int_equal(half, 0);
	/* One 64-bit write of data and control unmasks as well. */
	msix_set_control(&m, true, false);
	msix_notify(&m, 1);
	got = 0x77;
	msix_table_write(&m, 24, &got, 8);
	assert_int_equal(sink.nr, 1);
	assert_int_equal(sink.data, 0x77);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_power_on),	  UNIT(test_send),
		UNIT(test_disabled),	  UNIT(test_vector_mask),
		UNIT(test_function_mask), UNIT(test_held),
		UNIT(test_reset),	  UNIT(test_out_of_range),
		UNIT(test_widths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
