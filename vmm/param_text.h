/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_PARAM_TEXT_H
#define VMM_PARAM_TEXT_H

#include <stdio.h>

#include "vmm/param_table.h"

/*
 * A parameter table in words: --help, the man page, error messages. Texts go to
 * buf of len bytes, which is not 0, and are cut when they are longer. Any
 * thread.
 */

/* Print one indented line per key: name, type or choices, default, help; the
 * shorthand first. Long help is wrapped. */
void param_help(const struct param_set *set, FILE *out);

/* One entry of a help text: `left` at column indent, help beside it at column
 * 26 and wrapped at 79. */
void param_help_entry(FILE *out, int indent, const char *left,
		      const char *help);

/* What a value looks like: "SIZE", "N", "PATH", "on|off", "auto|uring|sync". */
void param_value_text(const struct param *p, char *buf, size_t len);
/* The bounds: "a power of two between 2 and 32768"; "" when there are none. */
void param_range_text(const struct param *p, char *buf, size_t len);
/* The default: "512M", "on"; "" when unset is the default. */
void param_default_text(const struct param *p, char *buf, size_t len);
/* Append a number as a person would write it as a value of p, "513M", to what buf
 * holds. */
void param_add_number(char *buf, size_t len, const struct param *p, uint64_t v);
/* The names of an enum's choices, in JSON or not, with sep between them. */
void param_choices_text(const struct param *p, bool json, const char *sep,
			char *buf, size_t len);
/* The names of all keys, with sep between them. */
void param_keys_text(const struct param_set *set, const char *sep, char *buf,
		     size_t len);
/* The value of an option that has this set: "SIZE[,KEY=VALUE...]". */
void param_set_text(const struct param_set *set, char *buf, size_t len);

/* The other way round: decimal digits from *text on, which is moved behind them.
 * -EINVAL: there are none; -ERANGE: it is more than 64 bits. */
int param_digits(const char **text, uint64_t *out);

#endif
