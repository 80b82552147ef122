/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_FS_SESSION_H
#define DEVICES_VIRTIO_FS_SESSION_H

#include "devices/virtio/fs_device.h"

/* After virtio_init(). Main thread. */
void fs_session_setup(struct fs *fs);

/* The device was reset: what the guest knew and had open is let go of, soon. No
 * request is in flight. Any thread. */
void fs_session_end(struct fs *fs);

#endif
