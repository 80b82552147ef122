/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * What a guest program starts from: guest_main() runs with the low 4 GiB mapped
 * one to one, all registers in reach and interrupts off.
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_CMDLINE_MAX 2048
#define GUEST_RAM_MAX 8

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct guest_ram {
	uint64_t start;
	uint64_t end;
};

struct guest_info {
	char cmdline[GUEST_CMDLINE_MAX];
	uint64_t ram_low_end; /* end of the RAM that holds this program */
	uint64_t ram_end; /* highest RAM address, exclusive */
	unsigned nr_ram;
	struct guest_ram ram[GUEST_RAM_MAX];
};

/* Defined by each guest. When it returns, the guest powers off. */
void guest_main(const struct guest_info *info);

/* For the machine's own start: what the monitor has handed over, and then all
 * that is the same on each machine. NULL: there is no command line. */
void guest_add_ram(uint64_t start, uint64_t end);
__attribute__((noreturn)) void guest_begin(const char *cmdline);

#endif
