/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_DSDT_H
#define BOOT_DSDT_H

#include "boot/acpi.h"
#include "boot/aml.h"

/*
 * The terms of the DSDT, one function a subject; each writes into \_SB, which
 * dsdt_write() opens. Names other subjects refer to: \_SB.PCI0, \_SB.CPUS and
 * its Cxxx (index in hex), \_SB.PWRB, \_SB.GED. Main thread.
 */

/* The whole definition block behind its table header. */
void dsdt_write(struct aml *a, const struct acpi_config *c);

/* PCI0, the root bridge, with its windows and _OSC. */
void dsdt_write_pci(struct aml *a, const struct acpi_config *c);

/* CPUS, the container of all processors that may ever be there. */
void dsdt_write_cpus(struct aml *a, const struct acpi_config *c);

#endif
