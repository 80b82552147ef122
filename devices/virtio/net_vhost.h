/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_NET_VHOST_H
#define DEVICES_VIRTIO_NET_VHOST_H

#include "devices/backend/vhost_net.h"
#include "devices/virtio/virtio.h"
#include "vmm/gmem.h"

/* The rings of a network's frames in the hands of the host's kernel; the control
 * queue is the device's. */
struct net_vhost {
	struct vhost_net *host; /* NULL: they are not */
	struct gmem_listener memory;
};

/* host: opened, and the caller's; it hears of all memory from now on. Main
 * thread. -errno with a message. */
int net_vhost_init(struct net_vhost *nv, struct vhost_net *host,
		   struct gmem *gm, struct error *err);
/* Accepts a zeroed one. Queues are off. Main thread. */
void net_vhost_fini(struct net_vhost *nv);

/* The queue's part of virtio_ops, for queues that are served elsewhere. tap_fd:
 * of its pair; -1: the link is down. Owner loop. */
int net_vhost_queue_start(struct net_vhost *nv, struct virtio_queue *q,
			  int tap_fd);
/* The same. */
void net_vhost_queue_stop(struct net_vhost *nv, struct virtio_queue *q);

#endif
