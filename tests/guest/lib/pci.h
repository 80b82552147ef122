/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* PCI functions on bus 0, through ECAM. */
#ifndef GUEST_PCI_H
#define GUEST_PCI_H

#include <stdbool.h>
#include <stdint.h>

#define PCI_NR_SLOTS 32
#define PCI_NR_BARS 6

#define PCI_VENDOR 0x00
#define PCI_DEVICE 0x02
#define PCI_COMMAND 0x04
#define PCI_STATUS 0x06
#define PCI_HEADER_TYPE 0x0e
#define PCI_BAR0 0x10
#define PCI_CAP_POINTER 0x34

#define PCI_COMMAND_MEMORY 0x0002
#define PCI_COMMAND_MASTER 0x0004
#define PCI_COMMAND_NO_INTX 0x0400
#define PCI_STATUS_CAPS 0x0010

#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_MSIX 0x11

#define MSIX_CONTROL_ENABLE 0x8000
#define MSIX_CONTROL_MASK 0x4000
#define MSIX_CONTROL_SIZE 0x07ff
#define MSIX_ENTRY_MASKED 1u

struct pci_bar {
	uint64_t addr;
	uint64_t size; /* 0: not there */
	bool is_64;
};

struct pci_dev {
	uint8_t slot;
	uint64_t config; /* address of its 4 KiB in ECAM */
	struct pci_bar bar[PCI_NR_BARS];
	uint8_t msix_cap; /* 0: none */
	uint64_t msix_table;
	uint64_t msix_pba;
	uint16_t nr_vectors;
};

/* Where the machine has PCI. */
struct pci_host {
	uint64_t ecam;
	/* The middle of the 32-bit window: monitors and firmware fill it from either
	 * end. */
	uint64_t next;
};

/* The machine's; false when it has none. */
bool pci_find_host(struct pci_host *host);

/* Finds it. */
bool pci_init(void);

/* Address of this function's configuration space. */
uint64_t pci_config(uint8_t slot, uint8_t function);

/* Number index of the functions with these ids; it gets addresses when it has
 * none yet, decodes memory and may master the bus. */
bool pci_open(struct pci_dev *dev, uint16_t vendor, uint16_t device,
	      unsigned index);

/* Next capability of this kind after offset at (0: the first); 0: no more. */
uint8_t pci_next_cap(const struct pci_dev *dev, uint8_t kind, uint8_t at);

/* Unused addresses in the 32-bit window, aligned to their size. */
uint64_t pci_alloc(uint64_t size);

/* Writes the BAR and no more: decoding is the caller's affair. */
void pci_set_bar(struct pci_dev *dev, unsigned bar, uint64_t addr);

/* Memory decoding on or off. */
void pci_set_decode(struct pci_dev *dev, bool on);

/* Reads the capability, and again after its BAR has moved. */
void msix_find(struct pci_dev *dev);

void msix_enable(struct pci_dev *dev);
void msix_disable(struct pci_dev *dev);
void msix_mask_function(struct pci_dev *dev, bool masked);
void msix_set(struct pci_dev *dev, uint16_t entry, uint64_t addr,
	      uint32_t data);
void msix_mask(struct pci_dev *dev, uint16_t entry, bool masked);
bool msix_is_pending(struct pci_dev *dev, uint16_t entry);

#endif
