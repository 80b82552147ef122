/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_NET_CTRL_H
#define DEVICES_VIRTIO_NET_CTRL_H

#include "devices/virtio/net_device.h"

/* The control queue. Its loop, but for init. */

/* Main thread. */
void net_ctrl_init(struct net *net);
/* Carry out the commands that are there. */
void net_ctrl_run(struct net *net, struct virtio_queue *q);
/* Answer the command that waited, when it need not any more: true. */
bool net_ctrl_poll(struct net *net, struct virtio_queue *q);
/* The queue stops: a command that waits is given back. */
void net_ctrl_stop(struct net *net, struct virtio_queue *q);

#endif
