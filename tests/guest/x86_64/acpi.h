/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Just enough ACPI: find tables, check sums, read the FADT and the MCFG. */
#ifndef GUEST_ACPI_H
#define GUEST_ACPI_H

#include "guest.h"

struct acpi_table {
	char signature[4];
	uint32_t len;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	uint32_t creator_id;
	uint32_t creator_revision;
};

/* Generic address structure (ACPI 6.4 §5.2.3.2). */
struct acpi_gas {
	uint8_t space; /* 0 memory, 1 I/O port */
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size;
	uint64_t addr;
} __attribute__((packed));

#define ACPI_FADT_RESET_REG_SUP (1u << 10)
#define ACPI_FADT_HW_REDUCED (1u << 20)

struct acpi_fadt {
	struct acpi_table header;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t skip1[20];
	uint32_t pm1a_cnt_blk;
	uint8_t skip2[44];
	uint32_t flags;
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	uint8_t skip3[11];
	uint64_t x_dsdt;
	uint8_t skip4[96];
	struct acpi_gas sleep_control;
	struct acpi_gas sleep_status;
} __attribute__((packed));

/* addr: the RSDP's, 0: look for it where a BIOS has it. */
void acpi_init(uint64_t addr);

/* The RSDP's address, 0 when the machine has none. */
uint64_t acpi_rsdp(void);

/* Its second checksum, which revision 2 has, is right. */
bool acpi_rsdp_is_whole(void);

/* Next table with this signature ("DSDT" too), NULL when there is none. */
const struct acpi_table *acpi_find(const char *signature);

/* Number n in the XSDT (or RSDT), NULL past its end. */
const struct acpi_table *acpi_nth(unsigned n);

bool acpi_sum_is_zero(const void *data, size_t len);

/* Where the MCFG has the ECAM, 0 when there is none. */
uint64_t acpi_ecam(void);

/* SLP_TYP of \_S5 as the DSDT gives it, fallback when it does not. */
uint8_t acpi_s5_type(uint8_t fallback);

#endif
