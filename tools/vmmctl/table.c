/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tools/vmmctl/table.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/error.h"
#include "vmm/util.h"

#define TABLE_INDENT 2
#define TABLE_COLUMN 28 /* of values */

void table_put_text(FILE *out, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return;
	error_make_plain(copy, strlen(copy));
	fputs(copy, out);
	free(copy);
}

/* U+0080 to U+009F in UTF-8. */
static bool table_is_c1(const char *s)
{
	return s[0] == '\xc2' && ((unsigned char)s[1] & 0xe0) == 0x80;
}

void table_put_body(FILE *out, char *body)
{
	while (*body) {
		size_t n = 0;

		while (body[n] && body[n] != '\n' && body[n] != '\t' &&
		       !table_is_c1(body + n))
			n++;
		error_make_plain(body, n);
		fwrite(body, 1, n, out);
		body += n;
		if (table_is_c1(body)) {
			fprintf(out, "\\u%04X", (unsigned char)body[1]);
			body += 2;
		} else if (*body) {
			fputc(*body++, out);
		}
	}
}

const char *table_bytes_text(uint64_t bytes, char *buf, size_t len)
{
	static const char units[] = " KMGTPE";
	unsigned int unit = 0;
	double v = (double)bytes;

	while (v >= 1024 && units[unit + 1]) {
		v /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(buf, len, "%llu", (unsigned long long)bytes);
	else
		snprintf(buf, len, "%.*f%c",
			 v == (double)(uint64_t)v || v >= 100 ? 0 : 1, v,
			 units[unit]);
	return buf;
}

/* ---- values ---- */

static bool table_ends(const char *name, const char *end)
{
	size_t len = strlen(name), n = strlen(end);

	return len >= n && strcmp(name + len - n, end) == 0;
}

static bool table_is_bytes(const char *name)
{
	return table_ends(name, "_bytes") ||
	       (table_ends(name, "size") && !table_ends(name, "queue_size"));
}

static void table_put_number(FILE *out, const char *name, uint64_t v)
{
	char text[32];

	if (table_is_bytes(name))
		fputs(table_bytes_text(v, text, sizeof(text)), out);
	else if (table_ends(name, "_ns"))
		fprintf(out, "%.3f s", (double)v / 1e9);
	else if (strstr(name, "_latency_m") || strstr(name, "_latency_avg"))
		fprintf(out, "%llu us", (unsigned long long)v);
	else
		fprintf(out, "%llu", (unsigned long long)v);
}

static void table_put_value(FILE *out, const char *name, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		table_put_text(out, json_string_value(value));
		break;
	case JSON_INTEGER:
		table_put_number(out, name,
				 (uint64_t)json_integer_value(value));
		break;
	case JSON_REAL:
		fprintf(out, "%g", json_real_value(value));
		break;
	case JSON_NULL:
		fputs("-", out);
		break;
	default:
		fputs(json_is_true(value) ? "on" : "off", out);
		break;
	}
}

static bool table_is_plain(const json_t *value)
{
	return !json_is_object(value) && !json_is_array(value);
}

/* ---- trees ---- */

struct table {
	FILE *out;
	bool zeros; /* show them */
};

static void table_tree(const struct table *t, const json_t *value, int depth);

static bool table_is_empty(const struct table *t, const json_t *value)
{
	const char *key;
	json_t *v;

	if (json_is_integer(value))
		return !t->zeros && json_integer_value(value) == 0;
	if (json_is_array(value))
		return json_array_size(value) == 0;
	if (!json_is_object(value))
		return false;
	json_object_foreach((json_t *)(uintptr_t)value, key,
			    v) if (!table_is_empty(t, v)) return false;
	return true;
}

static void table_line(const struct table *t, const char *name,
		       const json_t *value, int depth)
{
	int indent = depth * TABLE_INDENT;

	if (table_is_empty(t, value))
		return;
	fprintf(t->out, "%*s", indent, "");
	table_put_text(t->out, name);
	if (!table_is_plain(value)) {
		fputc('\n', t->out);
		table_tree(t, value, depth + 1);
		return;
	}
	fprintf(t->out, "%*s",
		MAX(TABLE_COLUMN - indent - (int)strlen(name), 1), "");
	table_put_value(t->out, name, value);
	fputc('\n', t->out);
}

/* An entry of a list goes by its id. */
static void table_entry(const struct table *t, size_t i, const json_t *value,
			int depth)
{
	const char *id = json_string_value(json_object_get(value, "id"));
	char number[24];

	snprintf(number, sizeof(number), "%zu", i);
	table_line(t, id ? id : number, value, depth);
}

static void table_tree(const struct table *t, const json_t *value, int depth)
{
	json_t *v;
	const char *key;
	size_t i;

	if (depth > 16)
		return;
	if (json_is_array(value)) {
		json_array_foreach(value, i, v) table_entry(t, i, v, depth);
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)value, key,
			    v) if (table_is_plain(v))
		table_line(t, key, v, depth);
	json_object_foreach((json_t *)(uintptr_t)value, key,
			    v) if (!table_is_plain(v))
		table_line(t, key, v, depth);
}

void table_show_tree(const json_t *reply, FILE *out)
{
	struct table t = { out, true };

	table_tree(&t, reply, 0);
}

void table_show_counters(const json_t *reply, FILE *out)
{
	struct table t = { out, false };

	table_tree(&t, reply, 0);
}

void table_show_info(const json_t *reply, FILE *out)
{
	struct table t = { out, true };
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)reply, key,
			    v) if (strcmp(key, "config") != 0)
		table_line(&t, key, v, 0);
	table_tree(&t, json_object_get(reply, "config"), 0);
}

void table_show_added(const json_t *reply, FILE *out)
{
	const char *id = json_string_value(json_object_get(reply, "id"));
	const char *bdf = json_string_value(json_object_get(reply, "bdf"));

	table_put_text(out, id ? id : "?");
	fputs(" at ", out);
	table_put_text(out, bdf ? bdf : "?");
	fputc('\n', out);
}
