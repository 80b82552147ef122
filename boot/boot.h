/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include "boot/request.h"
#include "vmm/error.h"

/*
 * Load kernel, initramfs, command line and boot parameters into guest memory.
 * The kernel's format is told by its magic: ELF vmlinux or bzImage. The files
 * are hostile: every count and offset in them is checked. Whole pages are
 * mapped from the page cache where gmem allows it, so the files must not be
 * truncated while the guest lives.
 * @req: see there; the file descriptors stay the caller's and stay open
 * @res: filled on success, zero otherwise
 * Any thread; no vCPU runs, and nobody else uses guest memory. Takes as long as
 * the host needs to read the files.
 * Errors, with a message that names the option and the file:
 * -ENOEXEC not a kernel of this machine, -EINVAL malformed, truncated or
 * overlapping, -ENOSPC does not fit into RAM, -E2BIG command line too long,
 * others from fstat(2), pread(2), mmap(2). Guest memory is then undefined.
 */
int boot_load(const struct boot_request *req, struct boot_result *res,
	      struct error *err);

#endif
