/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int error_code(int code)
{
	return code ? -abs(code) : -EINVAL;
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
		va_end(ap);
	}
	return error_code(code);
}

int error_prefix(struct error *err, int code, const char *fmt, ...)
{
	char old[sizeof(err->msg)];
	va_list ap;
	size_t len;

	if (!err)
		return error_code(code);
	memcpy(old, err->msg, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	len = strlen(err->msg);
	snprintf(err->msg + len, sizeof(err->msg) - len, ": %.*s",
		 (int)(sizeof(old) - len), old);
	return error_code(code);
}

const char *error_text(int code)
{
	switch (code) {
	case EMFILE:
		return "too many open files; raise the limit (ulimit -n)";
	case ENFILE:
		return "too many open files on this host; raise fs.file-max";
	}
	return strerror(code);
}

struct error_value error_value(const char *s)
{
	struct error_value ev;
	size_t max = sizeof(ev.text) - sizeof("...");
	size_t i;

	for (i = 0; s[i] && i < max; i++) {
		unsigned char c = (unsigned char)s[i];

		ev.text[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	snprintf(ev.text + i, sizeof(ev.text) - i, "%s",
		 s[i] ? "..."
		 : i  ? ""
		      : "''");
	return ev;
}
