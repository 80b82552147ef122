/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_X86_ACPI_TABLES_H
#define BOOT_X86_ACPI_TABLES_H

#include "boot/x86/acpi.h"
#include "vmm/error.h"

/*
 * Write all ACPI tables into guest memory: RSDP (first, at base), XSDT, FADT,
 * MADT, MCFG, SRAT (when there may be DIMMs) and DSDT, as of ACPI 6.5; and the
 * state that hot-plug begins with.
 * @base: multiple of 16; for guests that search for it, in 0xe0000-0xfffff
 * @room: bytes from base on that may be used, all inside one RAM region
 * Any thread; no vCPU runs, and nobody else uses guest memory.
 * Errors, with a message: -ENOSPC room is too small, -EFAULT [base, base + room)
 * or the state is not RAM.
 */
int acpi_build(struct gmem *gm, gpa_t base, uint64_t room,
	       const struct acpi_config *c, struct error *err);

#endif
