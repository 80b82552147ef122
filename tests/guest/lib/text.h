/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Text on the serial port, polled. */
#ifndef GUEST_TEXT_H
#define GUEST_TEXT_H

#include <stdarg.h>
#include <stddef.h>

/* %s %c %u %d %x, with an l for 64 bits; no widths. Returns the length. */
size_t text_vformat(char *buf, size_t size, const char *fmt, va_list args);

__attribute__((format(printf, 3, 4))) size_t text_format(char *buf, size_t size,
							 const char *fmt, ...);

/* One line; the newline is added. */
__attribute__((format(printf, 1, 2))) void say(const char *fmt, ...);

/* Waits for a line; what is beyond size is lost. */
void hear(char *line, size_t size);

#endif
