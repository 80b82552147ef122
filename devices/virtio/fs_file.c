/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Requests about open files. */
#include <errno.h>
#include <fcntl.h>

#include "devices/virtio/fs_dax.h"
#include "devices/virtio/fs_decode.h"
#include "devices/virtio/fs_fill.h"
#include "devices/virtio/fs_ops.h"

/* Bytes that one request copies at most: pause and reset wait for it. */
#define FS_COPY_MAX (64 * MIB)

int fs_do_open(struct fs_run *r)
{
	const struct fuse_open_in *in = r->arg;
	struct fuse_open_out out = { 0 };
	struct fs_opened opened;
	int e;

	if (fs_sends_no_open(r->fs))
		return -ENOSYS;
	r->call.kill_priv = in->open_flags & FUSE_OPEN_KILL_SUIDGID;
	e = fs_open(r->fs->tree, &r->call, r->req->head.nodeid, (int)in->flags,
		    &opened);
	if (e)
		return e;
	out.fh = opened.fh;
	out.open_flags = fs_open_flags(r->fs, &opened, false);
	return fs_reply(r, &out, sizeof(out));
}

int fs_do_read(struct fs_run *r)
{
	const struct fuse_read_in *in = r->arg;
	struct fs_io io = {
		.nodeid = r->req->head.nodeid,
		.fh = in->fh,
		.offset = in->offset,
	};
	ssize_t n;

	if (in->size > FS_MAX_PAGES * FS_PAGE || in->size > r->room)
		return -EINVAL;
	fs_run_data(r, in->size);
	io.iov = r->data.iov;
	io.nr = r->data.nr;
	n = io.nr ? fs_read(r->fs->tree, &r->call, &io) : 0;
	if (n > 0)
		r->req->moved = (uint64_t)n;
	return (int)n;
}

int fs_do_write(struct fs_run *r)
{
	const struct fuse_write_in *in = r->arg;
	uint32_t len = r->req->head.len - (uint32_t)sizeof(r->req->head) -
		       (uint32_t)sizeof(*in);
	struct fuse_write_out out = { 0 };
	struct fs_io io = {
		.nodeid = r->req->head.nodeid,
		.fh = in->fh,
		.offset = in->offset,
	};
	ssize_t n;

	if (in->size != len || in->size > FS_MAX_PAGES * FS_PAGE)
		return -EINVAL;
	r->call.kill_priv = in->write_flags & FUSE_WRITE_KILL_SUIDGID;
	io.append = in->flags & O_APPEND &&
		    !(in->write_flags & FUSE_WRITE_CACHE);
	fs_run_data(r, in->size);
	io.iov = r->data.iov;
	io.nr = r->data.nr;
	n = io.nr ? fs_write(r->fs->tree, &r->call, &io) : 0;
	if (n < 0)
		return (int)n;
	fs_dax_grew(r, io.nodeid);
	r->req->moved = (uint64_t)n;
	out.size = (uint32_t)n;
	return fs_reply(r, &out, sizeof(out));
}

int fs_do_release(struct fs_run *r)
{
	const struct fuse_release_in *in = r->arg;

	if (in->release_flags & FUSE_RELEASE_FLOCK_UNLOCK &&
	    r->fs->config.locks)
		fs_lock_release(r->fs->tree, r->req->head.nodeid,
				in->lock_owner);
	return fs_release(r->fs->tree, in->fh);
}

int fs_do_fsync(struct fs_run *r)
{
	const struct fuse_fsync_in *in = r->arg;

	return fs_fsync(r->fs->tree, &r->call, r->req->head.nodeid, in->fh,
			in->fsync_flags & FUSE_FSYNC_FDATASYNC);
}

int fs_do_lseek(struct fs_run *r)
{
	const struct fuse_lseek_in *in = r->arg;
	const struct fs_io io = {
		.nodeid = r->req->head.nodeid,
		.fh = in->fh,
		.offset = in->offset,
	};
	struct fuse_lseek_out out;
	int e;

	if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
		return -EINVAL;
	e = fs_lseek(r->fs->tree, &r->call, &io, (int)in->whence, &out.offset);
	return e ? e : fs_reply(r, &out, sizeof(out));
}

int fs_do_fallocate(struct fs_run *r)
{
	const struct fuse_fallocate_in *in = r->arg;
	const struct fs_io io = {
		.nodeid = r->req->head.nodeid,
		.fh = in->fh,
		.offset = in->offset,
	};
	int e = fs_fallocate(r->fs->tree, &r->call, &io, (int)in->mode,
			     in->length);

	if (!e)
		fs_dax_grew(r, io.nodeid);
	return e;
}

static ssize_t fs_copy(struct fs_run *r)
{
	const struct fuse_copy_file_range_in *in = r->arg;
	const struct fs_io from = {
		.nodeid = r->req->head.nodeid,
		.fh = in->fh_in,
		.offset = in->off_in,
	};
	const struct fs_io to = {
		.nodeid = in->nodeid_out,
		.fh = in->fh_out,
		.offset = in->off_out,
	};
	ssize_t n;

	if (in->flags)
		return -EINVAL;
	n = fs_copy_range(r->fs->tree, &r->call, &from, &to,
			  MIN(in->len, FS_COPY_MAX));
	if (n > 0)
		fs_dax_grew(r, to.nodeid);
	return n;
}

int fs_do_copy_file_range(struct fs_run *r)
{
	struct fuse_write_out out = { 0 };
	ssize_t n = fs_copy(r);

	if (n < 0)
		return (int)n;
	out.size = (uint32_t)n;
	return fs_reply(r, &out, sizeof(out));
}

int fs_do_copy_file_range_64(struct fs_run *r)
{
	struct fs_copy_file_range_out out;
	ssize_t n = fs_copy(r);

	if (n < 0)
		return (int)n;
	out.bytes_copied = (uint64_t)n;
	return fs_reply(r, &out, sizeof(out));
}
