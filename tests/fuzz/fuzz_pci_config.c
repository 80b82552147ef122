/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Configuration space and BARs of two disks and a window: the input is a row of
 * reads and writes of any width. What must hold: a device has as many ioeventfds
 * as queues while its BAR is mapped and none otherwise, the guest finds the window
 * where its BAR is, what identifies a device never changes, and nothing is left
 * when it is gone.
 */
#include <stddef.h>
#include <stdint.h>

#include "devices/pci/pci.h"
#include "tests/fuzz/stream.h"
#include "tests/lib/fake_disk.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define DISKS 2u
#define QUEUES 2u
#define WINDOW_SLOT 3u
#define WINDOW_BAR 4u
#define WINDOW_LEN (2 * MIB)
#define MAX_OPS 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_vm fv;
static struct fake_disk disks[DISKS];
static struct pci_dev shm;
static struct window *window;

static void add_window(void)
{
	static const struct pci_dev_ops ops = { 0 };
	static const struct pci_ids ids = { .vendor = 0x1af4 };

	shm = (struct pci_dev){ .slot = 0 };
	require(!window_create(&window, &fv.board.windows, &fv.board.gmem,
			       "window", WINDOW_LEN, NULL));
	pci_dev_init(&shm, &fv.board, &ops, &ids);
	pci_add_window(&shm, WINDOW_BAR, window);
	require(!pci_plug(&shm, WINDOW_SLOT, NULL));
}

static void remove_window(void)
{
	pci_dev_reset(&shm);
	require(!shm.bars[WINDOW_BAR].mapped);
	require(!window_overlaps(window, 0, UINT64_MAX));
	pci_unplug(&shm);
	window_destroy(window);
}

static gpa_t bar_of(unsigned int slot)
{
	return fake_cfg_read(&fv, slot, PCI_BASE_ADDRESS_0, 8) & ~0xfull;
}

static void op_config(struct stream *s, bool write)
{
	unsigned int op = (unsigned int)stream_take(s, 1);
	unsigned int len = 1u << (op & 3), slot = op >> 2 & 3;
	unsigned int off = (unsigned int)stream_take(s, 1);

	if (op & 0x80)
		off |= (unsigned int)stream_take(s, 1) << 8;
	off = MIN(off & 0x7fff, 0x7fffu - len + 1);
	if (write)
		fake_cfg_write(&fv, slot, off, stream_take(s, len), len);
	else
		fake_cfg_read(&fv, slot, off, len);
}

static void op_bar(struct stream *s, bool write)
{
	unsigned int op = (unsigned int)stream_take(s, 1);
	unsigned int len = 1u << (op & 3), slot = 1 + (op >> 2) % DISKS;
	gpa_t gpa = bar_of(slot) + stream_take(s, 2) % 0x8000;

	if (write)
		fake_mmio_write(&fv, gpa, stream_take(s, len), len);
	else
		fake_mmio_read(&fv, gpa, len);
}

static void check(void)
{
	const struct pci_bar *bar = &shm.bars[WINDOW_BAR];
	enum gmem_kind kind;
	uint64_t len = UINT64_MAX;
	unsigned int slot;

	/* One range is the configuration space itself. */
	require(fv.nr_ioeventfds ==
		QUEUES * (fv.board.mmio.nr - 1 - bar->mapped));
	if (bar->mapped) {
		require(gmem_span(&fv.board.gmem, bar->gpa, &len, &kind));
		require(kind == GMEM_WINDOW && len == WINDOW_LEN);
	}
	/* RAM stays what it is. */
	require(gmem_ptr(&fv.board.gmem, 0, FAKE_RAM_LEN));
	for (slot = 1; slot <= DISKS; slot++) {
		require(fake_cfg_read(&fv, slot, PCI_VENDOR_ID, 4) ==
			0x10421af4);
		require(fake_cfg_read(&fv, slot, PCI_CAPABILITY_LIST, 1) ==
			PCI_STD_HEADER_SIZEOF);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream s = { data, size };
	unsigned int i, n;

	log_init(STDERR_FILENO, LOG_ERROR);
	fake_vm_init(&fv);
	fake_vm_add_pci(&fv);
	for (i = 0; i < DISKS; i++)
		require(fake_disk_init(
			&disks[i], &fv, 64 * KIB,
			"engine=sync,poll_us=0,num_queues=2,queue_size=4"));
	add_window();
	for (n = 0; n < MAX_OPS && s.left; n++) {
		unsigned int op = (unsigned int)stream_take(&s, 1);

		if (op & 0x40)
			op_bar(&s, op & 1);
		else
			op_config(&s, op & 1);
		if (op & 0x80)
			fake_vm_turn(&fv);
		check();
	}
	fake_vm_turn(&fv);
	for (i = 0; i < DISKS; i++) {
		require(fake_disk_quiesce(&disks[i]));
		fake_vm_quiesce(&fv, disks[i].dev);
		disks[i].dev->ops->reset(disks[i].dev);
		require(fake_cfg_read(&fv, 1 + i, PCI_COMMAND, 2) == 0);
	}
	remove_window();
	require(!fv.nr_ioeventfds && fv.board.mmio.nr == 1);
	for (i = 0; i < DISKS; i++)
		fake_disk_fini(&disks[i]);
	fake_vm_fini(&fv);
	return 0;
}
