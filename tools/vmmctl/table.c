/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tools/vmmctl/table.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/error.h"
#include "vmm/util.h"

#define TABLE_INDENT 2
#define TABLE_COLUMN 28 /* of values */

void table_put_cell(FILE *out, const char *text, int width)
{
	char *copy = strdup(text ? text : "?");

	if (!copy)
		return;
	error_make_plain(copy, strlen(copy));
	fprintf(out, "%-*s", width, copy);
	free(copy);
}

void table_put_text(FILE *out, const char *text)
{
	table_put_cell(out, text, 0);
}

void table_put_lines(FILE *out, char *text)
{
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		if (!text && !*line)
			break;
		error_make_plain(line, strlen(line));
		fprintf(out, "%s\n", line);
	}
}

const char *table_bytes_text(uint64_t bytes, char *buf, size_t len)
{
	static const char *const units[] = { "", "K", "M", "G", "T", "P", "E" };
	unsigned int unit = 0;
	double v = (double)bytes;

	while (v >= 1024) {
		v /= 1024;
		unit++;
	}
	snprintf(buf, len, "%.*f%s",
		 v == (double)(uint64_t)v || v >= 100 ? 0 : 1, v, units[unit]);
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
		fprintf(out, "%llu us", llu(v));
	else
		fprintf(out, "%llu", llu(v));
}

static void table_put_value(FILE *out, const char *name, const json_t *value)
{
	if (json_is_string(value))
		table_put_text(out, json_string_value(value));
	else if (json_is_integer(value))
		table_put_number(out, name,
				 (uint64_t)json_integer_value(value));
	else if (json_is_real(value))
		fprintf(out, "%g", json_real_value(value));
	else if (json_is_null(value))
		fputs("-", out);
	else
		fputs(json_is_true(value) ? "on" : "off", out);
}

static bool table_is_plain(const json_t *value)
{
	return !json_is_object(value) && !json_is_array(value);
}

/* ---- trees ---- */

static void table_tree(FILE *out, json_t *value, bool zeros, int depth);

static bool table_is_empty(json_t *value, bool zeros)
{
	const char *key;
	json_t *v;

	if (json_is_integer(value))
		return !zeros && json_integer_value(value) == 0;
	if (table_is_plain(value))
		return false;
	json_object_foreach (value, key, v)
		if (!table_is_empty(v, zeros))
			return false;
	return json_array_size(value) == 0;
}

static void table_line(FILE *out, const char *name, json_t *value, bool zeros,
		       int depth)
{
	int indent = depth * TABLE_INDENT;

	if (table_is_empty(value, zeros))
		return;
	fprintf(out, "%*s", indent, "");
	if (!table_is_plain(value)) {
		table_put_text(out, name);
		fputc('\n', out);
		table_tree(out, value, zeros, depth + 1);
		return;
	}
	table_put_cell(out, name, MAX(TABLE_COLUMN - 1 - indent, 0));
	fputc(' ', out);
	table_put_value(out, name, value);
	fputc('\n', out);
}

/* Members of one line, then groups; an entry of a list goes by its id. */
static void table_tree(FILE *out, json_t *value, bool zeros, int depth)
{
	json_t *v;
	const char *key;
	char number[24];
	size_t i;

	if (depth > 16)
		return;
	for (int plain = 1; plain >= 0; plain--)
		json_object_foreach (value, key, v)
			if (table_is_plain(v) == plain)
				table_line(out, key, v, zeros, depth);
	json_array_foreach (value, i, v) {
		snprintf(number, sizeof(number), "%zu", i);
		key = json_string_value(json_object_get(v, "id"));
		table_line(out, key ? key : number, v, zeros, depth);
	}
}

void table_show_tree(json_t *reply, FILE *out)
{
	table_tree(out, reply, true, 0);
}

void table_show_counters(json_t *reply, FILE *out)
{
	table_tree(out, reply, false, 0);
}

void table_show_info(json_t *reply, FILE *out)
{
	json_t *config = json_incref(json_object_get(reply, "config"));

	json_object_del(reply, "config");
	table_show_tree(reply, out);
	table_show_tree(config, out);
	json_decref(config);
}

void table_show_added(json_t *reply, FILE *out)
{
	table_put_text(out, json_string_value(json_object_get(reply, "id")));
	fputs(" at ", out);
	table_put_text(out, json_string_value(json_object_get(reply, "bdf")));
	fputc('\n', out);
}
