/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/iov.h"

#include <string.h>

#include "vmm/util.h"

size_t iov_len(const struct iovec *iov, unsigned int nr)
{
	size_t len = 0;

	for (unsigned int i = 0; i < nr; i++)
		len += iov[i].iov_len;
	return len;
}

/*
 * The next piece of at most len bytes that lies in one entry, and move past
 * it. Empty entries are stepped over. iov_len 0: the array is at its end.
 */
static struct iovec iov_next(struct iov_cursor *c, size_t len)
{
	struct iovec piece = { NULL, 0 };

	while (c->nr && c->off == c->iov->iov_len) {
		c->iov++;
		c->nr--;
		c->off = 0;
	}
	if (!c->nr || !len)
		return piece;
	piece.iov_base = (char *)c->iov->iov_base + c->off;
	piece.iov_len = MIN(len, c->iov->iov_len - c->off);
	c->off += piece.iov_len;
	return piece;
}

/* Go on by len bytes, and copy them to a buffer, or out of one. */
static size_t iov_move(struct iov_cursor *c, char *to, const char *from,
		       size_t len)
{
	size_t done = 0;
	struct iovec piece;

	for (; (piece = iov_next(c, len - done)).iov_len;
	     done += piece.iov_len) {
		if (to)
			memcpy(to + done, piece.iov_base, piece.iov_len);
		else if (from)
			memcpy(piece.iov_base, from + done, piece.iov_len);
	}
	return done;
}

size_t iov_read(struct iov_cursor *c, void *buf, size_t len)
{
	return iov_move(c, buf, NULL, len);
}

size_t iov_write(struct iov_cursor *c, const void *buf, size_t len)
{
	return iov_move(c, NULL, buf, len);
}

size_t iov_skip(struct iov_cursor *c, size_t len)
{
	return iov_move(c, NULL, NULL, len);
}

void iov_trim_front(struct iovec **iov, unsigned int *nr, size_t len)
{
	struct iovec *v = *iov;

	while (*nr && len >= v->iov_len) {
		len -= v->iov_len;
		v++;
		(*nr)--;
	}
	if (*nr && len) {
		v->iov_base = (char *)v->iov_base + len;
		v->iov_len -= len;
	}
	*iov = v;
}
