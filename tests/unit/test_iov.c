/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/iov.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/util.h"

static void test_len(void **state unused_param)
{
	char b[8];
	const struct iovec iov[] = { { b, 3 }, { b, 0 }, { b, 5 } };

	assert_int_equal(iov_len(iov, 3), 8);
	assert_int_equal(iov_len(iov, 2), 3);
	assert_int_equal(iov_len(NULL, 0), 0);
}

static void test_read(void **state unused_param)
{
	char a[] = "abc", b[] = "", c[] = "defgh", out[16] = "";
	const struct iovec iov[] = {
		{ b, 0 }, { a, 3 }, { b, 0 }, { c, 5 }, { b, 0 }
	};
	struct iov_cursor cur = iov_cursor_init(iov, 5);

	assert_int_equal(iov_read(&cur, out, 2), 2);
	assert_memory_equal(out, "ab", 2);
	assert_int_equal(iov_read(&cur, out, 3), 3);
	assert_memory_equal(out, "cde", 3);
	assert_int_equal(iov_read(&cur, out, 0), 0);
	assert_int_equal(iov_read(&cur, out, 16), 3);
	assert_memory_equal(out, "fgh", 3);
	assert_int_equal(iov_read(&cur, out, 16), 0);
}

static void test_write_skip(void **state unused_param)
{
	char a[3] = "___", b[4] = "____";
	const struct iovec iov[] = { { a, 3 }, { b, 4 } };
	struct iov_cursor cur = iov_cursor_init(iov, 2);

	assert_int_equal(iov_skip(&cur, 1), 1);
	assert_int_equal(iov_write(&cur, "xyz", 3), 3);
	assert_memory_equal(a, "_xy", 3);
	assert_int_equal(iov_skip(&cur, 2), 2);
	assert_int_equal(iov_write(&cur, "wxyz", 4), 1);
	assert_memory_equal(b, "z__w", 4);
	assert_int_equal(iov_skip(&cur, 1), 0);
	assert_int_equal(iov_write(&cur, "x", 1), 0);
}

static void test_empty(void **state unused_param)
{
	struct iov_cursor cur = iov_cursor_init(NULL, 0);
	char b;

	assert_int_equal(iov_read(&cur, &b, 1), 0);
	assert_int_equal(iov_skip(&cur, SIZE_MAX), 0);
}

static size_t random_len(unsigned int below, size_t max)
{
	size_t n = (size_t)rand() % below;

	return MIN(n, max);
}

/* However bytes are cut and taken, they come out in order. */
static void test_random_cuts(void **state unused_param)
{
	uint8_t data[512], copy[512];
	struct iovec iov[64];
	unsigned int round, i, nr;
	size_t off, n;

	srand(1);
	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rand();
	for (round = 0; round < 2000; round++) {
		struct iov_cursor cur;
		uint8_t *base = round % 2 ? data : copy;
		size_t len = 0, done = 0;

		memset(copy, 0, sizeof(copy));
		for (nr = 0, off = 0; nr < 64 && off < sizeof(data); nr++) {
			n = random_len(24, sizeof(data) - off);
			iov[nr] = (struct iovec){ base + off, n };
			off += n;
		}
		len = iov_len(iov, nr);
		assert_int_equal(len, off);
		cur = iov_cursor_init(iov, nr);
		while (done < len) {
			n = random_len(40, len - done);
			if (round % 2)
				n = iov_read(&cur, copy + done, n);
			else
				n = iov_write(&cur, data + done, n);
			done += n;
		}
		assert_memory_equal(copy, data, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_len),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_write_skip),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_random_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
