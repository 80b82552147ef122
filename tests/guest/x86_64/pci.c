/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "pci.h"

#include "acpi.h"
#include "param.h"

#define PCI_WINDOW_MIDDLE 0xd0000000

/* The ECAM is where ecam= says, else where the MCFG has it. */
bool pci_find_host(struct pci_host *host)
{
	host->ecam = param_number("ecam", acpi_ecam());
	host->next = PCI_WINDOW_MIDDLE;
	return host->ecam;
}
