/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Requests about what is known of inodes: FUSE's lookup, forget, attributes. */
#include <errno.h>
#include <string.h>

#include "devices/virtio/fs_dax.h"
#include "devices/virtio/fs_decode.h"
#include "devices/virtio/fs_fill.h"
#include "devices/virtio/fs_ops.h"

static int fs_reply_attr(struct fs_run *r, const struct statx *sx)
{
	struct fuse_attr_out out = { .attr_valid = fs_valid_s(r->fs) };

	fs_fill_attr(r->fs, &out.attr, sx);
	return fs_reply(r, &out, sizeof(out));
}

int fs_do_lookup(struct fs_run *r)
{
	struct fuse_entry_out out;
	struct fs_entry entry;
	int e = fs_lookup(r->fs->tree, r->req->head.nodeid, r->names[0],
			  &entry);

	if (e == -ENOENT && r->fs->config.cache == FS_CACHE_ALWAYS) {
		/* The guest remembers that there is none. */
		memset(&out, 0, sizeof(out));
		out.entry_valid = fs_valid_s(r->fs);
		return fs_reply(r, &out, sizeof(out));
	}
	if (e)
		return e;
	fs_fill_entry(r->fs, &out, &entry);
	return fs_reply(r, &out, sizeof(out));
}

int fs_do_forget(struct fs_run *r)
{
	const struct fuse_forget_in *in = r->arg;

	fs_forget(r->fs->tree, r->req->head.nodeid, in->nlookup);
	return 0;
}

int fs_do_batch_forget(struct fs_run *r)
{
	const struct fuse_batch_forget_in *in = r->arg;
	struct fuse_forget_one one;
	uint32_t i;

	if (in->count != r->text_len / sizeof(one) || r->text_len % sizeof(one))
		return -EINVAL;
	for (i = 0; i < in->count; i++) {
		memcpy(&one, r->text + i * sizeof(one), sizeof(one));
		fs_forget(r->fs->tree, one.nodeid, one.nlookup);
	}
	return 0;
}

int fs_do_getattr(struct fs_run *r)
{
	const struct fuse_getattr_in *in = r->arg;
	uint64_t fh = in->getattr_flags & FUSE_GETATTR_FH ? in->fh : 0;
	struct statx sx;
	int e = fs_getattr(r->fs->tree, r->req->head.nodeid, fh, &sx);

	return e ? e : fs_reply_attr(r, &sx);
}

static struct fs_sx_time fs_sx_time(const struct statx_timestamp *t)
{
	return (struct fs_sx_time){ .sec = t->tv_sec, .nsec = t->tv_nsec };
}

int fs_do_statx(struct fs_run *r)
{
	const struct fs_statx_in *in = r->arg;
	uint64_t fh = in->getattr_flags & FUSE_GETATTR_FH ? in->fh : 0;
	struct fs_statx_out out = { .attr_valid = fs_valid_s(r->fs) };
	struct statx sx;
	int e = fs_getattr(r->fs->tree, r->req->head.nodeid, fh, &sx);

	if (e)
		return e;
	out.stat.mask = sx.stx_mask & (STATX_BASIC_STATS | STATX_BTIME);
	out.stat.blksize = sx.stx_blksize;
	out.stat.attributes = sx.stx_attributes;
	out.stat.attributes_mask = sx.stx_attributes_mask;
	out.stat.nlink = sx.stx_nlink;
	out.stat.uid = sx.stx_uid;
	out.stat.gid = sx.stx_gid;
	out.stat.mode = sx.stx_mode;
	out.stat.ino = sx.stx_ino;
	out.stat.size = sx.stx_size;
	out.stat.blocks = sx.stx_blocks;
	out.stat.atime = fs_sx_time(&sx.stx_atime);
	out.stat.btime = fs_sx_time(&sx.stx_btime);
	out.stat.ctime = fs_sx_time(&sx.stx_ctime);
	out.stat.mtime = fs_sx_time(&sx.stx_mtime);
	out.stat.rdev_major = sx.stx_rdev_major;
	out.stat.rdev_minor = sx.stx_rdev_minor;
	out.stat.dev_major = sx.stx_dev_major;
	out.stat.dev_minor = sx.stx_dev_minor;
	return fs_reply(r, &out, sizeof(out));
}

static struct timespec fs_time(uint64_t sec, uint32_t nsec, bool now)
{
	return (struct timespec){ .tv_sec = (time_t)sec,
				  .tv_nsec = now ? UTIME_NOW : (long)nsec };
}

int fs_do_setattr(struct fs_run *r)
{
	static const struct {
		uint32_t valid;
		unsigned int set;
	} bits[] = {
		{ FATTR_MODE, FS_SET_MODE },   { FATTR_UID, FS_SET_UID },
		{ FATTR_GID, FS_SET_GID },     { FATTR_SIZE, FS_SET_SIZE },
		{ FATTR_ATIME, FS_SET_ATIME }, { FATTR_MTIME, FS_SET_MTIME },
	};
	const struct fuse_setattr_in *in = r->arg;
	struct fs_setattr set = {
		.nodeid = r->req->head.nodeid,
		.fh = in->valid & FATTR_FH ? in->fh : 0,
		.mode = in->mode,
		.uid = in->uid,
		.gid = in->gid,
		.size = in->size,
		.atime = fs_time(in->atime, in->atimensec,
				 in->valid & FATTR_ATIME_NOW),
		.mtime = fs_time(in->mtime, in->mtimensec,
				 in->valid & FATTR_MTIME_NOW),
	};
	struct statx sx;
	unsigned int i;
	int e;

	for (i = 0; i < ARRAY_SIZE(bits); i++)
		if (in->valid & bits[i].valid)
			set.set |= bits[i].set;
	/* Not UTIME_OMIT or such by the back door. */
	if (in->atimensec >= 1000000000 || in->mtimensec >= 1000000000)
		return -EINVAL;
	r->call.kill_priv = in->valid & FATTR_KILL_SUIDGID;
	e = fs_setattr(r->fs->tree, &r->call, &set, &sx);
	if (e)
		return e;
	if (set.set & FS_SET_SIZE)
		fs_dax_grew(r, set.nodeid);
	return fs_reply_attr(r, &sx);
}

int fs_do_readlink(struct fs_run *r)
{
	size_t size = MIN(r->room, FS_TEXT_MAX);
	ssize_t len =
		fs_readlink(r->fs->tree, r->req->head.nodeid, r->text, size);

	return len < 0 ? (int)len : fs_reply(r, r->text, (uint32_t)len);
}

int fs_do_statfs(struct fs_run *r)
{
	struct fuse_statfs_out out = { { 0 } };
	struct statvfs st;
	int e = fs_statfs(r->fs->tree, r->req->head.nodeid, &st);

	if (e)
		return e;
	out.st.blocks = st.f_blocks;
	out.st.bfree = st.f_bfree;
	out.st.bavail = st.f_bavail;
	out.st.files = st.f_files;
	out.st.ffree = st.f_ffree;
	out.st.bsize = (uint32_t)st.f_bsize;
	out.st.namelen = (uint32_t)st.f_namemax;
	out.st.frsize = (uint32_t)st.f_frsize;
	return fs_reply(r, &out, sizeof(out));
}

int fs_do_syncfs(struct fs_run *r)
{
	return fs_syncfs(r->fs->tree, &r->call, r->req->head.nodeid);
}
