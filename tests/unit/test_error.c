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

static void test_set_plain(void **state unused_param)
{
	struct error err = { "" };
	char text[600];
	unsigned int i;

	error_set(&err, EINVAL, "id=%s", "a\n\302\2332J\377");
	assert_string_equal(err.msg, "id=a???2J?");
	/* The character at the end is cut. */
	for (i = 0; i < sizeof(text) - 3; i += 2)
		memcpy(text + i, "\303\274", 3);
	for (i = 0; i < 2; i++) {
		error_set(&err, EINVAL, "%s", text + i);
		assert_null(strchr(err.msg + strlen(err.msg) - 1, 0xc3));
		error_prefix(&err, EINVAL, "%s", "\233");
		assert_null(strchr(err.msg + strlen(err.msg) - 1, 0xc3));
		assert_int_equal(err.msg[0], '?');
	}
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

/* What an 8-bit terminal, or one of UTF-8, takes for a command. */
static void test_plain(void **state unused_param)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "\302\2332J", "??2J" }, /* U+009B, CSI */
		{ "\302\200\302\237", "????" },
		{ "\2332J", "?2J" },
		{ "\300\233", "??" }, /* escape, longer than it need be */
		{ "\340\202\233", "???" },
		{ "\360\200\202\233", "????" },
		{ "\365\200\200\200", "????" },
		{ "\303", "?" },
		{ "\303x", "?x" },
		{ "\302\240", "\302\240" },
		{ "\303\200 \342\202\254 \360\237\220\247",
		  "\303\200 \342\202\254 \360\237\220\247" },
	};
	char text[512];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(error_value(cases[i].in).text,
				    cases[i].out);
	/* A character that is cut is none. */
	for (i = 0; i < 500; i += 2)
		memcpy(text + i, "\303\274", 3);
	for (i = 0; i < 2; i++) {
		struct error_value cut = error_value(text + i);

		assert_null(strstr(cut.text, "\303."));
		assert_string_equal(cut.text + strlen(cut.text) - 3, "...");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),    cmocka_unit_test(test_set_plain),
		cmocka_unit_test(test_prefix), cmocka_unit_test(test_long),
		cmocka_unit_test(test_value),  cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
