/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/virtio_limit.h"

bool virtio_queue_may(struct virtio_queue *q, enum virtio_direction direction)
{
	struct limit *limit = &q->dev->limits[direction];
	uint64_t now, until;

	if (!virtio_queue_is_limited(q, direction))
		return true;
	now = loop_now_ns();
	if (limit_may(limit, now, &until))
		return true;
	virtio_queue_hold(q, now, until);
	return false;
}

bool virtio_queue_charge(struct virtio_queue *q,
			 enum virtio_direction direction, uint64_t len)
{
	return !virtio_queue_is_limited(q, direction) ||
	       limit_charge(&q->dev->limits[direction], len);
}

bool virtio_queue_admit(struct virtio_queue *q, enum virtio_direction direction,
			struct vq_chain *chain, uint64_t len)
{
	if (virtio_queue_may(q, direction)) {
		virtio_queue_charge(q, direction, len);
		return true;
	}
	virtqueue_unpop(&q->vq, chain);
	return false;
}

void virtio_set_limit(struct virtio_dev *dev, enum virtio_direction direction,
		      const struct limit_config *config)
{
	if (!limit_set(&dev->limits[direction], config, loop_now_ns()))
		return;
	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		atomic_store(&dev->queues[i].limit_changed, true);
		virtio_notify_write(dev, i);
	}
}

void virtio_set_limits(struct virtio_dev *dev,
		       const struct limits_config *config)
{
	for (unsigned int i = 0; i < VIRTIO_DIRECTIONS; i++) {
		const struct limit_config limit = limit_of(config, i);

		virtio_set_limit(dev, i, &limit);
	}
}
