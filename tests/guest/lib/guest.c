/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "guest.h"

#include "memory.h"
#include "param.h"
#include "power.h"

#define ARENA_ALIGN 0x200000ull

extern char image_end[];

static struct guest_info info;

void guest_add_ram(uint64_t start, uint64_t end)
{
	uint64_t here = (uint64_t)image_end;

	if (end > info.ram_end)
		info.ram_end = end;
	if (info.nr_ram < GUEST_RAM_MAX) {
		info.ram[info.nr_ram].start = start;
		info.ram[info.nr_ram++].end = end;
	}
	if (start <= here && here < end)
		info.ram_low_end = end;
}

void guest_begin(const char *cmdline)
{
	for (size_t i = 0; cmdline && cmdline[i]; i++) {
		if (i + 1 == GUEST_CMDLINE_MAX)
			break;
		info.cmdline[i] = cmdline[i];
	}
	param_init(info.cmdline);
	if (!info.ram_low_end)
		power_off_failed("no memory map");
	arena_init(((uint64_t)image_end + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1),
		   info.ram_low_end);
	guest_main(&info);
	power_end();
}
