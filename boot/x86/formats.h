/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_X86_FORMATS_H
#define BOOT_X86_FORMATS_H

#include "boot/format.h"

/* boot_result.kind: in which state the first vCPU enters the kernel. */
enum x86_entry {
	/* 32-bit, flat, no paging, ebx = params (PVH boot ABI) */
	X86_ENTRY_PVH32,
	/* long mode, identity paging, rsi = params (x86 boot protocol) */
	X86_ENTRY_LINUX64,
};

extern const struct boot_format boot_format_vmlinux;
extern const struct boot_format boot_format_bzimage;

#endif
