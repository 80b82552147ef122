/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The ACPI tables of a hardware-reduced x86 machine (ACPI 6.5 chapters 4.1 and
 * 5.2). They are written in place, one behind the other; only the XSDT, which
 * points to the others, and the RSDP, which points to it, know addresses.
 */
#include "boot/x86/acpi_tables.h"

#include <assert.h>
#include <string.h>

#include "boot/x86/dsdt.h"
#include "vmm/byteorder.h"
#include "vmm/util.h"

#define ACPI_ALIGN 16
#define ACPI_MAX_TABLES 8

/* Lengths and places of 5.2.5, RSDP, and 5.2.6, table header. */
enum {
	RSDP_CHECKSUM = 8,
	RSDP_V1_LEN = 20,
	RSDP_EXT_CHECKSUM = 32,
	RSDP_LEN = 36,
	HDR_LENGTH = 4,
	HDR_CHECKSUM = 9,
	HDR_LEN = 36,
	FADT_LEN = 276,
	MADT_LEN = 44,
	MADT_IOAPIC_LEN = 12,
	MCFG_LEN = 60,
	SRAT_LEN = 48,
	SRAT_MEMORY_LEN = 40,
	SRAT_X2APIC_LEN = 24,
};

/* 5.2.9, FADT. No 8042, no legacy device: bits 0 and 1 are clear. */
#define BOOT_ARCH_NO_VGA (1 << 2)
#define BOOT_ARCH_NO_ASPM (1 << 4)
#define BOOT_ARCH_NO_CMOS_RTC (1 << 5)
#define FLAG_WBINVD (1 << 0)
#define FLAG_PROC_C1 (1 << 2)
#define FLAG_PWR_BUTTON (1 << 4) /* it is a device, not a fixed feature */
#define FLAG_SLP_BUTTON (1 << 5)
#define FLAG_RESET_REG_SUP (1 << 10)
#define FLAG_HW_REDUCED (1 << 20)

/* 5.2.16, SRAT. */
#define SRAT_ENABLED (1 << 0)
#define SRAT_HOT_PLUGGABLE (1 << 1)

/* A number in a table, little-endian. */
struct acpi_field {
	unsigned int at; /* bytes from the start of the table or entry */
	unsigned int len; /* 1, 2, 4 or 8 */
	uint64_t value;
};

/* Generic address structure (5.2.3.2) of a port: system I/O, 8 bits, accessed
 * as a byte. */
#define ACPI_PORT(at, port)                \
	{ (at), 4, 1 | 8 << 8 | 1 << 24 }, \
	{                                  \
		(at) + 4, 8, (port)        \
	}

/* The tables so far. */
struct acpi_area {
	uint8_t *hva;
	gpa_t gpa;
	uint64_t room; /* bytes */
	uint64_t used;
	/* The first is the DSDT: the FADT points to it, the XSDT to the rest. */
	uint8_t *tables[ACPI_MAX_TABLES];
	unsigned int nr;
};

/* Zeroed room, NULL when there is none left. */
static uint8_t *acpi_alloc(struct acpi_area *area, uint64_t len)
{
	uint64_t at = ALIGN_UP(area->used, ACPI_ALIGN);

	if (at > area->room || len > area->room - at)
		return NULL;
	area->used = at + len;
	return memset(area->hva + at, 0, len);
}

static gpa_t acpi_gpa(const struct acpi_area *area, const uint8_t *table)
{
	return area->gpa + (uint64_t)(table - area->hva);
}

/* Have the sum of all bytes be zero. */
static void acpi_store_checksum(uint8_t *p, uint64_t len, unsigned int at)
{
	uint8_t sum = 0;

	for (uint64_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
	p[at] = (uint8_t)(p[at] - sum);
}

static void acpi_store(uint8_t *t, const struct acpi_field *fields,
		       unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		le_store(t + fields[i].at, fields[i].value, fields[i].len);
}

/* Room for a table, with its header but for the checksum, and these fields. */
static uint8_t *acpi_table(struct acpi_area *area, const char *signature,
			   uint8_t revision, uint64_t len,
			   const struct acpi_field *fields, unsigned int nr)
{
	uint8_t *t = acpi_alloc(area, len);

	if (!t)
		return NULL;
	/* Behind signature, length, revision and checksum, which follow: OEM,
	 * OEM table, its revision, creator, its revision. */
	memcpy(t, "....\0\0\0\0..VMM   VMM     \1\0\0\0VMM \1\0\0\0", HDR_LEN);
	memcpy(t, signature, 4);
	le_store(t + HDR_LENGTH, len, 4);
	t[8] = revision;
	t[HDR_CHECKSUM] = 0;
	acpi_store(t, fields, nr);
	area->tables[area->nr++] = t;
	return t;
}

static int acpi_write_dsdt(struct acpi_area *area, const struct acpi_config *c)
{
	/* 2: 64-bit integers */
	uint8_t *t = acpi_table(area, "DSDT", 2, HDR_LEN, NULL, 0);
	struct aml a;
	size_t len;

	if (!t)
		return -ENOSPC;
	aml_init(&a, t + HDR_LEN, area->room - area->used);
	dsdt_write(&a, c);
	if (aml_finish(&a, &len))
		return -ENOSPC;
	area->used += len;
	le_store(t + HDR_LENGTH, HDR_LEN + len, 4);
	return 0;
}

static int acpi_write_fadt(struct acpi_area *area, const struct acpi_config *c)
{
	const struct acpi_field fields[] = {
		{ 109, 2,
		  BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_ASPM |
			  BOOT_ARCH_NO_CMOS_RTC },
		{ 112, 4,
		  FLAG_WBINVD | FLAG_PROC_C1 | FLAG_PWR_BUTTON |
			  FLAG_SLP_BUTTON | FLAG_RESET_REG_SUP |
			  FLAG_HW_REDUCED },
		ACPI_PORT(116, c->power_port + ACPI_POWER_RESET),
		{ 128, 1, ACPI_POWER_RESET_VALUE },
		{ 131, 1, 5 }, /* minor version */
		{ 140, 8, acpi_gpa(area, area->tables[0]) }, /* X_DSDT */
		ACPI_PORT(244, c->power_port + ACPI_POWER_SLEEP),
		ACPI_PORT(256, c->power_port + ACPI_POWER_STATUS),
	};

	return acpi_table(area, "FACP", 6, FADT_LEN, fields, ARRAY_SIZE(fields))
		       ? 0
		       : -ENOSPC;
}

/* 5.2.12 */
static int acpi_write_madt(struct acpi_area *area, const struct acpi_config *c)
{
	const struct acpi_field lapics = { 36, 4, c->lapic_gpa };
	/* Type, length, address; its id is 0, its interrupts start at GSI 0. */
	const struct acpi_field ioapic[] = { { 0, 1, 1 },
					     { 1, 1, MADT_IOAPIC_LEN },
					     { 4, 4, c->ioapic_gpa } };
	uint64_t len = MADT_LEN + ACPI_LAPIC_LEN * (uint64_t)c->nr_cpus +
		       MADT_IOAPIC_LEN;
	uint8_t *t = acpi_table(area, "APIC", 6, len, &lapics, 1), *e;

	if (!t)
		return -ENOSPC;
	e = t + MADT_LEN;
	for (unsigned int i = 0; i < c->nr_cpus; i++, e += ACPI_LAPIC_LEN)
		acpi_store_lapic(e, i, i < c->nr_boot_cpus);
	acpi_store(e, ioapic, ARRAY_SIZE(ioapic));
	return 0;
}

/* PCI Firmware 3.3 section 4.1.2: base, and the last bus; the first is 0. */
static int acpi_write_mcfg(struct acpi_area *area, const struct acpi_config *c)
{
	const struct acpi_field fields[] = { { 44, 8, c->ecam_gpa },
					     { 55, 1, c->nr_buses - 1 } };

	return acpi_table(area, "MCFG", 1, MCFG_LEN, fields, ARRAY_SIZE(fields))
		       ? 0
		       : -ENOSPC;
}

/* Type, length, base, length, flags. */
static uint8_t *acpi_store_srat_memory(uint8_t *e, const struct gmem_range *r,
				       uint32_t flags)
{
	const struct acpi_field fields[] = {
		{ 0, 1, 1 },
		{ 1, 1, SRAT_MEMORY_LEN },
		{ 8, 8, r->gpa },
		{ 16, 8, r->len },
		{ 28, 4, SRAT_ENABLED | flags },
	};

	acpi_store(e, fields, ARRAY_SIZE(fields));
	return e + SRAT_MEMORY_LEN;
}

/* Type, length, APIC id, flags. */
static uint8_t *acpi_store_srat_x2apic(uint8_t *e, unsigned int id)
{
	const struct acpi_field fields[] = { { 0, 1, 2 },
					     { 1, 1, SRAT_X2APIC_LEN },
					     { 8, 4, id },
					     { 12, 4, SRAT_ENABLED } };

	acpi_store(e, fields, ARRAY_SIZE(fields));
	return e + SRAT_X2APIC_LEN;
}

/*
 * One node with all that there may be. Linux learns from it how much memory to
 * expect, before any of it is there.
 */
static int acpi_write_srat(struct acpi_area *area, const struct gmem *gm,
			   const struct acpi_config *c)
{
	uint64_t len = SRAT_LEN + SRAT_X2APIC_LEN * (uint64_t)c->nr_cpus +
		       SRAT_MEMORY_LEN;
	static const struct acpi_field reserved = { 36, 4, 1 };
	const struct gmem_range *r;
	uint8_t *t, *e;

	if (!c->nr_dimms)
		return 0;
	gmem_for_each (r, gm)
		len += r->kind == GMEM_RAM ? SRAT_MEMORY_LEN : 0;
	t = acpi_table(area, "SRAT", 3, len, &reserved, 1);
	if (!t)
		return -ENOSPC;
	e = t + SRAT_LEN;
	for (unsigned int i = 0; i < c->nr_cpus; i++)
		e = acpi_store_srat_x2apic(e, i);
	gmem_for_each (r, gm)
		if (r->kind == GMEM_RAM)
			e = acpi_store_srat_memory(e, r, 0);
	acpi_store_srat_memory(e, &gm->reserved, SRAT_HOT_PLUGGABLE);
	return 0;
}

/* What is there at power-on. */
static int acpi_write_state(struct gmem *gm, const struct acpi_config *c)
{
	uint8_t *state = gmem_ptr(gm, c->hotplug_state, ACPI_STATE_LEN);

	if (!state)
		return -EFAULT;
	for (unsigned int i = 0; i < c->nr_boot_cpus; i++)
		state[ACPI_STATE_CPUS + i] = ACPI_STA_PRESENT;
	for (unsigned int i = 0; i < c->nr_dimms; i++) {
		const struct gmem_range *d = gmem_dimm(gm, i);

		acpi_store_dimm(state + ACPI_STATE_DIMMS +
					i * (uint64_t)ACPI_STATE_DIMM_LEN,
				d->gpa, d->flags & GMEM_ABSENT ? 0 : d->len);
	}
	return 0;
}

/* rsdp: room for it, kept at the start of the area. */
static int acpi_write_roots(struct acpi_area *area, uint8_t *rsdp)
{
	/* Signature, checksum, OEM, revision; length and address follow. */
	static const char start[] = "RSD PTR \0VMM   \2";
	unsigned int i, nr = area->nr;
	uint64_t len = HDR_LEN + 8ULL * (nr - 1);
	uint8_t *t = acpi_table(area, "XSDT", 1, len, NULL, 0);

	if (!t)
		return -ENOSPC;
	for (i = 1; i < nr; i++)
		le_store(t + HDR_LEN + 8ULL * (i - 1),
			 acpi_gpa(area, area->tables[i]), 8);
	for (i = 0; i < area->nr; i++)
		acpi_store_checksum(area->tables[i],
				    le_load(area->tables[i] + HDR_LENGTH, 4),
				    HDR_CHECKSUM);
	memcpy(rsdp, start, sizeof(start) - 1);
	le_store(rsdp + 20, RSDP_LEN, 4);
	le_store(rsdp + 24, acpi_gpa(area, t), 8);
	acpi_store_checksum(rsdp, RSDP_V1_LEN, RSDP_CHECKSUM);
	acpi_store_checksum(rsdp, RSDP_LEN, RSDP_EXT_CHECKSUM);
	return 0;
}

int acpi_build(struct gmem *gm, gpa_t base, uint64_t room,
	       const struct acpi_config *c, struct error *err)
{
	struct acpi_area area = { .gpa = base, .room = room };
	uint8_t *root;

	assert(c->nr_boot_cpus && c->nr_boot_cpus <= c->nr_cpus &&
	       c->nr_cpus <= ACPI_MAX_CPUS);
	area.hva = gmem_ptr(gm, base, room);
	if (!area.hva || base % ACPI_ALIGN || acpi_write_state(gm, c))
		return error_set(
			err, EFAULT,
			"ACPI: no RAM at %#llx, or not a multiple of 16",
			llu(base));
	root = acpi_alloc(&area, RSDP_LEN);
	if (!root || acpi_write_dsdt(&area, c) || acpi_write_fadt(&area, c) ||
	    acpi_write_madt(&area, c) || acpi_write_mcfg(&area, c) ||
	    acpi_write_srat(&area, gm, c) || acpi_write_roots(&area, root))
		return error_set(
			err, ENOSPC,
			"ACPI: tables need more than %llu KiB; give fewer --cpus",
			llu(room / KIB));
	return 0;
}
