/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * io_uring: one system call a batch, none to look for completions. All engines
 * of a loop have one ring (block_ring.h): who looks takes what there is, and
 * keeps for the others what is theirs.
 *
 * Only reads and writes use it. The kernel makes other calls on threads that all
 * disks of an I/O thread share, and a few that hang would hold up other disks;
 * the pool has threads as well, with a maximum for each disk.
 */
#include "devices/backend/block_mechanism.h"

#include <assert.h>
#include <string.h>

#include "devices/backend/block_ring.h"
#include "vmm/util.h"

struct uring_engine {
	struct block_engine be;
	struct block_ring *ring;
	struct list_node node; /* in its list of engines */
	unsigned int slot; /* of the image's file, on the ring */
	bool registers; /* the engine's memory is the ring's */
	bool wants_events;
	struct list_node away; /* requests that the kernel has */
	struct list_node landed; /* what other engines' polls have found */
};

/* ---- towards the kernel ---- */

static void uring_prep(struct uring_engine *ur, struct io_uring_sqe *sqe,
		       struct block_req *req)
{
	static const int ops[][3] = {
		[BLOCK_READ] = { IORING_OP_READV, IORING_OP_READ,
				 IORING_OP_READ_FIXED },
		[BLOCK_WRITE] = { IORING_OP_WRITEV, IORING_OP_WRITE,
				  IORING_OP_WRITE_FIXED },
	};
	struct iovec one;
	unsigned int nr;
	const struct iovec *iov = block_req_rest(req, &one, &nr);
	int index = nr == 1 && ur->registers ? block_ring_buffer(ur->ring, iov)
					     : -1;
	const void *addr = nr == 1 ? iov->iov_base : iov;
	unsigned int len = nr == 1 ? (unsigned int)iov->iov_len : nr;

	memset(sqe, 0, sizeof(*sqe));
	io_uring_prep_rw(ops[req->op][(nr == 1) + (index >= 0)], sqe,
			 (int)ur->slot, addr, len, req->offset + req->progress);
	sqe->buf_index = (uint16_t)MAX(index, 0);
	sqe->user_data = (uintptr_t)req;
	sqe->flags = IOSQE_FIXED_FILE;
	/* Whether it can be done without waiting, the kernel may have to ask a
	 * server first: not here. */
	if (req->retries || !ur->be.config.image->is_local)
		sqe->flags |= IOSQE_ASYNC;
}

/* One call when the kernel takes it all. */
static bool uring_flush(struct block_engine *be)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);
	struct io_uring_sqe *sqe;
	struct block_req *req;
	int r;

	do {
		while ((req = block_engine_next(be)) &&
		       (sqe = io_uring_get_sqe(&ur->ring->ring))) {
			block_engine_taken(be, req);
			list_insert(&ur->away, &req->node);
			uring_prep(ur, sqe, req);
		}
		r = io_uring_sq_ready(&ur->ring->ring)
			    ? io_uring_submit(&ur->ring->ring)
			    : 0;
	} while (r > 0 || r == -EINTR);
	assert(r != -EEXIST && r != -EBADF); /* the wrong thread, a lost fd */
	return req || io_uring_sq_ready(&ur->ring->ring);
}

/* One by one, as others have the ring and the file, too. Linux 5.19; older ones
 * cancel nothing. */
static void uring_cancel(struct block_engine *be)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);
	struct io_uring *ring = &ur->ring->ring;
	struct io_uring_sqe *sqe;

	list_for_each_entry (struct block_req, req, &ur->away, node) {
		sqe = io_uring_get_sqe(ring);
		if (!sqe && io_uring_submit(ring) > 0)
			sqe = io_uring_get_sqe(ring);
		if (!sqe)
			return;
		io_uring_prep_cancel(sqe, req, 0);
		sqe->flags = IOSQE_FIXED_FILE;
		sqe->user_data = 0;
	}
}

/* ---- from the kernel ---- */

/* Another engine's request is over. */
static void uring_keep(struct block_req *req, int result, bool tell)
{
	struct uring_engine *ur =
		container_of(req->be, struct uring_engine, be);

	if (tell && ur->wants_events && list_is_empty(&ur->landed))
		block_engine_signal(&ur->be);
	req->result = result;
	list_insert(&ur->landed, &req->node);
}

/* Take what has completed. The requests of be end here; others wait for their
 * engine, which is told if `tell`. True: be had some. */
static bool uring_collect(struct block_ring *br, struct block_engine *be,
			  bool tell)
{
	struct io_uring_cq *cq = &br->ring.cq;
	unsigned int head, tail;
	bool any = false;

	/* Completions that wait for us to come and get them. */
	if (IO_URING_READ_ONCE(*br->ring.sq.kflags) &
	    (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
		io_uring_get_events(&br->ring);
	head = *cq->khead;
	tail = io_uring_smp_load_acquire(cq->ktail);
	while (head != tail) {
		const struct io_uring_cqe *cqe =
			&cq->cqes[head & cq->ring_mask];
		struct block_req *req =
			(struct block_req *)(uintptr_t)cqe->user_data;
		int result = cqe->res;

		io_uring_smp_store_release(cq->khead, ++head);
		if (!req)
			continue; /* a cancellation's own */
		block_engine_back(req->be);
		list_remove(&req->node);
		if (req->be == be) {
			block_engine_moved(be, req, result);
			any = true;
		} else {
			uring_keep(req, result, tell);
		}
	}
	return any;
}

static bool uring_reap(struct block_engine *be)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);
	bool any = !list_is_empty(&ur->landed);
	struct block_req *req;

	block_ring_follow_memory(ur->ring);
	while ((req = list_take_first(struct block_req, &ur->landed, node)))
		block_engine_moved(be, req, req->result);
	return uring_collect(ur->ring, be, true) || any;
}

static void uring_on_event(struct block_ring *br)
{
	uring_collect(br, NULL, false);
	list_for_each_entry (struct uring_engine, ur, &br->engines, node)
		if (!list_is_empty(&ur->landed))
			block_engine_poll(&ur->be);
}

static void uring_events(struct block_engine *be, bool on)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);

	if (on != ur->wants_events)
		block_ring_want_events(ur->ring, on);
	ur->wants_events = on;
	/* What another engine's poll has found. */
	if (on && !list_is_empty(&ur->landed))
		block_engine_signal(be);
}

/* ---- life ---- */

static void uring_close(struct block_engine *be)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);

	uring_events(be, false);
	list_remove(&ur->node);
	if (ur->registers)
		block_ring_put_memory(ur->ring);
	block_ring_put_file(ur->ring, ur->slot);
}

static int uring_open(struct block_engine *be)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);
	struct block_ring *br = loop_local(be->config.loop, &block_loop_local);
	int slot = br ? br->error : -ENOMEM;

	if (!slot)
		slot = block_ring_get_file(br, be->config.image);
	if (slot < 0)
		return slot;
	ur->ring = br;
	ur->slot = (unsigned int)slot;
	list_init(&ur->away);
	list_init(&ur->landed);
	br->on_event = uring_on_event;
	list_insert(&br->engines, &ur->node);
	ur->registers = block_ring_get_memory(br, be->config.memory);
	uring_events(be, true);
	return 0;
}

const struct block_mechanism block_uring = {
	.name = "uring",
	.size = sizeof(struct uring_engine),
	.open = uring_open,
	.flush = uring_flush,
	.reap = uring_reap,
	.events = uring_events,
	.cancel = uring_cancel,
	.close = uring_close,
};
