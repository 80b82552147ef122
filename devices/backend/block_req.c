/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/block_req.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/few.h"
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

	if (!img->direct || req->op > BLOCK_WRITE)
		return false;
	for (unsigned int i = 0; i < req->nr_iov; i++) {
		places |= (uintptr_t)req->iov[i].iov_base;
		lengths |= req->iov[i].iov_len;
	}
	/* A piece may begin where memory_align says, but holds whole blocks. */
	return places & (img->memory_align - 1) ||
	       lengths & (img->logical_block - 1);
}

/* ---- plain calls ---- */

/* Move some of it. As the call that did. */
static ssize_t req_move(int fd, const struct block_req *req, off_t pos)
{
	struct iovec one;
	unsigned int nr;
	const struct iovec *iov = block_req_rest(req, &one, &nr);

	return req->op == BLOCK_READ ? preadv(fd, iov, (int)nr, pos)
				     : pwritev(fd, iov, (int)nr, pos);
}

/* By way of a buffer that O_DIRECT accepts. */
static ssize_t req_bounce(int fd, const struct block_req *req, off_t pos)
{
	char bounce[BLOCK_CHUNK_LEN] __attribute__((aligned(4096)));
	size_t len = MIN(req->len - req->progress, sizeof(bounce));
	struct iov_cursor cursor = iov_cursor_init(req->iov, req->nr_iov);
	ssize_t n;

	iov_skip(&cursor, req->progress);
	if (req->op == BLOCK_WRITE) {
		iov_read(&cursor, bounce, len);
		return few_pwrite(fd, bounce, len, pos);
	}
	n = few_pread(fd, bounce, len, pos);
	iov_write(&cursor, bounce, n > 0 ? (size_t)n : 0);
	return n;
}

static int req_transfer(const struct block_image *image, struct block_req *req)
{
	bool bounce = block_req_is_misaligned(image, req);

	while (req->progress < req->len) {
		off_t pos = (off_t)(req->offset + req->progress);
		ssize_t n = bounce ? req_bounce(image->fd, req, pos)
				   : req_move(image->fd, req, pos);

		if (!n)
			return -EIO; /* the file is shorter than it was */
		if (n < 0 && errno != EINTR)
			return -errno;
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

static int req_write_zeroes(const struct block_image *image,
			    struct block_req *req)
{
	int r = -EOPNOTSUPP, fd = image->fd;

	if (req->flags & BLOCK_ZERO_MAY_UNMAP)
		r = req_fallocate(fd, req, FALLOC_FL_PUNCH_HOLE);
	if (req_is_unsupported(r))
		r = req_fallocate(fd, req, FALLOC_FL_ZERO_RANGE);
	if (req_is_unsupported(r))
		r = req_transfer(image, req);
	return r;
}

int block_req_execute(const struct block_image *image, struct block_req *req)
{
	switch (req->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		return req_transfer(image, req);
	case BLOCK_FLUSH:
		return fdatasync(image->fd) ? -errno : 0;
	case BLOCK_DISCARD:
		return req_discard(image, req);
	case BLOCK_WRITE_ZEROES:
		return req_write_zeroes(image, req);
	}
	return -EINVAL;
}
