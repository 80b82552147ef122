/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* virtio over PCI (virtio 1.2 §4.1). */
#include "vdev.h"

#include "guest.h"
#include "io.h"
#include "memory.h"

static uint8_t vpci_status(struct vdev *dev)
{
	return mmio_read8(dev->common + VPCI_STATUS);
}

static void vpci_set_status(struct vdev *dev, uint8_t status)
{
	mmio_write8(dev->common + VPCI_STATUS, status);
}

static uint64_t vpci_offered(struct vdev *dev)
{
	uint64_t features;

	mmio_write32(dev->common + VPCI_DEVICE_FEATURE_SELECT, 0);
	features = mmio_read32(dev->common + VPCI_DEVICE_FEATURE);
	mmio_write32(dev->common + VPCI_DEVICE_FEATURE_SELECT, 1);
	return features |
	       (uint64_t)mmio_read32(dev->common + VPCI_DEVICE_FEATURE) << 32;
}

static void vpci_accept(struct vdev *dev, uint64_t features)
{
	mmio_write32(dev->common + VPCI_DRIVER_FEATURE_SELECT, 0);
	mmio_write32(dev->common + VPCI_DRIVER_FEATURE, (uint32_t)features);
	mmio_write32(dev->common + VPCI_DRIVER_FEATURE_SELECT, 1);
	mmio_write32(dev->common + VPCI_DRIVER_FEATURE,
		     (uint32_t)(features >> 32));
}

void vpci_select_queue(struct vdev *dev, uint16_t index)
{
	mmio_write16(dev->common + VPCI_QUEUE_SELECT, index);
}

static uint16_t vpci_queue_max(struct vdev *dev, uint16_t index)
{
	vpci_select_queue(dev, index);
	return mmio_read16(dev->common + VPCI_QUEUE_SIZE);
}

static const char *vpci_queue_enable(struct vdev *dev, struct vq *q)
{
	uint64_t common = dev->common;
	uint16_t vector = dev->queue_vector[q->index];

	vpci_select_queue(dev, q->index);
	mmio_write16(common + VPCI_QUEUE_SIZE, q->size);
	mmio_write64(common + VPCI_QUEUE_DESC, (uint64_t)q->desc);
	mmio_write64(common + VPCI_QUEUE_DRIVER, (uint64_t)q->avail);
	mmio_write64(common + VPCI_QUEUE_DEVICE, (uint64_t)q->used);
	mmio_write16(common + VPCI_QUEUE_VECTOR, vector);
	if (mmio_read16(common + VPCI_QUEUE_VECTOR) != vector)
		return "the queue's vector was refused";
	q->doorbell = dev->notify +
		      (uint64_t)mmio_read16(common + VPCI_QUEUE_NOTIFY_OFF) *
			      dev->notify_multiplier;
	q->doorbell_value = q->index;
	q->doorbell_is_32 = false;
	mmio_write16(common + VPCI_QUEUE_ENABLE, 1);
	if (mmio_read16(common + VPCI_QUEUE_ENABLE) != 1)
		return "the queue did not get enabled";
	return NULL;
}

static const struct vdev_ops vpci_ops = {
	.status = vpci_status,
	.set_status = vpci_set_status,
	.offered = vpci_offered,
	.accept = vpci_accept,
	.queue_max = vpci_queue_max,
	.queue_enable = vpci_queue_enable,
};

const char *vpci_locate(struct vdev *dev)
{
	uint8_t at = 0;

	dev->common = dev->notify = dev->isr = dev->config = 0;
	while ((at = pci_next_cap(&dev->pci, PCI_CAP_VENDOR, at))) {
		uint64_t cap = dev->pci.config + at;
		uint8_t bar = mmio_read8(cap + 4);
		uint64_t addr;

		if (mmio_read8(cap + 3) == VPCI_CAP_PCI_CFG) {
			dev->pci_cfg_cap = at;
			continue;
		}
		if (bar >= PCI_NR_BARS || !dev->pci.bar[bar].size)
			continue;
		addr = dev->pci.bar[bar].addr + mmio_read32(cap + 8);
		switch (mmio_read8(cap + 3)) {
		case VPCI_CAP_COMMON:
			dev->common = addr;
			break;
		case VPCI_CAP_NOTIFY:
			dev->notify = addr;
			dev->notify_multiplier = mmio_read32(cap + 16);
			break;
		case VPCI_CAP_ISR:
			dev->isr = addr;
			break;
		case VPCI_CAP_DEVICE:
			dev->config = addr;
			break;
		}
	}
	if (!dev->common || !dev->notify || !dev->isr || !dev->config)
		return "a virtio capability is missing";
	return NULL;
}

struct vpci_shm vpci_find_shm(const struct vdev *dev)
{
	struct vpci_shm shm = { .len = 0 };
	uint8_t at = 0;

	while ((at = pci_next_cap(&dev->pci, PCI_CAP_VENDOR, at))) {
		uint64_t cap = dev->pci.config + at;

		if (mmio_read8(cap + 3) != VPCI_CAP_SHM || mmio_read8(cap + 5))
			continue;
		shm.bar = mmio_read8(cap + 4);
		shm.addr = dev->pci.bar[shm.bar].addr + mmio_read32(cap + 8) +
			   ((uint64_t)mmio_read32(cap + 16) << 32);
		shm.len = mmio_read32(cap + 12) |
			  (uint64_t)mmio_read32(cap + 20) << 32;
	}
	return shm;
}

const char *vdev_open_pci(struct vdev *dev, unsigned type, unsigned index)
{
	if (!pci_init())
		return "no ECAM";
	if (!pci_open(&dev->pci, VIRTIO_PCI_VENDOR,
		      (uint16_t)VIRTIO_PCI_DEVICE(type), index))
		return "no such device";
	dev->ops = &vpci_ops;
	dev->config_vector = VDEV_NO_VECTOR;
	for (unsigned i = 0; i < VDEV_MAX_QUEUES; i++)
		dev->queue_vector[i] = VDEV_NO_VECTOR;
	return vpci_locate(dev);
}
