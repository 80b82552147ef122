/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "text.h"

#include "uart.h"

#include <stdbool.h>
#include <stdint.h>

struct text_out {
	char *buf;
	size_t size;
	size_t len;
};

static void text_put(struct text_out *out, char c)
{
	if (out->len + 1 < out->size)
		out->buf[out->len++] = c;
}

static void text_put_number(struct text_out *out, uint64_t value, unsigned base)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n)
		text_put(out, digits[--n]);
}

static void text_put_signed(struct text_out *out, int64_t value)
{
	if (value < 0)
		text_put(out, '-');
	text_put_number(out, value < 0 ? -(uint64_t)value : (uint64_t)value,
			10);
}

size_t text_vformat(char *buf, size_t size, const char *fmt, va_list args)
{
	struct text_out out = { buf, size, 0 };

	for (; *fmt; fmt++) {
		bool wide = false;
		const char *s;

		if (*fmt != '%') {
			text_put(&out, *fmt);
			continue;
		}
		if (*++fmt == 'l') {
			wide = true;
			fmt++;
		}
		switch (*fmt) {
		case 's':
			for (s = va_arg(args, const char *); *s; s++)
				text_put(&out, *s);
			break;
		case 'c':
			text_put(&out, (char)va_arg(args, int));
			break;
		case 'd':
			text_put_signed(&out, wide ? va_arg(args, int64_t)
						   : va_arg(args, int));
			break;
		case 'u':
		case 'x':
			text_put_number(&out,
					wide ? va_arg(args, uint64_t)
					     : va_arg(args, unsigned),
					*fmt == 'u' ? 10 : 16);
			break;
		default:
			text_put(&out, *fmt);
		}
	}
	buf[out.len] = '\0';
	return out.len;
}

size_t text_format(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	size_t len;

	va_start(args, fmt);
	len = text_vformat(buf, size, fmt, args);
	va_end(args);
	return len;
}

void say(const char *fmt, ...)
{
	char line[512];
	va_list args;

	va_start(args, fmt);
	text_vformat(line, sizeof(line), fmt, args);
	va_end(args);
	for (const char *s = line; *s; s++)
		uart_send((uint8_t)*s);
	uart_send('\n');
}

void hear(char *line, size_t size)
{
	struct text_out out = { line, size, 0 };
	char c;

	while ((c = (char)uart_receive()) != '\n')
		text_put(&out, c);
	line[out.len] = '\0';
}
