/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_IMAGE_H
#define BOOT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/gmem.h"

/* A hostile file on the host: kernel or initramfs. */
struct image {
	int fd; /* borrowed */
	uint64_t size; /* bytes, when it was opened */
};

/*
 * Look at an open file.
 * Any thread. -EINVAL not a regular file or empty, others from fstat(2); the
 * message holds the reason only, the caller puts option and name in front.
 */
int image_init(struct image *img, int fd, struct error *err);

/* Is [off, off + len), any 64-bit values, inside the file? -EINVAL with a message
 * when it is not, which has `what` ("notes are") in front of the number of
 * bytes. Any thread. */
int image_check(const struct image *img, uint64_t off, uint64_t len,
		const char *what, struct error *err);

/*
 * Read exactly len bytes at off.
 * -EINVAL outside the file or the file shrank, others from pread(2).
 */
int image_read(const struct image *img, uint64_t off, void *buf, size_t len,
	       struct error *err);

/*
 * Fill [gpa, gpa + len) of guest memory from the file at off, by
 * gmem_load_file(), which explains map. len may be 0. Errors as image_read(),
 * -EFAULT outside RAM.
 */
int image_load(const struct image *img, uint64_t off, uint64_t len,
	       struct gmem *gm, gpa_t gpa, bool map, struct error *err);

#endif
