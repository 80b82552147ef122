/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * io_uring: one system call a batch, none to look for completions. The kernel
 * signals the engine's eventfd, but while the loop polls a flag in the ring
 * keeps it quiet. To watch the ring's own descriptor is not enough: completions
 * that wait for us to come and get them (DEFER_TASKRUN) wake nobody there.
 *
 * Only reads and writes use it. The kernel makes other calls on threads that all
 * rings of an I/O thread share, and a few that hang would hold up other disks;
 * the pool has threads as well, with a maximum for each disk.
 */
#include "devices/backend/block_mechanism.h"

#include <assert.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"
#include "vmm/util.h"

/* More than this in one batch are submitted in parts. */
#define URING_SQ_MAX 256u

struct uring_engine {
	struct block_engine be;
	struct io_uring ring;
	bool deferred; /* completions wait until we come and get them */
	/* What the kernel has of each piece of memory, a registered buffer, as
	 * of block_memory.lives. NULL: none are registered. */
	uint32_t *lives;
	uint32_t changes; /* of the memory, seen so far */
};

/* ---- registered memory ---- */

static void uring_say_unregistered(int r)
{
	log_info("disk buffers are not registered: %s", strerror(-r));
}

/* Piece i as the kernel is to know it; without memory: nothing. */
static struct iovec uring_piece(const struct block_memory *m, unsigned int i,
				uint32_t life)
{
	const struct block_region *r = &m->regions[m->nr_regions - 1];
	size_t off;

	if (!life)
		return (struct iovec){ NULL, 0 };
	while (i < r->first)
		r--;
	off = (i - r->first) * BLOCK_MEMORY_UNIT;
	return (struct iovec){
		(char *)r->mem.iov_base + off,
		MIN(r->mem.iov_len - off, BLOCK_MEMORY_UNIT),
	};
}

/* The kernel learns what memory there is now. */
static void uring_follow_memory(struct uring_engine *ur)
{
	const struct block_memory *m = ur->be.config.memory;
	uint32_t changes, life;
	int r;

	if (!ur->lives || (changes = m->changes) == ur->changes)
		return;
	ur->changes = changes;
	for (unsigned int i = 0; i < m->nr_pieces; i++) {
		struct iovec piece;

		life = m->lives[i];
		if (ur->lives[i] == life)
			continue;
		piece = uring_piece(m, i, life);
		r = io_uring_register_buffers_update_tag(&ur->ring, i, &piece,
							 NULL, 1);
		/* A piece that the kernel does not take goes the ordinary way;
		 * one that it does not give back is not used. */
		ur->lives[i] = r == 1 ? life : 0;
		if (r != 1)
			uring_say_unregistered(r);
	}
}

/* Without it everything works the same, a little slower. */
static void uring_register_memory(struct uring_engine *ur)
{
	const struct block_memory *m = ur->be.config.memory;
	unsigned int i, nr = m ? m->nr_pieces : 0;
	struct iovec *pieces;
	int r = -ENOMEM;

	if (!nr)
		return;
	pieces = calloc(nr, sizeof(*pieces));
	ur->lives = calloc(nr, sizeof(*ur->lives));
	ur->changes = m->changes;
	if (pieces && ur->lives) {
		for (i = 0; i < nr; i++) {
			ur->lives[i] = m->lives[i];
			pieces[i] = uring_piece(m, i, ur->lives[i]);
		}
		r = io_uring_register_buffers(&ur->ring, pieces, nr);
	}
	free(pieces);
	if (!r)
		return;
	uring_say_unregistered(r);
	free(ur->lives);
	ur->lives = NULL;
}

/* Index of the registered buffer that holds all of iov, or -1. */
static int uring_fixed_index(const struct uring_engine *ur,
			     const struct iovec *iov)
{
	const struct block_memory *m = ur->be.config.memory;
	int i = ur->lives ? block_memory_piece(m, iov) : -1;

	/* The kernel holds it, and the memory that is there now. */
	return i >= 0 && ur->lives[i] && ur->lives[i] == m->lives[i] ? i : -1;
}

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
	int index = nr == 1 ? uring_fixed_index(ur, iov) : -1;
	const void *addr = nr == 1 ? iov->iov_base : iov;
	unsigned int len = nr == 1 ? (unsigned int)iov->iov_len : nr;

	memset(sqe, 0, sizeof(*sqe));
	/* fd 0 of the registered ones */
	io_uring_prep_rw(ops[req->op][(nr == 1) + (index >= 0)], sqe, 0, addr,
			 len, req->offset + req->progress);
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
		       (sqe = io_uring_get_sqe(&ur->ring))) {
			block_engine_taken(be, req);
			uring_prep(ur, sqe, req);
		}
		r = io_uring_sq_ready(&ur->ring) ? io_uring_submit(&ur->ring)
						 : 0;
	} while (r > 0 || r == -EINTR);
	assert(r != -EEXIST && r != -EBADF); /* the wrong thread, a lost fd */
	return req || io_uring_sq_ready(&ur->ring);
}

/* Linux 5.19; older ones cancel nothing. */
static void uring_cancel(struct block_engine *be)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ur->ring);

	if (!sqe) {
		uring_flush(be);
		sqe = io_uring_get_sqe(&ur->ring);
	}
	if (!sqe)
		return;
	io_uring_prep_cancel(
		sqe, NULL,
		(int)(IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY));
	sqe->user_data = 0;
}

/* ---- from the kernel ---- */

static bool uring_reap(struct block_engine *be)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);
	struct io_uring_cq *cq = &ur->ring.cq;
	unsigned int head, tail;
	bool any;

	uring_follow_memory(ur);
	/* Completions that wait for us to come and get them. */
	if (IO_URING_READ_ONCE(*ur->ring.sq.kflags) &
	    (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
		io_uring_get_events(&ur->ring);
	head = *cq->khead;
	tail = io_uring_smp_load_acquire(cq->ktail);
	any = head != tail;
	while (head != tail) {
		const struct io_uring_cqe *cqe =
			&cq->cqes[head & cq->ring_mask];
		uintptr_t data = (uintptr_t)cqe->user_data;
		int result = cqe->res;

		io_uring_smp_store_release(cq->khead, ++head);
		if (!data)
			continue; /* a cancellation's own */
		block_engine_back(be);
		block_engine_moved(be, (struct block_req *)data, result);
	}
	return any;
}

static void uring_events(struct block_engine *be, bool on)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);

	/* A kernel worker that completes a request by itself may look at the
	 * flag before its completion is to be seen: leave it alone then. */
	if (!ur->deferred)
		return;
	io_uring_cq_eventfd_toggle(&ur->ring, on);
	if (!on)
		return;
	/* What was deferred before the flag was seen is fetched with this call,
	 * which also keeps the two in order; what is there makes an event. */
	io_uring_get_events(&ur->ring);
	if (io_uring_cq_ready(&ur->ring))
		block_engine_signal(be);
}

/* ---- life ---- */

static int uring_setup(struct uring_engine *ur, unsigned int depth)
{
	static const unsigned int flags[] = {
		/* Linux 6.1: completions wait until we look for them */
		IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
			IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		/* Linux 5.19: ... or until our next system call */
		IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	struct io_uring_params params;
	int r = -EINVAL;

	for (unsigned int i = 0; i < ARRAY_SIZE(flags) && r == -EINVAL; i++) {
		params = (struct io_uring_params){
			.flags = flags[i] | IORING_SETUP_CQSIZE,
			.cq_entries = depth,
		};
		r = io_uring_queue_init_params(MIN(depth, URING_SQ_MAX),
					       &ur->ring, &params);
	}
	if (r) {
		ur->ring.ring_fd = -1;
		return r;
	}
	ur->deferred = params.flags & IORING_SETUP_DEFER_TASKRUN;
	/* Linux 5.6: READ and WRITE */
	return params.features & IORING_FEAT_RW_CUR_POS ? 0 : -ENOSYS;
}

static void uring_close(struct block_engine *be)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);

	/* The kernel takes a ring apart at leisure; the pages are to be free
	 * when this returns, for there may be no others (hugetlbfs). */
	if (ur->lives)
		io_uring_unregister_buffers(&ur->ring);
	if (ur->ring.ring_fd >= 0)
		io_uring_queue_exit(&ur->ring);
	free(ur->lives);
}

static int uring_open(struct block_engine *be)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);
	int r = uring_setup(ur, be->config.depth);

	if (!r)
		r = io_uring_register_files(&ur->ring, &be->config.image->fd,
					    1);
	if (!r)
		r = io_uring_register_eventfd(&ur->ring, be->event.fd);
	if (r)
		uring_close(be);
	else
		uring_register_memory(ur);
	return r;
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
