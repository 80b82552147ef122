/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The engine that always works: plain system calls, made in commit() on the
 * loop's thread, which waits for them. What they gave is delivered by the next
 * poll(), as with the other engines.
 */
#include "devices/backend/block_engine.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/iov.h"
#include "vmm/util.h"

struct sync_engine {
	struct block_engine be;
	struct block_req *queue; /* submitted, not committed */
	struct block_req **queue_tail;
};

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
static int sync_bounce(struct block_engine *be, struct block_req *req)
{
	int fd = be->config.image->fd;
	struct iov_cursor cursor;
	ssize_t n;

	while (req->progress < req->len) {
		off_t pos = (off_t)(req->offset + req->progress);
		size_t len = MIN(req->len - req->progress, BLOCK_CHUNK_LEN);

		cursor = iov_cursor_init(req->iov, req->nr_iov);
		iov_skip(&cursor, req->progress);
		if (req->op == BLOCK_READ) {
			n = sync_result(pread(fd, be->bounce, len, pos));
			iov_write(&cursor, be->bounce, n > 0 ? (size_t)n : 0);
		} else {
			iov_read(&cursor, be->bounce, len);
			n = sync_result(pwrite(fd, be->bounce, len, pos));
		}
		if (n < 0 && n != -EINTR)
			return (int)n;
		req->progress += n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}

static int sync_fallocate(int fd, const struct block_req *req)
{
	int r;

	do
		r = fallocate(fd, block_fallocate_mode(req), (off_t)req->offset,
			      (off_t)req->len);
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
		r = sync_fallocate(image->fd, req);
	return block_is_unsupported(r) ? 0 : r;
}

static int sync_write_zeroes(int fd, struct block_req *req)
{
	int r;

	for (req->step = block_zero_step(req, 0); req->step < BLOCK_ZERO_WRITE;
	     req->step++) {
		r = sync_fallocate(fd, req);
		if (!block_is_unsupported(r))
			return r;
	}
	return sync_transfer(fd, req);
}

int block_sync_execute(struct block_engine *be, struct block_req *req)
{
	const struct block_image *image = be->config.image;

	switch (req->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		if (be->bounce && block_req_is_misaligned(be, req))
			return sync_bounce(be, req);
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
	struct sync_engine *se = container_of(be, struct sync_engine, be);

	block_engine_begin(be, req);
	req->next = NULL;
	*se->queue_tail = req;
	se->queue_tail = &req->next;
}

static void sync_commit(struct block_engine *be)
{
	struct sync_engine *se = container_of(be, struct sync_engine, be);
	struct block_req *req = se->queue, *next;

	se->queue = NULL;
	se->queue_tail = &se->queue;
	for (; req; req = next) {
		next = req->next;
		block_engine_finish(be, req, block_sync_execute(be, req));
	}
	block_engine_settle(be);
}

static bool sync_poll(struct block_engine *be)
{
	return block_engine_deliver(be);
}

static void sync_destroy(struct block_engine *be)
{
	struct sync_engine *se = container_of(be, struct sync_engine, be);

	block_engine_fini(be);
	free(se);
}

static int sync_create(struct block_engine **out,
		       const struct block_engine_config *config)
{
	struct sync_engine *se = calloc(1, sizeof(*se));
	int r;

	if (!se)
		return -ENOMEM;
	se->queue_tail = &se->queue;
	r = block_engine_init(&se->be, &block_sync_ops, config);
	if (r) {
		sync_destroy(&se->be);
		return r;
	}
	*out = &se->be;
	return 0;
}

const struct block_engine_ops block_sync_ops = {
	.name = "sync",
	.create = sync_create,
	.submit = sync_submit,
	.commit = sync_commit,
	.poll = sync_poll,
	.events = block_engine_events,
	.destroy = sync_destroy,
};
