/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What O_DIRECT does not take as it is (statx(2), STATX_DIOALIGN). */
#include "devices/backend/block_mechanism.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "vmm/util.h"

static struct block_image image;

static bool is_misaligned(enum block_op op, uintptr_t place, size_t len)
{
	struct iovec iov[2] = { { (void *)place, len }, { (void *)4096, 512 } };
	struct block_req req = { .op = op, .iov = iov, .nr_iov = 2 };

	return block_req_is_misaligned(&image, &req);
}

static void test_direct(void **state unused_param)
{
	image = (struct block_image){ .direct = true,
				      .logical_block = 512,
				      .memory_align = 4 };
	assert_false(is_misaligned(BLOCK_READ, 512, 1024));
	assert_false(is_misaligned(BLOCK_WRITE, 4, 512));
	assert_true(is_misaligned(BLOCK_READ, 2, 512));
	assert_true(is_misaligned(BLOCK_READ, 512, 100));
	assert_true(is_misaligned(BLOCK_WRITE, 512, 4));
	assert_false(is_misaligned(BLOCK_FLUSH, 1, 1));
}

static void test_buffered(void **state unused_param)
{
	image = (struct block_image){ .logical_block = 512, .memory_align = 1 };
	assert_false(is_misaligned(BLOCK_READ, 1, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_buffered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
