/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Root ports: the input is a row of accesses to the configuration space of ports
 * and of what is behind them, of devices that come, are asked for and go, and of
 * resets. What must hold: a port's status says what is behind it, what identifies
 * it never changes, what is done sends at most one interrupt a port, and
 * nothing is left when all are gone.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "devices/pci/pci.h"
#include "devices/platform/chips.h"
#include "tests/fuzz/stream.h"
#include "tests/lib/fake_vm.h"
#include "vmm/hotplug.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define CARDS 4u
#define PORT_SLOT 28u
#define EXP 0x40u /* the first capability */
#define MAX_OPS 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_vm fv;
static struct device *ports;
static struct pci_dev cards[CARDS];
static bool there[CARDS];

static void card_read(void *opaque unused_param, uint64_t off unused_param,
		      void *data, unsigned int len)
{
	memset(data, 0, len);
}

static void card_write(void *opaque unused_param, uint64_t off unused_param,
		       const void *data unused_param,
		       unsigned int len unused_param)
{
}

/* Ports, what is behind them by the numbers the guest gave, and slots in between. */
static void op_config(struct stream *s, bool write)
{
	static const unsigned int first[] = { PORT_SLOT, 32, 64, 0 };
	unsigned int op = (unsigned int)stream_take(s, 1);
	unsigned int len = 1u << (op & 3) % 3;
	unsigned int slot = first[op >> 2 & 3] + (op >> 4 & 3);
	unsigned int off = (unsigned int)stream_take(s, 1);

	if (op & 0x80)
		off |= (unsigned int)stream_take(s, 1) << 8;
	off = MIN(off & 0x7fff, 0x7fffu - len + 1) & ~(len - 1);
	if (write)
		fake_cfg_write(&fv, slot, off, stream_take(s, len), len);
	else
		fake_cfg_read(&fv, slot, off, len);
}

static void card_come(unsigned int i)
{
	static const struct pci_dev_ops ops = { 0 };
	static const struct bus_ops bar = { card_read, card_write };
	static const struct pci_ids ids = { .vendor = 0x1af4 };
	const struct board_hotplug *by = &fv.board.hotplug[HOTPLUG_PCI];

	cards[i] = (struct pci_dev){ .slot = 0 };
	pci_dev_init(&cards[i], &fv.board, &ops, &ids);
	pci_add_bar(&cards[i], 0, 4 * KIB, PCI_BASE_ADDRESS_MEM_TYPE_64, &bar);
	if (pci_plug(&cards[i], 0, NULL))
		return;
	there[i] = true;
	by->ops->came(by->opaque, HOTPLUG_PCI,
		      hotplug_pci_index(cards[i].bus, cards[i].slot), 0, 0);
}

static void op_card(struct stream *s)
{
	const struct board_hotplug *by = &fv.board.hotplug[HOTPLUG_PCI];
	unsigned int op = (unsigned int)stream_take(s, 1), i = op % CARDS;
	unsigned int index;

	if (!there[i]) {
		card_come(i);
		return;
	}
	index = hotplug_pci_index(cards[i].bus, cards[i].slot);
	if (op & 0x10) {
		by->ops->ask(by->opaque, HOTPLUG_PCI, index, op & 0x20);
		by->ops->is_unread(by->opaque, HOTPLUG_PCI, index);
		return;
	}
	if (op & 0x20)
		pci_detach(&cards[i], true);
	pci_unplug(&cards[i]);
	there[i] = false;
}

static void op_any(struct stream *s)
{
	unsigned int op = (unsigned int)stream_take(s, 1);

	if ((op & 0xc0) == 0xc0)
		op_card(s);
	else if ((op & 0xff) == 0x80)
		ports->ops->reset(ports);
	else if ((op & 0xff) == 0x81)
		ports->ops->resume(ports);
	else
		op_config(s, op & 1);
}

static void check(void)
{
	unsigned int nr_there = 0, nr_seen = 0, i;

	for (i = 0; i < PCI_PORTS; i++) {
		unsigned int slot = PORT_SLOT + i / 8, at = i % 8 << 12;

		require(fake_cfg_read(&fv, slot, at | PCI_VENDOR_ID, 4) ==
			0x000c1b36);
		require(fake_cfg_read(&fv, slot, at | EXP, 1) ==
			PCI_CAP_ID_EXP);
		nr_seen += !!(fake_cfg_read(&fv, slot,
					    at | (EXP + PCI_EXP_SLTSTA), 2) &
			      PCI_EXP_SLTSTA_PDS);
	}
	for (i = 0; i < CARDS; i++)
		nr_there += there[i] && cards[i].bus;
	require(nr_there == nr_seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct chip_place place = { .class = &root_ports_class };
	struct stream s = { data, size };
	unsigned int n, before;

	log_init(STDERR_FILENO, LOG_ERROR);
	fake_vm_init(&fv);
	fake_vm_add_pci(&fv);
	ports = fake_vm_add(&fv, &root_ports_class, &place);
	require(ports);
	fv.board.run = BOARD_RUNNING;
	for (n = 0; n < MAX_OPS && s.left; n++) {
		before = fv.nr_msi;
		op_any(&s);
		require(fv.nr_msi - before <= PCI_PORTS);
		check();
	}
	for (n = 0; n < CARDS; n++) {
		if (there[n])
			pci_unplug(&cards[n]);
		there[n] = false;
	}
	check();
	fake_vm_fini(&fv);
	return 0;
}
