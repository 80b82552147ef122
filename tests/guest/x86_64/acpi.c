/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "acpi.h"

#include "memory.h"

#define BIOS_AREA_START 0xe0000
#define BIOS_AREA_END 0x100000

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t len;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

struct acpi_mcfg {
	struct acpi_table header;
	uint64_t reserved;
	struct {
		uint64_t base;
		uint16_t segment;
		uint8_t first_bus;
		uint8_t last_bus;
		uint32_t reserved;
	} __attribute__((packed)) entry[];
} __attribute__((packed));

static const struct acpi_rsdp *rsdp;

bool acpi_sum_is_zero(const void *data, size_t len)
{
	const uint8_t *byte = data;
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *byte++);
	return sum == 0;
}

static bool rsdp_is_at(uint64_t addr)
{
	return !memcmp((const void *)addr, "RSD PTR ", 8) &&
	       acpi_sum_is_zero((const void *)addr, 20);
}

void acpi_init(uint64_t addr)
{
	if (!addr) {
		for (addr = BIOS_AREA_START; addr < BIOS_AREA_END; addr += 16) {
			if (rsdp_is_at(addr))
				break;
		}
	}
	if (addr != BIOS_AREA_END && rsdp_is_at(addr))
		rsdp = (const struct acpi_rsdp *)addr;
}

uint64_t acpi_rsdp(void)
{
	return (uint64_t)rsdp;
}

bool acpi_rsdp_is_whole(void)
{
	return rsdp->revision < 2 || acpi_sum_is_zero(rsdp, rsdp->len);
}

const struct acpi_table *acpi_nth(unsigned n)
{
	const struct acpi_table *root;
	bool wide;
	uint64_t addr = 0;

	if (!rsdp)
		return NULL;
	wide = rsdp->revision >= 2 && rsdp->xsdt;
	root = (const void *)(wide ? rsdp->xsdt : (uint64_t)rsdp->rsdt);
	if (n >= (root->len - sizeof(*root)) / (wide ? 8 : 4))
		return NULL;
	memcpy(&addr, (const char *)(root + 1) + n * (wide ? 8u : 4u),
	       wide ? 8 : 4);
	return (const struct acpi_table *)addr;
}

static const struct acpi_table *acpi_dsdt(void)
{
	const struct acpi_fadt *fadt = (const void *)acpi_find("FACP");

	if (!fadt)
		return NULL;
	if (fadt->header.len >= offsetof(struct acpi_fadt, skip4) &&
	    fadt->x_dsdt)
		return (const struct acpi_table *)fadt->x_dsdt;
	return (const struct acpi_table *)(uint64_t)fadt->dsdt;
}

const struct acpi_table *acpi_find(const char *signature)
{
	const struct acpi_table *table;

	if (!memcmp(signature, "DSDT", 4))
		return acpi_dsdt();
	for (unsigned n = 0; (table = acpi_nth(n)); n++) {
		if (!memcmp(table->signature, signature, 4))
			return table;
	}
	return NULL;
}

uint64_t acpi_ecam(void)
{
	const struct acpi_mcfg *mcfg = (const void *)acpi_find("MCFG");

	if (!mcfg || mcfg->header.len < sizeof(*mcfg) + sizeof(mcfg->entry[0]))
		return 0;
	return mcfg->entry[0].base;
}

/* Name (_S5, Package { type, ... }): 08 _S5_ 12 length count type. */
uint8_t acpi_s5_type(uint8_t fallback)
{
	const struct acpi_table *dsdt = acpi_dsdt();
	const uint8_t *s, *end;

	if (!dsdt)
		return fallback;
	end = (const uint8_t *)dsdt + dsdt->len;
	for (s = (const uint8_t *)(dsdt + 1); s + 9 < end; s++) {
		if (memcmp(s, "_S5_\x12", 5))
			continue;
		s += 7; /* past a one-byte length and the count */
		if (*s == 0x0a)
			return s[1];
		return *s <= 1 ? *s : fallback;
	}
	return fallback;
}
