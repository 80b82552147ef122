/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The kernel loaders: any file, as kernel and as initramfs. What boots must
 * have its entry in RAM; what does not must say why and name the option.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/boot.h"
#include "boot/x86/formats.h"
#include "boot/x86/machine.h"
#include "boot/x86/layout.h"
#include "vmm/gmem.h"
#include "vmm/util.h"

#define RAM (32 * MIB)
#define LARGE (9 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct boot_range map[] = {
	{ 0, 0x9fc00, BOOT_RANGE_RAM },
	{ 0x9fc00, 0x60400, BOOT_RANGE_RESERVED },
	{ BOOT_HIGH_MEMORY, RAM - BOOT_HIGH_MEMORY, BOOT_RANGE_RAM },
};

static struct gmem gm;
static struct pages_job pages; /* nothing: no page is prefaulted */
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
	require(!gmem_add(&gm, 0, RAM, NULL));
}

static void boot(int initramfs_fd)
{
	const struct boot_request req = {
		.machine = &boot_machine_x86,
		.gm = &gm,
		.kernel_fd = fd,
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
	require(!gmem_clear(&gm, &pages));
	if (boot_load(&req, &res, &err)) {
		require(!strncmp(err.msg, "--", 2));
		return;
	}
	require(gmem_ptr(&gm, res.entry, 1) && res.entry >= BOOT_LOW_END);
	require(res.params == (res.kind == X86_ENTRY_PVH32 ? BOOT_START_INFO
							   : BOOT_ZERO_PAGE));
	require(!memcmp(gmem_ptr(&gm, BOOT_CMDLINE, 6), "quiet", 6));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	prepare();
	require(!gmem_clear(&gm, &pages));
	require(!ftruncate(fd, 0));
	require(pwrite(fd, data, size, 0) == (ssize_t)size);
	/* With an odd length: a hole, so that segments can have huge pages. */
	if (size % 2)
		require(!ftruncate(fd, LARGE));
	boot(-1);
	boot(fd);
	return 0;
}
