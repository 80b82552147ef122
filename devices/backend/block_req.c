/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/block_req.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/iov.h"
#include "vmm/util.h"

/* Never written, so that reads of it all share the kernel's zero page. */
static char zeroes[BLOCK_CHUNK_LEN] __attribute__((aligned(4096)));

const struct iovec *block_req_rest(const struct block_req *req,
				   struct iovec *one, unsigned int *nr)
{
	const struct iovec *iov = req->iov;
	uint64_t skip = req->progress;
	unsigned int left = req->nr_iov;

	if (req->op == BLOCK_WRITE_ZEROES) {
		one->iov_base = zeroes;
		one->iov_len = MIN(req->len - skip, BLOCK_CHUNK_LEN);
		*nr = 1;
		return one;
	}
	while (left && skip >= iov->iov_len) {
		skip -= iov->iov_len;
		iov++;
		left--;
	}
	*nr = MIN(left, BLOCK_IOV_MAX);
	if (!left || (!skip && iov->iov_len <= BLOCK_LEN_MAX))
		return iov;
	one->iov_base = (char *)iov->iov_base + skip;
	one->iov_len = MIN(iov->iov_len - skip, BLOCK_LEN_MAX);
	*nr = 1;
	return one;
}

bool block_req_is_misaligned(const struct block_image *img,
			     const struct block_req *req)
{
	uintptr_t places = 0, lengths = 0;
	unsigned int i;

	if (!img->direct || req->op > BLOCK_WRITE)
		return false;
	for (i = 0; i < req->nr_iov; i++) {
		places |= (uintptr_t)req->iov[i].iov_base;
		lengths |= req->iov[i].iov_len;
	}
	/* A piece may begin where memory_align says, but holds whole blocks. */
	return places & (img->memory_align - 1) ||
	       lengths & (img->logical_block - 1);
}

/* ---- plain calls ---- */

/* What a transfer returned, as the number of bytes or -errno. */
static ssize_t req_result(ssize_t n)
{
	/* No progress: the file is shorter than it was, or is full. */
	return n > 0 ? n : n == 0 ? -EIO : -errno;
}

static int req_transfer(int fd, struct block_req *req)
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
		n = req_result(n);
		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		req->progress += (uint64_t)n;
	}
	return 0;
}

/* By way of a buffer that O_DIRECT accepts. */
static int req_bounce(int fd, struct block_req *req)
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
			n = req_result(pread(fd, bounce, len, pos));
			iov_write(&cursor, bounce, n > 0 ? (size_t)n : 0);
		} else {
			iov_read(&cursor, bounce, len);
			n = req_result(pwrite(fd, bounce, len, pos));
		}
		if (n < 0 && n != -EINTR)
			return (int)n;
		req->progress += n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}

/* This file does not know how: fallocate(2)'s ways to say so. */
static bool req_is_unsupported(int result)
{
	return result == -EOPNOTSUPP || result == -ENOSYS;
}

static int req_fallocate(int fd, const struct block_req *req, int mode)
{
	int r;

	do
		r = fallocate(fd, mode | FALLOC_FL_KEEP_SIZE,
			      (off_t)req->offset, (off_t)req->len);
	while (r && errno == EINTR);
	return r ? -errno : 0;
}

/* A discard is a hint: a file that cannot do it has done it. */
static int req_discard(const struct block_image *image,
		       const struct block_req *req)
{
	uint64_t range[2] = { req->offset, req->len };
	int r;

	if (image->is_blockdev)
		r = ioctl(image->fd, BLKDISCARD, range) ? -errno : 0;
	else
		r = req_fallocate(image->fd, req, FALLOC_FL_PUNCH_HOLE);
	return req_is_unsupported(r) ? 0 : r;
}

static int req_write_zeroes(int fd, struct block_req *req)
{
	int r = -EOPNOTSUPP;

	if (req->flags & BLOCK_ZERO_MAY_UNMAP)
		r = req_fallocate(fd, req, FALLOC_FL_PUNCH_HOLE);
	if (req_is_unsupported(r))
		r = req_fallocate(fd, req, FALLOC_FL_ZERO_RANGE);
	if (req_is_unsupported(r))
		r = req_transfer(fd, req);
	return r;
}

int block_req_execute(const struct block_image *image, struct block_req *req)
{
	switch (req->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		if (block_req_is_misaligned(image, req))
			return req_bounce(image->fd, req);
		return req_transfer(image->fd, req);
	case BLOCK_FLUSH:
		return fdatasync(image->fd) ? -errno : 0;
	case BLOCK_DISCARD:
		return req_discard(image, req);
	case BLOCK_WRITE_ZEROES:
		return req_write_zeroes(image->fd, req);
	}
	return -EINVAL;
}
