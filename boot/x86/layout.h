/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_X86_LAYOUT_H
#define BOOT_X86_LAYOUT_H

/*
 * Where the boot structures of an x86 guest lie, as guest addresses. All of
 * [0, BOOT_LOW_END) and the ACPI area must be guest RAM; a kernel may use
 * neither before it runs. The map tells the guest that low memory is RAM (it
 * copies what it needs early) and that the ACPI area is reserved.
 */
#define BOOT_GDT 0x500 /* written by arch/ */
#define BOOT_START_INFO 0x6000 /* PVH: hvm_start_info */
#define BOOT_MODLIST 0x6040 /* PVH: one hvm_modlist_entry */
#define BOOT_MEMMAP 0x6080 /* PVH: BOOT_MAX_RANGES memory map entries */
#define BOOT_ZERO_PAGE 0x7000 /* Linux: struct boot_params */
#define BOOT_PAGE_TABLES 0x9000 /* identity map, written by arch/ */
#define BOOT_CMDLINE 0x20000
#define BOOT_CMDLINE_ROOM 0x10000 /* bytes with the NUL */
#define BOOT_LOW_END 0x30000

/* The BIOS area: where a guest without acpi_rsdp_addr scans for the RSDP. */
#define BOOT_ACPI 0xe0000
#define BOOT_ACPI_ROOM 0x1f000
/* Behind it, as reserved: what is plugged (ACPI_STATE_*). */
#define BOOT_HOTPLUG 0xff000
#define BOOT_HOTPLUG_ROOM 0x1000

/* Where a processor begins after a reset; in the same page as BOOT_HOTPLUG. */
#define BOOT_RESET_VECTOR 0xffff0

#define BOOT_HIGH_MEMORY 0x100000 /* first byte above the ISA hole */

#endif
