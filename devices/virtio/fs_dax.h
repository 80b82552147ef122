/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_FS_DAX_H
#define DEVICES_VIRTIO_FS_DAX_H

#include "devices/virtio/fs_device.h"

/* Files that the guest has mapped, and that others may cut meanwhile, or whose
 * device may fail. */

/* The request has made this file longer, and will say so. Where requests run. */
void fs_dax_grew(struct fs_run *r, uint64_t nodeid);
/* Before the queue starts first. Main thread. */
void fs_dax_setup(struct fs_queue *fq);
/* Look after the device's files twice a second, as long as any is mapped, if no
 * other queue does. Owner loop. */
void fs_dax_watch(struct fs_queue *fq);
/* The queue stops: no more of that, but for what runs (fq->dax_runs), at whose end
 * fs_queue_try_end() is called. Owner loop. */
void fs_dax_stop(struct fs_queue *fq);

#endif
