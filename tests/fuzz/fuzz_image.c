/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The loader of aarch64's Images: any file, as kernel and as initramfs. What
 * boots must have its entry in RAM and its bytes there; what does not must say
 * why and name the option.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "boot/aarch64/layout.h"
#include "boot/aarch64/machine.h"
#include "boot/boot.h"
#include "tests/fuzz/boot_input.h"
#include "vmm/util.h"

#define RAM (16 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct boot_range map = { BOOT_A64_RAM, RAM, BOOT_RANGE_RAM };
static struct boot_input in;

static void boot(int initramfs_fd, const uint8_t *data, size_t size)
{
	const struct boot_request req = {
		.machine = &boot_machine_aarch64,
		.gm = &in.gm,
		.kernel_fd = in.fd,
		.kernel_name = "K",
		.initramfs_fd = initramfs_fd,
		.initramfs_name = "I",
		.cmdline = "quiet",
		.map = &map,
		.nr_map = 1,
		.tables = BOOT_A64_FDT,
	};
	struct boot_result res;
	struct error err = { "" };

	if (boot_load(&req, &res, &err)) {
		require(!strncmp(err.msg, "--", 2));
		return;
	}
	require(res.entry >= BOOT_A64_KERNEL_MIN && res.params == BOOT_A64_FDT);
	require(!memcmp(gmem_ptr(&in.gm, res.entry, size), data, size));
	if (initramfs_fd >= 0)
		require(!memcmp(gmem_ptr(&in.gm, res.initrd.gpa, size), data,
				size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	boot_input_set(&in, BOOT_A64_RAM, RAM, data, size);
	boot(-1, data, size);
	boot(in.fd, data, size);
	return 0;
}
