/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The command line: words of the form key=value. */
#ifndef GUEST_PARAM_H
#define GUEST_PARAM_H

#include <stdbool.h>
#include <stdint.h>

void param_init(const char *cmdline);

/* The value, good until the next call; fallback when the key is absent. */
const char *param_text(const char *key, const char *fallback);

/* Decimal, or hexadecimal after 0x; K, M and G (or k, m and g) multiply. */
uint64_t param_number(const char *key, uint64_t fallback);

/* The same, for the number after this character in the value. */
uint64_t param_number_after(const char *key, char mark, uint64_t fallback);

/* True when the value is exactly this. */
bool param_is(const char *key, const char *value);

#endif
