/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Tests and how they tell. A test returns NULL when it passed, else why not,
 * which is what failed() and skipped() make. The parameter test=a,b selects
 * by name, and skip=c,d leaves out; without them all run. Lines on the serial
 * port: "PASS name", "FAIL name: why", "SKIP name: why", last "DONE".
 */
#ifndef GUEST_REPORT_H
#define GUEST_REPORT_H

#include "guest.h"

struct test {
	const char *name;
	const char *(*run)(void);
};

__attribute__((format(printf, 1, 2))) const char *failed(const char *fmt, ...);

__attribute__((format(printf, 1, 2))) const char *skipped(const char *fmt, ...);

/* prepare runs before each test, whatever became of the one before; when it
 * gives a reason, that is the test's. NULL: nothing to prepare. */
void report_run(const struct test *tests, size_t nr_tests,
		const char *(*prepare)(void));

/* The same in steps. */
void report_one(const struct test *test, const char *(*prepare)(void));
void report_done(void);

#endif
