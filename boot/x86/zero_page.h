/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_X86_ZERO_PAGE_H
#define BOOT_X86_ZERO_PAGE_H

#include <asm/bootparam.h>

#include "boot/format.h"

/* What struct setup_header begins with, which is in the first sectors of a
 * bzImage too (Documentation/arch/x86/boot.rst). */
#define ZP_BOOT_FLAG 0xaa55
#define ZP_HEADER 0x53726448 /* "HdrS" */

/* Where it lies in both, and where it ends at the latest. */
#define ZP_HDR offsetof(struct boot_params, hdr)
#define ZP_HDR_END offsetof(struct boot_params, edd_mbr_sig_buffer)

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
