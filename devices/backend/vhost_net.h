/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_VHOST_NET_H
#define DEVICES_BACKEND_VHOST_NET_H

#include <linux/vhost_types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/backend/tap.h"
#include "vmm/error.h"

/*
 * The host's kernel moves frames between rings and a TAP, on threads of its
 * own. To it, a ring is some addresses of this process, and what descriptors
 * point to is found by a table; both are numbers here, too.
 */

#define VHOST_NET_REGIONS 64u /* that any kernel takes */

struct vhost_net {
	unsigned int nr_pairs;
	int fds[TAP_QUEUES_MAX]; /* one a pair of queues; -1: not open */
	/* main thread: struct vhost_memory with its regions */
	struct vhost_table {
		uint32_t nregions;
		uint32_t padding;
		struct vhost_memory_region regions[VHOST_NET_REGIONS];
	} memory;
};
_Static_assert(offsetof(struct vhost_table, regions) ==
		       offsetof(struct vhost_memory, regions),
	       "as the kernel has it");

/* Open nr_pairs. Any thread. On failure nothing is open; -errno with a message
 * that starts with the parameter. */
int vhost_net_open(struct vhost_net *vn, unsigned int nr_pairs,
		   struct error *err);
/* Accepts one that is not open. No ring is served. Any thread; takes as long as
 * the host likes. */
void vhost_net_close(struct vhost_net *vn);

/* Memory is there, or goes, at a guest's address; rings may be served meanwhile.
 * When this returns, none is used that is not in the table. Main thread.
 * -errno. */
int vhost_net_change_memory(struct vhost_net *vn,
			    const struct vhost_memory_region *region,
			    bool there);

struct vhost_ring {
	unsigned int queue; /* of the device: 2 * pair, + 1 for sending */
	uint64_t features; /* that the driver has chosen */
	unsigned int size;
	uint16_t next_avail; /* the avail entry to begin with */
	const void *desc, *avail, *used;
	int kick_fd, call_fd; /* as of struct virtio_queue */
};

/* Tell of a ring, which is served once it is connected. Any thread, one at a
 * time. -errno. */
int vhost_net_start(struct vhost_net *vn, const struct vhost_ring *ring);
/* Have the ring's frames go to or come from the descriptor of a TAP; -1: no more.
 * What was taken from the ring is used when this returns. The same. -errno. */
int vhost_net_connect(struct vhost_net *vn, unsigned int queue, int tap_fd);
/* Take the ring back; the next avail entry to be taken. The same. */
uint16_t vhost_net_stop(struct vhost_net *vn, unsigned int queue);

#endif
