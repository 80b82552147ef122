/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "vmm/iov.h"
#include "vmm/util.h"

/*
 * Data goes between file and guest by one system call on the caller's thread
 * when it can be had at once, which RWF_NOWAIT asks for; what has to wait is
 * left to a call that may.
 */

/* To look for data or holes in more than this of a file waits. */
#define FS_SEEK_INLINE GIB
/* What is allocated or punched at a time. */
#define FS_ALLOCATE_PIECE (128 * MIB)

/* Whether to ask with RWF_NOWAIT. -EAGAIN: each request on this file waits. */
static int data_flags(const struct fs_call *call, const struct fs_use *use,
		      unsigned int plain)
{
	unsigned int flags;

	if (call->may_wait)
		return 0;
	flags = atomic_load_explicit(&use->file->flags, memory_order_relaxed);
	if (flags & FS_FILE_WAITS)
		return -EAGAIN;
	return flags & plain ? 0 : RWF_NOWAIT;
}

/* Not known there: do not ask again. */
static void data_plain(const struct fs_use *use, unsigned int plain)
{
	atomic_fetch_or(&use->file->flags, plain);
}

/* What cannot be done in a file's O_DIRECT way, by length or address, is done in
 * the usual way from now on. */
static bool data_undirect(const struct fs_use *use)
{
	int flags = fcntl(use->fd, F_GETFL);

	if (flags < 0 || !(flags & O_DIRECT) ||
	    fcntl(use->fd, F_SETFL, flags & ~O_DIRECT))
		return false;
	if (!(flags & (O_SYNC | O_DSYNC)))
		atomic_fetch_and(&use->file->flags, ~(uint32_t)FS_FILE_WAITS);
	return true;
}

/* Is there nothing behind offset? */
static bool data_at_end(int fd, uint64_t offset)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	return preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT) == 0;
}

static ssize_t data_read(const struct fs_use *use, const struct fs_io *io,
			 int flags)
{
	ssize_t n = preadv2(use->fd, io->iov, (int)io->nr, (off_t)io->offset,
			    flags);

	if (n >= 0)
		return flags && (size_t)n < iov_len(io->iov, io->nr) &&
				       !data_at_end(use->fd,
						    io->offset + (size_t)n)
			       ? -EAGAIN
			       : n;
	if (errno == EOPNOTSUPP && flags) {
		data_plain(use, FS_FILE_PLAIN_READ);
		return data_read(use, io, 0);
	}
	if (errno == EINVAL && data_undirect(use))
		return data_read(use, io, flags);
	return -errno;
}

ssize_t fs_read(struct fs_tree *t, const struct fs_call *call,
		const struct fs_io *io)
{
	struct fs_use use;
	ssize_t r;
	int flags;

	if (io->offset > INT64_MAX)
		return -EINVAL;
	r = fs_use_get(t, io->nodeid, io->fh, false, &use);
	if (r)
		return r;
	flags = data_flags(call, &use, FS_FILE_PLAIN_READ);
	r = flags < 0 ? flags : data_read(&use, io, flags);
	fs_use_put(t, &use);
	return r;
}

static ssize_t data_write(const struct fs_use *use, const struct fs_io *io,
			  int flags)
{
	int append = io->append ? RWF_APPEND : 0;
	ssize_t n = pwritev2(use->fd, io->iov, (int)io->nr, (off_t)io->offset,
			     flags | append);

	if (n >= 0)
		/* The whole again, where it may wait: the same bytes. */
		return flags && (size_t)n < iov_len(io->iov, io->nr) ? -EAGAIN
								     : n;
	if (errno == EOPNOTSUPP && flags) {
		data_plain(use, FS_FILE_PLAIN_WRITE);
		return data_write(use, io, 0);
	}
	if (errno == EINVAL && data_undirect(use))
		return data_write(use, io, flags);
	return -errno;
}

ssize_t fs_write(struct fs_tree *t, const struct fs_call *call,
		 const struct fs_io *io)
{
	struct fs_use use;
	ssize_t r;
	int flags;

	if (t->config.readonly)
		return -EROFS;
	if (io->offset > INT64_MAX)
		return -EINVAL;
	r = fs_use_get(t, io->nodeid, io->fh, true, &use);
	if (r)
		return r;
	flags = data_flags(call, &use, FS_FILE_PLAIN_WRITE);
	/* A part that was appended would be there twice. */
	if (flags > 0 && io->append)
		flags = 0;
	if (flags < 0) {
		r = flags;
	} else {
		fs_xattr_drop_caps(t, use.inode, use.fd);
		fs_caller_keeps_bits(t, !call->kill_priv);
		r = data_write(&use, io, flags);
		fs_caller_leave(t);
	}
	fs_use_put(t, &use);
	return r;
}

int fs_fsync(struct fs_tree *t, const struct fs_call *call, uint64_t nodeid,
	     uint64_t fh, bool data_only)
{
	struct fs_use use;
	int r;

	if (!call->may_wait)
		return -EAGAIN;
	r = fs_use_get(t, nodeid, fh, false, &use);
	if (r)
		return r;
	r = (data_only ? fdatasync(use.fd) : fsync(use.fd)) ? -errno : 0;
	fs_use_put(t, &use);
	return r;
}

static int data_seek(const struct fs_call *call, int fd, uint64_t from,
		     int whence, uint64_t *offset)
{
	struct statx stx;
	int r = call->may_wait ? 0 : fs_stat(fd, "", &stx);
	off_t off;

	if (r)
		return r;
	/* The host looks at each piece of it, which may be a page. */
	if (!call->may_wait && stx.stx_size > from &&
	    stx.stx_size - from > FS_SEEK_INLINE)
		return -EAGAIN;
	off = lseek(fd, (off_t)from, whence);
	*offset = (uint64_t)off;
	return off < 0 ? -errno : 0;
}

int fs_lseek(struct fs_tree *t, const struct fs_call *call,
	     const struct fs_io *io, int whence, uint64_t *offset)
{
	struct fs_use use;
	int r;

	if ((whence != SEEK_DATA && whence != SEEK_HOLE) ||
	    io->offset > INT64_MAX)
		return -EINVAL;
	r = fs_use_get(t, io->nodeid, io->fh, false, &use);
	if (r)
		return r;
	r = use.file->dir ? -EISDIR
			  : data_seek(call, use.fd, io->offset, whence, offset);
	fs_use_put(t, &use);
	return r;
}

/* In pieces that take the host no longer than a moment; len is not 0. The size
 * changes with the last one, as if all were one. */
static int data_allocate(const struct fs_call *call, int fd, int mode,
			 uint64_t from, uint64_t len)
{
	uint64_t end = from + len;

	/* Beyond what a file can have is said before anything is done. */
	if (end > INT64_MAX || lseek(fd, (off_t)end, SEEK_SET) < 0)
		return -EFBIG;
	while (from < end) {
		uint64_t piece =
			MIN(FS_ALLOCATE_PIECE - from % FS_ALLOCATE_PIECE,
			    end - from);
		int keep = from + piece < end ? FALLOC_FL_KEEP_SIZE : 0;

		if (call->stop && atomic_load(call->stop))
			return -EINTR;
		if (fallocate(fd, mode | keep, (off_t)from, (off_t)piece))
			return -errno;
		from += piece;
	}
	return 0;
}

int fs_fallocate(struct fs_tree *t, const struct fs_call *call,
		 const struct fs_io *io, int mode, uint64_t len)
{
	const int known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE |
			  FALLOC_FL_ZERO_RANGE;
	struct fs_use use;
	int r;

	if (t->config.readonly)
		return -EROFS;
	if (mode & ~known)
		return -EOPNOTSUPP;
	if (io->offset > INT64_MAX || len > INT64_MAX || !len)
		return -EINVAL;
	if (!call->may_wait)
		return -EAGAIN;
	r = fs_use_get(t, io->nodeid, io->fh, true, &use);
	if (r)
		return r;
	fs_xattr_drop_caps(t, use.inode, use.fd);
	fs_caller_keeps_bits(t, !call->kill_priv);
	r = data_allocate(call, use.fd, mode, io->offset, len);
	fs_caller_leave(t);
	fs_use_put(t, &use);
	return r;
}

ssize_t fs_copy_range(struct fs_tree *t, const struct fs_call *call,
		      const struct fs_io *from, const struct fs_io *to,
		      uint64_t len)
{
	off_t in = (off_t)from->offset, out = (off_t)to->offset;
	struct fs_use src, dst;
	ssize_t r;

	if (t->config.readonly)
		return -EROFS;
	if (from->offset > INT64_MAX || to->offset > INT64_MAX)
		return -EINVAL;
	if (!call->may_wait)
		return -EAGAIN;
	r = fs_use_get(t, from->nodeid, from->fh, false, &src);
	if (r)
		return r;
	r = fs_use_get(t, to->nodeid, to->fh, true, &dst);
	if (!r) {
		fs_xattr_drop_caps(t, dst.inode, dst.fd);
		fs_caller_keeps_bits(t, !call->kill_priv);
		r = copy_file_range(src.fd, &in, dst.fd, &out,
				    MIN(len, (uint64_t)SSIZE_MAX), 0);
		if (r < 0)
			r = -errno;
		fs_caller_leave(t);
		fs_use_put(t, &dst);
	}
	fs_use_put(t, &src);
	return r;
}
