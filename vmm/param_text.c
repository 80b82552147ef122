/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/param_text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "vmm/util.h"

#define TEXT_HELP_COLUMN 26
#define TEXT_WIDTH 79

/* Append to what buf holds; what does not fit is cut. */

__attribute__((format(printf, 3, 4))) static void
text_add(char *buf, size_t len, const char *fmt, ...)
{
	size_t used = strlen(buf);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf + used, len - used, fmt, ap);
	va_end(ap);
}

void param_add_number(char *buf, size_t len, const struct param *p, uint64_t v)
{
	static const char units[] = "KMG";
	int unit = -1;

	if (p->type == PARAM_SIZE && v) {
		while (unit < 2 && v % KIB == 0) {
			v /= KIB;
			unit++;
		}
	}
	text_add(buf, len, "%llu", llu(v));
	if (unit >= 0)
		text_add(buf, len, "%c", units[unit]);
}

int param_digits(const char **text, uint64_t *out)
{
	const char *s = *text;
	uint64_t v = 0;
	bool fits = true;

	for (; *s >= '0' && *s <= '9'; s++) {
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			fits = false;
	}
	if (s == *text)
		return -EINVAL;
	*text = s;
	*out = v;
	return fits ? 0 : -ERANGE;
}

void param_choices_text(const struct param *p, bool json, const char *sep,
			char *buf, size_t len)
{
	buf[0] = '\0';
	for (const struct param_choice *c = p->choices; c->name; c++)
		text_add(buf, len, "%s%s", c == p->choices ? "" : sep,
			 param_choice_name(c, json));
}

void param_keys_text(const struct param_set *set, const char *sep, char *buf,
		     size_t len)
{
	buf[0] = '\0';
	for (unsigned int i = 0; i < set->nr_params; i++)
		text_add(buf, len, "%s%s", i ? sep : "", set->params[i].name);
}

void param_value_text(const struct param *p, char *buf, size_t len)
{
	static const char *const words[] = {
		[PARAM_BOOL] = "on|off",
		[PARAM_UINT] = "N",
		[PARAM_SIZE] = "SIZE",
		[PARAM_STRING] = "TEXT",
		[PARAM_PATH] = "PATH",
		[PARAM_ENUM] = "",
		[PARAM_FD] = "N",
		[PARAM_FDS] = "N|[N,N...]",
		[PARAM_MAC] = "MAC",
		[PARAM_IPV4] = "IP",
		[PARAM_RANGES] = "GUEST:HOST:COUNT[;...]",
	};

	if (p->type == PARAM_ENUM)
		param_choices_text(p, false, "|", buf, len);
	else
		snprintf(buf, len, "%s", p->look ? p->look : words[p->type]);
}

void param_range_text(const struct param *p, char *buf, size_t len)
{
	uint64_t max = param_max(p);

	buf[0] = '\0';
	if (!param_is_number(p))
		return;
	if (p->pow2)
		text_add(buf, len, "a power of two%s",
			 p->min || max ? " " : "");
	if (p->min && max) {
		text_add(buf, len, "between ");
		param_add_number(buf, len, p, p->min);
		text_add(buf, len, " and ");
		param_add_number(buf, len, p, max);
	} else if (p->min || max) {
		text_add(buf, len, "%s%s ", p->pow2 ? "of " : "",
			 p->min ? "at least" : "at most");
		param_add_number(buf, len, p, p->min ? p->min : max);
	}
	if (*buf && p->type == PARAM_UINT && p->unit)
		text_add(buf, len, " %s", p->unit);
}

void param_default_text(const struct param *p, char *buf, size_t len)
{
	buf[0] = '\0';
	if (p->type == PARAM_BOOL)
		text_add(buf, len, "%s", p->def ? "on" : "off");
	else if (p->type == PARAM_ENUM)
		text_add(buf, len, "%s", p->choices[p->def].name);
	else if (param_is_number(p) && param_is_within(p, p->def))
		param_add_number(buf, len, p, p->def);
}

void param_set_text(const struct param_set *set, char *buf, size_t len)
{
	const struct param *p = param_find(set, set->shorthand);

	if (!p) {
		snprintf(buf, len, "KEY=VALUE[,...]");
		return;
	}
	param_value_text(p, buf, len);
	if (set->nr_params > 1)
		text_add(buf, len, "[,KEY=VALUE...]");
}

/* ---- help ---- */

/* The words of text from column `col` on, further lines at the help column. */
static void text_wrap(FILE *out, int col, const char *text)
{
	bool fresh = true;

	while (*text) {
		int len = (int)strcspn(text, " ");

		if (!fresh && col + 1 + len > TEXT_WIDTH) {
			fprintf(out, "\n%*s", TEXT_HELP_COLUMN, "");
			col = TEXT_HELP_COLUMN;
			fresh = true;
		}
		fprintf(out, "%s%.*s", fresh ? "" : " ", len, text);
		col += len + !fresh;
		fresh = false;
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

void param_help_entry(FILE *out, int indent, const char *left, const char *help)
{
	int col = indent + (int)strlen(left);

	fprintf(out, "%*s%s", indent, "", left);
	if (col + 2 > TEXT_HELP_COLUMN) {
		fputc('\n', out);
		col = 0;
	}
	fprintf(out, "%*s", TEXT_HELP_COLUMN - col, "");
	text_wrap(out, TEXT_HELP_COLUMN, help);
}

static void text_key_help(const struct param *p, FILE *out)
{
	char left[192], help[512], def[64];

	snprintf(left, sizeof(left), "%s=", p->name);
	param_value_text(p, left + strlen(left), sizeof(left) - strlen(left));
	snprintf(help, sizeof(help), "%s", p->help);
	param_default_text(p, def, sizeof(def));
	if (*def)
		text_add(help, sizeof(help), " (default %s%s%s)", def,
			 p->type == PARAM_UINT && p->unit ? " " : "",
			 p->type == PARAM_UINT && p->unit ? p->unit : "");
	param_help_entry(out, 6, left, help);
}

void param_help(const struct param_set *set, FILE *out)
{
	const struct param *first = param_find(set, set->shorthand);

	if (first)
		text_key_help(first, out);
	for (unsigned int i = 0; i < set->nr_params; i++) {
		if (&set->params[i] != first)
			text_key_help(&set->params[i], out);
	}
}
