/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_AARCH64_LAYOUT_H
#define BOOT_AARCH64_LAYOUT_H

/*
 * Where RAM begins and what the monitor puts there. The device tree is below the
 * kernel, which takes the next border of 2 MiB: so the kernel lies as Linux likes
 * it, and what is written before it runs is next to it.
 */
#define BOOT_A64_RAM 0x40000000ull
#define BOOT_A64_FDT BOOT_A64_RAM
#define BOOT_A64_FDT_ROOM 0x40000ull /* 512 vCPUs need a quarter */
#define BOOT_A64_KERNEL_MIN (BOOT_A64_RAM + 0x200000ull)

#endif
