/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Linux AIO, for hosts that refuse io_uring. It is asynchronous with O_DIRECT
 * only; all else goes by plain calls. The kernel cannot cancel it. The kernel makes an event per completion on the
 * engine's eventfd; looking for completions costs no system call while there
 * are none, because io_getevents(3) looks at the ring in our memory first.
 */
#include "devices/backend/block_engine.h"

#include <assert.h>
#include <libaio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util.h"

#define AIO_REAP_MAX 64

struct aio_engine {
	struct block_engine be;
	io_context_t ctx;
	struct iocb *iocbs; /* one per request */
	struct iocb **free; /* stack of the unused ones */
	unsigned int nr_free;
	struct iocb **queue; /* prepared, not taken by the kernel yet */
	unsigned int nr_queued;
};

static void aio_push(struct aio_engine *ae, struct block_req *req)
{
	int fd = ae->be.config.image->fd;
	off_t pos = (off_t)(req->offset + req->progress);
	const struct iovec *iov;
	struct iovec one;
	struct iocb *iocb;
	unsigned int nr;

	assert(ae->nr_free);
	iocb = ae->free[--ae->nr_free];
	iov = block_req_rest(req, &one, &nr);
	if (nr == 1 && req->op == BLOCK_READ)
		io_prep_pread(iocb, fd, iov->iov_base, iov->iov_len, pos);
	else if (nr == 1)
		io_prep_pwrite(iocb, fd, iov->iov_base, iov->iov_len, pos);
	else if (req->op == BLOCK_READ)
		io_prep_preadv(iocb, fd, iov, (int)nr, pos);
	else
		io_prep_pwritev(iocb, fd, iov, (int)nr, pos);
	io_set_eventfd(iocb, ae->be.event.fd);
	iocb->data = req;
	block_engine_away(&ae->be);
	ae->queue[ae->nr_queued++] = iocb;
}

static void aio_release(struct aio_engine *ae, struct iocb *iocb)
{
	ae->free[ae->nr_free++] = iocb;
}

/* The kernel refuses the first of the queue. */
static void aio_on_refusal(struct aio_engine *ae, struct iocb *iocb, int r)
{
	struct block_req *req = iocb->data;

	aio_release(ae, iocb);
	block_engine_back(&ae->be);
	block_engine_finish(&ae->be, req, r);
}

static void aio_flush(struct aio_engine *ae)
{
	unsigned int sent = 0;
	int r = 0;

	while (sent < ae->nr_queued) {
		r = io_submit(ae->ctx, (long)(ae->nr_queued - sent),
			      ae->queue + sent);
		if (r > 0)
			sent += (unsigned int)r;
		else if (r == -EAGAIN || !r)
			break; /* poll() tries again */
		else if (r != -EINTR)
			aio_on_refusal(ae, ae->queue[sent++], r);
	}
	ae->nr_queued -= sent;
	memmove(ae->queue, ae->queue + sent,
		ae->nr_queued * sizeof(struct iocb *));
	ae->be.stuck = ae->nr_queued != 0;
}

static void aio_submit(struct block_engine *be, struct block_req *req)
{
	struct aio_engine *ae = container_of(be, struct aio_engine, be);

	block_engine_begin(be, req);
	if (!be->config.image->direct || req->op > BLOCK_WRITE ||
	    block_req_is_misaligned(be->config.image, req))
		block_engine_submit_plain(be, req);
	else
		aio_push(ae, req);
}

static void aio_commit(struct block_engine *be)
{
	struct aio_engine *ae = container_of(be, struct aio_engine, be);

	if (be->writes)
		block_engine_write_now(be, block_engine_defer);
	if (ae->nr_queued)
		aio_flush(ae);
	block_engine_settle(be);
}

static void aio_cancel(struct block_engine *be)
{
	struct aio_engine *ae = container_of(be, struct aio_engine, be);

	while (ae->nr_queued)
		aio_on_refusal(ae, ae->queue[--ae->nr_queued], -ECANCELED);
	be->stuck = false;
	block_engine_cancel(be);
}

static bool aio_poll(struct block_engine *be)
{
	struct aio_engine *ae = container_of(be, struct aio_engine, be);
	struct timespec no_wait = { 0, 0 };
	struct io_event events[AIO_REAP_MAX];
	bool any = block_engine_deliver(be);
	int i, n;

	n = io_getevents(ae->ctx, 0, AIO_REAP_MAX, events, &no_wait);
	for (i = 0; i < n; i++) {
		struct block_req *req = events[i].data;

		aio_release(ae, events[i].obj);
		block_engine_back(be);
		if (block_engine_moved(be, req, (long)events[i].res))
			aio_push(ae, req);
	}
	/* What was stuck, cut short, or submitted by done(). */
	if (ae->nr_queued)
		aio_flush(ae);
	if (n == AIO_REAP_MAX && be->wants_events)
		block_engine_signal(be); /* there may be more */
	block_engine_settle(be);
	return any || n > 0;
}

static void aio_destroy(struct block_engine *be)
{
	struct aio_engine *ae = container_of(be, struct aio_engine, be);

	block_engine_fini(be);
	if (ae->ctx)
		io_destroy(ae->ctx);
	free(ae->iocbs);
	free(ae->free);
	free(ae->queue);
	free(ae);
}

static int aio_create(struct block_engine **out,
		      const struct block_engine_config *config)
{
	struct aio_engine *ae = calloc(1, sizeof(*ae));
	unsigned int i;
	int r;

	if (!ae)
		return -ENOMEM;
	ae->iocbs = calloc(config->depth, sizeof(*ae->iocbs));
	ae->free = calloc(config->depth, sizeof(struct iocb *));
	ae->queue = calloc(config->depth, sizeof(struct iocb *));
	r = ae->iocbs && ae->free && ae->queue ? 0 : -ENOMEM;
	if (!r)
		r = io_setup((int)config->depth, &ae->ctx);
	if (!r)
		r = block_engine_init(&ae->be, &block_aio_ops, config);
	if (r) {
		aio_destroy(&ae->be);
		return r;
	}
	for (i = 0; i < config->depth; i++)
		aio_release(ae, &ae->iocbs[i]);
	*out = &ae->be;
	return 0;
}

const struct block_engine_ops block_aio_ops = {
	.name = "aio",
	.create = aio_create,
	.submit = aio_submit,
	.commit = aio_commit,
	.poll = aio_poll,
	.events = block_engine_events,
	.cancel = aio_cancel,
	.destroy = aio_destroy,
};
