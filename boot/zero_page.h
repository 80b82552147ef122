/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_ZERO_PAGE_H
#define BOOT_ZERO_PAGE_H

#include "boot/format.h"

/*
 * Offsets in the zero page (Documentation/arch/x86/zero-page.rst) and, from
 * ZP_HDR on, in the first sectors of a bzImage too
 * (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").
 */
#define ZP_SIZE 4096
#define ZP_ACPI_RSDP_ADDR 0x070 /* 8 bytes */
#define ZP_EXT_RAMDISK_IMAGE 0x0c0 /* 4: the upper halves */
#define ZP_EXT_RAMDISK_SIZE 0x0c4 /* 4 */
#define ZP_EXT_CMD_LINE_PTR 0x0c8 /* 4 */
#define ZP_E820_ENTRIES 0x1e8 /* 1 */
#define ZP_HDR 0x1f1 /* struct setup_header */
#define ZP_SETUP_SECTS 0x1f1 /* 1 */
#define ZP_SYSSIZE 0x1f4 /* 4, units of 16 bytes */
#define ZP_BOOT_FLAG 0x1fe /* 2 */
#define ZP_JUMP_LEN 0x201 /* 1: the header ends so far behind 0x202 */
#define ZP_HEADER 0x202 /* 4 */
#define ZP_VERSION 0x206 /* 2 */
#define ZP_TYPE_OF_LOADER 0x210 /* 1 */
#define ZP_LOADFLAGS 0x211 /* 1 */
#define ZP_RAMDISK_IMAGE 0x218 /* 4 */
#define ZP_RAMDISK_SIZE 0x21c /* 4 */
#define ZP_CMD_LINE_PTR 0x228 /* 4 */
#define ZP_INITRD_ADDR_MAX 0x22c /* 4 */
#define ZP_KERNEL_ALIGNMENT 0x230 /* 4 */
#define ZP_RELOCATABLE 0x234 /* 1 */
#define ZP_XLOADFLAGS 0x236 /* 2 */
#define ZP_CMDLINE_SIZE 0x238 /* 4, without the NUL */
#define ZP_SETUP_DATA 0x250 /* 8 */
#define ZP_PREF_ADDRESS 0x258 /* 8 */
#define ZP_INIT_SIZE 0x260 /* 4 */
#define ZP_INIT_SIZE_END 0x264
#define ZP_HDR_END 0x290 /* the header can never be longer */
#define ZP_E820_TABLE 0x2d0 /* 20 bytes each: address, length, type */

#define ZP_BOOT_FLAG_MAGIC 0xaa55
#define ZP_HEADER_MAGIC 0x53726448 /* "HdrS" */
#define ZP_LOADER_UNDEFINED 0xff
#define ZP_LOADED_HIGH 0x01 /* loadflags */
#define ZP_XLF_KERNEL_64 0x01 /* xloadflags */

/*
 * Write the zero page and set job->res->params.
 * @hdr: the kernel's own setup header, as it lies in the file from ZP_HDR on;
 *       NULL for a vmlinux, which has none
 * @hdr_len: bytes, at most ZP_HDR_END - ZP_HDR
 * boot_load()'s thread. -EFAULT when low memory is not RAM.
 */
int zero_page_describe(struct boot_job *job, const void *hdr, size_t hdr_len,
		       struct error *err);

#endif
