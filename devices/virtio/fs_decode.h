/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_FS_DECODE_H
#define DEVICES_VIRTIO_FS_DECODE_H

#include "devices/virtio/fs_device.h"

/*
 * From the bytes of a request to its arguments, and back to those of the reply.
 * What the guest says is copied once and then believed no more than it was
 * checked: it may write to its memory meanwhile. Nothing here is read or written
 * in a device's window, where a file may end: that is for the host's calls.
 * All of it: the loop of the queue, or the pool, one at a time.
 */

/* Copy the header of a request. False: it has none. */
bool fs_decode_header(struct fs_req *req);

/* Is there room for the header of a reply, in RAM? */
bool fs_decode_has_room(const struct vq_chain *chain);

/*
 * Begin to run a request, whose header is known: copy arguments, names and
 * extensions. 0, or the -errno to answer with.
 */
int fs_run_begin(struct fs_run *r, struct fs_req *req, const struct fs_op *op,
		 bool may_wait);

/* r->data: the len bytes at most which the request's files are read to or
 * written from, until fs_run_end(). Returns how many there are. */
uint64_t fs_run_data(struct fs_run *r, uint64_t len);

/* The chain's buffers are whole again. */
void fs_run_end(struct fs_run *r);

/* Bytes that can be added to the reply. */
uint64_t fs_reply_room(const struct fs_run *r);

/* Add len bytes to the reply, all or none. Returns len, or -EINVAL: there is no
 * room. */
int fs_reply(struct fs_run *r, const void *buf, uint32_t len);

/* Write the header of the reply to a request: result bytes follow, or it is
 * -errno. fs_decode_has_room() was true. Returns the bytes of the reply. */
uint32_t fs_reply_header(struct fs_req *req, int result);

#endif
