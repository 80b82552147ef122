/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The virtio transport: negotiation, queue set-up, configuration, reset. */
#include "mech.h"

#include "clock.h"
#include "io.h"
#include "memory.h"

#define STATUS_AT_FEATURES \
	(VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER | VIRTIO_S_FEATURES_OK)

static struct vdev *dev(void)
{
	return &mech_blk.dev;
}

static uint64_t common(void)
{
	return mech_blk.dev.common;
}

/* Whether FEATURES_OK sticks for exactly these features. */
static bool features_are_accepted(uint64_t features)
{
	vdev_reset(dev());
	dev()->ops->set_status(dev(), VIRTIO_S_ACKNOWLEDGE);
	dev()->ops->set_status(dev(), VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER);
	dev()->ops->accept(dev(), features);
	dev()->ops->set_status(dev(), STATUS_AT_FEATURES);
	return dev()->ops->status(dev()) == STATUS_AT_FEATURES;
}

const char *mech_features_no_version_1(void)
{
	uint64_t offered = dev()->ops->offered(dev());

	if (!features_are_accepted(offered))
		return failed("all that is offered is refused");
	if (features_are_accepted(offered & ~VIRTIO_F_VERSION_1))
		return failed("FEATURES_OK sticks without VERSION_1");
	return NULL;
}

const char *mech_features_unoffered(void)
{
	uint64_t offered = dev()->ops->offered(dev());

	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t feature = 1ull << bit;

		if (offered & feature)
			continue;
		if (features_are_accepted(VIRTIO_F_VERSION_1 | feature))
			return failed("FEATURES_OK sticks with bit %u", bit);
	}
	mmio_write32(common() + VPCI_DEVICE_FEATURE_SELECT, 2);
	if (mmio_read32(common() + VPCI_DEVICE_FEATURE))
		return failed("features past bit 63");
	return NULL;
}

/* What is written after FEATURES_OK changes nothing. */
const char *mech_features_late(void)
{
	uint32_t before, after;
	const char *why = mech_start_disk(VIRTIO_F_EVENT_IDX);

	if (why)
		return why;
	mmio_write32(common() + VPCI_DRIVER_FEATURE_SELECT, 0);
	before = mmio_read32(common() + VPCI_DRIVER_FEATURE);
	dev()->ops->accept(dev(), VIRTIO_F_VERSION_1);
	mmio_write32(common() + VPCI_DRIVER_FEATURE_SELECT, 0);
	after = mmio_read32(common() + VPCI_DRIVER_FEATURE);
	if (before != after)
		return failed("features were %x and are %x", before, after);
	return mech_read_disk();
}

/* A live queue stays as it is (virtio 1.2 §4.1.4.3.2 forbids the driver). */
const char *mech_queue_immutable(void)
{
	const char *why = mech_start_disk(BLK_F_ALL);
	struct vq *q = &dev()->vq[0];

	if (why)
		return why;
	vpci_select_queue(dev(), 0);
	mmio_write16(common() + VPCI_QUEUE_SIZE, 2);
	mmio_write64(common() + VPCI_QUEUE_DESC, 0x1000);
	mmio_write64(common() + VPCI_QUEUE_DRIVER, 0xfffffffffffff000);
	mmio_write64(common() + VPCI_QUEUE_DEVICE, 0x3000);
	if (mmio_read16(common() + VPCI_QUEUE_SIZE) != q->size)
		return failed("the size changed");
	if (mmio_read32(common() + VPCI_QUEUE_DESC) !=
	    (uint32_t)(uint64_t)q->desc)
		return failed("the address changed");
	mmio_write16(common() + VPCI_QUEUE_ENABLE, 0);
	if (mmio_read16(common() + VPCI_QUEUE_ENABLE) != 1)
		return failed("the queue got disabled");
	return mech_read_disk();
}

const char *mech_queue_select_bad(void)
{
	uint16_t nr_queues = mmio_read16(common() + VPCI_NUM_QUEUES);
	static const uint16_t beyond[] = { 0, 1, 1000, 0x7fff, 0xffff };
	const char *why;

	vdev_reset(dev());
	for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++) {
		uint16_t index = beyond[i];

		if (index < nr_queues)
			index = nr_queues;
		vpci_select_queue(dev(), index);
		if (mmio_read16(common() + VPCI_QUEUE_SIZE))
			return failed("queue %u has a size", index);
		mmio_write16(common() + VPCI_QUEUE_SIZE, 8);
		mmio_write64(common() + VPCI_QUEUE_DESC, 0x1000);
		mmio_write16(common() + VPCI_QUEUE_VECTOR, 0);
		mmio_write16(common() + VPCI_QUEUE_ENABLE, 1);
		mmio_write16(common() + VPCI_QUEUE_RESET, 1);
		if (mmio_read16(common() + VPCI_QUEUE_ENABLE) == 1)
			return failed("queue %u is enabled", index);
	}
	why = mech_start_disk(BLK_F_ALL);
	return why ? why : mech_read_disk();
}

/* Sizes that no queue may have; the device works after a reset. */
const char *mech_queue_size_bad(void)
{
	static const uint16_t sizes[] = { 0, 3, 100, 0x8001, 0xffff };
	static uint8_t rings[3][4096] __attribute__((aligned(4096)));
	const char *why;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		vdev_reset(dev());
		why = vdev_negotiate(dev(), BLK_F_ALL);
		if (why)
			return why;
		vpci_select_queue(dev(), 0);
		mmio_write16(common() + VPCI_QUEUE_SIZE, sizes[i]);
		mmio_write64(common() + VPCI_QUEUE_DESC, (uint64_t)rings[0]);
		mmio_write64(common() + VPCI_QUEUE_DRIVER, (uint64_t)rings[1]);
		mmio_write64(common() + VPCI_QUEUE_DEVICE, (uint64_t)rings[2]);
		mmio_write16(common() + VPCI_QUEUE_ENABLE, 1);
		vdev_driver_ok(dev());
		mmio_write16(dev()->notify, 0);
		clock_wait_us(1000);
	}
	why = mech_start_disk(BLK_F_ALL);
	return why ? why : mech_read_disk();
}

/* A doorbell before DRIVER_OK is no reason to look at the ring. */
const char *mech_queue_notify_early(void)
{
	static uint8_t sector[BLK_SECTOR];
	struct vq_seg data = { sector, sizeof(sector), true };
	struct vq *q = &dev()->vq[0];
	const char *why;
	int status;

	if (!vdev_reset(dev()))
		return failed("reset does not end");
	why = vdev_negotiate(dev(), BLK_F_ALL);
	if (!why)
		why = vdev_add_queue(dev(), 0, 0);
	if (why)
		return why;
	vq_ring_doorbell(q);
	vq_ring_doorbell(q);
	clock_wait_us(1000);
	if (q->used[1])
		return failed("the queue runs before DRIVER_OK");
	vdev_driver_ok(dev());
	status = blk_do(&mech_blk, 0, BLK_IN, 0, &data, 1, false);
	if (status != BLK_OK)
		return failed("a read ended with %d", status);
	return NULL;
}

/* Doorbells for queues that are not there, of other widths and places. */
const char *mech_queue_notify_bad(void)
{
	const char *why = mech_start_disk(BLK_F_ALL);
	uint64_t at = dev()->notify;

	if (why)
		return why;
	mmio_write16(at, 0xffff);
	mmio_write16(at, 7);
	mmio_write32(at, 0xffffffff);
	mmio_write8(at, 0);
	mmio_write16(at + 2, 3);
	mmio_write16(at + 1000, 1000);
	mmio_read32(at);
	return mech_read_disk();
}

const char *mech_config_generation(void)
{
	uint8_t first = mmio_read8(common() + VPCI_GENERATION);
	uint8_t last;
	const char *why;

	for (int i = 0; i < 10; i++)
		mmio_read32(dev()->config + BLK_CONFIG_CAPACITY);
	last = mmio_read8(common() + VPCI_GENERATION);
	if (first != last)
		return failed("%u became %u and nothing changed", first, last);
	why = mech_start_disk(BLK_F_ALL);
	if (why)
		return why;
	last = mmio_read8(common() + VPCI_GENERATION);
	mmio_read32(dev()->config + BLK_CONFIG_CAPACITY);
	if (mmio_read8(common() + VPCI_GENERATION) != last)
		return failed("it changes by being read");
	return NULL;
}

const char *mech_config_readonly(void)
{
	uint64_t config = dev()->config;
	uint32_t before = mmio_read32(config + BLK_CONFIG_CAPACITY);
	const char *why = mech_start_disk(BLK_F_ALL);

	if (why)
		return why;
	mmio_write32(config + BLK_CONFIG_CAPACITY, ~before);
	mmio_write8(config + BLK_CONFIG_SEG_MAX, 0);
	mmio_write32(config + 0x1000 - 4, 0xffffffff);
	mmio_write16(config + BLK_CONFIG_NUM_QUEUES, 0xffff);
	if (mmio_read32(config + BLK_CONFIG_CAPACITY) != before)
		return failed("the capacity can be written");
	return mech_read_disk();
}

const char *mech_config_widths(void)
{
	uint64_t config = dev()->config;

	for (unsigned i = 0; i < 56; i += 4) {
		uint32_t whole = mmio_read32(config + i), bytes = 0;
		uint32_t halves = mmio_read16(config + i) |
				  (uint32_t)mmio_read16(config + i + 2) << 16;

		for (unsigned j = 0; j < 4; j++)
			bytes |= (uint32_t)mmio_read8(config + i + j)
				 << (8 * j);
		if (bytes != whole || halves != whole)
			return failed("at %u: %x, %x, %x", i, whole, halves,
				      bytes);
	}
	for (unsigned i = 56; i < 256; i += MMIO_ALIGN32)
		mmio_read32(config + i);
	return NULL;
}

const char *mech_reset_state(void)
{
	const char *why = mech_start_disk(BLK_F_ALL);
	uint16_t size;

	if (!why)
		why = mech_read_disk();
	if (why)
		return why;
	mmio_write16(common() + VPCI_CONFIG_VECTOR, 0);
	if (!vdev_reset(dev()))
		return failed("the status does not become 0");
	vpci_select_queue(dev(), 0);
	if (mmio_read16(common() + VPCI_QUEUE_ENABLE))
		return failed("the queue is still enabled");
	if (mmio_read32(common() + VPCI_QUEUE_DESC))
		return failed("the queue still has an address");
	if (mmio_read16(common() + VPCI_CONFIG_VECTOR) != VDEV_NO_VECTOR ||
	    mmio_read16(common() + VPCI_QUEUE_VECTOR) != VDEV_NO_VECTOR)
		return failed("vectors survive");
	mmio_write32(common() + VPCI_DRIVER_FEATURE_SELECT, 0);
	if (mmio_read32(common() + VPCI_DRIVER_FEATURE))
		return failed("features survive");
	size = mmio_read16(common() + VPCI_QUEUE_SIZE);
	why = blk_start(&mech_blk, BLK_F_ALL, 1, 4);
	if (why)
		return why;
	why = mech_read_disk();
	vdev_reset(dev());
	vpci_select_queue(dev(), 0);
	if (!why && mmio_read16(common() + VPCI_QUEUE_SIZE) != size)
		return failed("the size is not back at %u", size);
	return why;
}

const char *mech_reset_again(void)
{
	for (int i = 0; i < 100; i++) {
		const char *why = mech_start_disk(BLK_F_ALL);

		if (!why)
			why = mech_read_disk();
		if (why)
			return why;
	}
	for (int i = 0; i < 100; i++)
		vdev_reset(dev());
	return NULL;
}

/* Past the wrap of the 16-bit indices, with as few doorbells as asked for. */
const char *mech_event_idx(void)
{
	static uint8_t sector[BLK_SECTOR];
	struct vq *q = &dev()->vq[0];
	const char *why = blk_start(&mech_blk, BLK_F_ALL, 1, 16);
	int status;

	if (why)
		return why;
	if (!q->event_idx)
		return failed("EVENT_IDX is not offered");
	for (unsigned i = 0; i < 70000; i++) {
		status = blk_read(&mech_blk, 0, sector, sizeof(sector));
		if (status != BLK_OK)
			return failed("read %u ended with %d", i, status);
	}
	return NULL;
}
