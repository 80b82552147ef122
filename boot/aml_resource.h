/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_AML_RESOURCE_H
#define BOOT_AML_RESOURCE_H

#include <stdint.h>

#include "boot/aml.h"

/*
 * Resource descriptors (ACPI 6.5 section 6.4), for the inside of `resources` in
 * aml_code(). A producer (bridge) hands its range on to the devices below it, a
 * consumer uses it. Ranges are fixed: neither end can move. Lengths are not 0.
 */
enum aml_role {
	AML_PRODUCER = 0,
	AML_CONSUMER = 1,
};

/* Memory of a bridge, below 4 GiB: not cacheable, writable. */
void aml_memory32(struct aml *a, uint32_t base, uint32_t len);

/* Memory anywhere: not cacheable, writable. */
void aml_memory64(struct aml *a, enum aml_role role, uint64_t base,
		  uint64_t len);

/* RAM: a consumer's range that can be cached. */
void aml_ram64(struct aml *a, uint64_t base, uint64_t len);

/* Bus numbers [base, base + len) of a bridge. */
void aml_bus_numbers(struct aml *a, uint16_t base, uint16_t len);

/* Fixed I/O ports of a device, all 16 address bits decoded; len up to 255. */
void aml_io_ports(struct aml *a, uint16_t base, uint8_t len);

/* One interrupt of a device: edge, active high, not shared. */
void aml_interrupt(struct aml *a, uint32_t gsi);

#endif
