/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "memory.h"

#include "power.h"

#define NR_TABLES 64

static uint64_t arena_next, arena_end;
static uint8_t tables[NR_TABLES][4096] __attribute__((aligned(4096)));
static unsigned nr_tables_used;

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

uint64_t memory_table(void)
{
	if (nr_tables_used == NR_TABLES)
		power_off_failed("out of page tables");
	return (uint64_t)tables[nr_tables_used++];
}
