/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "memory.h"

#include "guest.h"
#include "power.h"

#define PTE_TABLE 0x67 /* present, writable, user, accessed, dirty */
#define PTE_LARGE 0xe7
#define PTE_ADDR 0x000ffffffffff000
#define LARGE_PAGE (1ull << 21)

#define NR_SPARE_TABLES 16

extern uint64_t boot_pml4[512];

static uint64_t arena_next, arena_end;
static uint64_t spare_tables[NR_SPARE_TABLES][512]
	__attribute__((aligned(4096)));
static unsigned nr_spare_tables_used;

void *memcpy(void *dst, const void *src, size_t len)
{
	void *d = dst;

	__asm__ volatile("rep movsb"
			 : "+D"(d), "+S"(src), "+c"(len)
			 :
			 : "memory");
	return dst;
}

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

void *memset(void *dst, int value, size_t len)
{
	void *d = dst;

	__asm__ volatile("rep stosb"
			 : "+D"(d), "+c"(len)
			 : "a"(value)
			 : "memory");
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

static uint64_t *table_below(uint64_t *entry)
{
	if (!*entry) {
		if (nr_spare_tables_used == NR_SPARE_TABLES)
			power_off_failed("out of page tables");
		*entry = (uint64_t)spare_tables[nr_spare_tables_used++] |
			 PTE_TABLE;
	}
	return (uint64_t *)(*entry & PTE_ADDR);
}

void memory_map(uint64_t addr, uint64_t len)
{
	uint64_t end = addr + len;

	for (addr &= ~(LARGE_PAGE - 1); addr < end; addr += LARGE_PAGE) {
		uint64_t *table = boot_pml4;

		table = table_below(&table[(addr >> 39) & 511]);
		table = table_below(&table[(addr >> 30) & 511]);
		if (!table[(addr >> 21) & 511])
			table[(addr >> 21) & 511] = addr | PTE_LARGE;
	}
	barrier();
}
