/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TOOLS_VMMCTL_TABLE_H
#define TOOLS_VMMCTL_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Answers as tables for a person. */

/* A text of the monitor's, with '?' for what could steer a terminal:
 * error_make_plain(). NULL, which is no text, is '?' too. */
void table_put_text(FILE *out, const char *text);
/* The same, and spaces behind it up to that many columns. */
void table_put_cell(FILE *out, const char *text, int width);
/* A whole answer as it came, else the same; ends with a line break. text is
 * changed. */
void table_put_lines(FILE *out, char *text);
/* "512M" when it comes out even, else with a fraction: "1.5G". */
const char *table_bytes_text(uint64_t bytes, char *buf, size_t len);

/* One line a value, groups indented. */
void table_show_tree(json_t *reply, FILE *out);
/* The same without zeros. */
void table_show_counters(json_t *reply, FILE *out);
/* Its state, then the configuration. reply is changed. */
void table_show_info(json_t *reply, FILE *out);
/* Id and place of a new device. */
void table_show_added(json_t *reply, FILE *out);

#endif
