/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_FS_DAX_H
#define DEVICES_VIRTIO_FS_DAX_H

#include "devices/virtio/fs_device.h"

/* Files that the guest has mapped, and that others may cut meanwhile. */

/* Before the queue starts first. Main thread. */
void fs_dax_setup(struct fs_queue *fq);
/* Look after the device's files twice a second, as long as any is mapped, if no
 * other queue does. Owner loop. */
void fs_dax_watch(struct fs_queue *fq);
/* Leave that to others. Owner loop. */
void fs_dax_unwatch(struct fs_queue *fq);

#endif
