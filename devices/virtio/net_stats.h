/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_NET_STATS_H
#define DEVICES_VIRTIO_NET_STATS_H

#include "devices/virtio/net_device.h"

/* A frame goes no further. The queue's loop. */
static inline void net_drop(struct net_stats *stats, enum net_drop why)
{
	io_count(&stats->drops[why], 1);
}

/* A run ended. The queue's loop. */
void net_stats_add(struct net_stats *stats, const struct net_tally *tally);
/* For struct virtio_ops. */
void net_counters(struct virtio_dev *dev, device_emit_fn emit, void *arg);

#endif
