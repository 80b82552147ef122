/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_VSOCK_RX_H
#define DEVICES_VIRTIO_VSOCK_RX_H

#include "devices/virtio/vsock_conn.h"

/* Send the guest what there is for it. True: there was something. Owner loop. */
bool vsock_rx_run(struct vsock *v);

#endif
