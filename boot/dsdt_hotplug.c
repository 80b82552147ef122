/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Hot-plug: what the guest's byte code does between the interrupt and
 * Notify(), and the slots of the PCI bus. Words are as boot/acpi.h has them.
 */
#include <stdio.h>

#include "boot/dsdt.h"

#include "vmm/hotplug_chip.h"

#define PCI_SLOTS 32

/*
 *	OperationRegion (HPIO, SystemIO, hotplug_port, 12)
 *	Field (HPIO, DWordAcc, NoLock, Preserve) { HPEV, 32, HPEJ, 32, HPOS, 32 }
 *	OperationRegion (HPST, SystemMemory, hotplug_state, ACPI_STATE_LEN)
 *	Method (HOST, 3, NotSerialized) {
 *		If ((Arg1 == 3)) { HPOS = (Arg0 | (Arg2 & 0xff)) }
 *	}
 */
void dsdt_write_hotplug(struct aml *a, const struct acpi_config *c)
{
	if (!c->hotplug_port)
		return;
	aml_region(a, "HPIO", AML_SYSTEM_IO, c->hotplug_port,
		   ACPI_HOTPLUG_PORTS);
	aml_field(a, "HPIO", AML_DWORD_ACC);
	aml_field_unit(a, "HPEV", 32);
	aml_field_unit(a, "HPEJ", 32);
	aml_field_unit(a, "HPOS", 32);
	aml_end(a);
	if (!dsdt_has_hot_cpus(c) && !c->nr_dimms)
		return;
	aml_region(a, "HPST", AML_SYSTEM_MEMORY, c->hotplug_state,
		   ACPI_STATE_LEN);
	aml_method(a, "HOST", 3, false);
	aml_if(a);
	aml_op(a, AML_LEQUAL);
	aml_arg(a, 1);
	aml_int(a, 3); /* of an eject request */
	aml_op(a, AML_OR);
	aml_arg(a, 0);
	aml_op(a, AML_AND);
	aml_arg(a, 2);
	aml_int(a, 0xff);
	aml_int(a, 0);
	aml_path(a, "HPOS");
	aml_end(a);
	aml_end(a);
}

/* Method (_EJ0, 1) { HPEJ = word } */
void dsdt_write_eject(struct aml *a, unsigned int kind, unsigned int index)
{
	aml_method(a, "_EJ0", 1, false);
	aml_op(a, AML_STORE);
	aml_int(a, ACPI_HOTPLUG_WORD(kind, index, 0));
	aml_path(a, "HPEJ");
	aml_end(a);
}

/* Method (_OST, 3) { HOST (word, Arg0, Arg1) } */
void dsdt_write_ost(struct aml *a, unsigned int kind, unsigned int index)
{
	aml_method(a, "_OST", 3, false);
	aml_path(a, "HOST");
	aml_int(a, ACPI_HOTPLUG_WORD(kind, index, 0));
	aml_arg(a, 0);
	aml_arg(a, 1);
	aml_end(a);
}

void dsdt_write_getter(struct aml *a, const char *name, const char *value)
{
	aml_method(a, name, 0, false);
	aml_op(a, AML_RETURN);
	aml_path(a, value);
	aml_end(a);
}

void dsdt_write_notify_if(struct aml *a, unsigned int index, const char *device)
{
	aml_if(a);
	aml_op(a, AML_LEQUAL);
	aml_arg(a, 0);
	aml_int(a, index);
	aml_op(a, AML_NOTIFY);
	aml_path(a, device);
	aml_arg(a, 1);
	aml_end(a);
}

/*
 * A slot has no _STA: what is there, the guest reads from configuration space.
 *
 *	Device (S01) {
 *		Name (_ADR, 0x00010000)
 *		Name (_SUN, 1)
 *		Method (_EJ0, 1) { HPEJ = 0x0100 }
 *	}
 *	Method (PNTF, 2) { If ((Arg0 == 1)) { Notify (S01, Arg1) } ... }
 */
void dsdt_write_slots(struct aml *a)
{
	char name[5];
	unsigned int i;

	for (i = 1; i < PCI_SLOTS; i++) {
		snprintf(name, sizeof(name), "S%02X", i);
		aml_device(a, name);
		aml_name_int(a, "_ADR", i << 16);
		aml_name_int(a, "_SUN", i);
		dsdt_write_eject(a, HOTPLUG_PCI, i);
		aml_end(a);
	}
	aml_method(a, "PNTF", 2, false);
	for (i = 1; i < PCI_SLOTS; i++) {
		snprintf(name, sizeof(name), "S%02X", i);
		dsdt_write_notify_if(a, i, name);
	}
	aml_end(a);
}

/* If ((Local1 == kind)) { method (Local2, Local0) } */
static void dsdt_write_dispatch(struct aml *a, unsigned int kind,
				const char *method)
{
	aml_if(a);
	aml_op(a, AML_LEQUAL);
	aml_local(a, 1);
	aml_int(a, kind);
	aml_path(a, method);
	aml_local(a, 2);
	aml_local(a, 0);
	aml_end(a);
}

/* The end of HSCN's loop body: take the word apart, call who knows the rest. */
static void dsdt_write_hotplug_event(struct aml *a, const struct acpi_config *c)
{
	aml_op(a, AML_SHIFT_RIGHT);
	aml_local(a, 0);
	aml_int(a, 24);
	aml_local(a, 1);
	aml_op(a, AML_AND);
	aml_op(a, AML_SHIFT_RIGHT);
	aml_local(a, 0);
	aml_int(a, 8);
	aml_int(a, 0);
	aml_int(a, 0xffff);
	aml_local(a, 2);
	aml_op(a, AML_AND);
	aml_local(a, 0);
	aml_int(a, 0xff);
	aml_local(a, 0);
	dsdt_write_dispatch(a, HOTPLUG_PCI, "\\_SB.PCI0.PNTF");
	if (dsdt_has_hot_cpus(c))
		dsdt_write_dispatch(a, HOTPLUG_CPU, "\\_SB.CPUS.CNTF");
	if (c->nr_dimms)
		dsdt_write_dispatch(a, HOTPLUG_MEMORY, "\\_SB.MNTF");
}

/*
 *	Method (HSCN, 0, Serialized) {
 *		While (One) {
 *			Local0 = HPEV
 *			If (!Local0) { Break }
 *			Local1 = (Local0 >> 24)
 *			Local2 = ((Local0 >> 8) & 0xffff)
 *			Local0 = (Local0 & 0xff)
 *			If ((Local1 == 0)) { \_SB.PCI0.PNTF (Local2, Local0) }
 *			...
 *		}
 *	}
 */
void dsdt_write_hotplug_scan(struct aml *a, const struct acpi_config *c)
{
	if (!c->hotplug_port)
		return;
	aml_method(a, "HSCN", 0, true);
	aml_while(a);
	aml_int(a, 1);
	aml_op(a, AML_STORE);
	aml_path(a, "HPEV");
	aml_local(a, 0);
	aml_if(a);
	aml_op(a, AML_LNOT);
	aml_local(a, 0);
	aml_op(a, AML_BREAK);
	aml_end(a);
	dsdt_write_hotplug_event(a, c);
	aml_end(a);
	aml_end(a);
}
