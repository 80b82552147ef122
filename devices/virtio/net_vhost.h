/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_NET_VHOST_H
#define DEVICES_VIRTIO_NET_VHOST_H

#include <pthread.h>
#include <stdbool.h>

#include "devices/backend/tap.h"
#include "devices/backend/vhost_net.h"
#include "devices/virtio/virtio.h"
#include "vmm/gmem.h"

/*
 * The rings of a network's frames in the hands of the host's kernel; the control
 * queue is the device's. Those that are served are connected with the TAP's
 * queue of their pair while the link is up.
 */
struct net_vhost {
	struct vhost_net *host; /* NULL: they are not */
	const struct tap *tap;
	struct gmem_listener memory;
	/* any thread, under lock: in it the kernel may take the time that it
	 * needs for one batch of frames */
	pthread_mutex_t lock;
	bool link;
	bool gone; /* host is */
	bool served[2 * TAP_QUEUES_MAX];
};

/* host and tap: opened, and the caller's; host hears of all memory from now on.
 * Main thread. -errno with a message; net_vhost_fini() then, too. */
int net_vhost_init(struct net_vhost *nv, struct vhost_net *host,
		   const struct tap *tap, struct gmem *gm, struct error *err);
/* host is about to be closed; queues are off for good. Accepts a zeroed one. Any
 * thread. */
void net_vhost_let_go(struct net_vhost *nv);
/* The same, later, or instead. Main thread. */
void net_vhost_fini(struct net_vhost *nv);

/* The queue's part of virtio_ops, for queues that are served elsewhere. connect:
 * it is one of the driver's pairs. Owner loop. */
int net_vhost_queue_start(struct net_vhost *nv, struct virtio_queue *q,
			  bool connect);
/* The same. */
void net_vhost_queue_stop(struct net_vhost *nv, struct virtio_queue *q);

/* Frames go through, or do not. Any thread. -errno: some do not. */
int net_vhost_set_link(struct net_vhost *nv, bool up);

#endif
