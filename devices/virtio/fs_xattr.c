/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Requests about extended attributes. */
#include <errno.h>
#include <linux/limits.h>
#include <string.h>

#include "devices/virtio/fs_decode.h"
#include "devices/virtio/fs_ops.h"

int fs_do_setxattr(struct fs_run *r)
{
	const struct fuse_setxattr_in *in = r->arg;
	struct fs_setxattr set = {
		.nodeid = r->req->head.nodeid,
		.name = r->names[0],
		.value = r->text + r->names_len,
		.size = r->text_len - r->names_len,
		.flags = (int)in->flags,
	};

	if (in->size != set.size)
		return -EINVAL;
	set.kill_sgid = fs_has(r->fs, FUSE_SETXATTR_EXT) &&
			in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID;
	return fs_setxattr(r->fs->tree, &set);
}

/* The len bytes of r->text that were asked for, or with size 0 how many there
 * are. */
static int fs_reply_xattr(struct fs_run *r, uint32_t size, ssize_t len)
{
	struct fuse_getxattr_out out = { .size = (uint32_t)len };

	if (len < 0)
		return (int)len;
	if (!size)
		return fs_reply(r, &out, sizeof(out));
	return fs_reply(r, r->text, (uint32_t)len);
}

int fs_do_getxattr(struct fs_run *r)
{
	const struct fuse_getxattr_in *in = r->arg;
	char name[XATTR_NAME_MAX + 1];

	/* The value takes the name's place. */
	if (r->names_len > sizeof(name))
		return -ERANGE;
	memcpy(name, r->names[0], r->names_len);
	return fs_reply_xattr(r, in->size,
			      fs_getxattr(r->fs->tree, r->req->head.nodeid,
					  name, r->text,
					  MIN(in->size, FS_TEXT_MAX)));
}

int fs_do_listxattr(struct fs_run *r)
{
	const struct fuse_getxattr_in *in = r->arg;

	return fs_reply_xattr(r, in->size,
			      fs_listxattr(r->fs->tree, r->req->head.nodeid,
					   r->text,
					   MIN(in->size, FS_TEXT_MAX)));
}

int fs_do_removexattr(struct fs_run *r)
{
	return fs_removexattr(r->fs->tree, r->req->head.nodeid, r->names[0]);
}
