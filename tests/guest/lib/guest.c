/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* From start.S to guest_main(): take what the PVH boot protocol hands over. */
#include "guest.h"

#include "acpi.h"
#include "io.h"
#include "memory.h"
#include "param.h"
#include "power.h"
#include "text.h"

#define START_INFO_MAGIC 0x336ec578
#define MEMMAP_RAM 1
#define ARENA_ALIGN 0x200000ull

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

extern char image_end[];

/* Entered from start.S, in ring 3. */
void guest_start(const struct start_info *start);
void guest_on_fault(uint64_t vector, uint64_t error, uint64_t rip,
		    uint64_t cr2);

static void read_memmap(struct guest_info *info, const struct start_info *start)
{
	const struct memmap_entry *map = (const void *)start->memmap;
	uint64_t here = (uint64_t)image_end;

	for (uint32_t i = 0; i < start->memmap_entries; i++) {
		uint64_t end = map[i].addr + map[i].size;

		if (map[i].type != MEMMAP_RAM)
			continue;
		if (end > info->ram_end)
			info->ram_end = end;
		if (info->nr_ram < GUEST_RAM_MAX) {
			info->ram[info->nr_ram].start = map[i].addr;
			info->ram[info->nr_ram++].end = end;
		}
		if (map[i].addr <= here && here < end)
			info->ram_low_end = end;
	}
}

void guest_start(const struct start_info *start)
{
	static struct guest_info info;
	const char *cmdline = (const char *)start->cmdline;

	if (start->magic != START_INFO_MAGIC) {
		say("FATAL: no PVH start info");
		power_triple_fault();
	}
	for (size_t i = 0; cmdline && cmdline[i]; i++) {
		if (i + 1 == GUEST_CMDLINE_MAX)
			break;
		info.cmdline[i] = cmdline[i];
	}
	param_init(info.cmdline);
	info.rsdp = start->rsdp;
	acpi_init(&info);
	if (start->version >= 1)
		read_memmap(&info, start);
	if (!info.ram_low_end)
		power_off_failed("no memory map");
	arena_init(((uint64_t)image_end + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1),
		   info.ram_low_end);
	guest_main(&info);
	power_end();
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
