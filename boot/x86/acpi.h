/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_X86_ACPI_H
#define BOOT_X86_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/byteorder.h"
#include "vmm/gmem.h"

/*
 * What the ACPI tables, the chips they describe and the guest's byte code agree
 * on; and the description of a machine that the tables are made of.
 */

/* The highest APIC id that needs no x2APIC entry is 254, a broadcast 255. */
#define ACPI_MAX_CPUS 255

/*
 * To power off, the guest writes this to the sleep control register (ACPI 6.5
 * section 4.8.3.7): SLP_TYP 5, as \_S5 says, and SLP_EN.
 */
#define ACPI_SLEEP_S5 (5 << 2 | 1 << 5)

/* Registers of the power chip, one byte each, from its base port on. */
#define ACPI_POWER_SLEEP 0 /* sleep control */
#define ACPI_POWER_STATUS 1 /* sleep status */
#define ACPI_POWER_RESET 2
#define ACPI_POWER_EVENT 3 /* GED events */
#define ACPI_POWER_PORTS 4
#define ACPI_POWER_RESET_VALUE 1

/* Bits of ACPI_POWER_EVENT; reading it clears them. */
#define ACPI_GED_POWER_BUTTON 0x01

/*
 * Registers of the hot-plug chip, 32 bits each, from its base port on. Each
 * carries a word: kind (enum hotplug_kind), index, and a value.
 *   event   read: the next thing to Notify(), its value; 0: none
 *   eject   written by _EJ0
 *   status  written by _OST of an eject request; value: the status
 */
#define ACPI_HOTPLUG_EVENT 0
#define ACPI_HOTPLUG_EJECT 4
#define ACPI_HOTPLUG_STATUS 8
#define ACPI_HOTPLUG_PORTS 12
#define ACPI_HOTPLUG_WORD(kind, index, value) \
	((uint32_t)(kind) << 24 | (uint32_t)(index) << 8 | (uint32_t)(value))

/*
 * What is there now, in guest memory, so that the guest's looks cost no exit:
 * a byte a processor, its _STA; and for each DIMM base, length and _STA, 64
 * bits each. The guest may write to it; nobody but the guest reads it.
 */
#define ACPI_STATE_CPUS 0
#define ACPI_STATE_MAX_CPUS 256
#define ACPI_STATE_DIMMS ACPI_STATE_MAX_CPUS
#define ACPI_STATE_DIMM_LEN 24
#define ACPI_MAX_DIMMS GMEM_MAX_DIMMS
#define ACPI_STATE_LEN (ACPI_STATE_DIMMS + ACPI_MAX_DIMMS * ACPI_STATE_DIMM_LEN)
#define ACPI_STA_PRESENT 0x0f /* 6.3.7: present, enabled, shown, working */

#define ACPI_LAPIC_LEN 8 /* of a processor's entry in the MADT */

/* A range of bus addresses. */
struct acpi_window {
	uint64_t base;
	uint64_t len; /* bytes */
};

/* The machine that the tables describe: hardware-reduced x86. */
struct acpi_config {
	unsigned int nr_cpus; /* 1 .. ACPI_MAX_CPUS: most it may ever have */
	unsigned int nr_boot_cpus; /* 1 .. nr_cpus: there from the start */
	uint32_t lapic_gpa;
	uint32_t ioapic_gpa;

	gpa_t ecam_gpa; /* 1 MiB a bus, from bus 0 on */
	unsigned int nr_buses; /* 1 .. 256 */
	struct acpi_window mmio32; /* for BARs below 4 GiB */
	struct acpi_window mmio64; /* for BARs anywhere */

	bool has_serial; /* a 16550A: COM1 */
	uint16_t serial_port;
	uint32_t serial_gsi;

	uint16_t power_port; /* ACPI_POWER_PORTS of them */
	uint32_t ged_gsi; /* edge, high */

	uint16_t hotplug_port; /* ACPI_HOTPLUG_PORTS of them */
	uint32_t hotplug_gsi; /* edge, high; another one than ged_gsi */
	gpa_t hotplug_state; /* ACPI_STATE_LEN bytes of RAM */
	unsigned int nr_dimms; /* 0 .. ACPI_MAX_DIMMS: most there may be */
};

/* Write the MADT entry of processor `index` (5.2.12.2), which is its APIC id
 * too; !present: it may come. Any thread. */
static inline void acpi_store_lapic(uint8_t e[ACPI_LAPIC_LEN],
				    unsigned int index, bool present)
{
	e[0] = 0; /* a local APIC */
	e[1] = ACPI_LAPIC_LEN;
	e[2] = (uint8_t)index;
	e[3] = (uint8_t)index;
	le_store(e + 4, present ? 1 << 0 : 1 << 1, 4);
}

/*
 * Write a DIMM into its place of the state area, ACPI_STATE_DIMM_LEN bytes and
 * aligned to 8; len 0: it is empty. A guest that reads meanwhile sees it whole
 * or not at all. Any thread, one at a time.
 */
static inline void acpi_store_dimm(void *place, uint64_t gpa, uint64_t len)
{
	uint64_t *dimm = place, sta = len ? ACPI_STA_PRESENT : 0;

	__atomic_store_n(&dimm[2], 0, __ATOMIC_RELEASE);
	dimm[0] = gpa;
	dimm[1] = len;
	__atomic_store_n(&dimm[2], sta, __ATOMIC_RELEASE);
}

#endif
