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

/* Bytes of the character at s, which has len; 0: it is a control character, or
 * no UTF-8. */
static size_t error_char_len(const unsigned char *s, size_t len)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] < 0x20 || s[0] == 0x7f || (s[0] >= 0x80 && s[0] < 0xc2) ||
	    s[0] > 0xf4 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* U+0080 to U+009F, and what is longer than it need be. */
	if ((s[0] == 0xc2 || s[0] == 0xe0) && s[1] < 0xa0)
		return 0;
	return s[0] == 0xf0 && s[1] < 0x90 ? 0 : n;
}

void error_make_plain(char *text, size_t len)
{
	size_t i, n;

	for (i = 0; i < len; i += n ? n : 1) {
		n = error_char_len((const unsigned char *)text + i, len - i);
		if (!n)
			text[i] = '?';
	}
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
		va_end(ap);
		error_make_plain(err->msg, strlen(err->msg));
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
	error_make_plain(err->msg, strlen(err->msg));
	return error_code(code);
}

const char *error_text(int code)
{
	switch (code) {
	case EMFILE:
		return "too many open files; raise the limit (ulimit -n)";
	case ENFILE:
		return "too many open files on this host; raise fs.file-max";
	/* What the opener may say (vmm/opener.h). */
	case ENOLINK:
		return "the process that opens files for this one has ended; start both again";
	case ENOANO:
		return "nothing is opened by its path with --no-opener; pass an open descriptor";
	case EXDEV:
		return "it is not beneath a directory of --allow";
	}
	return strerror(code);
}

struct error_value error_value(const char *s)
{
	struct error_value ev;
	size_t max = sizeof(ev.text) - sizeof("...");
	size_t len = strnlen(s, max);

	memcpy(ev.text, s, len);
	error_make_plain(ev.text, len);
	snprintf(ev.text + len, sizeof(ev.text) - len, "%s",
		 s[len] ? "..."
		 : len	? ""
			: "''");
	return ev;
}
