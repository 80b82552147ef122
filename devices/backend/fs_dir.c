/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/util.h"

/*
 * Reading directories. What getdents64() gave and the guest has not taken yet is
 * kept with the open directory, for a guest asks for a page at a time. Only the
 * first directories that are open get a large buffer.
 */

#define FS_DIR_BUF (32 * KIB)
#define FS_DIR_BUF_SMALL (4 * KIB)
#define FS_DIR_BUFS_MAX 64u

/* As getdents64(2) has it. */
struct dir_record {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

int fs_opendir(struct fs_tree *t, uint64_t nodeid, struct fs_opened *opened)
{
	struct fs_inode *inode = fs_inode_get(t, nodeid);
	int fd = -1, r;

	if (!inode)
		return -ESTALE;
	r = S_ISDIR(fs_inode_mode(inode)) ? fs_fds_charge(t) : -ENOTDIR;
	if (!r) {
		fd = fs_node_open(t, inode, O_RDONLY | O_DIRECTORY);
		r = fd < 0 ? fd : 0;
		if (!r) {
			fs_file_stamp(t, inode, fd, opened);
			r = fs_file_add(t, inode, fd, 0, &opened->fh);
		}
		if (!r)
			return 0;
		close_fd(&fd);
		fs_fds_uncharge(t);
	}
	fs_inode_put(t, inode);
	return r;
}

/* ---- the buffer ---- */

static int dir_alloc(struct fs_tree *t, struct fs_dir *dir)
{
	uint32_t nr = atomic_fetch_add(&t->files.nr_dirs, 1);

	dir->size = nr < FS_DIR_BUFS_MAX ? FS_DIR_BUF : FS_DIR_BUF_SMALL;
	dir->buf = malloc(dir->size);
	if (dir->buf)
		return 0;
	atomic_fetch_sub(&t->files.nr_dirs, 1);
	return -ENOMEM;
}

/* Have what is at offset at dir->pos. 1; 0: nothing is there. */
static int dir_fill(struct fs_tree *t, struct fs_dir *dir, int fd,
		    uint64_t offset)
{
	int r = dir->buf ? 0 : dir_alloc(t, dir);
	long n;

	if (r)
		return r;
	if (offset != dir->off) {
		dir->len = 0;
		dir->pos = 0;
		if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
			return -errno;
		dir->off = offset;
	}
	if (dir->pos < dir->len)
		return 1;
	dir->pos = 0;
	dir->len = 0;
	n = syscall(SYS_getdents64, fd, dir->buf, dir->size);
	if (n < 0)
		return -errno;
	dir->len = (uint32_t)n;
	return n > 0;
}

/* ---- entries ---- */

/* Where a directory is reached from outside of the tree is not told. */
static uint64_t dirent_ino(const struct fs_tree *t,
			   const struct fs_inode *inode,
			   const struct dir_record *rec)
{
	bool up = !strcmp(rec->name, "..");

	/* The kernel has written it: NOLINTNEXTLINE(clang-analyzer-core.*) */
	return up && fs_inode_slot(t, inode) == FS_ROOT ? inode->ino : rec->ino;
}

static void dir_emit(struct fs_tree *t, const struct fs_use *use,
		     const struct dir_record *rec, size_t len,
		     struct fs_reader *reader)
{
	struct fs_dirent dirent = { .ino = dirent_ino(t, use->inode, rec),
				    .off = (uint64_t)rec->off,
				    .type = rec->type,
				    .name = rec->name,
				    .len = len };
	struct fs_entry entry;
	bool known = false;

	if (reader->plus && !fs_name_check(rec->name))
		known = !fs_node_enter(t, use->inode, use->fd, rec->name, -1,
				       &entry, NULL);
	reader->add(reader, &dirent, known ? &entry : NULL);
}

static int dir_read(struct fs_tree *t, const struct fs_use *use,
		    struct fs_dir *dir, uint64_t offset,
		    struct fs_reader *reader)
{
	bool some = false;
	int r;

	for (;;) {
		const struct dir_record *rec;
		size_t len;

		r = dir_fill(t, dir, use->fd, offset);
		if (r <= 0)
			return some ? 0 : r;
		rec = (const void *)(dir->buf + dir->pos);
		len = strlen(rec->name);
		/* Longer ones, of file systems that count other than bytes,
		 * cannot be asked for either. */
		if (len <= NAME_MAX) {
			if (!reader->fits(reader, len))
				return 0;
			dir_emit(t, use, rec, len, reader);
			some = true;
		}
		/* As above: NOLINTNEXTLINE(clang-analyzer-core.*) */
		offset = (uint64_t)rec->off;
		dir->pos += rec->len;
		dir->off = offset;
	}
}

int fs_readdir(struct fs_tree *t, uint64_t nodeid, uint64_t fh, uint64_t offset,
	       struct fs_reader *reader)
{
	struct fs_use use;
	struct fs_dir *dir;
	int r;

	r = fs_use_get(t, nodeid, fh, false, &use);
	if (r)
		return r;
	dir = use.file->dir;
	if (dir) {
		pthread_mutex_lock(&dir->lock);
		r = dir_read(t, &use, dir, offset, reader);
		pthread_mutex_unlock(&dir->lock);
	} else {
		r = -ENOTDIR;
	}
	fs_use_put(t, &use);
	return r;
}
