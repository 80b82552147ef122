/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "boot/dsdt.h"

#include "boot/aml_resource.h"

/* _OSC of a PCI root bridge (PCI Firmware 3.3 section 4.5.1). */
#define OSC_UUID "33db4d5b-1ff7-401c-9657-7441c03dd766"
#define OSC_REVISION 1
#define OSC_BAD_UUID 0x04 /* first dword: what went wrong */
#define OSC_BAD_REVISION 0x08
#define OSC_MASKED 0x10
/* Third dword: what the guest may use itself. Neither native hot-plug nor PME
 * nor AER: no device has them. */
#define OSC_PCIE_CAPABILITY 0x10

/* CDW1 |= bits */
static void dsdt_osc_fail(struct aml *a, unsigned int bits)
{
	aml_op(a, AML_OR);
	aml_path(a, "CDW1");
	aml_int(a, bits);
	aml_path(a, "CDW1");
}

/* The inner block of dsdt_write_osc(). */
static void dsdt_osc_negotiate(struct aml *a)
{
	aml_op(a, AML_CREATE_DWORD_FIELD);
	aml_arg(a, 3);
	aml_int(a, 8);
	aml_path(a, "CDW3");
	aml_if(a);
	aml_op(a, AML_LNOT);
	aml_op(a, AML_LEQUAL);
	aml_arg(a, 1);
	aml_int(a, OSC_REVISION);
	dsdt_osc_fail(a, OSC_BAD_REVISION);
	aml_end(a);
	aml_op(a, AML_AND);
	aml_path(a, "CDW3");
	aml_int(a, OSC_PCIE_CAPABILITY);
	aml_local(a, 0);
	aml_if(a);
	aml_op(a, AML_LNOT);
	aml_op(a, AML_LEQUAL);
	aml_path(a, "CDW3");
	aml_local(a, 0);
	dsdt_osc_fail(a, OSC_MASKED);
	aml_end(a);
	aml_op(a, AML_STORE);
	aml_local(a, 0);
	aml_path(a, "CDW3");
}

/*
 *	Method (_OSC, 4, Serialized) {
 *		CreateDWordField (Arg3, 0, CDW1)
 *		If ((Arg0 == ToUUID (OSC_UUID))) {
 *			CreateDWordField (Arg3, 8, CDW3)
 *			If ((Arg1 != 1)) { CDW1 |= 8 }
 *			Local0 = (CDW3 & 0x10)
 *			If ((CDW3 != Local0)) { CDW1 |= 0x10 }
 *			CDW3 = Local0
 *		} Else { CDW1 |= 4 }
 *		Return (Arg3)
 *	}
 */
static void dsdt_write_osc(struct aml *a)
{
	aml_method(a, "_OSC", 4, true);
	aml_op(a, AML_CREATE_DWORD_FIELD);
	aml_arg(a, 3);
	aml_int(a, 0);
	aml_path(a, "CDW1");
	aml_if(a);
	aml_op(a, AML_LEQUAL);
	aml_arg(a, 0);
	aml_uuid(a, OSC_UUID);
	dsdt_osc_negotiate(a);
	aml_end(a);
	aml_else(a);
	dsdt_osc_fail(a, OSC_BAD_UUID);
	aml_end(a);
	aml_op(a, AML_RETURN);
	aml_arg(a, 3);
	aml_end(a);
}

static void dsdt_write_windows(struct aml *a, const struct acpi_config *c)
{
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_bus_numbers(a, 0, (uint16_t)c->nr_buses);
	if (c->pio.len)
		aml_io16(a, AML_PRODUCER, (uint16_t)c->pio.base,
			 (uint16_t)c->pio.len);
	aml_memory32(a, AML_PRODUCER, (uint32_t)c->mmio32.base,
		     (uint32_t)c->mmio32.len);
	if (c->mmio64.len)
		aml_memory64(a, AML_PRODUCER, c->mmio64.base, c->mmio64.len);
	aml_end(a);
}

/* No _PRT: every device has MSI-X only, none an interrupt pin. */
void dsdt_write_pci(struct aml *a, const struct acpi_config *c)
{
	aml_device(a, "PCI0");
	aml_name_eisaid(a, "_HID", "PNP0A08");
	aml_name_eisaid(a, "_CID", "PNP0A03");
	aml_name_int(a, "_UID", 0);
	aml_name_int(a, "_SEG", 0);
	aml_name_int(a, "_BBN", 0);
	dsdt_write_windows(a, c);
	dsdt_write_osc(a);
	if (c->hotplug_port)
		dsdt_write_slots(a);
	aml_end(a);
}
