/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef ARCH_X86_64_LAYOUT_H
#define ARCH_X86_64_LAYOUT_H

#include "vmm/util.h"

/*
 * The guest's address map.
 *   0         RAM, with the ACPI tables in the BIOS area
 *   3 GiB     the 32-bit hole: PCI memory, ECAM, IOAPIC, LAPIC
 *   4 GiB     RAM beyond the first 3 GiB
 *   behind it PCI memory, 64 bit
 */
#define X86_HOLE_START (3 * GIB)
#define X86_HOLE_END (4 * GIB)

#define X86_PCI_MMIO32_BASE X86_HOLE_START
#define X86_PCI_MMIO32_LEN (512 * MIB)
#define X86_ECAM_BASE 0xe0000000ull
#define X86_ECAM_BUSES 1u /* 1 MiB each */
#define X86_IOAPIC_BASE 0xfec00000u
/* As many as there are lines, or nearly: a kernel looks at each pin ten times
 * while it boots, at an exit each. */
#define X86_IOAPIC_PINS 8u
#define X86_LAPIC_BASE 0xfee00000u
/* Pages that KVM on Intel needs for itself, below the firmware area. */
#define X86_KVM_IDENTITY_MAP 0xfffbc000ull
#define X86_KVM_TSS 0xfffbd000ull

/* PCI memory, 64 bit: the size of the window above RAM. */
#define X86_PCI_MMIO64_LEN (64 * GIB)

#define X86_COM1_PORT 0x3f8u
#define X86_COM1_GSI 4u
#define X86_DEBUG_PORT 0x80u
/* ACPI registers: sleep control, sleep status, reset, GED events. */
#define X86_ACPI_PORT 0x600u
#define X86_GED_GSI 5u
/* Hot-plug: three words of 32 bits. */
#define X86_HOTPLUG_PORT 0x620u
#define X86_HOTPLUG_GSI 6u

#endif
