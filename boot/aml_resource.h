/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_AML_RESOURCE_H
#define BOOT_AML_RESOURCE_H

#include <stdint.h>

#include "boot/aml.h"

/*
 * Resource descriptors (ACPI 6.5 section 6.4), for the inside of `resources` in
 * aml_code(). A producer (bridge) hands its range on to the devices below it, a
 * consumer uses it.
 */
enum aml_range {
	AML_BUSES, /* a bridge's bus numbers */
	AML_BRIDGE32, /* a bridge's memory below 4 GiB; as the next two: */
	AML_BRIDGE64, /* its memory anywhere */
	AML_MEMORY64, /* a consumer's: not cacheable, writable */
	AML_RAM64, /* a consumer's, which can be cached */
};

/* [base, base + len) in fields as wide as the kind's name says; both ends are
 * fixed. len is not 0. */
void aml_range(struct aml *a, enum aml_range kind, uint64_t base, uint64_t len);

/* Fixed I/O ports of a device, all 16 address bits decoded; len up to 255. */
void aml_io_ports(struct aml *a, uint16_t base, uint8_t len);

/* One interrupt of a device: edge, active high, not shared. */
void aml_interrupt(struct aml *a, uint32_t gsi);

#endif
