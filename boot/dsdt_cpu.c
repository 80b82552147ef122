/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "boot/dsdt.h"

#include <stdio.h>

#include "vmm/hotplug_chip.h"

/*
 * A processor that may come and go:
 *
 *	Method (_STA, 0) { Return (P001) }
 *	Name (_MAT, Buffer () { its MADT entry, enabled })
 *	Method (_EJ0, 1) ...
 *	Method (_OST, 3) ...
 *
 * Linux wants _MAT: the MADT says "not enabled" of those that came later. The
 * first processor stays: kernels do not let go of it.
 */
static void dsdt_write_hot_cpu(struct aml *a, const struct acpi_config *c,
			       unsigned int index)
{
	uint8_t entry[ACPI_CPU_ENTRY_MAX] = { 0 };
	char state[5];

	snprintf(state, sizeof(state), "P%03X", index & 0xfff);
	dsdt_write_getter(a, "_STA", state);
	aml_name(a, "_MAT");
	aml_buffer(a, entry, acpi_store_cpu(entry, c, index, true));
	if (!index)
		return;
	dsdt_write_eject(a, HOTPLUG_CPU, index);
	dsdt_write_ost(a, HOTPLUG_CPU, index);
}

/*
 * A processor (8.4). Its _UID is the one in its MADT entry. One that is not
 * there yet must say so, or Linux takes its MADT entry for one that failed.
 */
static void dsdt_write_cpu(struct aml *a, const struct acpi_config *c,
			   unsigned int index)
{
	char name[5];

	snprintf(name, sizeof(name), "C%03X", index & 0xfff);
	aml_device(a, name);
	aml_name_string(a, "_HID", "ACPI0007");
	aml_name_int(a, "_UID", index);
	if (dsdt_has_hot_cpus(c))
		dsdt_write_hot_cpu(a, c, index);
	else
		aml_name_int(a, "_STA",
			     index < c->nr_boot_cpus ? ACPI_STA_PRESENT : 0);
	aml_end(a);
}

/*
 *	Field (HPST, ByteAcc, NoLock, Preserve) { P000, 8, P001, 8, ... }
 *	Method (CNTF, 2) { If ((Arg0 == 1)) { Notify (C001, Arg1) } ... }
 */
static void dsdt_write_cpu_state(struct aml *a, const struct acpi_config *c)
{
	char name[5];
	unsigned int i;

	aml_field(a, "\\_SB.HPST", AML_BYTE_ACC);
	for (i = 0; i < c->nr_cpus; i++) {
		snprintf(name, sizeof(name), "P%03X", i & 0xfff);
		aml_field_unit(a, name, 8);
	}
	aml_end(a);
	aml_method(a, "CNTF", 2, false);
	for (i = 1; i < c->nr_cpus; i++) {
		snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		dsdt_write_notify_if(a, i, name);
	}
	aml_end(a);
}

void dsdt_write_cpus(struct aml *a, const struct acpi_config *c)
{
	unsigned int i;

	aml_device(a, "CPUS");
	aml_name_string(a, "_HID", "ACPI0010");
	aml_name_eisaid(a, "_CID", "PNP0A05");
	if (dsdt_has_hot_cpus(c))
		dsdt_write_cpu_state(a, c);
	for (i = 0; i < c->nr_cpus; i++)
		dsdt_write_cpu(a, c, i);
	aml_end(a);
}
