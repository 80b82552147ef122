/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_FS_FILL_H
#define DEVICES_VIRTIO_FS_FILL_H

#include "devices/virtio/fs_device.h"

/* What the host side says, as FUSE says it, with how long it may be believed. Any
 * thread. */

/* How long the guest may believe names and attributes, in seconds. */
uint64_t fs_valid_s(const struct fs *fs);
/* Attributes, but for what only a name has. */
void fs_fill_attr(const struct fs *fs, struct fuse_attr *a,
		  const struct statx *sx);
/* The guest hears of a name, or of what was made. */
void fs_fill_entry(const struct fs *fs, struct fuse_entry_out *out,
		   const struct fs_entry *entry);
/* Flags of a file that was opened, or of a directory. */
uint32_t fs_open_flags(const struct fs *fs, const struct fs_opened *opened,
		       bool directory);

#endif
