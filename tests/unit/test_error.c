/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/util.h"

static void test_set(void **state unused_param)
{
	struct error err = { "old" };

	assert_int_equal(error_set(&err, ENOENT, "%s %d", "a", 7), -ENOENT);
	assert_string_equal(err.msg, "a 7");
	assert_int_equal(error_set(&err, -EIO, "b"), -EIO);
	assert_string_equal(err.msg, "b");
	assert_int_equal(error_set(&err, 0, "c"), -EINVAL);
	assert_int_equal(error_set(NULL, EPERM, "d"), -EPERM);
}

static void test_prefix(void **state unused_param)
{
	struct error err = { "reason" };

	assert_int_equal(error_prefix(&err, EINVAL, "--disk %d", 2), -EINVAL);
	assert_string_equal(err.msg, "--disk 2: reason");
	assert_int_equal(error_prefix(NULL, -ENOMEM, "x"), -ENOMEM);
}

static void test_long(void **state unused_param)
{
	char text[2 * sizeof(struct error)];
	struct error err;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&err, EINVAL, "%s", text);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	error_prefix(&err, EINVAL, "p");
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_memory_equal(err.msg, "p: xxx", 6);
	error_prefix(&err, EINVAL, "%s", text);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
}

static void test_value(void **state unused_param)
{
	char text[1000];
	struct error_value ev;

	assert_string_equal(error_value("").text, "''");
	assert_string_equal(error_value("plain").text, "plain");
	assert_string_equal(error_value("a\nb\033[2Jc\177").text, "a?b?[2Jc?");
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ev = error_value(text);
	assert_true(strlen(ev.text) < sizeof(ev.text));
	assert_string_equal(ev.text + strlen(ev.text) - 4, "y...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
