/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Requests about locks of files. */
#include <errno.h>
#include <fcntl.h>

#include "devices/virtio/fs_decode.h"
#include "devices/virtio/fs_ops.h"

static int fs_lock_of(const struct fs_run *r, struct fs_lock *lock)
{
	const struct fuse_lk_in *in = r->arg;

	if (!r->fs->config.locks)
		return -ENOSYS;
	if (in->lk.type != F_RDLCK && in->lk.type != F_WRLCK &&
	    in->lk.type != F_UNLCK)
		return -EINVAL;
	if (in->lk.end > INT64_MAX || in->lk.start > in->lk.end)
		return -EINVAL;
	*lock = (struct fs_lock){
		.nodeid = r->req->head.nodeid,
		.fh = in->fh,
		.owner = in->owner,
		.flock = in->lk_flags & FUSE_LK_FLOCK,
		.type = (short)in->lk.type,
		.start = in->lk.start,
		.end = in->lk.end,
	};
	return 0;
}

int fs_do_getlk(struct fs_run *r)
{
	struct fuse_lk_out out = { { 0 } };
	struct fs_lock lock;
	int e = fs_lock_of(r, &lock);

	if (!e)
		e = fs_lock_get(r->fs->tree, &lock);
	if (e)
		return e;
	out.lk.type = (uint32_t)lock.type;
	out.lk.start = lock.start;
	out.lk.end = lock.end;
	return fs_reply(r, &out, sizeof(out));
}

int fs_do_setlk(struct fs_run *r)
{
	struct fs_lock lock;
	int e = fs_lock_of(r, &lock);

	return e ? e : fs_lock_set(r->fs->tree, &lock);
}

/* There is nothing to write back here: it is for locks, which end with the
 * first descriptor that their owner closes. */
int fs_do_flush(struct fs_run *r)
{
	const struct fuse_flush_in *in = r->arg;

	if (!r->fs->config.locks)
		return -ENOSYS; /* it is not sent again */
	fs_lock_release(r->fs->tree, r->req->head.nodeid, in->lock_owner);
	return 0;
}
