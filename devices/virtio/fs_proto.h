/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_FS_PROTO_H
#define DEVICES_VIRTIO_FS_PROTO_H

#include <linux/fuse.h>
#include <stdint.h>

/*
 * What FUSE has beyond <linux/fuse.h> of protocol 7.38. The names are our own,
 * as newer headers have those of the protocol. FUSE is in the byte order of the
 * guest, which is that of the host.
 */

/* The newest protocol that is spoken, and the oldest: that of the first guests
 * that know virtio-fs. */
#define FS_PROTO_MINOR 45u
#define FS_PROTO_MINOR_MIN 31u

/* opcodes */
#define FS_OP_STATX 52u /* 7.39 */
#define FS_OP_COPY_FILE_RANGE_64 53u /* 7.45 */
#define FS_OPS 54u

/* flags of INIT, those from bit 32 on in flags2 */
#define FS_INIT_CREATE_SUPP_GROUP (1ull << 34) /* 7.38 */
#define FS_INIT_DIRECT_IO_ALLOW_MMAP (1ull << 36) /* 7.39 */
#define FS_INIT_ALLOW_IDMAP (1ull << 40) /* 7.41 */

/* flags of an open file */
#define FS_OPEN_NOFLUSH (1u << 5) /* 7.35 */
#define FS_OPEN_PARALLEL_DIRECT_WRITES (1u << 6) /* 7.36 */

/* types of extensions behind the arguments */
#define FS_EXT_GROUPS 32u

struct fs_supp_groups {
	uint32_t nr_groups;
	uint32_t groups[];
};

struct fs_sx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t reserved;
};

struct fs_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags;
	uint32_t sx_mask;
};

struct fs_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct {
		uint32_t mask;
		uint32_t blksize;
		uint64_t attributes;
		uint32_t nlink;
		uint32_t uid;
		uint32_t gid;
		uint16_t mode;
		uint16_t spare0;
		uint64_t ino;
		uint64_t size;
		uint64_t blocks;
		uint64_t attributes_mask;
		struct fs_sx_time atime, btime, ctime, mtime;
		uint32_t rdev_major;
		uint32_t rdev_minor;
		uint32_t dev_major;
		uint32_t dev_minor;
		uint64_t spare2[14];
	} stat;
};
_Static_assert(sizeof(struct fs_statx_out) == 32 + 256,
	       "struct fuse_statx_out");

struct fs_copy_file_range_out {
	uint64_t bytes_copied;
};

#endif
