/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_NET_RX_H
#define DEVICES_VIRTIO_NET_RX_H

#include "devices/virtio/net_device.h"

/* Frames to the guest. The pair's loop, but for init and fini. */

/* Main thread. -ENOMEM: net_rx_fini() frees what there is. */
int net_rx_init(struct net_pair *p);
/* Main thread; accepts a half-built one. */
void net_rx_fini(struct net_pair *p);

/* The queue starts: it waits for frames. */
void net_rx_start(struct net_pair *p);
/* The queue stops: chains that wait are given back. */
void net_rx_stop(struct net_pair *p);
/* Move frames from the TAP to the guest, a batch at most. */
void net_rx_run(struct net_pair *p);

#endif
