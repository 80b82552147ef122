/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The ACPI tables of a hardware-reduced x86 machine (ACPI 6.5 chapters 4.1 and
 * 5.2). They are written in place, one behind the other; only the XSDT, which
 * points to the others, and the RSDP, which points to it, know addresses.
 */
#include "boot/acpi_tables.h"

#include <assert.h>
#include <string.h>

#include "boot/dsdt.h"
#include "vmm/byteorder.h"
#include "vmm/util.h"

#define ACPI_ALIGN 16
#define ACPI_MAX_TABLES 8

/* Offsets, lengths and values of 5.2.5, RSDP, and 5.2.6, table header. */
enum {
	RSDP_CHECKSUM = 8,
	RSDP_OEM = 9,
	RSDP_REVISION = 15,
	RSDP_V1_LEN = 20, /* also where the length stands */
	RSDP_XSDT = 24,
	RSDP_EXT_CHECKSUM = 32,
	RSDP_LEN = 36,

	HDR_LENGTH = 4,
	HDR_REVISION = 8,
	HDR_CHECKSUM = 9,
	HDR_OEM = 10,
	HDR_OEM_TABLE = 16,
	HDR_OEM_REVISION = 24,
	HDR_CREATOR = 28,
	HDR_CREATOR_REVISION = 32,
	HDR_LEN = 36,
};

/* 5.2.9, FADT. */
enum {
	FADT_BOOT_ARCH = 109, /* 2 bytes */
	FADT_FLAGS = 112, /* 4 */
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_MINOR = 131,
	FADT_X_DSDT = 140,
	FADT_SLEEP_CONTROL = 244,
	FADT_SLEEP_STATUS = 256,
	FADT_LEN = 276,

	/* No 8042, no legacy device: bits 0 and 1 are clear. */
	BOOT_ARCH_NO_VGA = 1 << 2,
	BOOT_ARCH_NO_ASPM = 1 << 4,
	BOOT_ARCH_NO_CMOS_RTC = 1 << 5,

	FLAG_WBINVD = 1 << 0,
	FLAG_PROC_C1 = 1 << 2,
	FLAG_PWR_BUTTON = 1 << 4, /* it is a device, not a fixed feature */
	FLAG_SLP_BUTTON = 1 << 5,
	FLAG_RESET_REG_SUP = 1 << 10,
	FLAG_HW_REDUCED = 1 << 20,

	GAS_SYSTEM_IO = 1,
	GAS_BYTE_ACCESS = 1,
};

/* 5.2.16, SRAT. */
enum {
	SRAT_RESERVED_1 = 36, /* 4 bytes: 1, for old readers */
	SRAT_LEN = 48,
	SRAT_MEMORY = 1,
	SRAT_MEMORY_LEN = 40,
	SRAT_X2APIC = 2,
	SRAT_X2APIC_LEN = 24,
	SRAT_ENABLED = 1 << 0,
	SRAT_HOT_PLUGGABLE = 1 << 1,
};

/* 5.2.12, MADT. */
enum {
	MADT_LAPIC_GPA = 36,
	MADT_LEN = 44,
	MADT_IOAPIC = 1,
	MADT_IOAPIC_LEN = 12,
};

/* PCI Firmware 3.3 section 4.1.2, MCFG. */
enum {
	MCFG_BASE = 44,
	/* The first bus is 0. */
	MCFG_LAST_BUS = 55,
	MCFG_LEN = 60,
};

static const char acpi_signature[] = "RSD PTR ";
static const char acpi_oem[] = "VMM   ";

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

/* Room for a table, with its header but for the checksum. */
static uint8_t *acpi_table(struct acpi_area *area, const char *signature,
			   uint8_t revision, uint64_t len)
{
	uint8_t *t = acpi_alloc(area, len);

	if (!t)
		return NULL;
	memcpy(t, signature, 4);
	le_store(t + HDR_LENGTH, len, 4);
	t[HDR_REVISION] = revision;
	memcpy(t + HDR_OEM, acpi_oem, sizeof(acpi_oem) - 1);
	memcpy(t + HDR_OEM_TABLE, "VMM     ", 8);
	le_store(t + HDR_OEM_REVISION, 1, 4);
	memcpy(t + HDR_CREATOR, "VMM ", 4);
	le_store(t + HDR_CREATOR_REVISION, 1, 4);
	area->tables[area->nr++] = t;
	return t;
}

static int acpi_write_dsdt(struct acpi_area *area, const struct acpi_config *c)
{
	/* 2: 64-bit integers */
	uint8_t *t = acpi_table(area, "DSDT", 2, HDR_LEN);
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

/* Generic address structure (5.2.3.2) of one byte-wide port. */
static void acpi_store_port(uint8_t *gas, unsigned int port)
{
	gas[0] = GAS_SYSTEM_IO;
	gas[1] = 8; /* bits */
	gas[2] = 0;
	gas[3] = GAS_BYTE_ACCESS;
	le_store(gas + 4, port, 8);
}

static int acpi_write_fadt(struct acpi_area *area, const struct acpi_config *c)
{
	uint8_t *t = acpi_table(area, "FACP", 6, FADT_LEN);

	if (!t)
		return -ENOSPC;
	le_store(t + FADT_BOOT_ARCH,
		 BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_ASPM | BOOT_ARCH_NO_CMOS_RTC,
		 2);
	le_store(t + FADT_FLAGS,
		 FLAG_WBINVD | FLAG_PROC_C1 | FLAG_PWR_BUTTON |
			 FLAG_SLP_BUTTON | FLAG_RESET_REG_SUP | FLAG_HW_REDUCED,
		 4);
	acpi_store_port(t + FADT_RESET_REG, c->power_port + ACPI_POWER_RESET);
	t[FADT_RESET_VALUE] = ACPI_POWER_RESET_VALUE;
	t[FADT_MINOR] = 5;
	le_store(t + FADT_X_DSDT, acpi_gpa(area, area->tables[0]), 8);
	acpi_store_port(t + FADT_SLEEP_CONTROL,
			c->power_port + ACPI_POWER_SLEEP);
	acpi_store_port(t + FADT_SLEEP_STATUS,
			c->power_port + ACPI_POWER_STATUS);
	return 0;
}

static int acpi_write_madt(struct acpi_area *area, const struct acpi_config *c)
{
	uint64_t len = MADT_LEN + ACPI_LAPIC_LEN * (uint64_t)c->nr_cpus +
		       MADT_IOAPIC_LEN;
	uint8_t *t = acpi_table(area, "APIC", 6, len), *e;

	if (!t)
		return -ENOSPC;
	le_store(t + MADT_LAPIC_GPA, c->lapic_gpa, 4);
	e = t + MADT_LEN;
	for (unsigned int i = 0; i < c->nr_cpus; i++, e += ACPI_LAPIC_LEN)
		acpi_store_lapic(e, i, i < c->nr_boot_cpus);
	e[0] = MADT_IOAPIC;
	e[1] = MADT_IOAPIC_LEN;
	le_store(e + 4, c->ioapic_gpa, 4);
	/* Its id is 0 and its interrupts start at GSI 0. */
	return 0;
}

static int acpi_write_mcfg(struct acpi_area *area, const struct acpi_config *c)
{
	uint8_t *t = acpi_table(area, "MCFG", 1, MCFG_LEN);

	if (!t)
		return -ENOSPC;
	le_store(t + MCFG_BASE, c->ecam_gpa, 8);
	t[MCFG_LAST_BUS] = (uint8_t)(c->nr_buses - 1);
	return 0;
}

static uint8_t *acpi_store_srat_memory(uint8_t *e, const struct gmem_range *r,
				       uint32_t flags)
{
	e[0] = SRAT_MEMORY;
	e[1] = SRAT_MEMORY_LEN;
	le_store(e + 8, r->gpa, 8);
	le_store(e + 16, r->len, 8);
	le_store(e + 28, SRAT_ENABLED | flags, 4);
	return e + SRAT_MEMORY_LEN;
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
	const struct gmem_range *r;
	unsigned int i;
	uint8_t *t, *e;

	if (!c->nr_dimms)
		return 0;
	gmem_for_each (r, gm)
		len += r->kind == GMEM_RAM ? SRAT_MEMORY_LEN : 0;
	t = acpi_table(area, "SRAT", 3, len);
	if (!t)
		return -ENOSPC;
	t[SRAT_RESERVED_1] = 1;
	e = t + SRAT_LEN;
	for (i = 0; i < c->nr_cpus; i++, e += SRAT_X2APIC_LEN) {
		e[0] = SRAT_X2APIC;
		e[1] = SRAT_X2APIC_LEN;
		le_store(e + 8, i, 4);
		le_store(e + 12, SRAT_ENABLED, 4);
	}
	gmem_for_each (r, gm)
		if (r->kind == GMEM_RAM)
			e = acpi_store_srat_memory(e, r, 0);
	acpi_store_srat_memory(e, &gm->reserved, SRAT_HOT_PLUGGABLE);
	return 0;
}

/* What is there at power-on. */
static int acpi_write_state(struct gmem *gm, const struct acpi_config *c)
{
	uint8_t *state;
	unsigned int i;

	state = gmem_ptr(gm, c->hotplug_state, ACPI_STATE_LEN);
	if (!state)
		return -EFAULT;
	for (i = 0; i < c->nr_boot_cpus; i++)
		state[ACPI_STATE_CPUS + i] = ACPI_STA_PRESENT;
	for (i = 0; i < c->nr_dimms; i++) {
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
	unsigned int i, nr = area->nr;
	uint8_t *t = acpi_table(area, "XSDT", 1, HDR_LEN + 8ULL * (nr - 1));

	if (!t)
		return -ENOSPC;
	for (i = 1; i < nr; i++)
		le_store(t + HDR_LEN + 8ULL * (i - 1),
			 acpi_gpa(area, area->tables[i]), 8);
	for (i = 0; i < area->nr; i++)
		acpi_store_checksum(area->tables[i],
				    le_load(area->tables[i] + HDR_LENGTH, 4),
				    HDR_CHECKSUM);
	memcpy(rsdp, acpi_signature, sizeof(acpi_signature) - 1);
	memcpy(rsdp + RSDP_OEM, acpi_oem, sizeof(acpi_oem) - 1);
	rsdp[RSDP_REVISION] = 2;
	le_store(rsdp + RSDP_V1_LEN, RSDP_LEN, 4);
	le_store(rsdp + RSDP_XSDT, acpi_gpa(area, t), 8);
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
			(unsigned long long)base);
	root = acpi_alloc(&area, RSDP_LEN);
	if (!root || acpi_write_dsdt(&area, c) || acpi_write_fadt(&area, c) ||
	    acpi_write_madt(&area, c) || acpi_write_mcfg(&area, c) ||
	    acpi_write_srat(&area, gm, c) || acpi_write_roots(&area, root))
		return error_set(
			err, ENOSPC,
			"ACPI: tables need more than %llu KiB; give fewer --cpus",
			(unsigned long long)(room / KIB));
	return 0;
}
