/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Configuration space, BARs, the window on BARs in configuration space. */
#include "mech.h"

#include "io.h"
#include "memory.h"
#include "param.h"
#include "text.h"

#define PCI_REVISION 0x08
#define PCI_SUBSYSTEM 0x2c
#define PCI_CAP_MAX_CHAIN 48

/* Offsets in the pci-cfg capability (virtio 1.2 §4.1.4.9). */
#define CFG_BAR 4
#define CFG_OFFSET 8
#define CFG_LENGTH 12
#define CFG_DATA 16

static struct pci_dev *disk(void)
{
	return &mech_blk.dev.pci;
}

static uint64_t config(void)
{
	return disk()->config;
}

const char *mech_pci_scan(void)
{
	unsigned nr_virtio = 0, nr_absent = 0;

	for (uint8_t slot = 0; slot < PCI_NR_SLOTS; slot++) {
		uint64_t at = pci_config(slot, 0);
		uint32_t id = mmio_read32(at);

		if (id == 0xffffffff) {
			nr_absent++;
			if (mmio_read8(at + 0x3f) != 0xff ||
			    mmio_read16(at + 0x102) != 0xffff)
				return failed("absent slot %u is not all ones",
					      slot);
			continue;
		}
		say("PCI %u %x:%x", slot, id & 0xffff, id >> 16);
		if ((id & 0xffff) == VIRTIO_PCI_VENDOR)
			nr_virtio++;
	}
	if (nr_virtio != param_number("virtio", 1))
		return failed("%u virtio devices", nr_virtio);
	if (!nr_absent)
		return failed("every slot is there");
	if (mmio_read32(pci_config(disk()->slot, 1)) != 0xffffffff)
		return failed("the disk has a function 1");
	return NULL;
}

/* The same bytes, whatever the width; no access is harmful. */
const char *mech_pci_widths(void)
{
	for (unsigned i = 0; i < 64; i += 4) {
		uint32_t whole = mmio_read32(config() + i);
		uint32_t halves, bytes = 0;

		if (i == PCI_COMMAND)
			continue;
		halves = mmio_read16(config() + i) |
			 (uint32_t)mmio_read16(config() + i + 2) << 16;
		for (unsigned j = 0; j < 4; j++)
			bytes |= (uint32_t)mmio_read8(config() + i + j)
				 << (8 * j);
		if (halves != whole || bytes != whole)
			return failed("at %x: %x, %x, %x", i, whole, halves,
				      bytes);
	}
	mmio_read64(config());
	for (unsigned i = 0; i < 8; i += MMIO_ALIGN32)
		mmio_read32(config() + i); /* crosses a register, mostly */
	mmio_write8(config() + 0xfff, 0xff);
	return NULL;
}

const char *mech_pci_readonly(void)
{
	static const uint8_t registers[] = { PCI_VENDOR, PCI_REVISION,
					     PCI_HEADER_TYPE & ~3,
					     PCI_SUBSYSTEM };

	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		uint64_t at = config() + registers[i];
		uint32_t before = mmio_read32(at), after;

		/* Cache line size and latency timer may be writable. */
		mmio_write32(at, ~before & 0xffff0000);
		mmio_write8(at, (uint8_t)~before);
		after = mmio_read32(at);
		if (registers[i] == (PCI_HEADER_TYPE & ~3)) {
			before &= 0x00ff0000;
			after &= 0x00ff0000;
		}
		if (after != before)
			return failed("register %x: %x became %x", registers[i],
				      before, after);
	}
	return NULL;
}

const char *mech_pci_caps(void)
{
	uint8_t at = 0;
	unsigned nr = 0;

	while ((at = pci_next_cap(disk(), PCI_CAP_VENDOR, at))) {
		uint64_t cap = config() + at;
		uint8_t bar = mmio_read8(cap + 4);
		uint64_t end =
			(uint64_t)mmio_read32(cap + 8) + mmio_read32(cap + 12);

		if (++nr > PCI_CAP_MAX_CHAIN)
			return failed("the list of capabilities is a loop");
		if (mmio_read8(cap + 3) == VPCI_CAP_PCI_CFG)
			continue;
		if (bar >= PCI_NR_BARS || end > disk()->bar[bar].size)
			return failed("capability at %x passes its BAR", at);
	}
	if (!mech_blk.dev.pci_cfg_cap)
		return failed("no pci-cfg capability");
	if (!disk()->msix_cap)
		return failed("no MSI-X");
	return NULL;
}

const char *mech_pci_bar_size(void)
{
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *bar = &disk()->bar[i];
		uint64_t reg = config() + PCI_BAR0 + 4 * i;

		if (!bar->size)
			continue;
		if (bar->size & (bar->size - 1))
			return failed("BAR %u: size %lx", i, bar->size);
		if ((mmio_read32(reg) & ~15u) != (uint32_t)bar->addr)
			return failed("BAR %u lost its address", i);
		if (bar->addr & (bar->size - 1))
			return failed("BAR %u is not aligned: %lx", i,
				      bar->addr);
	}
	return NULL;
}

/* Moves the BAR with the registers to addr, and sees that it has moved. */
static const char *move_bar(uint64_t addr)
{
	struct vdev *dev = &mech_blk.dev;
	uint8_t bar = 0, at = 0;
	uint64_t old, old_common;
	const char *why;

	while ((at = pci_next_cap(disk(), PCI_CAP_VENDOR, at))) {
		if (mmio_read8(config() + at + 3) == VPCI_CAP_COMMON)
			bar = mmio_read8(config() + at + 4);
	}
	old = disk()->bar[bar].addr;
	old_common = dev->common;
	pci_set_decode(disk(), false);
	pci_set_bar(disk(), bar,
		    addr ? addr : pci_alloc(disk()->bar[bar].size));
	pci_set_decode(disk(), true);
	why = vpci_locate(dev);
	if (why)
		return why;
	msix_find(disk());
	if (old == disk()->bar[bar].addr)
		return failed("the BAR did not move from %lx", old);
	if (mmio_read16(old_common + VPCI_NUM_QUEUES) != 0xffff)
		return failed("something answers at %lx", old_common);
	why = mech_start_disk(BLK_F_ALL);
	if (why)
		return why;
	return mech_read_disk();
}

const char *mech_pci_bar_move(void)
{
	const char *why = mech_start_disk(BLK_F_ALL);

	if (!why)
		why = mech_read_disk();
	for (int i = 0; !why && i < 3; i++)
		why = move_bar(0);
	return why;
}

/* To above 4 GiB and back; the address is the host's to choose. */
const char *mech_pci_bar_move_high(void)
{
	uint64_t high = param_number("high", 0);
	const char *why;

	if (!high)
		return skipped("no high= address");
	why = move_bar(high);
	return why ? why : move_bar(0);
}

const char *mech_pci_bar_off(void)
{
	uint64_t at = mech_blk.dev.common + VPCI_NUM_QUEUES;
	uint16_t off, on;

	pci_set_decode(disk(), false);
	off = mmio_read16(at);
	pci_set_decode(disk(), true);
	on = mmio_read16(at);
	if (off != 0xffff || on == 0xffff)
		return failed("read %x when off, %x when on", off, on);
	return NULL;
}

static void cfg_aim(uint8_t bar, uint32_t offset, uint32_t len)
{
	uint64_t cap = config() + mech_blk.dev.pci_cfg_cap;

	mmio_write8(cap + CFG_BAR, bar);
	mmio_write32(cap + CFG_OFFSET, offset);
	mmio_write32(cap + CFG_LENGTH, len);
}

const char *mech_pci_cfg_window(void)
{
	struct vdev *dev = &mech_blk.dev;
	uint64_t data = config() + dev->pci_cfg_cap + CFG_DATA;
	uint8_t bar = 0;
	uint32_t base, value;

	if (!dev->pci_cfg_cap)
		return failed("no pci-cfg capability");
	for (uint8_t i = 0; i < PCI_NR_BARS; i++) {
		if (disk()->bar[i].size && dev->common >= disk()->bar[i].addr &&
		    dev->common < disk()->bar[i].addr + disk()->bar[i].size)
			bar = i;
	}
	base = (uint32_t)(dev->common - disk()->bar[bar].addr);
	cfg_aim(bar, base + VPCI_NUM_QUEUES, 2);
	value = mmio_read16(data);
	if (value != mmio_read16(dev->common + VPCI_NUM_QUEUES))
		return failed("16 bits read %x", value);
	cfg_aim(bar, base + VPCI_DEVICE_FEATURE_SELECT, 4);
	mmio_write32(data, 1);
	cfg_aim(bar, base + VPCI_DEVICE_FEATURE, 4);
	value = mmio_read32(data);
	if (!(value & (VIRTIO_F_VERSION_1 >> 32)))
		return failed("32 bits read %x", value);
	vdev_reset(dev);
	cfg_aim(bar, base + VPCI_STATUS, 1);
	mmio_write8(data, VIRTIO_S_ACKNOWLEDGE);
	value = dev->ops->status(dev);
	if (value != VIRTIO_S_ACKNOWLEDGE || mmio_read8(data) != value)
		return failed("8 bits written read %x", value);
	vdev_reset(dev);
	return NULL;
}

/* Windows onto nothing: nothing may happen. */
const char *mech_pci_cfg_window_bad(void)
{
	static const struct {
		uint8_t bar;
		uint32_t offset, len;
	} bad[] = {
		{ 0, 0xfffffffc, 4 }, { 4, 0xffffffff, 4 }, { 5, 0, 4 },
		{ 6, 0, 4 },	      { 255, 0, 4 },	    { 4, 0, 3 },
		{ 4, 1, 4 },	      { 0, 0, 0xffffffff }, { 0, 0, 0 },
		{ 0, 0x7fffffff, 1 }, { 1, 0, 2 },	    { 2, 3, 2 },
	};
	uint64_t data = config() + mech_blk.dev.pci_cfg_cap + CFG_DATA;
	const char *why;

	if (!mech_blk.dev.pci_cfg_cap)
		return failed("no pci-cfg capability");
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		cfg_aim(bad[i].bar, bad[i].offset, bad[i].len);
		mmio_read32(data);
		mmio_read8(data);
		mmio_write32(data, 0);
		mmio_write8(data + 3, 0);
	}
	cfg_aim(0, 0, 4);
	why = mech_start_disk(BLK_F_ALL);
	return why ? why : mech_read_disk();
}
