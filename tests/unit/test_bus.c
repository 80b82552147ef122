/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/byteorder.h"
#include "vmm/util.h"

struct chip {
	uint64_t off;
	unsigned int len;
	unsigned int reads, writes;
	uint64_t value;
};

static struct bus bus;
static struct chip a, b;

static void chip_read(void *opaque, uint64_t off, void *data, unsigned int len)
{
	struct chip *c = opaque;

	c->off = off;
	c->len = len;
	c->reads++;
	memset(data, 0x11, len);
}

static void chip_write(void *opaque, uint64_t off, const void *data,
		       unsigned int len)
{
	struct chip *c = opaque;

	c->off = off;
	c->len = len;
	c->writes++;
	c->value = le_load(data, len);
}

static const struct bus_ops chip_ops = { chip_read, chip_write };

static int setup(void **state unused_param)
{
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	bus_init(&bus);
	return 0;
}

static int teardown(void **state unused_param)
{
	bus_fini(&bus);
	return 0;
}

static int add(uint64_t base, uint64_t len, struct chip *c)
{
	return bus_add(&bus, base, len, &chip_ops, c);
}

static void test_empty(void **state unused_param)
{
	uint32_t v = 0;

	assert_int_equal(bus_read(&bus, 0, &v, 4), -ENXIO);
	assert_int_equal(v, 0xffffffff);
	assert_int_equal(bus_write(&bus, UINT64_MAX, &v, 1), -ENXIO);
	bus_remove(&bus, 0);
}

static void test_access(void **state unused_param)
{
	uint64_t v = 0x1122334455667788;

	assert_int_equal(add(0x1000, 0x100, &a), 0);
	assert_int_equal(add(0x1100, 0x10, &b), 0);
	assert_int_equal(bus_write(&bus, 0x1000, &v, 8), 0);
	assert_int_equal(a.off, 0);
	assert_int_equal(a.value, v);
	assert_int_equal(bus_write(&bus, 0x10fe, &v, 2), 0);
	assert_int_equal(a.off, 0xfe);
	assert_int_equal(a.value, 0x7788);
	v = 0;
	assert_int_equal(bus_read(&bus, 0x110f, &v, 1), 0);
	assert_int_equal(v, 0x11);
	assert_int_equal(b.off, 0xf);
	/* Before, behind, and over the border of two. */
	v = 0;
	assert_int_equal(bus_read(&bus, 0xfff, &v, 1), -ENXIO);
	assert_int_equal(v, 0xff);
	assert_int_equal(bus_read(&bus, 0xffe, &v, 4), -ENXIO);
	assert_int_equal(bus_read(&bus, 0x1110, &v, 1), -ENXIO);
	assert_int_equal(bus_read(&bus, 0x10fe, &v, 4), -ENXIO);
	assert_int_equal(v, 0xffffffff);
	assert_int_equal(bus_write(&bus, 0x110f, &v, 2), -ENXIO);
	assert_int_equal(a.writes, 2);
	assert_int_equal(b.writes, 0);
}

static void test_no_functions(void **state unused_param)
{
	static const struct bus_ops none = { 0 };
	uint32_t v = 0;

	assert_int_equal(bus_add(&bus, 0x1000, 0x10, &none, &a), 0);
	assert_int_equal(bus_read(&bus, 0x1004, &v, 4), 0);
	assert_int_equal(v, 0xffffffff);
	assert_int_equal(bus_write(&bus, 0x1004, &v, 4), 0);
	assert_int_equal(a.reads + a.writes, 0);
}

static void test_overlaps(void **state unused_param)
{
	assert_int_equal(add(0x1000, 0x100, &a), 0);
	assert_int_equal(add(0x1000, 0x100, &b), -EEXIST);
	assert_int_equal(add(0x1000, 1, &b), -EEXIST);
	assert_int_equal(add(0x10ff, 1, &b), -EEXIST);
	assert_int_equal(add(0xfff, 2, &b), -EEXIST);
	assert_int_equal(add(0, UINT64_MAX, &b), -EEXIST);
	assert_int_equal(add(0x1080, UINT64_MAX - 0x1080, &b), -EEXIST);
	assert_int_equal(add(0xfff, 1, &b), 0);
	assert_int_equal(add(0x1100, 1, &b), 0);
	assert_int_equal(bus.nr, 3);
}

static void test_bad_ranges(void **state unused_param)
{
	uint8_t v = 0;

	assert_int_equal(add(0x1000, 0, &a), -EINVAL);
	assert_int_equal(add(UINT64_MAX, 2, &a), -EINVAL);
	assert_int_equal(add(1, UINT64_MAX, &a), 0); /* up to the last byte */
	assert_int_equal(bus_read(&bus, UINT64_MAX, &v, 1), 0);
	assert_int_equal(a.off, UINT64_MAX - 1);
	assert_int_equal(bus_read(&bus, UINT64_MAX, &v, 1), 0);
	assert_int_equal(bus_read(&bus, 0, &v, 1), -ENXIO);
}

static void test_full_and_remove(void **state unused_param)
{
	uint8_t v;
	unsigned int i;

	/* Not in order: the table sorts. */
	for (i = 0; i < BUS_MAX_RANGES; i++)
		assert_int_equal(add(16 * ((i * 37) % BUS_MAX_RANGES), 16,
				     i % 2 ? &a : &b),
				 0);
	assert_int_equal(add(16 * BUS_MAX_RANGES, 16, &a), -ENOSPC);
	for (i = 0; i < BUS_MAX_RANGES; i++)
		assert_int_equal(bus_read(&bus, 16 * i + 3, &v, 1), 0);
	assert_int_equal(a.reads, BUS_MAX_RANGES / 2);
	bus_remove(&bus, 16 * 5 + 1); /* not a base */
	assert_int_equal(bus.nr, BUS_MAX_RANGES);
	for (i = 0; i < BUS_MAX_RANGES; i += 2)
		bus_remove(&bus, 16 * i);
	assert_int_equal(bus.nr, BUS_MAX_RANGES / 2);
	for (i = 0; i < BUS_MAX_RANGES; i++)
		assert_int_equal(bus_read(&bus, 16 * i, &v, 1),
				 i % 2 ? 0 : -ENXIO);
}

/* A device that moves its own range from inside a write. */
static void mover_write(void *opaque unused_param, uint64_t off unused_param,
			const void *data unused_param,
			unsigned int len unused_param)
{
	bus_remove(&bus, 0x2000);
	assert_int_equal(add(0x3000, 0x10, &a), 0);
}

static void test_moves_itself(void **state unused_param)
{
	static const struct bus_ops ops = { chip_read, mover_write };
	uint8_t v = 0;

	assert_int_equal(bus_add(&bus, 0x2000, 0x10, &ops, &b), 0);
	assert_int_equal(bus_write(&bus, 0x2000, &v, 1), 0);
	assert_int_equal(bus_write(&bus, 0x2000, &v, 1), -ENXIO);
	assert_int_equal(bus_write(&bus, 0x3000, &v, 1), 0);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_empty),	    UNIT(test_access),
		UNIT(test_overlaps),	    UNIT(test_bad_ranges),
		UNIT(test_full_and_remove), UNIT(test_moves_itself),
		UNIT(test_no_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
