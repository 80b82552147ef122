/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/param_ranges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/api/json.h"
#include "vmm/param.h"
#include "vmm/param_text.h"
#include "vmm/util.h"

/* Ranges of ids: parsed, printed, in JSON and back. */

struct share {
	struct id_ranges ids;
	char *path;
};

static const struct param share_table[] = {
	PARAM("ids", RANGES, struct share, ids, "what ids are"),
	PARAM("path", PATH, struct share, path, "of what"),
};

static const struct param_set share_params = {
	.option = "share",
	PARAM_TABLE(share_table, struct share),
};

static struct share share;

static int setup(void **state unused_param)
{
	memset(&share, 0xaa, sizeof(share));
	param_defaults(&share_params, &share);
	return 0;
}

static int teardown(void **state unused_param)
{
	param_free(&share_params, &share);
	return 0;
}

static void expect_text(const char *want)
{
	char *text = param_ranges_text(&share.ids);

	assert_non_null(text);
	assert_string_equal(text, want);
	free(text);
}

static void good(const char *text, const char *want)
{
	struct error err = { "" };

	if (param_parse(&share_params, &share, text, &err))
		fail_msg("%s", err.msg);
	expect_text(want);
}

static void bad(const char *text, const char *why)
{
	static struct id_ranges before;
	struct error err = { "" };

	before = share.ids;
	assert_int_equal(param_parse(&share_params, &share, text, &err),
			 -EINVAL);
	assert_memory_equal(&share.ids, &before, sizeof(before));
	if (!strstr(err.msg, why))
		fail_msg("%s: '%s' lacks '%s'", text, err.msg, why);
}

static void test_good(void **state unused_param)
{
	expect_text("");
	assert_true(param_is_unset(&share_table[0], &share));
	good("path=/x,ids=0:100000:65536", "0:100000:65536");
	assert_false(param_is_unset(&share_table[0], &share));
	assert_int_equal(share.ids.nr, 1);
	assert_int_equal(share.ids.ranges[0].guest, 0);
	assert_int_equal(share.ids.ranges[0].host, 100000);
	assert_int_equal(share.ids.ranges[0].count, 65536);
	good("ids=0:1000:1;1:100000:999;1000:0:1,path=/y",
	     "0:1000:1;1:100000:999;1000:0:1");
	good("ids=4294967294:4294967294:1;00:7:01",
	     "4294967294:4294967294:1;0:7:1");
	/* One ends where the next begins, on both sides. */
	good("ids=10:30:10;0:20:10;20:40:5", "10:30:10;0:20:10;20:40:5");
	good("ids=0:0:4294967295", "0:0:4294967295");
	good("ids=", "");
	assert_true(param_is_unset(&share_table[0], &share));
}

static void test_bad(void **state unused_param)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{ "x", "--share ids=x: range 1 is not GUEST:HOST:COUNT" },
		{ "0", "0:100000:65536 with ';'" },
		{ "0:1", "range 1 is not" },
		{ ":1:1", "range 1 is not" },
		{ "0:1:1:", "range 1 is not" },
		{ "0:1:1;", "range 2 is not" },
		{ "0:1:1;;5:5:5", "range 2 is not" },
		{ "0:1:1 ", "range 1 is not" },
		{ "0:1:-1", "range 1 is not" },
		{ "0:1:0x1", "range 1 is not" },
		{ "0:1:4294967296", "range 1 is not" },
		{ "0:1:18446744073709551617", "range 1 is not" },
		{ "0:1:0", "range 1 has no ids" },
		{ "4294967295:0:1", "beyond the last id, 4294967294" },
		{ "0:4294967294:2", "range 1 goes beyond" },
		{ "1:0:4294967295", "range 1 goes beyond" },
		{ "0:10:5;20:30:5;4:50:1", "ranges 1 and 3 have ids of the "
					   "guest" },
		{ "5:10:5;0:30:6", "ids of the guest in common" },
		{ "0:10:5;10:14:5", "ids of the host in common" },
	};
	char text[64];

	good("ids=1:2:3", "1:2:3");
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), "ids=%s", cases[i].text);
		bad(text, cases[i].why);
	}
}

static void test_many(void **state unused_param)
{
	static char text[ID_RANGES_MAX * 40 + 64] = "ids=", want[sizeof(text)];
	char *at = text + strlen(text);

	for (unsigned int i = 0; i < ID_RANGES_MAX; i++)
		at += sprintf(at, "%s%u:%u:1", i ? ";" : "", 4294000000u + i,
			      4294000000u - i);
	strcpy(want, text + strlen("ids="));
	good(text, want);
	strcpy(at, ";1:1:1");
	bad(text, "too many ranges; 340 are possible");
}

static void test_json(void **state unused_param)
{
	struct share *copy;
	json_t *obj = json_object();

	json_write_set(&share_params, &share, obj, true);
	assert_int_equal(json_object_size(obj), 0);
	good("ids=0:100000:65536;65536:5:1", "0:100000:65536;65536:5:1");
	json_write_set(&share_params, &share, obj, false);
	assert_string_equal(json_string_value(json_object_get(obj, "ids")),
			    "0:100000:65536;65536:5:1");
	json_decref(obj);
	copy = param_copy(&share_params, &share);
	assert_non_null(copy);
	param_unset(&share_table[0], &share);
	expect_text("");
	assert_int_equal(copy->ids.nr, 2);
	param_free(&share_params, copy);
	assert_int_equal(copy->ids.nr, 0);
	free(copy);
}

static void test_look(void **state unused_param)
{
	char text[64];

	param_value_text(&share_table[0], text, sizeof(text));
	assert_string_equal(text, "GUEST:HOST:COUNT[;...]");
	param_range_text(&share_table[0], text, sizeof(text));
	assert_string_equal(text, "");
	param_default_text(&share_table[0], text, sizeof(text));
	assert_string_equal(text, "");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_good), TEST(test_bad),  TEST(test_many),
		TEST(test_json), TEST(test_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
