/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_REQUEST_H
#define BOOT_REQUEST_H

#include <stdint.h>

#include "vmm/gmem.h"

/*
 * Most entries a memory map may have. The zero page holds 128 and Linux' PVH
 * entry adds one of its own (the ISA hole).
 */
#define BOOT_MAX_RANGES 127

/* Address range types; E820, PVH and ACPI 6.5 table 15.4 share the numbers. */
enum boot_range_type {
	BOOT_RANGE_RAM = 1,
	BOOT_RANGE_RESERVED = 2,
};

/* One line of the memory map that the guest is told: what PVH calls a
 * hvm_memmap_table_entry, on a little-endian host. */
struct boot_range {
	gpa_t gpa;
	uint64_t len; /* bytes */
	uint64_t
		type; /* enum boot_range_type; PVH: the upper half is reserved */
};

struct boot_machine;

/* What to boot. Everything is borrowed for the call. */
struct boot_request {
	const struct boot_machine *machine; /* whose kernel it must be */
	struct gmem *gm; /* reads as zero: new, or after gmem_clear() */
	int kernel_fd; /* regular file or memfd; its position is not used */
	const char *kernel_name; /* for messages */
	int initramfs_fd; /* -1: none */
	const char *initramfs_name; /* for messages */
	const char *cmdline; /* NULL counts as empty */
	const struct boot_range *map; /* no overlaps, neighbours merged */
	unsigned int nr_map; /* 1 .. BOOT_MAX_RANGES */
	/* What describes the machine: RSDP or device tree, which may be written
	 * later; 0: nothing. */
	gpa_t tables;
};

/* Where things are then. */
struct boot_result {
	unsigned int
		kind; /* how it is entered, where a port has several ways */
	gpa_t entry; /* first instruction */
	gpa_t params; /* what the kernel is told; the format says what it is */
	gpa_t cmdline; /* with a NUL behind it */
	/* len 0: there is none */
	struct boot_initrd {
		gpa_t gpa;
		uint64_t len; /* bytes of the file */
	} initrd;
};

#endif
