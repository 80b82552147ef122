/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* From start.S to guest_begin(): take what the PVH boot protocol hands over. */
#include "guest.h"

#include "acpi.h"
#include "power.h"
#include "text.h"
#include "triple_fault.h"

#define START_INFO_MAGIC 0x336ec578
#define MEMMAP_RAM 1

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t memmap; /* since version 1 */
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct memmap_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

/* Entered from start.S, in ring 3. */
void guest_start(const struct start_info *start);
void guest_on_fault(uint64_t vector, uint64_t error, uint64_t rip,
		    uint64_t cr2);

static void read_memmap(const struct start_info *start)
{
	const struct memmap_entry *map = (const void *)start->memmap;

	for (uint32_t i = 0; i < start->memmap_entries; i++) {
		if (map[i].type == MEMMAP_RAM)
			guest_add_ram(map[i].addr, map[i].addr + map[i].size);
	}
}

void guest_start(const struct start_info *start)
{
	if (start->magic != START_INFO_MAGIC) {
		say("FATAL: no PVH start info");
		power_triple_fault();
	}
	acpi_init(start->rsdp);
	if (start->version >= 1)
		read_memmap(start);
	guest_begin((const char *)start->cmdline);
}

void guest_on_fault(uint64_t vector, uint64_t error, uint64_t rip, uint64_t cr2)
{
	static bool again;

	if (again)
		power_triple_fault();
	again = true;
	say("FATAL: exception %lu error %lx rip %lx cr2 %lx", vector, error,
	    rip, cr2);
	power_end();
}
