/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_UNIT_PCI_FIXTURE_H
#define TESTS_UNIT_PCI_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "devices/pci/pci.h"
#include "tests/lib/fake_vm.h"
#include "vmm/byteorder.h"
#include "vmm/log.h"
#include "vmm/util.h"

/* A bus with a card in slot 1. For the one file that includes this. */
#define BAR_SIZE 0x4000u
#define CAP_LEN 8u

/* A function with a BAR that remembers the last access. */
struct card {
	struct pci_dev pci;
	uint64_t last_off;
	uint64_t last_value;
	unsigned int last_len;
	unsigned int accesses;
	gpa_t mapped_at;
	unsigned int moves;
	unsigned int config_reads;
	unsigned int config_writes;
};

static struct fake_vm fv;
static struct card cards[PCI_SLOTS];

static void card_read(void *opaque, uint64_t off, void *data, unsigned int len)
{
	struct card *card = container_of(opaque, struct card, pci);

	card->last_off = off;
	card->last_len = len;
	card->accesses++;
	memset(data, 0x5a, len);
}

static void card_write(void *opaque, uint64_t off, const void *data,
		       unsigned int len)
{
	struct card *card = container_of(opaque, struct card, pci);

	card->last_off = off;
	card->last_len = len;
	card->last_value = le_load(data, len);
	card->accesses++;
}

static void card_moved(struct pci_dev *pci, unsigned int bar, gpa_t gpa,
		       bool mapped)
{
	struct card *card = container_of(pci, struct card, pci);

	if (bar)
		return;
	card->mapped_at = mapped ? gpa : 0;
	card->moves++;
}

static void card_config_read(struct pci_dev *pci, unsigned int off unused_param,
			     unsigned int len unused_param)
{
	container_of(pci, struct card, pci)->config_reads++;
}

static void card_config_written(struct pci_dev *pci,
				unsigned int off unused_param,
				unsigned int len unused_param)
{
	container_of(pci, struct card, pci)->config_writes++;
}

static const struct bus_ops card_bar_ops = { .read = card_read,
					     .write = card_write };

static const struct pci_dev_ops card_ops = {
	.bar_moved = card_moved,
	.config_read = card_config_read,
	.config_written = card_config_written,
};

static void card_make(struct card *card)
{
	static const struct pci_ids ids = {
		.vendor = 0x1234,
		.device = 0x5678,
		.subsystem_vendor = 0x9abc,
		.subsystem = 0xdef0,
		.revision = 7,
		.class_code = 0x018001,
	};
	const uint8_t cap[CAP_LEN] = { 0, 0, CAP_LEN, 1, 2, 3, 4, 5 };

	memset(card, 0, sizeof(*card));
	pci_dev_init(&card->pci, &fv.board, &card_ops, &ids);
	pci_add_bar(&card->pci, 0, BAR_SIZE, PCI_BASE_ADDRESS_MEM_TYPE_64,
		    &card_bar_ops);
	assert_int_equal(pci_add_msix(&card->pci, 4, 0x1000, 0x2000), 0);
	pci_add_capability(&card->pci, PCI_CAP_ID_VNDR, cap, CAP_LEN);
}

static int card_plug_at(struct card *card, unsigned int slot, struct error *err)
{
	card_make(card);
	return pci_plug(&card->pci, slot, err);
}

static int card_plug(struct card *card, struct error *err)
{
	return card_plug_at(card, 0, err);
}

static int setup(void **state unused_param)
{
	fake_vm_init(&fv);
	fake_vm_add_pci(&fv);
	assert_int_equal(card_plug(&cards[1], NULL), 0);
	return 0;
}

static int teardown(void **state unused_param)
{
	if (cards[1].pci.root)
		pci_unplug(&cards[1].pci);
	fake_vm_fini(&fv);
	return 0;
}

static uint32_t cfg(unsigned int slot, unsigned int off, unsigned int len)
{
	return (uint32_t)fake_cfg_read(&fv, slot, off, len);
}

static void enable(unsigned int slot, bool on)
{
	fake_cfg_write(&fv, slot, PCI_COMMAND, on ? PCI_COMMAND_MEMORY : 0, 2);
}

static void move(unsigned int slot, gpa_t gpa)
{
	fake_cfg_write(&fv, slot, PCI_BASE_ADDRESS_0, gpa, 4);
	fake_cfg_write(&fv, slot, PCI_BASE_ADDRESS_0 + 4, gpa >> 32, 4);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
