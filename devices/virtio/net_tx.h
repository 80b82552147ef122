/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_NET_TX_H
#define DEVICES_VIRTIO_NET_TX_H

#include "devices/virtio/net_device.h"

/* Frames from the guest. The pair's loop, but for init and fini. */

/* Main thread. -ENOMEM: net_tx_fini() frees what there is. */
int net_tx_init(struct net_pair *p);
/* Main thread; accepts a half-built one. */
void net_tx_fini(struct net_pair *p);

/* The queue starts. */
void net_tx_start(struct net_pair *p);
/* The queue stops; it has no chains. */
void net_tx_stop(struct net_pair *p);
/* Move frames from the guest to the TAP, a batch at most. */
void net_tx_run(struct net_pair *p);
/* The TAP has room again. */
void net_tx_unblock(struct net_pair *p);

#endif
