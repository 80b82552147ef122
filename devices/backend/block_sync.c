/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The engine that always works: plain system calls, and how each request is
 * made by them. Those that may wait are made on threads of the pool.
 */
#include "devices/backend/block_engine.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/iov.h"
#include "vmm/util.h"

/* ---- one request, blocking ---- */

/* What a transfer returned, as the number of bytes or -errno. */
static ssize_t sync_result(ssize_t n)
{
	/* No progress: the file is shorter than it was, or is full. */
	return n > 0 ? n : n == 0 ? -EIO : -errno;
}

static int sync_transfer(int fd, struct block_req *req)
{
	const struct iovec *iov;
	struct iovec one;
	unsigned int nr;
	ssize_t n;

	while (req->progress < req->len) {
		off_t pos = (off_t)(req->offset + req->progress);

		iov = block_req_rest(req, &one, &nr);
		if (req->op == BLOCK_READ)
			n = preadv(fd, iov, (int)nr, pos);
		else
			n = pwritev(fd, iov, (int)nr, pos);
		n = sync_result(n);
		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		req->progress += (uint64_t)n;
	}
	return 0;
}

/* By way of a buffer that O_DIRECT accepts. */
static int sync_bounce(int fd, struct block_req *req)
{
	char bounce[BLOCK_CHUNK_LEN] __attribute__((aligned(4096)));
	struct iov_cursor cursor;
	ssize_t n;

	while (req->progress < req->len) {
		off_t pos = (off_t)(req->offset + req->progress);
		size_t len = MIN(req->len - req->progress, sizeof(bounce));

		cursor = iov_cursor_init(req->iov, req->nr_iov);
		iov_skip(&cursor, req->progress);
		if (req->op == BLOCK_READ) {
			n = sync_result(pread(fd, bounce, len, pos));
			iov_write(&cursor, bounce, n > 0 ? (size_t)n : 0);
		} else {
			iov_read(&cursor, bounce, len);
			n = sync_result(pwrite(fd, bounce, len, pos));
		}
		if (n < 0 && n != -EINTR)
			return (int)n;
		req->progress += n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}

/* This file does not know how: fallocate(2)'s ways to say so. */
static bool sync_is_unsupported(int result)
{
	return result == -EOPNOTSUPP || result == -ENOSYS;
}

static int sync_fallocate(int fd, const struct block_req *req, int mode)
{
	int r;

	do
		r = fallocate(fd, mode | FALLOC_FL_KEEP_SIZE,
			      (off_t)req->offset, (off_t)req->len);
	while (r && errno == EINTR);
	return r ? -errno : 0;
}

/* A discard is a hint: a file that cannot do it has done it. */
static int sync_discard(const struct block_image *image,
			const struct block_req *req)
{
	uint64_t range[2] = { req->offset, req->len };
	int r;

	if (image->is_blockdev)
		r = ioctl(image->fd, BLKDISCARD, range) ? -errno : 0;
	else
		r = sync_fallocate(image->fd, req, FALLOC_FL_PUNCH_HOLE);
	return sync_is_unsupported(r) ? 0 : r;
}

static int sync_write_zeroes(int fd, struct block_req *req)
{
	int r = -EOPNOTSUPP;

	if (req->flags & BLOCK_ZERO_MAY_UNMAP)
		r = sync_fallocate(fd, req, FALLOC_FL_PUNCH_HOLE);
	if (sync_is_unsupported(r))
		r = sync_fallocate(fd, req, FALLOC_FL_ZERO_RANGE);
	if (sync_is_unsupported(r))
		r = sync_transfer(fd, req);
	return r;
}

int block_sync_execute(const struct block_image *image, struct block_req *req)
{
	switch (req->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		if (block_req_is_misaligned(image, req))
			return sync_bounce(image->fd, req);
		return sync_transfer(image->fd, req);
	case BLOCK_FLUSH:
		return fdatasync(image->fd) ? -errno : 0;
	case BLOCK_DISCARD:
		return sync_discard(image, req);
	case BLOCK_WRITE_ZEROES:
		return sync_write_zeroes(image->fd, req);
	}
	return -EINVAL;
}

/* ---- the engine ---- */

static void sync_submit(struct block_engine *be, struct block_req *req)
{
	block_engine_begin(be, req);
	block_engine_submit_plain(be, req);
}

static void sync_commit(struct block_engine *be)
{
	if (be->writes)
		block_engine_write_now(be, block_engine_defer);
	block_engine_settle(be);
}

static void sync_destroy(struct block_engine *be)
{
	block_engine_fini(be);
	free(be);
}

static int sync_create(struct block_engine **out,
		       const struct block_engine_config *config)
{
	struct block_engine *be = calloc(1, sizeof(*be));
	int r;

	if (!be)
		return -ENOMEM;
	r = block_engine_init(be, &block_sync_ops, config);
	if (r) {
		sync_destroy(be);
		return r;
	}
	*out = be;
	return 0;
}

const struct block_engine_ops block_sync_ops = {
	.name = "sync",
	.create = sync_create,
	.submit = sync_submit,
	.commit = sync_commit,
	.poll = block_engine_deliver,
	.events = block_engine_events,
	.cancel = block_engine_cancel,
	.destroy = sync_destroy,
};
