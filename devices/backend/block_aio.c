/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Linux AIO, for hosts that refuse io_uring. It is asynchronous with O_DIRECT
 * only. The kernel cannot cancel it. It copies a control block when it takes it,
 * and makes an event per completion on the engine's eventfd; looking for
 * completions costs no system call while there are none, because io_getevents(3)
 * looks at the ring in our memory first.
 */
#include "devices/backend/block_mechanism.h"

#include <libaio.h>

#include "vmm/util.h"

#define AIO_BATCH 64

struct aio_engine {
	struct block_engine be;
	io_context_t ctx;
};

static void aio_prep(const struct block_engine *be, struct iocb *iocb,
		     struct block_req *req)
{
	int fd = be->config.image->fd;
	off_t pos = (off_t)(req->offset + req->progress);
	struct iovec one;
	unsigned int nr;
	const struct iovec *iov = block_req_rest(req, &one, &nr);

	if (nr == 1 && req->op == BLOCK_READ)
		io_prep_pread(iocb, fd, iov->iov_base, iov->iov_len, pos);
	else if (nr == 1)
		io_prep_pwrite(iocb, fd, iov->iov_base, iov->iov_len, pos);
	else if (req->op == BLOCK_READ)
		io_prep_preadv(iocb, fd, iov, (int)nr, pos);
	else
		io_prep_pwritev(iocb, fd, iov, (int)nr, pos);
	io_set_eventfd(iocb, be->event.fd);
	iocb->data = req;
}

static bool aio_flush(struct block_engine *be)
{
	struct aio_engine *ae = container_of(be, struct aio_engine, be);
	struct iocb iocbs[AIO_BATCH], *batch[AIO_BATCH];
	struct block_req *first;
	int r, i, n;

	while ((first = block_engine_next(be))) {
		n = 0;
		list_for_each_entry (struct block_req, req, &be->queue, node) {
			if (n == AIO_BATCH)
				break;
			batch[n] = &iocbs[n];
			aio_prep(be, &iocbs[n++], req);
		}
		r = io_submit(ae->ctx, n, batch);
		if (r == -EAGAIN || !r)
			return true;
		for (i = 0; i < r; i++)
			block_engine_taken(be, batch[i]->data);
		if (r >= 0 || r == -EINTR)
			continue;
		list_remove(&first->node); /* which the kernel refuses */
		block_engine_finish(be, first, r);
	}
	return false;
}

static bool aio_reap(struct block_engine *be)
{
	struct aio_engine *ae = container_of(be, struct aio_engine, be);
	struct timespec no_wait = { 0, 0 };
	struct io_event events[AIO_BATCH];
	int i, n;

	n = io_getevents(ae->ctx, 0, AIO_BATCH, events, &no_wait);
	for (i = 0; i < n; i++) {
		block_engine_back(be);
		block_engine_moved(be, events[i].data, (long)events[i].res);
	}
	if (n == AIO_BATCH && be->wants_events)
		block_engine_signal(be); /* there may be more */
	return n > 0;
}

static int aio_open(struct block_engine *be)
{
	struct aio_engine *ae = container_of(be, struct aio_engine, be);

	return io_setup((int)be->config.depth, &ae->ctx);
}

static void aio_close(struct block_engine *be)
{
	io_destroy(container_of(be, struct aio_engine, be)->ctx);
}

const struct block_mechanism block_aio = {
	.name = "aio",
	.size = sizeof(struct aio_engine),
	.needs_direct = true,
	.open = aio_open,
	.flush = aio_flush,
	.reap = aio_reap,
	.close = aio_close,
};
