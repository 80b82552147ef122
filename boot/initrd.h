/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_INITRD_H
#define BOOT_INITRD_H

#include <stdint.h>

#include "boot/space.h"
#include "vmm/error.h"
#include "vmm/gmem.h"

/* Where the initramfs lies; len 0 when there is none. */
struct initrd {
	gpa_t gpa;
	uint64_t len; /* bytes of the file */
};

/*
 * Load a file as high as RAM and `max` allow, page aligned so that it can be
 * mapped from the page cache, and claim its pages.
 * @fd: -1 gives an empty *out
 * @max: last address the kernel takes (initrd_addr_max of the x86 boot
 *       protocol)
 * boot_load()'s thread. -ENOSPC no room, else as image_load(); the message has
 * no option in front.
 */
int initrd_load(struct gmem *gm, struct space *space, int fd, gpa_t max,
		struct initrd *out, struct error *err);

#endif
