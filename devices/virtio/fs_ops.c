/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The requests of FUSE that there are (<linux/fuse.h>), and what each takes. */
#include "devices/virtio/fs_ops.h"

#include <linux/limits.h>

/* A name that the guest's kernel lets through, with its NUL. */
#define NAME (1024u + 1)
#define ENTRY sizeof(struct fuse_entry_out)
#define ATTR sizeof(struct fuse_attr_out)

/* clang-format off: one line, one kind of request */
#define OP(opcode, text, fn, ...) \
	[opcode] = { .name = text, .run = fs_do_##fn, __VA_ARGS__ }
#define ARG(type) .arg_len = sizeof(struct type)
#define REPLY(type) .reply_len = sizeof(struct type)
#define NAMES(nr) .nr_names = nr, .text_max = (nr)*NAME

static const struct fs_op fs_ops[FS_OPS] = {
	OP(FUSE_INIT, "init", init, .arg_len = 16,
	   .arg_max = sizeof(struct fuse_init_in), REPLY(fuse_init_out),
	   .text_max = 1024, .flags = FS_OP_SESSION),
	OP(FUSE_DESTROY, "destroy", destroy, .flags = FS_OP_SESSION),
	OP(FUSE_INTERRUPT, "interrupt", interrupt,
	   .arg_len = sizeof(struct fuse_interrupt_in),
	   .flags = FS_OP_SILENT | FS_OP_HIPRIO),
	OP(FUSE_LOOKUP, "lookup", lookup, NAMES(1), .reply_len = ENTRY),
	OP(FUSE_FORGET, "forget", forget, ARG(fuse_forget_in),
	   .flags = FS_OP_SILENT | FS_OP_HIPRIO),
	OP(FUSE_BATCH_FORGET, "batch_forget", batch_forget,
	   ARG(fuse_batch_forget_in), .text_max = FS_TEXT_MAX,
	   .flags = FS_OP_SILENT | FS_OP_HIPRIO),
	OP(FUSE_GETATTR, "getattr", getattr, ARG(fuse_getattr_in),
	   .reply_len = ATTR),
	OP(FS_OP_STATX, "statx", statx, ARG(fs_statx_in), REPLY(fs_statx_out)),
	OP(FUSE_SETATTR, "setattr", setattr, ARG(fuse_setattr_in),
	   .reply_len = ATTR, .flags = FS_OP_SLOW),
	OP(FUSE_READLINK, "readlink", readlink),
	OP(FUSE_STATFS, "statfs", statfs, REPLY(fuse_statfs_out)),
	OP(FUSE_SYNCFS, "syncfs", syncfs, ARG(fuse_syncfs_in)),

	OP(FUSE_SYMLINK, "symlink", symlink, .nr_names = 2,
	   .text_max = NAME + PATH_MAX, .reply_len = ENTRY,
	   .flags = FS_OP_SLOW),
	OP(FUSE_MKNOD, "mknod", mknod, ARG(fuse_mknod_in), NAMES(1),
	   .reply_len = ENTRY, .flags = FS_OP_SLOW),
	OP(FUSE_MKDIR, "mkdir", mkdir, ARG(fuse_mkdir_in), NAMES(1),
	   .reply_len = ENTRY, .flags = FS_OP_SLOW),
	OP(FUSE_CREATE, "create", create, ARG(fuse_create_in), NAMES(1),
	   .reply_len = ENTRY + sizeof(struct fuse_open_out),
	   .flags = FS_OP_SLOW),
	OP(FUSE_TMPFILE, "tmpfile", tmpfile, ARG(fuse_create_in), NAMES(1),
	   .reply_len = ENTRY + sizeof(struct fuse_open_out),
	   .flags = FS_OP_SLOW),
	OP(FUSE_LINK, "link", link, ARG(fuse_link_in), NAMES(1),
	   .reply_len = ENTRY, .flags = FS_OP_SLOW),
	OP(FUSE_UNLINK, "unlink", unlink, NAMES(1), .flags = FS_OP_SLOW),
	OP(FUSE_RMDIR, "rmdir", rmdir, NAMES(1), .flags = FS_OP_SLOW),
	OP(FUSE_RENAME, "rename", rename, ARG(fuse_rename_in), NAMES(2),
	   .flags = FS_OP_SLOW),
	OP(FUSE_RENAME2, "rename2", rename2, ARG(fuse_rename2_in), NAMES(2),
	   .flags = FS_OP_SLOW),

	OP(FUSE_OPEN, "open", open, ARG(fuse_open_in), REPLY(fuse_open_out)),
	OP(FUSE_READ, "read", read, ARG(fuse_read_in), .flags = FS_OP_READS),
	OP(FUSE_WRITE, "write", write, ARG(fuse_write_in),
	   REPLY(fuse_write_out), .flags = FS_OP_WRITES),
	OP(FUSE_RELEASE, "release", release, ARG(fuse_release_in)),
	OP(FUSE_FLUSH, "flush", flush, ARG(fuse_flush_in)),
	OP(FUSE_FSYNC, "fsync", fsync, ARG(fuse_fsync_in)),
	OP(FUSE_LSEEK, "lseek", lseek, ARG(fuse_lseek_in),
	   REPLY(fuse_lseek_out)),
	OP(FUSE_FALLOCATE, "fallocate", fallocate, ARG(fuse_fallocate_in)),
	OP(FUSE_COPY_FILE_RANGE, "copy_file_range", copy_file_range,
	   ARG(fuse_copy_file_range_in), REPLY(fuse_write_out)),
	OP(FS_OP_COPY_FILE_RANGE_64, "copy_file_range_64", copy_file_range_64,
	   ARG(fuse_copy_file_range_in), REPLY(fs_copy_file_range_out)),
	OP(FUSE_GETLK, "getlk", getlk, ARG(fuse_lk_in), REPLY(fuse_lk_out)),
	OP(FUSE_SETLK, "setlk", setlk, ARG(fuse_lk_in), .flags = FS_OP_AGAIN),
	OP(FUSE_SETLKW, "setlkw", setlk, ARG(fuse_lk_in),
	   .flags = FS_OP_LOCK_WAIT),

	OP(FUSE_SETUPMAPPING, "setupmapping", setupmapping,
	   ARG(fuse_setupmapping_in), .flags = FS_OP_SLOW),
	OP(FUSE_REMOVEMAPPING, "removemapping", removemapping,
	   ARG(fuse_removemapping_in), .text_max = FS_PAGE,
	   .flags = FS_OP_SLOW),
	OP(FUSE_OPENDIR, "opendir", opendir, ARG(fuse_open_in),
	   REPLY(fuse_open_out)),
	OP(FUSE_READDIR, "readdir", readdir, ARG(fuse_read_in)),
	OP(FUSE_READDIRPLUS, "readdirplus", readdirplus, ARG(fuse_read_in)),
	OP(FUSE_RELEASEDIR, "releasedir", release, ARG(fuse_release_in)),
	OP(FUSE_FSYNCDIR, "fsyncdir", fsync, ARG(fuse_fsync_in)),

	OP(FUSE_SETXATTR, "setxattr", setxattr,
	   .arg_len = FUSE_COMPAT_SETXATTR_IN_SIZE,
	   .arg_max = sizeof(struct fuse_setxattr_in), .nr_names = 1,
	   .text_max = FS_TEXT_MAX, .flags = FS_OP_VALUE | FS_OP_SLOW),
	OP(FUSE_GETXATTR, "getxattr", getxattr, ARG(fuse_getxattr_in),
	   NAMES(1)),
	OP(FUSE_LISTXATTR, "listxattr", listxattr, ARG(fuse_getxattr_in)),
	OP(FUSE_REMOVEXATTR, "removexattr", removexattr, NAMES(1),
	   .flags = FS_OP_SLOW),
};
/* clang-format on */

const struct fs_op *fs_op_find(uint32_t opcode)
{
	const struct fs_op *op = opcode < FS_OPS ? &fs_ops[opcode] : NULL;

	return op && op->run ? op : NULL;
}
