/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "boot/boot.h"

#include <string.h>

int cmdline_join(char *buf, size_t room, const char *const *words,
		 unsigned int nr, struct error *err)
{
	size_t len = 0; /* of the whole line, also when it does not fit */
	unsigned int i;

	for (i = 0; i < nr; i++) {
		const char *word = words[i] ? words[i] : "";
		size_t n;

		word += strspn(word, " ");
		n = strlen(word);
		while (n && word[n - 1] == ' ')
			n--;
		if (!n)
			continue;
		if (len) {
			if (len < room)
				buf[len] = ' ';
			len++;
		}
		if (len < room && n < room - len)
			memcpy(buf + len, word, n);
		len += n;
	}
	if (len >= room) {
		buf[0] = '\0';
		return error_set(
			err, E2BIG,
			"--cmdline: %zu bytes with what other options add, the limit is %zu; shorten it",
			len, room - 1);
	}
	buf[len] = '\0';
	return 0;
}

/* Length of the word at p: up to a space that no double quotes protect. */
static size_t cmdline_word_len(const char *p)
{
	bool quoted = false;
	size_t n;

	for (n = 0;
	     p[n] && (quoted || (p[n] != ' ' && p[n] != '\t' && p[n] != '\n'));
	     n++)
		if (p[n] == '"')
			quoted = !quoted;
	return n;
}

static char cmdline_fold(char c)
{
	return c == '-' ? '_' : c;
}

static bool cmdline_word_is(const char *word, size_t n, const char *key)
{
	size_t i;

	/* A word may be quoted as a whole: "key=some value". */
	if (n && *word == '"') {
		word++;
		n--;
	}
	for (i = 0; i < n && key[i]; i++)
		if (cmdline_fold(word[i]) != cmdline_fold(key[i]))
			return false;
	if (key[i])
		return false;
	return i == n || word[i] == '=' || word[i] == '"';
}

bool cmdline_has(const char *cmdline, const char *key)
{
	const char *p = cmdline ? cmdline : "";

	for (;;) {
		size_t n;

		p += strspn(p, " \t\n");
		n = cmdline_word_len(p);
		if (!n || (n == 2 && p[0] == '-' && p[1] == '-'))
			return false;
		if (cmdline_word_is(p, n, key))
			return true;
		p += n;
	}
}
