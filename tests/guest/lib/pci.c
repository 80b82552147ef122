/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "pci.h"

#include "io.h"
#include "memory.h"

#define PCI_ALLOC_ALIGN 0x10000

#define BAR_IO 1u
#define BAR_TYPE_MASK 6u
#define BAR_TYPE_64 4u

#define MSIX_ENTRY_SIZE 16

static struct pci_host host;

bool pci_init(void)
{
	if (host.ecam)
		return true;
	if (!pci_find_host(&host))
		return false;
	memory_map_registers(host.ecam, 1 << 20);
	return true;
}

uint64_t pci_config(uint8_t slot, uint8_t function)
{
	return host.ecam + ((uint64_t)slot << 15) + ((uint64_t)function << 12);
}

uint64_t pci_alloc(uint64_t size)
{
	uint64_t addr;

	if (size < PCI_ALLOC_ALIGN)
		size = PCI_ALLOC_ALIGN;
	addr = (host.next + size - 1) & ~(size - 1);
	host.next = addr + size;
	return addr;
}

void pci_set_bar(struct pci_dev *dev, unsigned bar, uint64_t addr)
{
	uint64_t reg = dev->config + PCI_BAR0 + 4 * bar;

	mmio_write32(reg, (uint32_t)addr);
	if (dev->bar[bar].is_64)
		mmio_write32(reg + 4, (uint32_t)(addr >> 32));
	memory_map_registers(addr, dev->bar[bar].size);
	dev->bar[bar].addr = addr;
}

void pci_set_decode(struct pci_dev *dev, bool on)
{
	uint16_t command = mmio_read16(dev->config + PCI_COMMAND);

	command &= (uint16_t)~PCI_COMMAND_MEMORY;
	if (on)
		command |= PCI_COMMAND_MEMORY;
	mmio_write16(dev->config + PCI_COMMAND, command);
}

/* Sizes one BAR; returns how many registers it takes. */
static unsigned pci_size_bar(struct pci_dev *dev, unsigned bar)
{
	uint64_t reg = dev->config + PCI_BAR0 + 4 * bar;
	uint32_t low = mmio_read32(reg);
	uint32_t high = 0, mask_high = 0xffffffff, mask;
	struct pci_bar *b = &dev->bar[bar];

	if (low & BAR_IO)
		return 1;
	b->is_64 = (low & BAR_TYPE_MASK) == BAR_TYPE_64;
	mmio_write32(reg, 0xffffffff);
	mask = mmio_read32(reg);
	mmio_write32(reg, low);
	if (b->is_64) {
		high = mmio_read32(reg + 4);
		mmio_write32(reg + 4, 0xffffffff);
		mask_high = mmio_read32(reg + 4);
		mmio_write32(reg + 4, high);
	}
	if (mask) {
		b->size = -((uint64_t)mask_high << 32 | (mask & ~15u));
		b->addr = (uint64_t)high << 32 | (low & ~15u);
	}
	return b->is_64 ? 2 : 1;
}

static void pci_place_bars(struct pci_dev *dev)
{
	pci_set_decode(dev, false);
	for (unsigned i = 0; i < PCI_NR_BARS;)
		i += pci_size_bar(dev, i);
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		struct pci_bar *b = &dev->bar[i];

		if (!b->size)
			continue;
		if (!b->addr)
			pci_set_bar(dev, i, pci_alloc(b->size));
		else
			memory_map_registers(b->addr, b->size);
	}
}

void msix_find(struct pci_dev *dev)
{
	uint64_t cap;
	uint32_t table, pba;

	dev->msix_cap = pci_next_cap(dev, PCI_CAP_MSIX, 0);
	if (!dev->msix_cap)
		return;
	cap = dev->config + dev->msix_cap;
	table = mmio_read32(cap + 4);
	pba = mmio_read32(cap + 8);
	dev->nr_vectors = (mmio_read16(cap + 2) & MSIX_CONTROL_SIZE) + 1;
	dev->msix_table = dev->bar[table & 7].addr + (table & ~7u);
	dev->msix_pba = dev->bar[pba & 7].addr + (pba & ~7u);
}

bool pci_open(struct pci_dev *dev, uint16_t vendor, uint16_t device,
	      unsigned index)
{
	for (uint8_t slot = 0; slot < PCI_NR_SLOTS; slot++) {
		uint64_t config = pci_config(slot, 0);

		if (mmio_read32(config) != ((uint32_t)device << 16 | vendor))
			continue;
		if (index--)
			continue;
		memset(dev, 0, sizeof(*dev));
		dev->slot = slot;
		dev->config = config;
		pci_place_bars(dev);
		mmio_write16(config + PCI_COMMAND, PCI_COMMAND_MEMORY |
							   PCI_COMMAND_MASTER |
							   PCI_COMMAND_NO_INTX);
		msix_find(dev);
		return true;
	}
	return false;
}

uint8_t pci_next_cap(const struct pci_dev *dev, uint8_t kind, uint8_t at)
{
	uint64_t pointer = dev->config + (at ? at + 1u : PCI_CAP_POINTER);

	if (!(mmio_read16(dev->config + PCI_STATUS) & PCI_STATUS_CAPS))
		return 0;
	for (int limit = 48; limit > 0; limit--) {
		at = mmio_read8(pointer) & 0xfc;
		if (!at || mmio_read8(dev->config + at) == kind)
			return at;
		pointer = dev->config + at + 1;
	}
	return 0;
}

static void msix_control(struct pci_dev *dev, uint16_t clear, uint16_t set)
{
	uint64_t reg = dev->config + dev->msix_cap + 2;
	uint16_t control = mmio_read16(reg);

	mmio_write16(reg, (uint16_t)((control & ~clear) | set));
}

void msix_enable(struct pci_dev *dev)
{
	msix_control(dev, MSIX_CONTROL_MASK, MSIX_CONTROL_ENABLE);
}

void msix_disable(struct pci_dev *dev)
{
	msix_control(dev, MSIX_CONTROL_MASK | MSIX_CONTROL_ENABLE, 0);
}

void msix_mask_function(struct pci_dev *dev, bool masked)
{
	msix_control(dev, MSIX_CONTROL_MASK, masked ? MSIX_CONTROL_MASK : 0);
}

void msix_set(struct pci_dev *dev, uint16_t entry, uint64_t addr, uint32_t data)
{
	uint64_t at = dev->msix_table + entry * MSIX_ENTRY_SIZE;

	mmio_write32(at + 12, MSIX_ENTRY_MASKED);
	mmio_write64(at, addr);
	mmio_write32(at + 8, data);
	mmio_write32(at + 12, 0);
}

void msix_mask(struct pci_dev *dev, uint16_t entry, bool masked)
{
	mmio_write32(dev->msix_table + entry * MSIX_ENTRY_SIZE + 12,
		     masked ? MSIX_ENTRY_MASKED : 0);
}

bool msix_is_pending(struct pci_dev *dev, uint16_t entry)
{
	uint64_t word = dev->msix_pba + entry / 32 * 4;

	return mmio_read32(word) >> (entry % 32) & 1;
}
