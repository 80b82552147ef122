/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * MSI-X (PCI Local Bus 3.0 §6.8.2): delivery, masks and the pending bits.
 * Queue 0 uses table entry 1 and QUEUE_VECTOR.
 */
#include "mech.h"

#include "clock.h"
#include "io.h"
#include "irq.h"
#include "memory.h"

#define QUEUE_ENTRY 1
#define QUEUE_VECTOR (IRQ_FIRST_VECTOR + 1)
#define OTHER_VECTOR (IRQ_FIRST_VECTOR + 2)

#define COMES_MS 2000 /* an interrupt that comes has come by then */
#define SILENT_US 20000 /* one that does not come would have */

static struct pci_dev *disk(void)
{
	return &mech_blk.dev.pci;
}

/*
 * Without EVENT_IDX: there the device sends nothing for a request that the
 * driver, polling, has seen before the device looks at the event index.
 */
#define MSIX_FEATURES (BLK_F_ALL & ~VIRTIO_F_EVENT_IDX)

static const char *msix_start_by(void (*start)(void))
{
	const char *why;

	if (disk()->nr_vectors <= QUEUE_ENTRY)
		return failed("%u vectors", disk()->nr_vectors);
	start();
	irq_aim(disk(), QUEUE_ENTRY, QUEUE_VECTOR);
	msix_enable(disk());
	mech_blk.dev.queue_vector[0] = QUEUE_ENTRY;
	why = mech_start_disk(MSIX_FEATURES);
	vq_set_interrupts(&mech_blk.dev.vq[0], true);
	return why;
}

static const char *msix_start(void)
{
	return msix_start_by(irq_start);
}

static const char *msix_stop(const char *why)
{
	mech_blk.dev.queue_vector[0] = VDEV_NO_VECTOR;
	vdev_reset(&mech_blk.dev);
	msix_mask(disk(), QUEUE_ENTRY, true);
	msix_disable(disk());
	irq_stop();
	return why;
}

/* A read whose interrupt must come on this vector. */
static const char *read_and_expect(uint8_t vector)
{
	uint32_t before = irq_counts[vector];
	const char *why = mech_read_disk();

	if (why)
		return why;
	if (!irq_wait(vector, before + 1, COMES_MS))
		return failed("no interrupt on vector %u", vector);
	return NULL;
}

/* A read whose interrupt must not come. */
static const char *read_and_expect_none(void)
{
	uint32_t before = irq_counts[QUEUE_VECTOR];
	const char *why = mech_read_disk();

	if (why)
		return why;
	clock_wait_us(SILENT_US);
	if (irq_counts[QUEUE_VECTOR] != before)
		return failed("an interrupt came");
	return NULL;
}

const char *mech_msix_reset_state(void)
{
	uint16_t control = mmio_read16(disk()->config + disk()->msix_cap + 2);
	uint64_t entry = disk()->msix_table + 16 * QUEUE_ENTRY;

	if (control & MSIX_CONTROL_ENABLE)
		return failed("enabled: control %x", control);
	if (!(mmio_read32(entry + 12) & MSIX_ENTRY_MASKED))
		return failed("an entry starts unmasked");
	mmio_write64(entry, 0x123456789abcdef0);
	mmio_write32(entry + 8, 0x55aa55aa);
	if (mmio_read32(entry) != 0x9abcdef0 ||
	    mmio_read32(entry + 4) != 0x12345678 ||
	    mmio_read32(entry + 8) != 0x55aa55aa)
		return failed("an entry does not hold what is written");
	if (mmio_read64(entry) != 0x123456789abcdef0)
		return failed("64 bits of an entry read otherwise");
	mmio_write64(entry, 0);
	mmio_write32(entry + 8, 0);
	mmio_write32(disk()->msix_pba, 0xffffffff);
	if (mmio_read32(disk()->msix_pba))
		return failed("a pending bit can be written");
	return NULL;
}

const char *mech_msix_deliver_by(void (*start)(void))
{
	uint32_t before;
	const char *why = msix_start_by(start);

	before = irq_counts[QUEUE_VECTOR];
	for (int i = 0; !why && i < 100; i++)
		why = read_and_expect(QUEUE_VECTOR);
	if (!why && irq_counts[QUEUE_VECTOR] != before + 100)
		why = failed("%u interrupts for 100 reads",
			     irq_counts[QUEUE_VECTOR] - before);
	return msix_stop(why);
}

const char *mech_msix_deliver(void)
{
	return mech_msix_deliver_by(irq_start);
}

/* Masked: kept in the pending bit. Unmasked: delivered, once. */
static const char *masked(void (*set_mask)(bool on))
{
	uint32_t before = irq_counts[QUEUE_VECTOR];
	const char *why;

	set_mask(true);
	why = read_and_expect_none();
	if (!why && !msix_is_pending(disk(), QUEUE_ENTRY))
		why = failed("the pending bit is not set");
	set_mask(false);
	if (why)
		return why;
	if (!irq_wait(QUEUE_VECTOR, before + 1, COMES_MS))
		return failed("unmasking delivers nothing");
	if (msix_is_pending(disk(), QUEUE_ENTRY))
		return failed("the pending bit stays set");
	clock_wait_us(SILENT_US);
	if (irq_counts[QUEUE_VECTOR] != before + 1)
		return failed("delivered more than once");
	return read_and_expect(QUEUE_VECTOR);
}

static void mask_entry(bool on)
{
	msix_mask(disk(), QUEUE_ENTRY, on);
}

static void mask_function(bool on)
{
	msix_mask_function(disk(), on);
}

const char *mech_msix_masked_entry(void)
{
	const char *why = msix_start();

	for (int i = 0; !why && i < 3; i++)
		why = masked(mask_entry);
	return msix_stop(why);
}

const char *mech_msix_masked_function(void)
{
	const char *why = msix_start();

	for (int i = 0; !why && i < 3; i++)
		why = masked(mask_function);
	return msix_stop(why);
}

/* A new message written while masked is the one that is sent. */
const char *mech_msix_retarget(void)
{
	const char *why = msix_start();
	uint32_t before;

	if (!why)
		why = read_and_expect(QUEUE_VECTOR);
	mask_entry(true);
	if (!why)
		why = read_and_expect_none();
	before = irq_counts[OTHER_VECTOR];
	irq_aim(disk(), QUEUE_ENTRY, OTHER_VECTOR);
	if (!why && !irq_wait(OTHER_VECTOR, before + 1, COMES_MS))
		why = failed("what was pending is not sent to the new vector");
	if (!why)
		why = read_and_expect(OTHER_VECTOR);
	return msix_stop(why);
}

const char *mech_msix_no_vector(void)
{
	const char *why = msix_start();

	mech_blk.dev.queue_vector[0] = VDEV_NO_VECTOR;
	if (!why)
		why = mech_start_disk(MSIX_FEATURES);
	vq_set_interrupts(&mech_blk.dev.vq[0], true);
	if (!why)
		why = read_and_expect_none();
	if (!why && msix_is_pending(disk(), QUEUE_ENTRY))
		why = failed("a pending bit is set");
	return msix_stop(why);
}

/* An interrupt when the used index passes used_event, and only then. */
const char *mech_msix_event_idx(void)
{
	struct vq *q = &mech_blk.dev.vq[0];
	const char *why = msix_start();

	if (!why)
		why = mech_start_disk(BLK_F_ALL);
	if (!why && !q->event_idx)
		why = failed("EVENT_IDX is not offered");
	/* The first of all may come unasked. */
	if (!why)
		why = mech_read_disk();
	clock_wait_us(SILENT_US);
	for (int round = 0; !why && round < 5; round++) {
		*vq_used_event(q) = (uint16_t)(q->used_idx + 3);
		full_fence();
		for (int i = 0; !why && i < 3; i++)
			why = read_and_expect_none();
		if (!why)
			why = read_and_expect(QUEUE_VECTOR);
		for (int i = 0; !why && i < 3; i++)
			why = read_and_expect_none();
	}
	return msix_stop(why);
}

/* A vector past the table reads back as none (virtio 1.2 §4.1.5.1.2.2). */
const char *mech_msix_bad_vector(void)
{
	uint64_t common = mech_blk.dev.common;
	uint16_t queue, config;

	vdev_reset(&mech_blk.dev);
	vpci_select_queue(&mech_blk.dev, 0);
	mmio_write16(common + VPCI_QUEUE_VECTOR, disk()->nr_vectors);
	queue = mmio_read16(common + VPCI_QUEUE_VECTOR);
	mmio_write16(common + VPCI_CONFIG_VECTOR, 0x7fff);
	config = mmio_read16(common + VPCI_CONFIG_VECTOR);
	if (queue != VDEV_NO_VECTOR || config != VDEV_NO_VECTOR)
		return failed("queue %x, config %x", queue, config);
	mmio_write16(common + VPCI_CONFIG_VECTOR, 0);
	config = mmio_read16(common + VPCI_CONFIG_VECTOR);
	if (config != 0)
		return failed("a good vector reads %x", config);
	return NULL;
}
