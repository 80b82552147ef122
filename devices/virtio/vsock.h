/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_VSOCK_H
#define DEVICES_VIRTIO_VSOCK_H

#include "devices/virtio/virtio.h"

/*
 * Tell the guest that its connections are interrupted, as after a restore
 * (section 5.10.6.7): they are closed, and it gets nothing before it had a buffer
 * for the event. The listening socket stays. Any thread.
 */
void vsock_reset_transport(struct virtio_dev *dev);

#endif
