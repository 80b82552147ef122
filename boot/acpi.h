/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/gmem.h"

#define ACPI_MAX_CPUS 4096

/*
 * To power off, the guest writes this to the sleep control register (ACPI 6.5
 * section 4.8.3.7): SLP_TYP 5, as \_S5 says, and SLP_EN.
 */
#define ACPI_SLEEP_S5 (5 << 2 | 1 << 5)

/* Bits of the byte at ged_port; reading it clears them. */
#define ACPI_GED_POWER_BUTTON 0x01

/* Registers of the power chip, one byte each, from its base port on. */
#define ACPI_POWER_SLEEP 0 /* sleep control */
#define ACPI_POWER_STATUS 1 /* sleep status */
#define ACPI_POWER_RESET 2
#define ACPI_POWER_EVENT 3 /* GED events */
#define ACPI_POWER_PORTS 4
#define ACPI_POWER_RESET_VALUE 1

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
#define ACPI_MAX_DIMMS 32
#define ACPI_STATE_LEN (ACPI_STATE_DIMMS + ACPI_MAX_DIMMS * ACPI_STATE_DIMM_LEN)
#define ACPI_STA_PRESENT 0x0f /* 6.3.7: present, enabled, shown, working */

/* A range of bus addresses; len 0 when there is none. */
struct acpi_window {
	uint64_t base;
	uint64_t len; /* bytes, or ports */
};

/* The machine that the tables describe: hardware-reduced x86. */
struct acpi_config {
	unsigned int nr_cpus; /* 1 .. ACPI_MAX_CPUS: most it may ever have */
	unsigned int nr_boot_cpus; /* 1 .. nr_cpus: there from the start */
	const uint32_t *apic_ids; /* nr_cpus; NULL: the id is the index */
	uint32_t lapic_gpa;
	uint32_t ioapic_gpa;
	uint8_t ioapic_id;

	gpa_t ecam_gpa; /* 1 MiB a bus, from bus 0 on */
	unsigned int nr_buses; /* 1 .. 256 */
	struct acpi_window mmio32; /* for BARs below 4 GiB; must be there */
	struct acpi_window mmio64; /* for BARs anywhere */
	struct acpi_window pio; /* for I/O BARs */

	bool has_serial; /* a 16550A: COM1 */
	uint16_t serial_port;
	uint32_t serial_gsi;

	uint16_t ged_port; /* one byte, ACPI_GED_* */
	uint32_t ged_gsi; /* edge, high */

	/* Hot-plug; hotplug_port 0: none, and the rest does not count. */
	uint16_t hotplug_port; /* ACPI_HOTPLUG_PORTS */
	uint32_t hotplug_gsi; /* edge, high; another one than ged_gsi */
	gpa_t hotplug_state; /* ACPI_STATE_LEN bytes of RAM */
	unsigned int nr_dimms; /* 0 .. ACPI_MAX_DIMMS: most there may be */
	const struct acpi_window *dimms; /* nr_dimms: what is plugged */
	struct acpi_window hotplug_memory; /* where DIMMs may be */
	const struct acpi_window *ram; /* nr_ram: what else is RAM */
	unsigned int nr_ram;

	uint16_t sleep_control_port; /* one byte each */
	uint16_t sleep_status_port;
	uint16_t reset_port;
	uint8_t reset_value; /* what is written there to reset */
};

/* Write a DIMM into its place of the state area; len 0: it is empty. A guest
 * that reads meanwhile sees it whole or not at all. Any thread. */
void acpi_store_dimm(void *place, uint64_t gpa, uint64_t len);

/*
 * Write all ACPI tables into guest memory: RSDP (first, at base), XSDT, FADT,
 * MADT, MCFG, SRAT (when there may be DIMMs) and DSDT, as of ACPI 6.5; and the
 * state that hot-plug begins with.
 * @base: multiple of 16; for guests that search for it, in 0xe0000-0xfffff
 * @room: bytes from base on that may be used, all inside one RAM region
 * @rsdp: gets the address of the RSDP
 * Main thread, before vCPUs run. About 2 KiB and 40 bytes a CPU.
 * Errors: -EINVAL the config contradicts itself, -ENOSPC room is too small,
 * -EFAULT [base, base + room) is not RAM.
 */
int acpi_build(struct gmem *gm, gpa_t base, uint64_t room,
	       const struct acpi_config *c, gpa_t *rsdp, struct error *err);

#endif
