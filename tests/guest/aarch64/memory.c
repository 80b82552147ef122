/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What memory needs of the processor: page tables, of three levels of which the
 * last is not used. Copies are in copy.S. */
#include "memory.h"

#include <stdbool.h>

#define PTE_TABLE 0x3
#define PTE_KIND_MASK 0x3
#define PTE_MEMORY 0x701 /* as in start.S */
#define PTE_REGISTERS (0x405 | 3ull << 53)
#define PTE_ADDR 0x0000fffffffff000
#define LARGE_PAGE (1ull << 21)
#define ADDR_END (1ull << 39)

extern uint64_t boot_level1[512];

/* The entry of a large page; NULL: its whole GiB is memory already. */
static uint64_t *entry_of(uint64_t addr)
{
	uint64_t *entry = &boot_level1[addr >> 30];

	if (!*entry)
		*entry = memory_table() | PTE_TABLE;
	if ((*entry & PTE_KIND_MASK) != PTE_TABLE)
		return NULL;
	return (uint64_t *)(*entry & PTE_ADDR) + (addr >> 21 & 511);
}

/* No processor may have both the old entry and the new one. */
static void entry_change(uint64_t *entry, uint64_t addr, uint64_t value)
{
	if (*entry) {
		*entry = 0;
		__asm__ volatile("dsb ishst\n\ttlbi vaae1is, %0\n\tdsb ish"
				 :
				 : "r"(addr >> 12)
				 : "memory");
	}
	*entry = value;
	__asm__ volatile("dsb ishst\n\tisb" : : : "memory");
}

static void map(uint64_t addr, uint64_t len, uint64_t flags, bool again)
{
	uint64_t end = addr + len < ADDR_END ? addr + len : ADDR_END;

	for (addr &= ~(LARGE_PAGE - 1); addr < end; addr += LARGE_PAGE) {
		uint64_t *entry = entry_of(addr);

		if (entry && (again || !*entry) && *entry != (addr | flags))
			entry_change(entry, addr, addr | flags);
	}
}

void memory_map(uint64_t addr, uint64_t len)
{
	map(addr, len, PTE_MEMORY, true);
}

void memory_map_registers(uint64_t addr, uint64_t len)
{
	map(addr, len, PTE_REGISTERS, false);
}
