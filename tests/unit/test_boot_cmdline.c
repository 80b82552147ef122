/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "boot_fixture.h"

static void test_join(void **state)
{
	const char *const words[] = { "root=/dev/vda rw", NULL, "", "  ",
				      " quiet  a=b ",	  "x" };
	struct error err;
	char buf[64];

	(void)state;
	assert_int_equal(
		cmdline_join(buf, sizeof(buf), words, ARRAY_SIZE(words), &err),
		0);
	assert_string_equal(buf, "root=/dev/vda rw quiet  a=b x");
	assert_int_equal(cmdline_join(buf, 1, words + 1, 3, &err), 0);
	assert_string_equal(buf, "");
	assert_int_equal(cmdline_join(buf, 1, NULL, 0, &err), 0);
}

static void test_join_limit(void **state)
{
	const char *const words[] = { "abc", "defg" };
	struct error err;
	char buf[16];
	size_t room;

	(void)state;
	assert_int_equal(cmdline_join(buf, 9, words, 2, &err), 0);
	assert_string_equal(buf, "abc defg");
	for (room = 1; room < 9; room++) {
		char say[64];

		memset(buf, '#', sizeof(buf));
		assert_int_equal(cmdline_join(buf, room, words, 2, &err),
				 -E2BIG);
		assert_string_equal(buf, "");
		assert_int_equal(buf[room], '#');
		snprintf(say, sizeof(say), "the limit is %zu;", room - 1);
		assert_non_null(strstr(err.msg, "--cmdline: 8 bytes"));
		assert_non_null(strstr(err.msg, say));
	}
}

static void test_has(void **state)
{
	static const char line[] =
		"quiet root=/dev/vda  dev-name=x \"opt=a b\" m=\"c init=d\" "
		"\"solo\" -- init=/bin/sh";

	(void)state;
	assert_true(cmdline_has(line, "quiet"));
	assert_true(cmdline_has(line, "root"));
	assert_true(cmdline_has(line, "dev_name"));
	assert_true(cmdline_has(line, "dev-name"));
	assert_true(cmdline_has(line, "opt"));
	assert_true(cmdline_has(line, "m"));
	assert_true(cmdline_has(line, "solo"));
	assert_false(cmdline_has(line, "qui"));
	assert_false(cmdline_has(line, "quieter"));
	assert_false(cmdline_has(line, "oot"));
	assert_false(cmdline_has(line, "init")); /* quoted, and behind -- */
	assert_false(cmdline_has(line, "b"));
	assert_false(cmdline_has("", "x"));
	assert_false(cmdline_has("   ", "x"));
	assert_false(cmdline_has(NULL, "x"));
	assert_true(cmdline_has("a=\"unfinished b=1", "a"));
	assert_false(cmdline_has("a=\"unfinished b=1", "b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_join_limit),
		cmocka_unit_test(test_has),
	};

	return cmocka_run_group_tests_name("boot_cmdline", tests, NULL, NULL);
}
