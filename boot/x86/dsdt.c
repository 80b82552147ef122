/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * One function a subject, in aml_code()'s words: ASL with the operator in front
 * of its operands. All but \_S5 lies in \_SB.
 *
 * Hot-plug is what the guest does between an interrupt and Notify(): the words
 * that it reads from the chip, boot/x86/acpi.h explains. What is plugged it reads
 * from the state area in its memory, PCI devices from configuration space.
 */
#include "boot/x86/dsdt.h"

#include "vmm/hotplug_chip.h"
#include "vmm/util.h"

#define PCI_SLOTS 32

/* Fields of the QWordMemory descriptor (6.4.3.5.1). */
#define QWORD_MIN 14
#define QWORD_MAX 22
#define QWORD_LEN 38

/* _OSC of a PCI root bridge (PCI Firmware 3.3 section 4.5.1). */
#define OSC_REVISION 1
#define OSC_BAD_UUID 0x04 /* first dword: what went wrong */
#define OSC_BAD_REVISION 0x08
#define OSC_MASKED 0x10
/* Third dword: what the guest may use itself. Neither native hot-plug nor PME
 * nor AER: no device has them. */
#define OSC_PCIE_CAPABILITY 0x10

/* ---- platform ---- */

/*
 * What no other device claims: the ECAM (PCI Firmware 3.3 section 4.1.2 wants
 * it in a motherboard device) and the platform ports.
 */
static void dsdt_write_motherboard(struct aml *a, const struct acpi_config *c)
{
	aml_code(a, "device MBRD name _HID #PNP0C02 name _UID 0 "
		    "name _CRS resources");
	aml_range(a, AML_MEMORY64, c->ecam_gpa, c->nr_buses * MIB);
	aml_io_ports(a, c->power_port, ACPI_POWER_PORTS);
	aml_io_ports(a, c->hotplug_port, ACPI_HOTPLUG_PORTS);
	aml_code(a, "end end");
}

static void dsdt_write_serial(struct aml *a, const struct acpi_config *c)
{
	aml_code(a, "device COM1 name _HID #PNP0501 name _UID 0 "
		    "name _DDN 'COM1' name _CRS resources");
	aml_io_ports(a, c->serial_port, 8);
	aml_interrupt(a, c->serial_gsi);
	aml_code(a, "end end");
}

/*
 * The generic event device (5.6.9): an interrupt with a byte that says what
 * happened, and one for hot-plug. Only interrupts may stand in its _CRS.
 */
static void dsdt_write_ged(struct aml *a, const struct acpi_config *c)
{
	aml_code(a, "device GED name _HID 'ACPI0013' name _UID 0 "
		    "name _CRS resources");
	aml_interrupt(a, c->ged_gsi);
	aml_interrupt(a, c->hotplug_gsi);
	aml_code(a, "end region EVTR :1 %d 1 field EVTR :1 EVTS +8 end",
		 c->power_port + ACPI_POWER_EVENT);
	aml_code(a,
		 "method _EVT :9 if equal a0 %u HSCN end "
		 "else store EVTS l0 if and l0 %d 0 "
		 "notify \\_SB.PWRB 0x80 end end end end",
		 c->hotplug_gsi, ACPI_GED_POWER_BUTTON);
}

/* ---- hot-plug ---- */

/* May processors come and go? */
static bool dsdt_has_hot_cpus(const struct acpi_config *c)
{
	return c->nr_cpus > 1;
}

/* The registers; and HOST, of which each _OST is a call: it hands on the status
 * of an eject request (3). */
static void dsdt_write_hotplug(struct aml *a, const struct acpi_config *c)
{
	aml_code(a,
		 "region HPIO :1 %d %d field HPIO :3 HPEV +32 HPEJ +32 "
		 "HPOS +32 end",
		 c->hotplug_port, ACPI_HOTPLUG_PORTS);
	if (!dsdt_has_hot_cpus(c) && !c->nr_dimms)
		return;
	aml_code(a, "region HPST :0 %llu %d", llu(c->hotplug_state),
		 ACPI_STATE_LEN);
	aml_code(a, "method HOST :3 if equal a1 3 "
		    "or a0 and a2 0xff 0 HPOS end end");
}

/* Methods of what can be ejected; both take its word. */
#define DSDT_EJECT "method _EJ0 :1 store %u HPEJ end"
#define DSDT_STATUS "method _OST :3 HOST %u a0 a1 end"

/* A method that gets an index and what to Notify() of the device that is called
 * by the letter and the index. */
static void dsdt_write_notify(struct aml *a, const char *method, char letter,
			      int digits, unsigned int first, unsigned int end)
{
	aml_code(a, "method %s :2", method);
	for (unsigned int i = first; i < end; i++)
		aml_code(a, "if equal a0 %u notify %c%0*X a1 end", i, letter,
			 digits, i);
	aml_code(a, "end");
}

/* HSCN: take words from the chip, as long as there are any, take them apart,
 * and call who knows the rest. After the devices it names. */
static void dsdt_write_hotplug_scan(struct aml *a, const struct acpi_config *c)
{
	static const struct {
		enum hotplug_kind kind;
		const char *method;
	} calls[] = {
		{ HOTPLUG_PCI, "\\_SB.PCI0.PNTF" },
		{ HOTPLUG_CPU, "\\_SB.CPUS.CNTF" },
		{ HOTPLUG_MEMORY, "\\_SB.MNTF" },
	};

	aml_code(a, "method HSCN :8 while 1 store HPEV l0 if not l0 break end "
		    "shift_right l0 24 l1 and shift_right l0 8 0 0xffff l2 "
		    "and l0 0xff l0");
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].kind == HOTPLUG_CPU && !dsdt_has_hot_cpus(c))
			continue;
		if (calls[i].kind == HOTPLUG_MEMORY && !c->nr_dimms)
			continue;
		aml_code(a, "if equal l1 %d %s l2 l0 end", calls[i].kind,
			 calls[i].method);
	}
	aml_code(a, "end end");
}

/* ---- PCI ---- */

/* \_SB.PCI0.S01 to S1F, and PNTF. A slot has no _STA: what is there, the guest
 * reads from configuration space. */
static void dsdt_write_slots(struct aml *a)
{
	for (unsigned int i = 1; i < PCI_SLOTS; i++)
		aml_code(a,
			 "device S%02X name _ADR %u name _SUN %u " DSDT_EJECT
			 " end",
			 i, i << 16, i, ACPI_HOTPLUG_WORD(HOTPLUG_PCI, i, 0));
	dsdt_write_notify(a, "PNTF", 'S', 2, 1, PCI_SLOTS);
}

/*
 *	Method (_OSC, 4, Serialized) {
 *		CreateDWordField (Arg3, 0, CDW1)
 *		If ((Arg0 == ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766"))) {
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
	/* ToUUID() (19.6.142): the first three groups are little-endian. */
	static const uint8_t uuid[16] = { 0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f,
					  0x1c, 0x40, 0x96, 0x57, 0x74, 0x41,
					  0xc0, 0x3d, 0xd7, 0x66 };

	aml_code(a, "method _OSC :12 dword_field a3 0 CDW1 if equal a0");
	aml_buffer(a, uuid, sizeof(uuid));
	aml_code(a,
		 "dword_field a3 8 CDW3 "
		 "if not equal a1 %d or CDW1 %d CDW1 end "
		 "and CDW3 %d l0 "
		 "if not equal CDW3 l0 or CDW1 %d CDW1 end "
		 "store l0 CDW3 end",
		 OSC_REVISION, OSC_BAD_REVISION, OSC_PCIE_CAPABILITY,
		 OSC_MASKED);
	aml_code(a, "else or CDW1 %d CDW1 end return a3 end", OSC_BAD_UUID);
}

/* The root bridge, with its windows. No _PRT: every device has MSI-X only, none
 * an interrupt pin. */
static void dsdt_write_pci(struct aml *a, const struct acpi_config *c)
{
	aml_code(a, "device PCI0 name _HID #PNP0A08 name _CID #PNP0A03 "
		    "name _UID 0 name _SEG 0 name _BBN 0 name _CRS resources");
	aml_range(a, AML_BUSES, 0, c->nr_buses);
	aml_range(a, AML_BRIDGE32, c->mmio32.base, c->mmio32.len);
	aml_range(a, AML_BRIDGE64, c->mmio64.base, c->mmio64.len);
	aml_code(a, "end");
	dsdt_write_osc(a);
	dsdt_write_slots(a);
	aml_code(a, "end");
}

/* ---- processors ---- */

/*
 * A processor that may come and go. Linux wants _MAT: the MADT says "not
 * enabled" of those that came later. The first processor stays: kernels do not
 * let go of it.
 */
static void dsdt_write_hot_cpu(struct aml *a, unsigned int index)
{
	uint32_t word = ACPI_HOTPLUG_WORD(HOTPLUG_CPU, index, 0);
	uint8_t entry[ACPI_LAPIC_LEN];

	acpi_store_lapic(entry, index, true);
	aml_code(a, "method _STA :0 return P%03X end name _MAT", index);
	aml_buffer(a, entry, sizeof(entry));
	if (!index)
		return;
	aml_code(a, DSDT_EJECT " " DSDT_STATUS, word, word);
}

/* P000 and on, the bytes of the state area; and CNTF. */
static void dsdt_write_cpu_state(struct aml *a, const struct acpi_config *c)
{
	aml_code(a, "field \\_SB.HPST :1");
	for (unsigned int i = 0; i < c->nr_cpus; i++)
		aml_code(a, "P%03X +8", i);
	aml_code(a, "end");
	dsdt_write_notify(a, "CNTF", 'C', 3, 1, c->nr_cpus);
}

/*
 * \_SB.CPUS.C000 and on (8.4), all that there may ever be. _UID is the one in
 * the MADT entry.
 */
static void dsdt_write_cpus(struct aml *a, const struct acpi_config *c)
{
	aml_code(a, "device CPUS name _HID 'ACPI0010' name _CID #PNP0A05");
	if (dsdt_has_hot_cpus(c))
		dsdt_write_cpu_state(a, c);
	for (unsigned int i = 0; i < c->nr_cpus; i++) {
		aml_code(a, "device C%03X name _HID 'ACPI0007' name _UID %u", i,
			 i);
		if (dsdt_has_hot_cpus(c))
			dsdt_write_hot_cpu(a, i);
		else
			aml_code(a, "name _STA %d", ACPI_STA_PRESENT);
		aml_code(a, "end");
	}
	aml_code(a, "end");
}

/* ---- memory ---- */

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
	aml_code(a, "name MBUF resources");
	aml_range(a, AML_RAM64, 0, 1);
	aml_code(a,
		 "end method MCRS :10 qword_field MBUF %d MMIN "
		 "qword_field MBUF %d MMAX qword_field MBUF %d MLEN "
		 "store a0 MMIN store a1 MLEN subtract add a0 a1 0 1 MMAX "
		 "return MBUF end",
		 QWORD_MIN, QWORD_MAX, QWORD_LEN);
}

/*
 * Places of DIMMs (9.11), M000 and on, and MNTF. Where a DIMM is and whether it
 * is there, its methods read from the state area: base, length, _STA.
 */
static void dsdt_write_memory(struct aml *a, const struct acpi_config *c)
{
	if (!c->nr_dimms)
		return;
	aml_code(a, "field HPST :4 :0 +%d", ACPI_STATE_DIMMS * 8);
	for (unsigned int i = 0; i < c->nr_dimms; i++)
		aml_code(a, "B%03X +64 L%03X +64 D%03X +64", i, i, i);
	aml_code(a, "end");
	dsdt_write_mcrs(a);
	for (unsigned int i = 0; i < c->nr_dimms; i++) {
		uint32_t word = ACPI_HOTPLUG_WORD(HOTPLUG_MEMORY, i, 0);

		aml_code(
			a,
			"device M%03X name _HID #PNP0C80 name _UID %u "
			"name _PXM 0 method _STA :0 return D%03X end "
			"method _CRS :8 return MCRS B%03X L%03X end " DSDT_EJECT
			" " DSDT_STATUS " end",
			i, i, i, i, i, word, word);
	}
	dsdt_write_notify(a, "MNTF", 'M', 3, 0, c->nr_dimms);
}

void dsdt_write(struct aml *a, const struct acpi_config *c)
{
	/* The sleep type that ACPI_SLEEP_S5 carries. No other state. */
	aml_code(a, "name \\_S5 package :4 %d 0 0 0 end scope \\_SB",
		 ACPI_SLEEP_S5 >> 2 & 7);
	dsdt_write_motherboard(a, c);
	dsdt_write_hotplug(a, c);
	dsdt_write_cpus(a, c);
	dsdt_write_memory(a, c);
	dsdt_write_pci(a, c);
	if (c->has_serial)
		dsdt_write_serial(a, c);
	aml_code(a, "device PWRB name _HID #PNP0C0C name _UID 0 end");
	dsdt_write_hotplug_scan(a, c);
	dsdt_write_ged(a, c);
	aml_code(a, "end");
}
