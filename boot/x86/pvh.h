/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_X86_PVH_H
#define BOOT_X86_PVH_H

#include "boot/format.h"
#include "vmm/byteorder.h"

/*
 * The PVH boot ABI: structures of Xen's public header
 * arch-x86/hvm/start_info.h, version 1.
 */
#define PVH_START_MAGIC 0x336ec578 /* "xEn3" with bit 7 of the E set */
#define PVH_START_VERSION 1

struct pvh_start_info {
	le32 magic;
	le32 version;
	le32 flags;
	le32 nr_modules;
	le64 modlist; /* gpa of nr_modules entries */
	le64 cmdline; /* gpa of a string with NUL */
	le64 rsdp; /* gpa, 0 without ACPI */
	le64 memmap; /* gpa of nr_memmap struct boot_range */
	le32 nr_memmap;
	le32 reserved;
};

struct pvh_module {
	le64 gpa;
	le64 len; /* bytes */
	le64 cmdline; /* 0: none */
	le64 reserved;
};

/*
 * Write start info, module list and memory map at their places and set
 * job->res->params. boot_load()'s thread. -EFAULT when low memory is not RAM.
 */
int pvh_describe(struct boot_job *job, struct error *err);

#endif
