/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "memory.h"

#include "power.h"

static uint64_t arena_next, arena_end;

void *memmove(void *dst, const void *src, size_t len)
{
	char *d = dst;
	const char *s = src;

	if (d <= s || d >= s + len)
		return memcpy(dst, src, len);
	while (len--) {
		d[len] = s[len];
		barrier();
	}
	return dst;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;

	for (; len; len--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (uint8_t)*a - (uint8_t)*b;
}

void arena_init(uint64_t start, uint64_t end)
{
	arena_next = start;
	arena_end = end;
}

void *arena_alloc(size_t len, size_t align)
{
	uint64_t addr = (arena_next + align - 1) & ~(uint64_t)(align - 1);

	if (addr + len > arena_end)
		power_off_failed("out of memory");
	arena_next = addr + len;
	return memset((void *)addr, 0, len);
}
