/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_FS_QUEUE_H
#define DEVICES_VIRTIO_FS_QUEUE_H

#include "devices/virtio/fs_device.h"

/* ---- for struct virtio_ops; the queue's own loop ---- */

/* Room for the arguments of one request. -errno: the queue does not start. */
int fs_queue_start(struct virtio_dev *dev, unsigned int qidx);
/* Take back what the pool has not begun, and locks that are waited for;
 * virtio_queue_idle() follows when the pool is done with the rest. */
void fs_queue_stop(struct virtio_dev *dev, unsigned int qidx);
/* Do the requests that there are. */
void fs_on_kick(struct virtio_dev *dev, unsigned int qidx);

/* What the queues of a device share. Main thread, before its queues'. */
void fs_queue_setup_device(struct fs *fs);
/* Lists and timers of a queue that was created. Main thread. */
void fs_queue_setup(struct fs *fs, struct fs_queue *fq, struct virtio_queue *q);

#endif
