/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_NET_STATE_H
#define DEVICES_VIRTIO_NET_STATE_H

#include "devices/virtio/net_device.h"

/* Copy what changed since this pair looked. Its loop. */
void net_pair_sync(struct net_pair *p);
/* Have the loop watch the TAP's queue for what is waited for. Its loop. */
void net_pair_watch(struct net_pair *p);
/* state was changed: have all pairs follow. Any thread, no lock held. Returns
 * the generation. */
unsigned int net_changed(struct net *net);
/* All pairs that run have followed to generation. Any thread. */
bool net_have_followed(struct net *net, unsigned int generation);
/* Make status follow state. announce: the driver is to make itself known. Any
 * thread, no lock held. */
void net_tell_status(struct net *net, bool announce);
/* The index of the control queue, section 5.1.2. Lock held, or a loop of a
 * queue that runs. */
unsigned int net_ctrl_index(const struct net *net);

#endif
