/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "pci.h"

#include "machine.h"

bool pci_find_host(struct pci_host *host)
{
	host->ecam = machine.ecam;
	host->next = machine.pci_window + machine.pci_window_len / 2;
	return host->ecam;
}
