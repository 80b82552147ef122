/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/util.h"

/*
 * Files and directories that the guest has open. The table is as that of inodes:
 * one word says generation and references, one of which is the guest's until it
 * releases the file. Whoever brings it to 0 closes it.
 */

/* Of what the guest asks for at open. O_APPEND comes with each write. */
#define FS_OPEN_FLAGS (O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME)
/* A change that is younger may not be the last one with its time stamps. */
#define FS_STAMP_NS 20000000
/* To cut off more than this waits. */
#define FS_CUT_INLINE (4 * MIB)

int fs_files_init(struct fs_tree *t)
{
	struct fs_files *f = &t->files;
	void *p;

	f->max = t->fds.max;
	p = mmap(NULL, (f->max + 1) * sizeof(*f->file), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	f->file = p;
	return 0;
}

void fs_files_fini(struct fs_tree *t)
{
	struct fs_files *f = &t->files;

	if (!f->file)
		return;
	fs_files_forget_all(t);
	munmap(f->file, (f->max + 1) * sizeof(*f->file));
}

/* ---- the table ---- */

static unsigned int file_flags(int flags)
{
	return (flags & (O_DIRECT | O_SYNC | O_DSYNC) ? FS_FILE_WAITS : 0) |
	       ((flags & O_ACCMODE) == O_RDONLY ? FS_FILE_READS : 0);
}

int fs_file_add(struct fs_tree *t, struct fs_inode *inode, int fd, int flags,
		uint64_t *fh)
{
	struct fs_files *f = &t->files;
	struct fs_dir *dir = NULL;
	struct fs_file *file;
	uint32_t i;

	if (S_ISDIR(fs_inode_mode(inode))) {
		dir = calloc(1, sizeof(*dir));
		if (!dir)
			return -ENOMEM;
		pthread_mutex_init(&dir->lock, NULL);
	}
	pthread_mutex_lock(&f->lock);
	i = f->free;
	if (i)
		f->free = f->file[i].next;
	else if (f->nr_entries < f->max)
		i = ++f->nr_entries;
	pthread_mutex_unlock(&f->lock);
	if (!i) {
		free(dir);
		return -ENFILE;
	}
	file = &f->file[i];
	file->fd = fd;
	file->inode = fs_inode_slot(t, inode);
	file->dir = dir;
	atomic_store(&file->flags, file_flags(flags));
	file->below = inode->mount && t->config.cache == FS_CACHE_ALWAYS;
	if (file->below)
		atomic_fetch_add(&f->nr_below, 1);
	atomic_fetch_add(&f->nr, 1);
	*fh = fs_number(fs_generation(&f->generation), i);
	atomic_store(&file->word, fs_number((uint32_t)(*fh >> 32), 1));
	return 0;
}

void fs_file_put(struct fs_tree *t, struct fs_file *file)
{
	struct fs_files *f = &t->files;
	uint64_t word = atomic_fetch_sub(&file->word, 1) - 1;

	if (word & FS_REFS)
		return;
	atomic_store(&file->word, 0);
	fs_fds_close(t, file->fd);
	fs_inode_put(t, &t->table.inode[file->inode]);
	if (file->dir) {
		if (file->dir->buf)
			atomic_fetch_sub(&f->nr_dirs, 1);
		pthread_mutex_destroy(&file->dir->lock);
		free(file->dir->buf);
		free(file->dir);
	}
	if (file->below)
		atomic_fetch_sub(&f->nr_below, 1);
	atomic_fetch_sub(&f->nr, 1);
	pthread_mutex_lock(&f->lock);
	file->next = f->free;
	f->free = (uint32_t)(file - f->file);
	pthread_mutex_unlock(&f->lock);
}

/* One more reference to an open file of this generation, or `any`. False: it is
 * not open. */
static bool file_hold(struct fs_tree *t, struct fs_file *file,
		      uint32_t generation, bool any)
{
	if (!fs_word_get(&file->word, generation, any))
		return false;
	if (!(atomic_load(&file->flags) & FS_FILE_RELEASED))
		return true;
	fs_file_put(t, file);
	return false;
}

/* The guest's reference goes once. The caller's stays. */
static bool file_release(struct fs_tree *t, struct fs_file *file)
{
	if (atomic_fetch_or(&file->flags, FS_FILE_RELEASED) & FS_FILE_RELEASED)
		return false;
	fs_file_put(t, file);
	return true;
}

struct fs_file *fs_file_get(struct fs_tree *t, uint64_t fh)
{
	struct fs_file *file = &t->files.file[fs_slot(fh)];

	if (!fs_slot(fh) || fs_slot(fh) > t->files.max ||
	    !file_hold(t, file, (uint32_t)(fh >> 32), false))
		return NULL;
	return file;
}

int fs_release(struct fs_tree *t, uint64_t fh)
{
	struct fs_file *file = fs_file_get(t, fh);
	bool done;

	if (!file)
		return -EBADF;
	done = file_release(t, file);
	fs_file_put(t, file);
	return done ? 0 : -EBADF;
}

void fs_files_forget_all(struct fs_tree *t)
{
	struct fs_files *f = &t->files;
	uint32_t nr;

	for (uint32_t i = 0; i < FS_IMPLICIT; i++)
		atomic_store(&f->implicit[i], 0);
	pthread_mutex_lock(&f->lock);
	nr = f->nr_entries;
	pthread_mutex_unlock(&f->lock);
	for (uint32_t i = 1; i <= nr; i++) {
		struct fs_file *file = &f->file[i];

		if (!file_hold(t, file, 0, true))
			continue;
		file_release(t, file);
		fs_file_put(t, file);
	}
}

/* ---- what a call works on ---- */

int fs_use_get(struct fs_tree *t, uint64_t nodeid, uint64_t fh, bool write,
	       struct fs_use *use)
{
	int r = 0;

	if (fh)
		use->file = fs_file_get(t, fh);
	else
		r = fs_implicit_get(t, nodeid, write, &use->file);
	if (r || !use->file)
		return r ? r : -EBADF;
	use->inode = &t->table.inode[use->file->inode];
	use->fd = use->file->fd;
	return 0;
}

void fs_use_put(struct fs_tree *t, struct fs_use *use)
{
	fs_file_put(t, use->file);
}

/* ---- opening ---- */

/* A hash of what changes with a file's content; 0: a change may still come that
 * would leave it so. */
static uint64_t stat_stamp(const struct statx *stx)
{
	int64_t mtime =
		stx->stx_mtime.tv_sec * 1000000000 + stx->stx_mtime.tv_nsec;
	int64_t ctime =
		stx->stx_ctime.tv_sec * 1000000000 + stx->stx_ctime.tv_nsec;
	uint64_t hash = (uint64_t)mtime * 0x9e3779b97f4a7c15u;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec * 1000000000 + now.tv_nsec - MAX(mtime, ctime) <
	    FS_STAMP_NS)
		return 0;
	hash = ((hash ^ hash >> 31) + (uint64_t)ctime) * 0xbf58476d1ce4e5b9u;
	hash = ((hash ^ hash >> 29) + stx->stx_size) * 0x94d049bb133111ebu;
	hash ^= hash >> 32;
	return hash ? hash : 1;
}

void fs_file_stamp(struct fs_tree *t, struct fs_inode *inode, int fd,
		   struct fs_opened *opened)
{
	struct statx stx;
	uint64_t stamp;

	opened->keep_cache = t->config.cache == FS_CACHE_ALWAYS;
	opened->direct = t->config.cache == FS_CACHE_NEVER;
	if (t->config.cache != FS_CACHE_AUTO)
		return;
	stamp = fs_stat(fd, "", &stx) ? 0 : stat_stamp(&stx);
	opened->keep_cache = stamp &&
			     atomic_exchange(&inode->stamp, stamp) == stamp;
	if (!stamp)
		atomic_store(&inode->stamp, 0);
}

bool fs_cut_is_long(const struct statx *stx, uint64_t size)
{
	/* There may be more behind its end. */
	uint64_t has = MAX(stx->stx_size, stx->stx_blocks * 512);

	return S_ISREG(stx->stx_mode) && has > size &&
	       has - size > FS_CUT_INLINE;
}

static int file_truncate(const struct fs_tree *t, const struct fs_call *call,
			 struct fs_inode *inode, int fd)
{
	struct statx stx;
	int r = fs_stat(fd, "", &stx);

	if (r || !stx.stx_size)
		return r;
	if (!call->may_wait && fs_cut_is_long(&stx, 0))
		return -EAGAIN;
	fs_caller_keeps_bits(t, !call->kill_priv);
	r = ftruncate(fd, 0) ? -errno : 0;
	fs_caller_leave(t);
	fs_xattr_drop_caps(t, inode, fd);
	return r;
}

int fs_file_open(struct fs_tree *t, const struct fs_call *call,
		 struct fs_inode *inode, int flags)
{
	int access = flags & O_ACCMODE, fd, r;

	if (S_ISDIR(fs_inode_mode(inode)))
		return -EISDIR;
	if (access == O_ACCMODE)
		return -EINVAL;
	if (t->config.readonly && (access != O_RDONLY || flags & O_TRUNC))
		return -EROFS;
	if (t->config.writeback && access == O_WRONLY)
		access = O_RDWR;
	if (flags & O_TRUNC && access == O_RDONLY)
		access = O_RDWR;
	r = fs_fds_charge(t);
	if (r)
		return r;
	fd = fs_node_open(t, inode, access | (flags & FS_OPEN_FLAGS));
	/* Not all file systems have it. */
	if (fd == -EINVAL && flags & O_DIRECT)
		fd = fs_node_open(t, inode,
				  access | (flags & FS_OPEN_FLAGS & ~O_DIRECT));
	r = fd < 0 ? fd : 0;
	if (!r && flags & O_TRUNC)
		r = file_truncate(t, call, inode, fd);
	if (!r)
		return fd;
	close_fd(&fd);
	fs_fds_uncharge(t);
	return r;
}

int fs_open(struct fs_tree *t, const struct fs_call *call, uint64_t nodeid,
	    int flags, struct fs_opened *opened)
{
	struct fs_inode *inode = fs_inode_get(t, nodeid);
	int fd, r;

	if (!inode)
		return -ESTALE;
	fd = fs_file_open(t, call, inode, flags);
	r = fd < 0 ? fd : 0;
	if (!r) {
		fs_file_stamp(t, inode, fd, opened);
		r = fs_file_add(t, inode, fd, flags, &opened->fh);
		if (!r)
			return 0;
		close(fd);
		fs_fds_uncharge(t);
	}
	fs_inode_put(t, inode);
	return r;
}

int fs_lend(struct fs_tree *t, uint64_t nodeid, bool write)
{
	struct fs_inode *inode = fs_inode_get(t, nodeid);
	int fd;

	if (!inode)
		return -ESTALE;
	fd = fs_file_open(t, &(struct fs_call){ 0 }, inode,
			  write ? O_RDWR : O_RDONLY);
	fs_inode_put(t, inode);
	return fd;
}

void fs_lend_end(struct fs_tree *t, int fd)
{
	close(fd);
	fs_fds_uncharge(t);
}
