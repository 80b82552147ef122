/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef ARCH_AARCH64_LAYOUT_H
#define ARCH_AARCH64_LAYOUT_H

#include "boot/aarch64/layout.h"
#include "vmm/util.h"

/*
 * The guest's address map.
 *   0         chips, PCI memory of 32 bits, ECAM
 *   1 GiB     RAM, as much as there is
 *   behind it PCI memory, 64 bit
 */
#define A64_GICD_BASE 0x08000000ull /* GICv3: distributor */
#define A64_GICD_LEN 0x10000ull
#define A64_ITS_BASE 0x08020000ull
#define A64_ITS_LEN 0x20000ull
#define A64_PL011_BASE 0x09000000ull
#define A64_PL031_BASE 0x09001000ull
#define A64_CHIP_LEN 0x1000ull
/* Redistributors, one behind the other, one a vCPU. */
#define A64_GICR_BASE 0x0c000000ull
#define A64_GICR_LEN 0x20000ull
#define A64_MAX_CPUS 512u /* that KVM's GICv3 has room for */

#define A64_PCI_MMIO32_BASE 0x10000000ull
#define A64_PCI_MMIO32_LEN (512 * MIB)
#define A64_ECAM_BASE 0x30000000ull
#define A64_ECAM_BUSES 32u /* 1 MiB each: bus 0, and one behind each port */

#define A64_RAM_BASE BOOT_A64_RAM

/* PCI memory, 64 bit: there are processors with 36 bits of addresses. */
#define A64_PCI_MMIO64_LEN (32 * GIB)

/* Shared peripheral interrupts (INTID 32 and up), of 32 that the GIC has. */
#define A64_NR_SPIS 32u
#define A64_PL011_SPI 1u
#define A64_POWER_KEY_SPI 2u

/* Private peripheral interrupts, as KVM has them. */
#define A64_PPI_PMU 7u

_Static_assert(A64_GICR_BASE + A64_MAX_CPUS * A64_GICR_LEN <=
		       A64_PCI_MMIO32_BASE,
	       "redistributors");
_Static_assert(A64_PCI_MMIO32_BASE + A64_PCI_MMIO32_LEN <= A64_ECAM_BASE &&
		       A64_ECAM_BASE + A64_ECAM_BUSES * MIB <= A64_RAM_BASE,
	       "PCI");

#endif
