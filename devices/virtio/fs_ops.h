/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_FS_OPS_H
#define DEVICES_VIRTIO_FS_OPS_H

#include "devices/virtio/fs_device.h"

/*
 * What does the requests: struct fs_op's run(), one each. Arguments are as long as
 * the op says, names end with NUL, and for the fixed part of a reply is room;
 * what they say is the guest's. The loop of the queue, or the pool.
 */

typedef int fs_do_fn(struct fs_run *r);

/* fs_session.c */
fs_do_fn fs_do_init, fs_do_destroy, fs_do_interrupt;

/* fs_inode.c */
fs_do_fn fs_do_lookup, fs_do_forget, fs_do_batch_forget, fs_do_getattr,
	fs_do_statx, fs_do_setattr, fs_do_readlink, fs_do_statfs, fs_do_syncfs;

/* fs_names.c */
fs_do_fn fs_do_symlink, fs_do_mknod, fs_do_mkdir, fs_do_create, fs_do_tmpfile,
	fs_do_link, fs_do_unlink, fs_do_rmdir, fs_do_rename, fs_do_rename2;

/* fs_file.c */
fs_do_fn fs_do_open, fs_do_read, fs_do_write, fs_do_release, fs_do_fsync,
	fs_do_lseek, fs_do_fallocate, fs_do_copy_file_range,
	fs_do_copy_file_range_64;

/* fs_lock.c */
fs_do_fn fs_do_getlk, fs_do_setlk, fs_do_flush;

/* fs_dax.c */
fs_do_fn fs_do_setupmapping, fs_do_removemapping;

/* fs_dir.c */
fs_do_fn fs_do_opendir, fs_do_readdir, fs_do_readdirplus;

/* fs_xattr.c */
fs_do_fn fs_do_setxattr, fs_do_getxattr, fs_do_listxattr, fs_do_removexattr;

/* The op of an opcode, or NULL. Any thread. */
const struct fs_op *fs_op_find(uint32_t opcode);

#endif
