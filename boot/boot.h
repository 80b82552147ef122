/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"
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
	BOOT_RANGE_ACPI = 3,
	BOOT_RANGE_NVS = 4,
};

/* One line of the memory map that the guest is told. */
struct boot_range {
	gpa_t gpa;
	uint64_t len; /* bytes */
	uint32_t type; /* enum boot_range_type */
};

/* What to boot. Everything is borrowed for the call. */
struct boot_request {
	struct gmem *gm; /* reads as zero: new, or after gmem_clear() */
	int kernel_fd; /* regular file or memfd; its position is not used */
	const char *kernel_name; /* for messages */
	int initramfs_fd; /* -1: none */
	const char *initramfs_name; /* for messages */
	const char *cmdline; /* NULL counts as empty */
	const struct boot_range *map; /* no overlaps, neighbours merged */
	unsigned int nr_map; /* 1 .. BOOT_MAX_RANGES */
	gpa_t rsdp; /* of acpi_build(), 0 without ACPI */
};

/* In which state the first vCPU enters the kernel. */
enum boot_entry {
	/* 32-bit, flat, no paging, ebx = params (PVH boot ABI) */
	BOOT_ENTRY_PVH32,
	/* long mode, identity paging, rsi = params (x86 boot protocol) */
	BOOT_ENTRY_LINUX64,
};

struct boot_result {
	enum boot_entry kind;
	gpa_t entry; /* first instruction, below 4 GiB */
	gpa_t params; /* hvm_start_info or zero page */
};

/*
 * Load kernel, initramfs, command line and boot parameters into guest memory.
 * The kernel's format is told by its magic: ELF vmlinux or bzImage. The files
 * are hostile: every count and offset in them is checked. Whole pages are
 * mapped from the page cache where gmem allows it, so the files must not be
 * truncated while the guest lives.
 * @req: see there; the file descriptors stay the caller's and stay open
 * @res: filled on success, zero otherwise
 * Main thread, no vCPU runs.
 * Errors, with a message that names the option and the file:
 * -ENOEXEC not a kernel of this machine, -EINVAL malformed, truncated or
 * overlapping, -ENOSPC does not fit into RAM, -E2BIG command line too long,
 * others from fstat(2), pread(2), mmap(2). Guest memory is then undefined.
 */
int boot_load(const struct boot_request *req, struct boot_result *res,
	      struct error *err);

/*
 * Join words into one command line with one space between them.
 * @buf: gets the line and a NUL
 * @room: bytes in buf, at least 1; the limit of the line is room - 1
 * @words: nr strings; NULL and empty ones are skipped; spaces at both ends of
 *         a word go, those inside stay, so that a word may be a whole line
 * Any thread. -E2BIG when the line is longer than the limit; the message names
 * --cmdline, the length and the limit, and buf is empty then.
 */
int cmdline_join(char *buf, size_t room, const char *const *words,
		 unsigned int nr, struct error *err);

/*
 * Does the line hold the parameter `key`, alone or as key=value? Reads it as
 * Linux does (Documentation/admin-guide/kernel-parameters.rst): double quotes
 * protect spaces, '-' and '_' are equal in keys, "--" ends the parameters.
 * @cmdline: NULL counts as empty
 * @key: not empty, no '='
 * Any thread.
 */
bool cmdline_has(const char *cmdline, const char *key);

#endif
