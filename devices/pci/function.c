/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What a PCI function is made of, before it is on the bus. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "devices/pci/pci.h"
#include "vmm/board.h"
#include "vmm/byteorder.h"
#include "vmm/util.h"

void pci_dev_init(struct pci_dev *dev, struct board *board,
		  const struct pci_dev_ops *ops, const struct pci_ids *ids)
{
	uint8_t *w = dev->writable, *c;

	if (!dev->config)
		dev->config = dev->own_config;
	c = dev->config;
	dev->board = board;
	dev->ops = ops;
	dev->next_cap = PCI_STD_HEADER_SIZEOF;
	le_store(c + PCI_VENDOR_ID, ids->vendor, 2);
	le_store(c + PCI_DEVICE_ID, ids->device, 2);
	c[PCI_REVISION_ID] = ids->revision;
	le_store(c + PCI_CLASS_PROG, ids->class_code, 3);
	le_store(c + PCI_SUBSYSTEM_VENDOR_ID, ids->subsystem_vendor, 2);
	le_store(c + PCI_SUBSYSTEM_ID, ids->subsystem, 2);
	le_store(w + PCI_COMMAND,
		 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			 PCI_COMMAND_INTX_DISABLE,
		 2);
	w[0x3c] = 0xff; /* interrupt line: a scratch byte for the guest */
}

void pci_add_bar(struct pci_dev *dev, unsigned int bar, uint64_t size,
		 uint8_t type, const struct bus_ops *ops)
{
	struct pci_bar *b = &dev->bars[bar];

	b->size = size;
	b->type = type;
	b->ops = ops;
	b->opaque = dev;
	assert(IS_POW2(size) && size >= 16 && !(bar && pci_bar_is_64(b - 1)));
	assert(pci_bar_is_64(b) ? bar + 1 < PCI_STD_NUM_BARS && !b[1].size
				: size <= 2 * GIB);
	dev->config[pci_bar_register(bar)] = type;
	le_store(dev->writable + pci_bar_register(bar), ~(size - 1),
		 pci_bar_width(b));
}

uint8_t pci_add_capability(struct pci_dev *dev, uint8_t id, const void *body,
			   uint8_t len)
{
	uint8_t off = dev->next_cap;

	assert(len >= 2 && (unsigned int)off + len <= PCI_CONFIG_SIZE);
	memcpy(dev->config + off, body, len);
	dev->config[off] = id;
	dev->config[off + 1] = 0;
	dev->config[dev->last_cap ? dev->last_cap + 1 : PCI_CAPABILITY_LIST] =
		off;
	dev->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	dev->last_cap = off;
	dev->next_cap = (uint8_t)ALIGN_UP(off + len, 4);
	return off;
}

/* Behind a port the guest says which bus that is. */
uint32_t pci_requester_id(const struct pci_dev *dev)
{
	unsigned int bus = dev->port ? pci_port_bus(dev->port) : 0;

	return bus << 8 | dev->slot << 3 | dev->function;
}

static bool pci_msix_send(void *opaque, uint64_t addr, uint32_t data)
{
	struct pci_dev *dev = opaque;

	return board_msi(dev->board, pci_requester_id(dev), addr, data);
}

int pci_add_msix(struct pci_dev *dev, unsigned int nr_vectors,
		 uint32_t table_off, uint32_t pba_off)
{
	uint8_t body[12] = { 0 };

	assert(nr_vectors >= 1 && nr_vectors <= MSIX_MAX_VECTORS);
	if (msix_init(&dev->msix, nr_vectors, pci_msix_send, dev))
		return -ENOMEM;
	le_store(body + 2, nr_vectors - 1, 2);
	le_store(body + 4, table_off, 4); /* BAR indicator 0 */
	le_store(body + 8, pba_off, 4);
	dev->msix_cap =
		pci_add_capability(dev, PCI_CAP_ID_MSIX, body, sizeof(body));
	/* message control: function mask and enable */
	dev->writable[dev->msix_cap + 3] = 0xc0;
	return 0;
}

/*
 * A guest whose accesses KVM emulates comes here where it cannot have what is in
 * the window, and finds zeroes the next time.
 */
static void pci_window_read(void *opaque, uint64_t off, void *data,
			    unsigned int len)
{
	memset(data, 0, len);
	if (off < window_len(opaque))
		window_mend(opaque, off);
}

static void pci_window_write(void *opaque, uint64_t off,
			     const void *data unused_param,
			     unsigned int len unused_param)
{
	if (off < window_len(opaque))
		window_mend(opaque, off);
}

void pci_add_window(struct pci_dev *dev, unsigned int bar, struct window *w)
{
	static const struct bus_ops ops = { .read = pci_window_read,
					    .write = pci_window_write };

	uint64_t size = 1ull << (64 - __builtin_clzll(window_len(w) - 1));

	pci_add_bar(dev, bar, size,
		    PCI_BASE_ADDRESS_MEM_TYPE_64 |
			    PCI_BASE_ADDRESS_MEM_PREFETCH,
		    &ops);
	dev->bars[bar].opaque = dev->bars[bar].window = w;
}
