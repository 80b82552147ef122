/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Requests about directories. */
#include <errno.h>
#include <linux/limits.h>
#include <string.h>

#include "devices/virtio/fs_decode.h"
#include "devices/virtio/fs_fill.h"
#include "devices/virtio/fs_ops.h"

int fs_do_opendir(struct fs_run *r)
{
	struct fuse_open_out out = { 0 };
	struct fs_opened opened;
	int e;

	if (fs_sends_no_opendir(r->fs))
		return -ENOSYS;
	e = fs_opendir(r->fs->tree, r->req->head.nodeid, &opened);
	if (e)
		return e;
	out.fh = opened.fh;
	out.open_flags = fs_open_flags(r->fs, &opened, true);
	return fs_reply(r, &out, sizeof(out));
}

/* ---- entries ---- */

/* Entries go straight to where the guest wants them. */
struct fs_lister {
	struct fs_reader reader;
	struct fs_run *run;
	uint32_t left; /* bytes that the guest has room for */
	uint32_t len; /* bytes of entries */
	bool full; /* there is one that did not fit */
};

static uint32_t fs_dirent_len(const struct fs_lister *l, size_t name_len)
{
	size_t head = l->reader.plus ? FUSE_NAME_OFFSET_DIRENTPLUS
				     : FUSE_NAME_OFFSET;

	return (uint32_t)FUSE_REC_ALIGN(head + name_len);
}

static bool fs_dirent_fits(struct fs_reader *reader, size_t len)
{
	struct fs_lister *l = container_of(reader, struct fs_lister, reader);

	l->full = len > NAME_MAX || fs_dirent_len(l, len) > l->left;
	return !l->full;
}

static void fs_dirent_add(struct fs_reader *reader,
			  const struct fs_dirent *dirent,
			  const struct fs_entry *entry)
{
	struct fs_lister *l = container_of(reader, struct fs_lister, reader);
	union {
		struct fuse_direntplus plus;
		struct fuse_dirent plain;
		char bytes[FUSE_REC_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS +
					  NAME_MAX)];
	} rec;
	struct fuse_dirent *d = l->reader.plus ? &rec.plus.dirent : &rec.plain;
	uint32_t len = fs_dirent_len(l, dirent->len);

	if (l->reader.plus && entry)
		fs_fill_entry(l->run->fs, &rec.plus.entry_out, entry);
	else if (l->reader.plus)
		memset(&rec.plus.entry_out, 0, sizeof(rec.plus.entry_out));
	memset(rec.bytes + len - 8, 0, 8); /* behind the name */
	d->ino = dirent->ino;
	d->off = dirent->off;
	d->namelen = (uint32_t)dirent->len;
	d->type = dirent->type;
	memcpy(d->name, dirent->name, dirent->len);
	fs_reply(l->run, rec.bytes, len);
	l->left -= len;
	l->len += len;
}

static int fs_list(struct fs_run *r, bool plus)
{
	const struct fuse_read_in *in = r->arg;
	struct fs_lister l = {
		.reader = { .fits = fs_dirent_fits,
			    .add = fs_dirent_add,
			    .plus = plus },
		.run = r,
	};
	int e;

	l.left = (uint32_t)MIN(in->size, fs_reply_room(r));
	e = fs_readdir(r->fs->tree, r->req->head.nodeid, in->fh, in->offset,
		       &l.reader);
	/* What was looked up is known to the guest: it has to hear of it. No
	 * entry at all would be the end. */
	if (l.len)
		return (int)l.len;
	return !e && l.full ? -EINVAL : e;
}

int fs_do_readdir(struct fs_run *r)
{
	return fs_list(r, false);
}

int fs_do_readdirplus(struct fs_run *r)
{
	return fs_list(r, true);
}
