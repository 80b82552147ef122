/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_X86_DSDT_H
#define BOOT_X86_DSDT_H

#include "boot/x86/acpi.h"
#include "boot/x86/aml.h"

/*
 * The DSDT's byte code, without its table header: the devices of the machine,
 * and what the guest runs when something is plugged. Any thread.
 */
void dsdt_write(struct aml *a, const struct acpi_config *c);

#endif
