/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "param.h"

#include "memory.h"

#include <stddef.h>

static const char *param_cmdline = "";

void param_init(const char *cmdline)
{
	param_cmdline = cmdline;
}

static const char *param_find(const char *key, size_t *len)
{
	const char *s = param_cmdline;

	while (*s) {
		const char *k = key;

		while (*s == ' ')
			s++;
		while (*k && *s == *k) {
			s++;
			k++;
		}
		if (!*k && *s == '=') {
			const char *value = ++s;

			while (*s && *s != ' ')
				s++;
			*len = (size_t)(s - value);
			return value;
		}
		while (*s && *s != ' ')
			s++;
	}
	return NULL;
}

const char *param_text(const char *key, const char *fallback)
{
	static char value[256];
	size_t len;
	const char *found = param_find(key, &len);

	if (!found)
		return fallback;
	if (len >= sizeof(value))
		len = sizeof(value) - 1;
	memcpy(value, found, len);
	value[len] = '\0';
	return value;
}

static unsigned param_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a' + 10);
	return 16;
}

static unsigned param_shift(char c)
{
	switch (c) {
	case 'K':
	case 'k':
		return 10;
	case 'M':
	case 'm':
		return 20;
	case 'G':
	case 'g':
		return 30;
	default:
		return 0;
	}
}

static uint64_t param_parse(const char *s)
{
	unsigned base = 10;
	uint64_t value = 0;

	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	for (; param_digit(*s) < base; s++)
		value = value * base + param_digit(*s);
	return value << param_shift(*s);
}

uint64_t param_number(const char *key, uint64_t fallback)
{
	size_t len;
	const char *s = param_find(key, &len);

	return s ? param_parse(s) : fallback;
}

uint64_t param_number_after(const char *key, char mark, uint64_t fallback)
{
	size_t len;
	const char *s = param_find(key, &len);

	for (; s && len; s++, len--) {
		if (*s == mark)
			return param_parse(s + 1);
	}
	return fallback;
}

bool param_is(const char *key, const char *value)
{
	return !strcmp(param_text(key, ""), value);
}
