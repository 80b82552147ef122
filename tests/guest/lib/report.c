/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "report.h"

#include "memory.h"
#include "param.h"
#include "text.h"

static char reason[256];
static bool reason_is_skip;

const char *failed(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	text_vformat(reason, sizeof(reason), fmt, args);
	va_end(args);
	reason_is_skip = false;
	return reason;
}

const char *skipped(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	text_vformat(reason, sizeof(reason), fmt, args);
	va_end(args);
	reason_is_skip = true;
	return reason;
}

static bool list_has(const char *list, const char *name)
{
	while (*list) {
		const char *n = name;

		while (*n && *list == *n) {
			list++;
			n++;
		}
		if (!*n && (*list == ',' || !*list))
			return true;
		while (*list && *list++ != ',')
			;
	}
	return false;
}

static bool is_selected(const char *name)
{
	if (list_has(param_text("skip", ""), name))
		return false;
	return param_is("test", "") || param_is("test", "all") ||
	       list_has(param_text("test", ""), name);
}

void report_one(const struct test *test, const char *(*prepare)(void))
{
	const char *why;

	if (!is_selected(test->name))
		return;
	reason_is_skip = false;
	why = prepare ? prepare() : NULL;
	if (!why)
		why = test->run();
	if (!why)
		say("PASS %s", test->name);
	else
		say("%s %s: %s", reason_is_skip ? "SKIP" : "FAIL", test->name,
		    why);
}

void report_done(void)
{
	say("DONE");
}

void report_run(const struct test *tests, size_t nr_tests,
		const char *(*prepare)(void))
{
	for (size_t i = 0; i < nr_tests; i++)
		report_one(&tests[i], prepare);
	report_done();
}
