/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The kernel loaders: any file, as kernel and as initramfs. What boots must
 * have its entry in RAM; what does not must say why and name the option.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "boot/boot.h"
#include "boot/x86/formats.h"
#include "boot/x86/machine.h"
#include "boot/x86/layout.h"
#include "tests/fuzz/boot_input.h"
#include "vmm/util.h"

#define RAM (32 * MIB)
#define LARGE (9 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct boot_range map[] = {
	{ 0, 0x9fc00, BOOT_RANGE_RAM },
	{ 0x9fc00, 0x60400, BOOT_RANGE_RESERVED },
	{ BOOT_HIGH_MEMORY, RAM - BOOT_HIGH_MEMORY, BOOT_RANGE_RAM },
};

static struct boot_input in;

static void boot(int initramfs_fd)
{
	const struct boot_request req = {
		.machine = &boot_machine_x86,
		.gm = &in.gm,
		.kernel_fd = in.fd,
		.kernel_name = "K",
		.initramfs_fd = initramfs_fd,
		.initramfs_name = "I",
		.cmdline = "quiet",
		.map = map,
		.nr_map = ARRAY_SIZE(map),
	};
	struct boot_result res;
	struct error err = { "" };

	/* Before the file changes below a mapping of it. */
	boot_input_clear(&in);
	if (boot_load(&req, &res, &err)) {
		require(!strncmp(err.msg, "--", 2));
		return;
	}
	require(gmem_ptr(&in.gm, res.entry, 1) && res.entry >= BOOT_LOW_END);
	require(res.params == (res.kind == X86_ENTRY_PVH32 ? BOOT_START_INFO
							   : BOOT_ZERO_PAGE));
	require(!memcmp(gmem_ptr(&in.gm, BOOT_CMDLINE, 6), "quiet", 6));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	boot_input_set(&in, 0, RAM, data, size);
	/* With an odd length: a hole, so that segments can have huge pages. */
	if (size % 2)
		require(!ftruncate(in.fd, LARGE));
	boot(-1);
	boot(in.fd);
	return 0;
}
