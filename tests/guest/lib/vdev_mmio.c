/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * virtio over MMIO registers (virtio 1.2 §4.2). The product does not have
 * this transport: it is here to measure the monitors that do.
 */
#include "vdev.h"

#include "guest.h"
#include "io.h"

#define MMIO_MAGIC 0x000
#define MMIO_VERSION 0x004
#define MMIO_DEVICE_ID 0x008
#define MMIO_DEVICE_FEATURES 0x010
#define MMIO_DEVICE_FEATURES_SELECT 0x014
#define MMIO_DRIVER_FEATURES 0x020
#define MMIO_DRIVER_FEATURES_SELECT 0x024
#define MMIO_QUEUE_SELECT 0x030
#define MMIO_QUEUE_MAX 0x034
#define MMIO_QUEUE_SIZE 0x038
#define MMIO_QUEUE_READY 0x044
#define MMIO_QUEUE_NOTIFY 0x050
#define MMIO_STATUS 0x070
#define MMIO_QUEUE_DESC 0x080
#define MMIO_QUEUE_DRIVER 0x090
#define MMIO_QUEUE_DEVICE 0x0a0
#define MMIO_CONFIG 0x100

#define MMIO_MAGIC_VALUE 0x74726976 /* "virt" */

static uint8_t vmmio_status(struct vdev *dev)
{
	return (uint8_t)mmio_read32(dev->common + MMIO_STATUS);
}

static void vmmio_set_status(struct vdev *dev, uint8_t status)
{
	mmio_write32(dev->common + MMIO_STATUS, status);
}

static uint64_t vmmio_offered(struct vdev *dev)
{
	uint64_t features;

	mmio_write32(dev->common + MMIO_DEVICE_FEATURES_SELECT, 0);
	features = mmio_read32(dev->common + MMIO_DEVICE_FEATURES);
	mmio_write32(dev->common + MMIO_DEVICE_FEATURES_SELECT, 1);
	return features |
	       (uint64_t)mmio_read32(dev->common + MMIO_DEVICE_FEATURES) << 32;
}

static void vmmio_accept(struct vdev *dev, uint64_t features)
{
	mmio_write32(dev->common + MMIO_DRIVER_FEATURES_SELECT, 0);
	mmio_write32(dev->common + MMIO_DRIVER_FEATURES, (uint32_t)features);
	mmio_write32(dev->common + MMIO_DRIVER_FEATURES_SELECT, 1);
	mmio_write32(dev->common + MMIO_DRIVER_FEATURES,
		     (uint32_t)(features >> 32));
}

static uint16_t vmmio_queue_max(struct vdev *dev, uint16_t index)
{
	mmio_write32(dev->common + MMIO_QUEUE_SELECT, index);
	return (uint16_t)mmio_read32(dev->common + MMIO_QUEUE_MAX);
}

static const char *vmmio_queue_enable(struct vdev *dev, struct vq *q)
{
	uint64_t base = dev->common;

	mmio_write32(base + MMIO_QUEUE_SELECT, q->index);
	mmio_write32(base + MMIO_QUEUE_SIZE, q->size);
	mmio_write64(base + MMIO_QUEUE_DESC, (uint64_t)q->desc);
	mmio_write64(base + MMIO_QUEUE_DRIVER, (uint64_t)q->avail);
	mmio_write64(base + MMIO_QUEUE_DEVICE, (uint64_t)q->used);
	q->doorbell = base + MMIO_QUEUE_NOTIFY;
	q->doorbell_value = q->index;
	q->doorbell_is_32 = true;
	mmio_write32(base + MMIO_QUEUE_READY, 1);
	if (mmio_read32(base + MMIO_QUEUE_READY) != 1)
		return "the queue did not get ready";
	return NULL;
}

static const struct vdev_ops vmmio_ops = {
	.status = vmmio_status,
	.set_status = vmmio_set_status,
	.offered = vmmio_offered,
	.accept = vmmio_accept,
	.queue_max = vmmio_queue_max,
	.queue_enable = vmmio_queue_enable,
};

const char *vdev_open_mmio(struct vdev *dev, uint64_t base, unsigned type)
{
	if (mmio_read32(base + MMIO_MAGIC) != MMIO_MAGIC_VALUE)
		return "no virtio-mmio device at this address";
	if (mmio_read32(base + MMIO_VERSION) != 2)
		return "a legacy virtio-mmio device";
	if (mmio_read32(base + MMIO_DEVICE_ID) != type)
		return "a virtio-mmio device of another type";
	dev->ops = &vmmio_ops;
	dev->common = base;
	dev->config = base + MMIO_CONFIG;
	return NULL;
}
