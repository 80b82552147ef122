/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_DSDT_H
#define BOOT_DSDT_H

#include "boot/acpi.h"
#include "boot/aml.h"

/*
 * The terms of the DSDT, one function a subject; each writes into \_SB, which
 * dsdt_write() opens. Names other subjects refer to: \_SB.PCI0, \_SB.CPUS and
 * its Cxxx (index in hex), \_SB.PWRB, \_SB.GED. Main thread.
 */

/* The whole definition block behind its table header. */
void dsdt_write(struct aml *a, const struct acpi_config *c);

/* PCI0, the root bridge, with its windows and _OSC. */
void dsdt_write_pci(struct aml *a, const struct acpi_config *c);

/* CPUS, the container of all processors that may ever be there. */
void dsdt_write_cpus(struct aml *a, const struct acpi_config *c);

/* What the guest's methods share: registers, the state in memory. First. */
void dsdt_write_hotplug(struct aml *a, const struct acpi_config *c);
/* HSCN, which notifies what the events name. After the named. */
void dsdt_write_hotplug_scan(struct aml *a, const struct acpi_config *c);
/* S01 to S1F, the slots of PCI0, and PNTF; inside PCI0. */
void dsdt_write_slots(struct aml *a);
/* M000 and on, the DIMMs, and MNTF. */
void dsdt_write_memory(struct aml *a, const struct acpi_config *c);

/* May processors come and go? */
static inline bool dsdt_has_hot_cpus(const struct acpi_config *c)
{
	return c->hotplug_port && c->nr_cpus > 1 &&
	       c->nr_cpus <= ACPI_STATE_MAX_CPUS;
}

/* Parts of devices that come and go; kind and index as in the registers. */
void dsdt_write_eject(struct aml *a, unsigned int kind, unsigned int index);
void dsdt_write_ost(struct aml *a, unsigned int kind, unsigned int index);
/* If ((Arg0 == index)) { Notify (device, Arg1) } */
void dsdt_write_notify_if(struct aml *a, unsigned int index,
			  const char *device);
/* Method (name, 0) { Return (value) } */
void dsdt_write_getter(struct aml *a, const char *name, const char *value);

/*
 * A processor's MADT entry (5.2.12), of boot/acpi.c; returns its length, at
 * most ACPI_CPU_ENTRY_MAX. e: NULL only measures.
 */
#define ACPI_CPU_ENTRY_MAX 16
uint64_t acpi_store_cpu(uint8_t *e, const struct acpi_config *c,
			unsigned int index, bool present);

#endif
