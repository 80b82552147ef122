/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "boot/x86/machine.h"

#include <elf.h>

#include "boot/x86/formats.h"
#include "boot/x86/layout.h"

static const struct boot_format *const formats[] = {
	&boot_format_vmlinux,
	&boot_format_bzimage,
	NULL,
};

static const struct boot_keepout keepouts[] = {
	{ 0, BOOT_LOW_END, "the boot structures" },
	{ BOOT_ACPI, BOOT_ACPI_ROOM, "the ACPI tables" },
	{ 0 },
};

const struct boot_machine boot_machine_x86 = {
	.name = "x86_64",
	.kernels = "a bzImage or vmlinux",
	.elf_machine = EM_X86_64,
	.formats = formats,
	.keepouts = keepouts,
	.cmdline = BOOT_CMDLINE,
	.cmdline_room = BOOT_CMDLINE_ROOM,
};
