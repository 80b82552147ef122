/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_VIRTIO_LIMIT_H
#define DEVICES_VIRTIO_VIRTIO_LIMIT_H

#include "devices/virtio/virtio.h"

/* A device's rate limits (limit.h) on the way of its requests. */

/* Is there one? Owner loop. */
static inline bool virtio_queue_is_limited(const struct virtio_queue *q,
					   enum virtio_direction direction)
{
	return atomic_load_explicit(&q->dev->limits[direction].active,
				    memory_order_relaxed);
}

/*
 * May a request of len bytes go, by the device's limit? True: it was charged.
 * False: the chain, the last one that was popped, was given back to the ring, and
 * the queue is kicked again when it makes sense to ask; the type takes no more
 * until then. Owner loop, from ops->kick().
 */
bool virtio_queue_admit(struct virtio_queue *q, enum virtio_direction direction,
			struct vq_chain *chain, uint64_t len);

/*
 * The same of a request whose length is known when it was done: may there be one?
 * True: do it and charge it, or do not. False: the queue is held. No chain is
 * lent when it is. Owner loop.
 */
bool virtio_queue_may(struct virtio_queue *q, enum virtio_direction direction);
/* It was done, with len bytes. True: virtio_queue_may() would say true again.
 * Owner loop. */
bool virtio_queue_charge(struct virtio_queue *q,
			 enum virtio_direction direction, uint64_t len);

/* Limit to what config says from now on (limit.h), also after virtio_init().
 * Main thread. */
void virtio_set_limit(struct virtio_dev *dev, enum virtio_direction direction,
		      const struct limit_config *config);
/* The same for both directions. Main thread. */
void virtio_set_limits(struct virtio_dev *dev,
		       const struct limits_config *config);

#endif
