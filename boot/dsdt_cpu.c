/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "boot/dsdt.h"

#include <stdio.h>

/* _STA (6.3.7): present, enabled, shown, working. */
#define STA_PRESENT 0x0f

/*
 * A processor (8.4). Its _UID is the one in its MADT entry. _STA is fixed as
 * long as there is no way to plug it; a processor that is not there yet must
 * say so, or Linux takes its MADT entry for one that failed.
 */
static void dsdt_write_cpu(struct aml *a, unsigned int index, bool present)
{
	char name[5];

	snprintf(name, sizeof(name), "C%03X", index & 0xfff);
	aml_device(a, name);
	aml_name_string(a, "_HID", "ACPI0007");
	aml_name_int(a, "_UID", index);
	aml_name_int(a, "_STA", present ? STA_PRESENT : 0);
	aml_end(a);
}

void dsdt_write_cpus(struct aml *a, const struct acpi_config *c)
{
	unsigned int i;

	aml_device(a, "CPUS");
	aml_name_string(a, "_HID", "ACPI0010");
	aml_name_eisaid(a, "_CID", "PNP0A05");
	for (i = 0; i < c->nr_cpus; i++)
		dsdt_write_cpu(a, i, i < c->nr_boot_cpus);
	aml_end(a);
}
