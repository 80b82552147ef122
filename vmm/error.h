/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_ERROR_H
#define VMM_ERROR_H

#include <errno.h>
#include <stddef.h>

/*
 * A message for a person, in the caller's storage. Set-up code returns -errno
 * and says in `msg` which option, which value, what was wrong, what to do. It is
 * one line that no terminal takes for a command, and is UTF-8, whatever the
 * values were (error_make_plain()).
 */
struct error {
	char msg[512];
};

/*
 * Write a message and return a negative errno.
 * @err: may be NULL (nothing is written)
 * @code: errno value, positive or negative; 0 counts as EINVAL
 * Returns -|code|, so that `return error_set(err, EINVAL, "...")` reads well.
 * Any thread; touches only *err.
 */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "prefix: " in front of the message, whose end is cut where both do not
 * fit. err and code as above; returns -|code|. Any thread. */
int error_prefix(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Put '?' in place of what could steer a terminal: control characters of ASCII,
 * U+0080 to U+009F, and bytes that are not UTF-8. len bytes, any thread.
 */
void error_make_plain(char *text, size_t len);

struct error_value {
	char text[208];
};
/*
 * What a person or client wrote, fit for a message: made plain, the end of a
 * long text as "...", nothing as "''". Use as error_value(s).text inside the
 * call that prints it. Any thread.
 */
struct error_value error_value(const char *s);

/* strerror() of a positive code, and what to do where that is the same for all
 * who meet it: limits of open files. Any thread. */
const char *error_text(int code);

#endif
