/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Memory devices (9.11): places for DIMMs. Where a DIMM is and whether it is
 * there, its methods read from the state area.
 */
#include <stdio.h>

#include "boot/dsdt.h"

#include "boot/aml_resource.h"
#include "vmm/hotplug_chip.h"

/* Fields of the QWordMemory descriptor (6.4.3.5.1). */
#define QWORD_MIN 14
#define QWORD_MAX 22
#define QWORD_LEN 38

static void dsdt_dimm_name(char name[5], char letter, unsigned int index)
{
	snprintf(name, 5, "%c%03X", letter, index & 0xfff);
}

/* CreateQWordField (MBUF, at, name) */
static void dsdt_create_qword(struct aml *a, unsigned int at, const char *name)
{
	aml_op(a, AML_CREATE_QWORD_FIELD);
	aml_path(a, "MBUF");
	aml_int(a, at);
	aml_path(a, name);
}

/*
 *	Name (MBUF, ResourceTemplate () { QWordMemory (...) })
 *	Method (MCRS, 2, Serialized) {
 *		CreateQWordField (MBUF, 14, MMIN)
 *		CreateQWordField (MBUF, 22, MMAX)
 *		CreateQWordField (MBUF, 38, MLEN)
 *		MMIN = Arg0
 *		MLEN = Arg1
 *		MMAX = ((Arg0 + Arg1) - 1)
 *		Return (MBUF)
 *	}
 */
static void dsdt_write_mcrs(struct aml *a)
{
	aml_name(a, "MBUF");
	aml_resources(a);
	aml_ram64(a, 0, 1);
	aml_end(a);
	aml_method(a, "MCRS", 2, true);
	dsdt_create_qword(a, QWORD_MIN, "MMIN");
	dsdt_create_qword(a, QWORD_MAX, "MMAX");
	dsdt_create_qword(a, QWORD_LEN, "MLEN");
	aml_op(a, AML_STORE);
	aml_arg(a, 0);
	aml_path(a, "MMIN");
	aml_op(a, AML_STORE);
	aml_arg(a, 1);
	aml_path(a, "MLEN");
	aml_op(a, AML_SUBTRACT);
	aml_op(a, AML_ADD);
	aml_arg(a, 0);
	aml_arg(a, 1);
	aml_int(a, 0);
	aml_int(a, 1);
	aml_path(a, "MMAX");
	aml_op(a, AML_RETURN);
	aml_path(a, "MBUF");
	aml_end(a);
}

/*
 *	Device (M000) {
 *		Name (_HID, EisaId ("PNP0C80"))
 *		Name (_UID, 0)
 *		Name (_PXM, 0)
 *		Method (_STA, 0) { Return (D000) }
 *		Method (_CRS, 0) { Return (MCRS (B000, L000)) }
 *		Method (_EJ0, 1) ...
 *		Method (_OST, 3) ...
 *	}
 */
static void dsdt_write_dimm(struct aml *a, unsigned int index)
{
	char name[5];

	dsdt_dimm_name(name, 'M', index);
	aml_device(a, name);
	aml_name_eisaid(a, "_HID", "PNP0C80");
	aml_name_int(a, "_UID", index);
	aml_name_int(a, "_PXM", 0);
	dsdt_dimm_name(name, 'D', index);
	dsdt_write_getter(a, "_STA", name);
	aml_method(a, "_CRS", 0, true);
	aml_op(a, AML_RETURN);
	aml_path(a, "MCRS");
	dsdt_dimm_name(name, 'B', index);
	aml_path(a, name);
	dsdt_dimm_name(name, 'L', index);
	aml_path(a, name);
	aml_end(a);
	dsdt_write_eject(a, HOTPLUG_MEMORY, index);
	dsdt_write_ost(a, HOTPLUG_MEMORY, index);
	aml_end(a);
}

/* Field (HPST, QWordAcc) { Offset, B000, 64, L000, 64, D000, 64, B001, ... } */
static void dsdt_write_dimm_state(struct aml *a, unsigned int nr)
{
	char name[5];
	unsigned int i;

	aml_field(a, "HPST", AML_QWORD_ACC);
	aml_field_unit(a, NULL, ACPI_STATE_DIMMS * 8);
	for (i = 0; i < nr; i++) {
		dsdt_dimm_name(name, 'B', i);
		aml_field_unit(a, name, 64);
		dsdt_dimm_name(name, 'L', i);
		aml_field_unit(a, name, 64);
		dsdt_dimm_name(name, 'D', i);
		aml_field_unit(a, name, 64);
	}
	aml_end(a);
}

void dsdt_write_memory(struct aml *a, const struct acpi_config *c)
{
	char name[5];
	unsigned int i;

	if (!c->hotplug_port || !c->nr_dimms)
		return;
	dsdt_write_dimm_state(a, c->nr_dimms);
	dsdt_write_mcrs(a);
	for (i = 0; i < c->nr_dimms; i++)
		dsdt_write_dimm(a, i);
	aml_method(a, "MNTF", 2, false);
	for (i = 0; i < c->nr_dimms; i++) {
		dsdt_dimm_name(name, 'M', i);
		dsdt_write_notify_if(a, i, name);
	}
	aml_end(a);
}
