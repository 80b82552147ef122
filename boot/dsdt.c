/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Platform devices of the DSDT. ASL stands above each function that writes
 * more than names, as iasl -d shows it.
 */
#include "boot/dsdt.h"

#include "boot/aml_resource.h"
#include "vmm/util.h"

/* _S5: the sleep type that ACPI_SLEEP_S5 carries. No other state. */
static void dsdt_write_s5(struct aml *a)
{
	aml_name(a, "\\_S5");
	aml_package(a, 4);
	aml_int(a, ACPI_SLEEP_S5 >> 2 & 7);
	aml_int(a, 0);
	aml_int(a, 0);
	aml_int(a, 0);
	aml_end(a);
}

/*
 * What no other device claims: the ECAM (PCI Firmware 3.3 section 4.1.2 wants
 * it in a motherboard device) and the platform ports.
 */
static void dsdt_write_motherboard(struct aml *a, const struct acpi_config *c)
{
	const uint16_t ports[] = { c->ged_port, c->sleep_control_port,
				   c->sleep_status_port, c->reset_port };
	unsigned int i, j;

	aml_device(a, "MBRD");
	aml_name_eisaid(a, "_HID", "PNP0C02");
	aml_name_int(a, "_UID", 0);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_memory64(a, AML_CONSUMER, c->ecam_gpa, c->nr_buses * MIB);
	for (i = 0; i < ARRAY_SIZE(ports); i++) {
		for (j = 0; j < i && ports[j] != ports[i]; j++)
			;
		if (j == i)
			aml_io_ports(a, ports[i], 1);
	}
	if (c->hotplug_port)
		aml_io_ports(a, c->hotplug_port, ACPI_HOTPLUG_PORTS);
	aml_end(a);
	aml_end(a);
}

static void dsdt_write_serial(struct aml *a, const struct acpi_config *c)
{
	aml_device(a, "COM1");
	aml_name_eisaid(a, "_HID", "PNP0501");
	aml_name_int(a, "_UID", 0);
	aml_name_string(a, "_DDN", "COM1");
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_io_ports(a, c->serial_port, 8);
	aml_interrupt(a, c->serial_gsi, true);
	aml_end(a);
	aml_end(a);
}

static void dsdt_write_power_button(struct aml *a)
{
	aml_device(a, "PWRB");
	aml_name_eisaid(a, "_HID", "PNP0C0C");
	aml_name_int(a, "_UID", 0);
	aml_end(a);
}

/* If ((Local0 & bit)) { Notify (device, value) } */
static void dsdt_write_ged_notify(struct aml *a, unsigned int bit,
				  const char *device, unsigned int value)
{
	aml_if(a);
	aml_op(a, AML_AND);
	aml_local(a, 0);
	aml_int(a, bit);
	aml_int(a, 0);
	aml_op(a, AML_NOTIFY);
	aml_path(a, device);
	aml_int(a, value);
	aml_end(a);
}

/*
 * The generic event device (5.6.9): an interrupt with a byte that says what
 * happened, and one for hot-plug. Only interrupts may stand in its _CRS.
 *
 *	OperationRegion (EVTR, SystemIO, ged_port, 1)
 *	Field (EVTR, ByteAcc, NoLock, Preserve) { EVTS, 8 }
 *	Method (_EVT, 1, Serialized) {
 *		If ((Arg0 == hotplug_gsi)) {
 *			HSCN ()
 *		} Else {
 *			Local0 = EVTS
 *			If ((Local0 & 1)) { Notify (\_SB.PWRB, 0x80) }
 *		}
 *	}
 */
static void dsdt_write_ged(struct aml *a, const struct acpi_config *c)
{
	aml_device(a, "GED");
	aml_name_string(a, "_HID", "ACPI0013");
	aml_name_int(a, "_UID", 0);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_interrupt(a, c->ged_gsi, true);
	if (c->hotplug_port)
		aml_interrupt(a, c->hotplug_gsi, true);
	aml_end(a);
	aml_region(a, "EVTR", AML_SYSTEM_IO, c->ged_port, 1);
	aml_field(a, "EVTR", AML_BYTE_ACC);
	aml_field_unit(a, "EVTS", 8);
	aml_end(a);
	aml_method(a, "_EVT", 1, true);
	if (c->hotplug_port) {
		aml_if(a);
		aml_op(a, AML_LEQUAL);
		aml_arg(a, 0);
		aml_int(a, c->hotplug_gsi);
		aml_path(a, "HSCN");
		aml_end(a);
		aml_else(a);
	}
	aml_op(a, AML_STORE);
	aml_path(a, "EVTS");
	aml_local(a, 0);
	dsdt_write_ged_notify(a, ACPI_GED_POWER_BUTTON, "\\_SB.PWRB", 0x80);
	if (c->hotplug_port)
		aml_end(a);
	aml_end(a);
	aml_end(a);
}

void dsdt_write(struct aml *a, const struct acpi_config *c)
{
	dsdt_write_s5(a);
	aml_scope(a, "\\_SB");
	dsdt_write_motherboard(a, c);
	dsdt_write_hotplug(a, c);
	dsdt_write_cpus(a, c);
	dsdt_write_memory(a, c);
	dsdt_write_pci(a, c);
	if (c->has_serial)
		dsdt_write_serial(a, c);
	dsdt_write_power_button(a);
	dsdt_write_hotplug_scan(a, c);
	dsdt_write_ged(a, c);
	aml_end(a);
}
