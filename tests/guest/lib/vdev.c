/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vdev.h"

#include "clock.h"
#include "guest.h"
#include "memory.h"

#define RESET_TIMEOUT_MS 10000

bool vdev_reset(struct vdev *dev)
{
	uint64_t deadline = clock_after_ms(RESET_TIMEOUT_MS);

	dev->ops->set_status(dev, 0);
	while (dev->ops->status(dev) != 0) {
		if (clock_is_past(deadline))
			return false;
		cpu_relax();
	}
	return true;
}

const char *vdev_negotiate(struct vdev *dev, uint64_t wanted)
{
	uint8_t status = VIRTIO_S_ACKNOWLEDGE;
	uint64_t offered;

	dev->ops->set_status(dev, status);
	status |= VIRTIO_S_DRIVER;
	dev->ops->set_status(dev, status);
	offered = dev->ops->offered(dev);
	if (!(offered & VIRTIO_F_VERSION_1))
		return "VERSION_1 is not offered";
	dev->features = (offered & wanted) | VIRTIO_F_VERSION_1;
	dev->ops->accept(dev, dev->features);
	status |= VIRTIO_S_FEATURES_OK;
	dev->ops->set_status(dev, status);
	if (dev->ops->status(dev) != status)
		return "FEATURES_OK did not stick";
	return NULL;
}

const char *vdev_add_queue(struct vdev *dev, uint16_t index, uint16_t size)
{
	uint16_t max = dev->ops->queue_max(dev, index);
	struct vq *q = &dev->vq[index];

	if (!max)
		return "no such queue";
	if (max > VQ_SIZE_MAX)
		max = VQ_SIZE_MAX;
	if (!size || size > max)
		size = max;
	q->event_idx = dev->features & VIRTIO_F_EVENT_IDX;
	q->indirect = dev->features & VIRTIO_F_INDIRECT_DESC;
	vq_init(q, index, size);
	return dev->ops->queue_enable(dev, q);
}

void vdev_driver_ok(struct vdev *dev)
{
	dev->ops->set_status(dev, VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER |
					  VIRTIO_S_FEATURES_OK |
					  VIRTIO_S_DRIVER_OK);
}

const char *vdev_start(struct vdev *dev, uint64_t wanted, uint16_t nr_queues,
		       uint16_t queue_size)
{
	const char *why;

	if (!vdev_reset(dev))
		return "reset does not end";
	why = vdev_negotiate(dev, wanted);
	for (uint16_t i = 0; !why && i < nr_queues; i++)
		why = vdev_add_queue(dev, i, queue_size);
	if (why)
		return why;
	dev->nr_queues = nr_queues;
	vdev_driver_ok(dev);
	if (dev->ops->status(dev) & VIRTIO_S_NEEDS_RESET)
		return "needs reset at DRIVER_OK";
	return NULL;
}
