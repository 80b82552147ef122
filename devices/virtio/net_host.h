/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_NET_HOST_H
#define DEVICES_VIRTIO_NET_HOST_H

#include "devices/virtio/net_device.h"

/* TUN_F_* and TAP_F_* for GUEST_* features. */
unsigned int net_host_offloads(uint64_t features);
/* GUEST_* and HOST_* features that a TAP with these can have. */
uint64_t net_host_features(unsigned int offloads);
/* Have the TAP be as state says. A loop; waits for the host. -errno: not all of
 * it could be had. */
int net_host_apply(struct net *net);

#endif
