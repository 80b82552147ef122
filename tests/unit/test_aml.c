/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The AML writer: encodings of ACPI 6.5 chapter 20, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/x86/aml.h"

#define ROOM (3U << 20)

static uint8_t *buf;
static struct aml a;

static int setup(void **state)
{
	(void)state;
	buf = calloc(1, ROOM);
	assert_non_null(buf);
	aml_init(&a, buf, ROOM);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(buf);
	return 0;
}

#define EXPECT(...)                              \
	expect((const uint8_t[]){ __VA_ARGS__ }, \
	       sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* The bytes written since the last call are these. */
static void expect(const uint8_t *want, size_t len)
{
	size_t got = 0;

	assert_int_equal(aml_finish(&a, &got), 0);
	assert_int_equal(got, len);
	assert_memory_equal(buf, want, len);
	aml_init(&a, buf, ROOM);
}

static void test_int(void **state)
{
	(void)state;
	aml_code(&a, "0 1 2 0xff");
	EXPECT(0, 1, 0x0a, 2, 0x0a, 0xff);
	aml_code(&a, "%d %u", 0x100, 0xffff);
	EXPECT(0x0b, 0, 1, 0x0b, 0xff, 0xff);
	aml_code(&a, "0x10000");
	EXPECT(0x0c, 0, 0, 1, 0);
	aml_code(&a, "%llu", 0x100000000ULL);
	EXPECT(0x0e, 0, 0, 0, 0, 1, 0, 0, 0);
}

static void test_path(void **state)
{
	(void)state;
	aml_code(&a, "AB");
	EXPECT('A', 'B', '_', '_');
	aml_code(&a, "\\_SB.PCI0");
	EXPECT('\\', 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0');
	aml_code(&a, "^^A.B.C123");
	EXPECT('^', '^', 0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C',
	       '1', '2', '3');
	aml_code(&a, "\\");
	EXPECT('\\', 0);
}

static void test_data(void **state)
{
	(void)state;
	aml_code(&a, "name _DDN 'hi'");
	EXPECT(0x08, '_', 'D', 'D', 'N', 0x0d, 'h', 'i', 0);
	aml_code(&a, "#PNP0A08");
	EXPECT(0x0c, 0x41, 0xd0, 0x0a, 0x08);
	aml_buffer(&a, "xyz", 3);
	EXPECT(0x11, 0x06, 0x0a, 3, 'x', 'y', 'z');
	aml_code(&a, "package :2 1 5 end");
	EXPECT(0x12, 0x05, 2, 1, 0x0a, 5);
}

static void test_code(void **state)
{
	(void)state;
	aml_code(&a, "method MTHD :10 while equal l7 a6 not l7 end "
		     "if l0 end else return 0 end end");
	EXPECT(0x14, 0x14, 'M', 'T', 'H', 'D', 0x0a, 0xa2, 0x06, 0x93, 0x67,
	       0x6e, 0x92, 0x67, 0xa0, 0x02, 0x60, 0xa1, 0x03, 0xa4, 0);
}

static void test_region(void **state)
{
	(void)state;
	aml_code(&a, "region REGN :1 0x600 8");
	EXPECT(0x5b, 0x80, 'R', 'E', 'G', 'N', 1, 0x0b, 0, 6, 0x0a, 8);
	aml_code(&a, "field REGN :3 ABCD +1 :0 +63 :0 +64 :0 +0x1000 end");
	EXPECT(0x5b, 0x81, 0x14, 'R', 'E', 'G', 'N', 3, 'A', 'B', 'C', 'D', 1,
	       0, 63, 0, 0x40, 4, 0, 0x80, 0, 1);
}

/* PkgLength at each of its steps: content that just fits and one byte more. */
static void test_package_length(void **state)
{
	static const struct {
		size_t content;
		uint8_t code[4];
		unsigned int len;
	} steps[] = {
		{ 62, { 0x3f }, 1 },
		{ 63, { 0x41, 0x04 }, 2 },
		{ 0xfff - 2, { 0x4f, 0xff }, 2 },
		{ 0xfff - 1, { 0x81, 0x00, 0x01 }, 3 },
		{ 0xfffff - 3, { 0x8f, 0xff, 0xff }, 3 },
		{ 0xfffff - 2, { 0xc1, 0x00, 0x00, 0x01 }, 4 },
	};
	static const uint8_t fill[4096];
	size_t i, left, len;

	(void)state;
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		aml_init(&a, buf, ROOM);
		aml_code(&a, "if");
		for (left = steps[i].content; left; left -= len) {
			len = left < sizeof(fill) ? left : sizeof(fill);
			aml_bytes(&a, fill, len);
		}
		aml_code(&a, "end");
		assert_int_equal(aml_finish(&a, &len), 0);
		assert_int_equal(len, 1 + steps[i].len + steps[i].content);
		assert_memory_equal(buf + 1, steps[i].code, steps[i].len);
	}
}

static void test_resources(void **state)
{
	(void)state;
	aml_code(&a, "resources end");
	EXPECT(0x11, 0x05, 0x0a, 2, 0x79, 0);
	aml_code(&a, "resources");
	aml_io_ports(&a, 0x3f8, 8);
	aml_interrupt(&a, 4);
	aml_code(&a, "end");
	EXPECT(0x11, 0x16, 0x0a, 19, 0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x89, 6,
	       0, 3, 1, 4, 0, 0, 0, 0x79, 0);
	aml_range(&a, AML_BUSES, 0, 256);
	EXPECT(0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 1);
	aml_range(&a, AML_BRIDGE32, 0xc0000000, 0x40000000);
	EXPECT(0x87, 23, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff,
	       0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x40);
	aml_range(&a, AML_MEMORY64, 1ULL << 40, 1ULL << 32);
	EXPECT(0x8a, 43, 0, 0, 0x0d, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	       1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	       0, 0, 0, 0, 0, 1, 0, 0, 0);
}

static void write_sample(struct aml *w)
{
	aml_code(w, "scope \\_SB device DEV0 name _HID #PNP0C02 "
		    "name _CRS resources");
	aml_range(w, AML_MEMORY64, 1, 1);
	aml_code(w, "end method _STA :0 return 15 end end end");
}

/* Whatever the room, nothing is written behind it and the end is told. */
static void test_overflow(void **state)
{
	size_t need, room, len, i;

	(void)state;
	write_sample(&a);
	assert_int_equal(aml_finish(&a, &need), 0);
	for (room = 0; room <= need; room++) {
		memset(buf, 0xa5, need + 16);
		aml_init(&a, buf, room);
		write_sample(&a);
		assert_int_equal(aml_finish(&a, &len),
				 room < need ? -ENOSPC : 0);
		assert_true(len <= room);
		for (i = room; i < need + 16; i++)
			assert_int_equal(buf[i], 0xa5);
	}
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_int),	      CASE(test_path),
		CASE(test_data),      CASE(test_code),
		CASE(test_region),    CASE(test_package_length),
		CASE(test_resources), CASE(test_overflow),
	};

	return cmocka_run_group_tests_name("aml", tests, NULL, NULL);
}
