/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The loader of aarch64's Images: any file, as kernel and as initramfs. What
 * boots must have its entry in RAM and its bytes there; what does not must say
 * why and name the option.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/aarch64/layout.h"
#include "boot/aarch64/machine.h"
#include "boot/boot.h"
#include "vmm/gmem.h"
#include "vmm/util.h"

#define RAM (16 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct boot_range map = { BOOT_A64_RAM, RAM, BOOT_RANGE_RAM };
static struct gmem gm;
static int fd = -1;

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void prepare(void)
{
	const struct gmem_config config = { .size = RAM };

	if (fd >= 0)
		return;
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	require(fd >= 0);
	gmem_init(&gm, &config);
	require(!gmem_add(&gm, BOOT_A64_RAM, RAM, NULL));
}

static void boot(int initramfs_fd, const uint8_t *data, size_t size)
{
	const struct boot_request req = {
		.machine = &boot_machine_aarch64,
		.gm = &gm,
		.kernel_fd = fd,
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
	require(!memcmp(gmem_ptr(&gm, res.entry, size), data, size));
	if (initramfs_fd >= 0)
		require(!memcmp(gmem_ptr(&gm, res.initrd.gpa, size), data,
				size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pages_job none = { 0 };

	prepare();
	require(!gmem_clear(&gm, &none));
	require(!ftruncate(fd, 0));
	require(pwrite(fd, data, size, 0) == (ssize_t)size);
	boot(-1, data, size);
	boot(fd, data, size);
	return 0;
}
