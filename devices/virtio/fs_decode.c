/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/fs_decode.h"

#include <errno.h>
#include <string.h>

/* ---- buffers of a chain ---- */

/* Those that are writable and lie in RAM, the first ones of them. */
static struct iov_cursor fs_in_cursor(const struct vq_chain *c)
{
	unsigned int end = c->nr_out + c->nr_in;

	if (c->window_end > c->nr_out)
		end = MAX(c->window_first, c->nr_out);
	return iov_cursor_init(c->iov + c->nr_out, end - c->nr_out);
}

bool fs_decode_has_room(const struct vq_chain *chain)
{
	struct iov_cursor in = fs_in_cursor(chain);
	const size_t len = sizeof(struct fuse_out_header);

	if (in.nr && in.iov->iov_len >= len)
		return true;
	return iov_skip(&in, len) == len;
}

bool fs_decode_header(struct fs_req *req)
{
	const struct vq_chain *c = &req->chain;
	struct iov_cursor out =
		iov_cursor_init(c->iov, vq_chain_front(c, c->nr_out));
	const size_t len = sizeof(req->head);

	return iov_read(&out, &req->head, len) == len;
}

/*
 * Let cut be the len bytes behind the first skip ones of nr buffers; the first
 * and the last of them are shortened in place. Returns how many bytes there are,
 * at most len.
 */
static uint64_t fs_cut_begin(struct fs_cut *cut, struct iovec *iov,
			     unsigned int nr, size_t skip, uint64_t len)
{
	uint64_t left = len;
	unsigned int i;

	while (nr && skip >= iov->iov_len) {
		skip -= iov->iov_len;
		iov++;
		nr--;
	}
	if (!nr || !len)
		return 0;
	cut->iov = iov;
	cut->first = *iov;
	iov->iov_base = (char *)iov->iov_base + skip;
	iov->iov_len -= skip;
	for (i = 0; i < nr && left > iov[i].iov_len; i++)
		left -= iov[i].iov_len;
	cut->nr = MIN(i + 1, nr);
	cut->last = iov[cut->nr - 1];
	if (i == nr)
		return len - left; /* there are no more */
	iov[i].iov_len = left;
	return len;
}

static void fs_cut_end(struct fs_cut *cut)
{
	if (!cut->iov)
		return;
	cut->iov[cut->nr - 1] = cut->last;
	cut->iov[0] = cut->first;
	cut->iov = NULL;
	cut->nr = 0;
}

uint64_t fs_run_data(struct fs_run *r, uint64_t len)
{
	const struct vq_chain *c = &r->req->chain;

	fs_cut_end(&r->data);
	if (r->op->flags & FS_OP_WRITES)
		return fs_cut_begin(
			&r->data, c->iov, c->nr_out,
			sizeof(struct fuse_in_header) + r->op->arg_len, len);
	return fs_cut_begin(&r->data, c->iov + c->nr_out, c->nr_in,
			    sizeof(struct fuse_out_header), len);
}

void fs_run_end(struct fs_run *r)
{
	fs_cut_end(&r->data);
}

/* ---- requests ---- */

/* r->text is exactly as many names as the op has. */
static int fs_decode_names(struct fs_run *r)
{
	unsigned int nr = r->op->nr_names, i;
	char *at = r->text;
	size_t left = r->text_len;

	for (i = 0; i < nr; i++) {
		char *end = memchr(at, '\0', left);

		if (!end)
			return -EINVAL;
		r->names[i] = at;
		left -= (size_t)(end + 1 - at);
		at = end + 1;
	}
	r->names_len = (uint32_t)(at - r->text);
	/* SETXATTR goes on. */
	return left && !(r->op->flags & FS_OP_VALUE) ? -EINVAL : 0;
}

/* Supplementary groups: one at most is sent, that of the parent directory. */
static void fs_decode_groups(struct fs_run *r, const uint8_t *ext, uint32_t len)
{
	struct fs_supp_groups groups;

	if (len < sizeof(groups) + sizeof(groups.groups[0]))
		return;
	memcpy(&groups, ext, sizeof(groups));
	if (groups.nr_groups != 1)
		return;
	memcpy(&r->call.group, ext + sizeof(groups), sizeof(r->call.group));
	r->call.has_group = true;
}

/* Each extension is a header with its length, which is a multiple of 8. Those of
 * other types are none of our business. */
static int fs_decode_extensions(struct fs_run *r, uint32_t len)
{
	const uint8_t *ext = r->scratch.ext;
	struct fuse_ext_header h;

	while (len) {
		if (len < sizeof(h))
			return -EINVAL;
		memcpy(&h, ext, sizeof(h));
		if (h.size < sizeof(h) || h.size > len || h.size % 8)
			return -EINVAL;
		if (h.type == FS_EXT_GROUPS &&
		    fs_has(r->fs, FS_INIT_CREATE_SUPP_GROUP))
			fs_decode_groups(r, ext + sizeof(h),
					 h.size - (uint32_t)sizeof(h));
		ext += h.size;
		len -= h.size;
	}
	return 0;
}

/* What lies behind the header: arguments, then names and such, then
 * extensions; or arguments, then data. */
static int fs_decode_body(struct fs_run *r, struct iov_cursor *out)
{
	const struct fs_op *op = r->op;
	uint32_t ext = r->req->head.total_extlen * 8u;
	uint32_t body = r->req->head.len - (uint32_t)sizeof(r->req->head);
	struct fs_scratch *s = &r->scratch;
	uint32_t arg = op->arg_len;

	if (ext > MIN(body, FS_EXT_MAX) || body - ext < arg)
		return -EINVAL;
	body -= ext;
	if (op->flags & FS_OP_SESSION)
		arg = MIN(body, MAX(arg, op->arg_max));
	else if (op->arg_max && fs_has(r->fs, FUSE_SETXATTR_EXT))
		arg = op->arg_max;
	if (body < arg || iov_read(out, s->arg, arg) != arg)
		return -EINVAL;
	if (arg < op->arg_max)
		memset(s->arg + arg, 0, op->arg_max - arg);
	if (op->flags & FS_OP_WRITES)
		return ext ? -EINVAL : 0;
	r->text_len = body - arg;
	if (r->text_len > op->text_max)
		return op->nr_names ? -ENAMETOOLONG : -EINVAL;
	if (iov_read(out, s->text, r->text_len) != r->text_len ||
	    iov_read(out, s->ext, ext) != ext)
		return -EINVAL;
	if (ext)
		return fs_decode_extensions(r, ext);
	return 0;
}

int fs_run_begin(struct fs_run *r, struct fs_req *req, const struct fs_op *op,
		 bool may_wait)
{
	const struct vq_chain *c = &req->chain;
	struct iov_cursor out =
		iov_cursor_init(c->iov, vq_chain_front(c, c->nr_out));
	const struct fuse_in_header *h = &req->head;
	int e;

	r->fs = req->fq->fs;
	r->req = req;
	r->op = op;
	r->arg = r->scratch.arg;
	r->text = r->scratch.text;
	r->text_len = r->names_len = 0;
	r->data.iov = NULL;
	r->data.nr = 0;
	r->call = (struct fs_call){
		.uid = h->uid,
		.gid = h->gid,
		.may_wait = may_wait,
		.stop = &req->fq->stopping,
	};
	r->reply = fs_in_cursor(c);
	iov_skip(&r->reply, sizeof(struct fuse_out_header));
	r->room = c->in_len - MIN(c->in_len, sizeof(struct fuse_out_header));
	if (h->len != c->out_len)
		return -EINVAL;
	if (r->room < op->reply_len)
		return -EINVAL;
	iov_skip(&out, sizeof(*h));
	e = fs_decode_body(r, &out);
	return !e && op->nr_names ? fs_decode_names(r) : e;
}

/* ---- replies ---- */

uint64_t fs_reply_room(const struct fs_run *r)
{
	return iov_len(r->reply.iov, r->reply.nr) - r->reply.off;
}

int fs_reply(struct fs_run *r, const void *buf, uint32_t len)
{
	struct iov_cursor end = r->reply;

	if (iov_skip(&end, len) != len)
		return -EINVAL;
	iov_write(&r->reply, buf, len);
	return (int)len;
}

uint32_t fs_reply_header(struct fs_req *req, int result)
{
	struct iov_cursor in = fs_in_cursor(&req->chain);
	const struct fuse_out_header h = {
		.len = (uint32_t)sizeof(h) +
		       (result > 0 ? (uint32_t)result : 0),
		.error = MIN(result, 0),
		.unique = req->head.unique,
	};

	iov_write(&in, &h, sizeof(h));
	return h.len;
}
