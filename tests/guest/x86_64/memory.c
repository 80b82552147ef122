/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What memory needs of the processor: instructions that copy, page tables. */
#include "memory.h"

#define PTE_TABLE 0x67 /* present, writable, user, accessed, dirty */
#define PTE_LARGE 0xe7
#define PTE_ADDR 0x000ffffffffff000
#define LARGE_PAGE (1ull << 21)

extern uint64_t boot_pml4[512];

void *memcpy(void *dst, const void *src, size_t len)
{
	void *d = dst;

	__asm__ volatile("rep movsb"
			 : "+D"(d), "+S"(src), "+c"(len)
			 :
			 : "memory");
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

static uint64_t *table_below(uint64_t *entry)
{
	if (!*entry)
		*entry = memory_table() | PTE_TABLE;
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

/* Which addresses are memory, the host knows. */
void memory_map_registers(uint64_t addr, uint64_t len)
{
	memory_map(addr, len);
}
