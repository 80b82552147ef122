/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/fs_fill.h"

#define FS_VALID_AUTO_S 1u
#define FS_VALID_ALWAYS_S 86400u
/* The guest maps files by 2 MiB, with a request each time. What is smaller than
 * this is better read. */
#define FS_DAX_MIN (64 * KIB)

uint64_t fs_valid_s(const struct fs *fs)
{
	switch ((enum fs_cache)fs->config.cache) {
	case FS_CACHE_ALWAYS:
		return FS_VALID_ALWAYS_S;
	case FS_CACHE_NEVER:
		return 0;
	default:
		return FS_VALID_AUTO_S;
	}
}

/* As Linux packs device numbers into 32 bits: 12 of the major one, the minor one
 * around them. */
static uint32_t fs_rdev(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xfff00) << 12;
}

/* Is the guest to map the file? */
static bool fs_wants_dax(const struct fs *fs, const struct statx *sx)
{
	return S_ISREG(sx->stx_mode) && sx->stx_size >= FS_DAX_MIN &&
	       fs_has(fs, FUSE_HAS_INODE_DAX);
}

void fs_fill_attr(const struct fs *fs, struct fuse_attr *a,
		  const struct statx *sx)
{
	*a = (struct fuse_attr){
		.ino = sx->stx_ino,
		.size = sx->stx_size,
		.blocks = sx->stx_blocks,
		.atime = (uint64_t)sx->stx_atime.tv_sec,
		.mtime = (uint64_t)sx->stx_mtime.tv_sec,
		.ctime = (uint64_t)sx->stx_ctime.tv_sec,
		.atimensec = sx->stx_atime.tv_nsec,
		.mtimensec = sx->stx_mtime.tv_nsec,
		.ctimensec = sx->stx_ctime.tv_nsec,
		.mode = sx->stx_mode,
		.nlink = sx->stx_nlink,
		.uid = sx->stx_uid,
		.gid = sx->stx_gid,
		.rdev = fs_rdev(sx->stx_rdev_major, sx->stx_rdev_minor),
		.blksize = sx->stx_blksize,
		.flags = fs_wants_dax(fs, sx) ? FUSE_ATTR_DAX : 0,
	};
}

void fs_fill_entry(const struct fs *fs, struct fuse_entry_out *out,
		   const struct fs_entry *entry)
{
	uint64_t valid = fs_valid_s(fs);

	out->nodeid = entry->nodeid;
	out->generation = entry->generation;
	out->entry_valid = valid;
	out->attr_valid = valid;
	out->entry_valid_nsec = 0;
	out->attr_valid_nsec = 0;
	fs_fill_attr(fs, &out->attr, &entry->attr);
	if (entry->submount && fs_has(fs, FUSE_SUBMOUNTS))
		out->attr.flags |= FUSE_ATTR_SUBMOUNT;
}

uint32_t fs_open_flags(const struct fs *fs, const struct fs_opened *opened,
		       bool directory)
{
	uint32_t flags = 0;

	if (opened->keep_cache)
		flags |= FOPEN_KEEP_CACHE;
	if (directory) {
		/* The guest itself looks at the directory's time. */
		if (fs->config.cache != FS_CACHE_NEVER)
			flags |= FOPEN_CACHE_DIR;
		return flags;
	}
	if (opened->direct)
		flags |= FOPEN_DIRECT_IO | FS_OPEN_PARALLEL_DIRECT_WRITES;
	if (!fs->config.locks)
		flags |= FS_OPEN_NOFLUSH;
	return flags;
}
