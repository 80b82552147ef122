/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Requests that make, remove and move names. */
#include <errno.h>

#include "devices/virtio/fs_decode.h"
#include "devices/virtio/fs_fill.h"
#include "devices/virtio/fs_ops.h"

static struct fs_make fs_make_of(const struct fs_run *r, uint32_t mode)
{
	return (struct fs_make){ .parent = r->req->head.nodeid,
				 .name = r->names[0],
				 .mode = mode };
}

/* The guest masks the mode itself, unless it left that to us. */
static void fs_take_umask(struct fs_run *r, uint32_t umask)
{
	r->call.umask = fs_has(r->fs, FUSE_DONT_MASK) ? umask & 0777 : 0;
}

static int fs_reply_entry(struct fs_run *r, int e, const struct fs_entry *entry)
{
	struct fuse_entry_out out;

	if (e)
		return e;
	fs_fill_entry(r->fs, &out, entry);
	return fs_reply(r, &out, sizeof(out));
}

int fs_do_symlink(struct fs_run *r)
{
	struct fs_make make = fs_make_of(r, 0777);
	struct fs_entry entry;

	make.target = r->names[1];
	return fs_reply_entry(
		r, fs_symlink(r->fs->tree, &r->call, &make, &entry), &entry);
}

int fs_do_mknod(struct fs_run *r)
{
	const struct fuse_mknod_in *in = r->arg;
	struct fs_make make = fs_make_of(r, in->mode);
	struct fs_entry entry;

	make.rdev = in->rdev;
	fs_take_umask(r, in->umask);
	return fs_reply_entry(r, fs_mknod(r->fs->tree, &r->call, &make, &entry),
			      &entry);
}

int fs_do_mkdir(struct fs_run *r)
{
	const struct fuse_mkdir_in *in = r->arg;
	struct fs_make make = fs_make_of(r, in->mode);
	struct fs_entry entry;

	fs_take_umask(r, in->umask);
	return fs_reply_entry(r, fs_mkdir(r->fs->tree, &r->call, &make, &entry),
			      &entry);
}

/* As of fs_create() and fs_tmpfile(). */
typedef int (*fs_create_fn)(struct fs_tree *t, const struct fs_call *call,
			    const struct fs_make *make, struct fs_entry *entry,
			    struct fs_opened *opened);

static int fs_create_by(struct fs_run *r, fs_create_fn create)
{
	const struct fuse_create_in *in = r->arg;
	struct fs_make make = fs_make_of(r, in->mode);
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out = { .open = { 0 } };
	struct fs_opened opened;
	struct fs_entry entry;
	int e;

	/* Who sends no OPEN sends no RELEASE either: MKNOD does it then. */
	if (fs_sends_no_open(r->fs))
		return -ENOSYS;
	make.flags = (int)in->flags;
	fs_take_umask(r, in->umask);
	r->call.kill_priv = in->open_flags & FUSE_OPEN_KILL_SUIDGID;
	e = create(r->fs->tree, &r->call, &make, &entry, &opened);
	if (e)
		return e;
	fs_fill_entry(r->fs, &out.entry, &entry);
	out.open.fh = opened.fh;
	out.open.open_flags = fs_open_flags(r->fs, &opened, false);
	return fs_reply(r, &out, sizeof(out));
}

int fs_do_create(struct fs_run *r)
{
	return fs_create_by(r, fs_create);
}

int fs_do_tmpfile(struct fs_run *r)
{
	return fs_create_by(r, fs_tmpfile);
}

int fs_do_link(struct fs_run *r)
{
	const struct fuse_link_in *in = r->arg;
	struct fs_entry entry;

	return fs_reply_entry(r,
			      fs_link(r->fs->tree, in->oldnodeid,
				      r->req->head.nodeid, r->names[0], &entry),
			      &entry);
}

int fs_do_unlink(struct fs_run *r)
{
	return fs_unlink(r->fs->tree, &r->call, r->req->head.nodeid,
			 r->names[0]);
}

int fs_do_rmdir(struct fs_run *r)
{
	return fs_rmdir(r->fs->tree, r->req->head.nodeid, r->names[0]);
}

static int fs_rename_to(struct fs_run *r, uint64_t newdir, uint32_t flags)
{
	const struct fs_rename rename = {
		.from = r->req->head.nodeid,
		.from_name = r->names[0],
		.to = newdir,
		.to_name = r->names[1],
		.flags = flags,
	};

	return fs_rename(r->fs->tree, &r->call, &rename);
}

int fs_do_rename(struct fs_run *r)
{
	const struct fuse_rename_in *in = r->arg;

	return fs_rename_to(r, in->newdir, 0);
}

int fs_do_rename2(struct fs_run *r)
{
	const struct fuse_rename2_in *in = r->arg;

	return fs_rename_to(r, in->newdir, in->flags);
}
