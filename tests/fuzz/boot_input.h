/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_FUZZ_BOOT_INPUT_H
#define TESTS_FUZZ_BOOT_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/stream.h"
#include "vmm/gmem.h"
#include "vmm/pages.h"

/* The input as a file, and memory to boot from it. */
struct boot_input {
	struct gmem gm;
	int fd; /* 0: not made yet */
};

/* Memory is as at power-on: to be called before the file changes below a mapping
 * of it, too. */
static inline void boot_input_clear(struct boot_input *in)
{
	struct pages_job none = { 0 }; /* no page is prefaulted */

	require(!gmem_clear(&in->gm, &none));
}

/* ram: bytes of memory, at gpa. */
static inline void boot_input_set(struct boot_input *in, gpa_t gpa,
				  uint64_t ram, const uint8_t *data,
				  size_t size)
{
	const struct gmem_config config = { .size = ram };

	if (!in->fd) {
		in->fd = memfd_create("fuzz", MFD_CLOEXEC);
		require(in->fd > 0);
		gmem_init(&in->gm, &config);
		require(!gmem_add(&in->gm, gpa, ram, NULL));
	}
	boot_input_clear(in);
	require(!ftruncate(in->fd, 0));
	require(pwrite(in->fd, data, size, 0) == (ssize_t)size);
}

#endif
