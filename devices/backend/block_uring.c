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
 *
 * Two things are faster without the ring while the page cache serves them, and
 * commit() does them as plain system calls. A batch of one lone read goes by a
 * call that refuses to wait (a fifth less time at depth 1); a miss makes that
 * pause for some requests. Buffered writes to a local image, which most file
 * systems hand to a kernel worker, one wake-up each (three to six times
 * slower), are written at once; when that has to wait for long, because the
 * host throttles writers, the ring does it for sixteen times as long, so that
 * the loop never loses more than a sixteenth of its time. A write can still be
 * the first to meet a local disk that died: it then waits as long as the disk
 * is dead, and with it this I/O thread's other queues; no other thread does.
 */
#include "devices/backend/block_engine.h"

#include <assert.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"
#include "vmm/util.h"

/* More than this in one batch are submitted in parts. */
#define URING_SQ_MAX 256u
#define URING_RETRY_MAX 8u
/* Bytes of one registered buffer: less than the kernel's limit (1 GiB), so that
 * memory can come and go by them. */
#define URING_FIXED_MAX BLOCK_WINDOW_UNIT

struct uring_fixed {
	uintptr_t base;
	size_t len;
	unsigned int first_index;
	/* of the window: what the kernel has of each piece, as of
	 * block_window.lives. NULL: it has all of it */
	uint32_t *lives;
};

struct uring_engine {
	struct block_engine be;
	struct io_uring ring;
	bool deferred; /* completions wait until we come and get them */
	/* without the ring */
	unsigned int batch; /* submitted to the ring since the last commit */
	struct block_req *held; /* that batch, when it is one lone read */
	/* the rest */
	bool resent; /* poll() put something into the ring */
	struct block_req *backlog; /* the submission ring was full */
	struct block_req **backlog_tail;
	struct uring_fixed *fixed; /* regions known to the kernel */
	unsigned int nr_fixed; /* the window is the last one */
	uint32_t window_changes; /* seen so far */
};

static const struct block_window uring_no_window;

/* ---- registered memory ---- */

static unsigned int uring_pieces(size_t len)
{
	return (unsigned int)((len + URING_FIXED_MAX - 1) / URING_FIXED_MAX);
}

/* Enter iov as a region; its pieces at the end of pieces[], empty ones for the
 * window. */
static void uring_add_region(struct uring_engine *ur, const struct iovec *iov,
			     uint32_t *lives, struct iovec *pieces,
			     unsigned int *nr)
{
	size_t off;

	ur->fixed[ur->nr_fixed++] = (struct uring_fixed){
		.base = (uintptr_t)iov->iov_base,
		.len = iov->iov_len,
		.first_index = *nr,
		.lives = lives,
	};
	for (off = 0; off < iov->iov_len; off += URING_FIXED_MAX) {
		if (!lives)
			pieces[*nr] = (struct iovec){
				(char *)iov->iov_base + off,
				MIN(iov->iov_len - off, URING_FIXED_MAX),
			};
		(*nr)++;
	}
}

/* The kernel learns what the window holds now. */
static void uring_follow_window(struct uring_engine *ur)
{
	const struct block_window *window = ur->be.config.window;
	const struct uring_fixed *f;
	uint32_t changes = atomic_load(&window->changes), life;
	unsigned int i;
	int r;

	if (!ur->nr_fixed || changes == ur->window_changes)
		return;
	ur->window_changes = changes;
	f = &ur->fixed[ur->nr_fixed - 1];
	for (i = 0; i < uring_pieces(f->len); i++) {
		struct iovec piece = { (char *)window->mem.iov_base +
					       i * URING_FIXED_MAX,
				       URING_FIXED_MAX };

		life = atomic_load(&window->lives[i]);
		if (f->lives[i] == life)
			continue;
		if (!life)
			piece = (struct iovec){ NULL, 0 };
		r = io_uring_register_buffers_update_tag(
			&ur->ring, f->first_index + i, &piece, NULL, 1);
		/* A piece that the kernel does not take goes the ordinary way;
		 * one that it does not give back is not used. */
		f->lives[i] = r == 1 ? life : 0;
		if (r != 1)
			log_info("disk buffers are not registered: %s",
				 strerror(-r));
	}
}

/* Without it everything works the same, a little slower. */
static void uring_register_fixed(struct uring_engine *ur)
{
	const struct block_engine_config *config = &ur->be.config;
	const struct iovec *window = &config->window->mem;
	unsigned int i, nr = uring_pieces(window->iov_len);
	struct iovec *pieces;
	uint32_t *lives = calloc(nr + 1, sizeof(*lives)); /* never none */
	int r = -ENOMEM;

	for (i = 0; i < config->nr_fixed; i++)
		nr += uring_pieces(config->fixed[i].iov_len);
	pieces = calloc(nr + 1, sizeof(*pieces));
	ur->fixed = calloc(config->nr_fixed + 1, sizeof(*ur->fixed));
	nr = 0;
	if (pieces && lives && ur->fixed) {
		for (i = 0; i < config->nr_fixed; i++)
			uring_add_region(ur, &config->fixed[i], NULL, pieces,
					 &nr);
		uring_add_region(ur, window, lives, pieces, &nr);
		r = io_uring_register_buffers(&ur->ring, pieces, nr);
	}
	free(pieces);
	if (!r)
		return;
	log_info("disk buffers are not registered: %s", strerror(-r));
	ur->nr_fixed = 0;
	free(lives);
}

/* The kernel holds this piece of the window, and the memory that is there now. */
static bool uring_has_piece(const struct uring_engine *ur,
			    const struct uring_fixed *f, size_t i)
{
	const struct block_window *window = ur->be.config.window;

	return f->lives[i] && f->lives[i] == atomic_load(&window->lives[i]);
}

/* Index of the registered buffer that holds all of iov, or -1. */
static int uring_fixed_index(const struct uring_engine *ur,
			     const struct iovec *iov)
{
	unsigned int i;

	for (i = 0; i < ur->nr_fixed; i++) {
		const struct uring_fixed *f = &ur->fixed[i];
		uintptr_t off = (uintptr_t)iov->iov_base - f->base;

		if (off >= f->len || iov->iov_len > f->len - off)
			continue;
		if (off % URING_FIXED_MAX + iov->iov_len > URING_FIXED_MAX)
			return -1;
		if (f->lives && !uring_has_piece(ur, f, off / URING_FIXED_MAX))
			return -1;
		return (int)(f->first_index + off / URING_FIXED_MAX);
	}
	return -1;
}

/* ---- towards the kernel ---- */

static void uring_prep_data(struct uring_engine *ur, struct io_uring_sqe *sqe,
			    const struct block_req *req)
{
	bool read = req->op == BLOCK_READ;
	const struct iovec *iov;
	struct iovec one;
	unsigned int nr;
	int index;

	sqe->off = req->offset + req->progress;
	iov = block_req_rest(req, &one, &nr);
	if (nr != 1) {
		sqe->opcode = read ? IORING_OP_READV : IORING_OP_WRITEV;
		sqe->addr = (uintptr_t)iov;
		sqe->len = nr;
		return;
	}
	sqe->opcode = read ? IORING_OP_READ : IORING_OP_WRITE;
	sqe->addr = (uintptr_t)iov->iov_base;
	sqe->len = (uint32_t)iov->iov_len;
	if (!ur->nr_fixed)
		return;
	index = uring_fixed_index(ur, iov);
	if (index >= 0) {
		sqe->opcode = read ? IORING_OP_READ_FIXED
				   : IORING_OP_WRITE_FIXED;
		sqe->buf_index = (uint16_t)index;
	}
}

static void uring_prep(struct uring_engine *ur, struct io_uring_sqe *sqe,
		       const struct block_req *req)
{
	memset(sqe, 0, sizeof(*sqe));
	sqe->flags = IOSQE_FIXED_FILE; /* fd 0 of the registered ones */
	/* Whether it can be done without waiting, the kernel may have to ask a
	 * server first: not here. */
	if (req->retries || !ur->be.config.image->is_local)
		sqe->flags |= IOSQE_ASYNC;
	sqe->user_data = (uintptr_t)req;
	uring_prep_data(ur, sqe, req);
}

/* All that the ring holds goes to the kernel; one call when it takes it all. */
static void uring_flush(struct uring_engine *ur)
{
	int r = 1;

	while (io_uring_sq_ready(&ur->ring) && (r > 0 || r == -EINTR))
		r = io_uring_submit(&ur->ring);
	ur->be.stuck = ur->backlog || io_uring_sq_ready(&ur->ring);
	assert(r != -EEXIST && r != -EBADF); /* the wrong thread, a lost fd */
}

static struct io_uring_sqe *uring_get_sqe(struct uring_engine *ur)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ur->ring);

	if (sqe)
		return sqe;
	uring_flush(ur);
	return io_uring_get_sqe(&ur->ring);
}

static void uring_push(struct uring_engine *ur, struct block_req *req)
{
	struct io_uring_sqe *sqe = uring_get_sqe(ur);

	block_engine_away(&ur->be);
	if (sqe) {
		uring_prep(ur, sqe, req);
		return;
	}
	req->next = NULL;
	*ur->backlog_tail = req;
	ur->backlog_tail = &req->next;
	ur->be.stuck = true;
}

/* The kernel would not take everything: try again. */
static void uring_unstick(struct uring_engine *ur)
{
	struct block_req *req;
	struct io_uring_sqe *sqe;

	while ((req = ur->backlog) && (sqe = uring_get_sqe(ur))) {
		ur->backlog = req->next;
		if (!req->next)
			ur->backlog_tail = &ur->backlog;
		uring_prep(ur, sqe, req);
	}
	uring_flush(ur);
}

static void uring_submit(struct block_engine *be, struct block_req *req)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);

	block_engine_begin(be, req);
	if (req->op > BLOCK_WRITE ||
	    block_req_is_misaligned(be->config.image, req)) {
		block_engine_defer(be, req);
		return;
	}
	if (block_engine_hold_write(be, req))
		return;
	if (ur->batch++ == 0 && req->op == BLOCK_READ && be->reads_now) {
		ur->held = req;
		return;
	}
	if (ur->held) {
		uring_push(ur, ur->held);
		ur->held = NULL;
	}
	uring_push(ur, req);
}

/* For block_engine_write_now(). */
static void uring_push_write(struct block_engine *be, struct block_req *req)
{
	uring_push(container_of(be, struct uring_engine, be), req);
}

static void uring_commit(struct block_engine *be)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);
	struct block_req *req = ur->held;

	ur->held = NULL;
	ur->batch = 0;
	if (be->writes)
		block_engine_write_now(be, uring_push_write);
	if (req && !block_engine_read_now(be, req))
		uring_push(ur, req);
	uring_flush(ur);
	block_engine_settle(be);
}

/* Linux 5.19; older ones cancel nothing. */
static void uring_cancel(struct block_engine *be)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);
	struct block_req *req;
	struct io_uring_sqe *sqe;

	while ((req = ur->backlog)) {
		ur->backlog = req->next;
		block_engine_back(be);
		block_engine_finish(be, req, -ECANCELED);
	}
	ur->backlog_tail = &ur->backlog;
	sqe = uring_get_sqe(ur);
	if (sqe) {
		io_uring_prep_cancel(sqe, NULL,
				     (int)(IORING_ASYNC_CANCEL_ALL |
					   IORING_ASYNC_CANCEL_ANY));
		sqe->user_data = 0;
	}
	uring_flush(ur);
	block_engine_cancel(be);
}

/* ---- from the kernel ---- */

static void uring_resend(struct uring_engine *ur, struct block_req *req)
{
	if (ur->be.cancelling) {
		block_engine_done(&ur->be, req, -ECANCELED);
		return;
	}
	ur->resent = true;
	uring_push(ur, req);
}

static void uring_complete(struct uring_engine *ur, struct block_req *req,
			   int result)
{
	if ((result == -EAGAIN || result == -EINTR) &&
	    req->retries < URING_RETRY_MAX) {
		req->retries++;
		uring_resend(ur, req);
		return;
	}
	if (block_engine_moved(&ur->be, req, result)) {
		req->retries = 0;
		uring_resend(ur, req);
	}
}

static bool uring_poll(struct block_engine *be)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);
	struct io_uring_cq *cq = &ur->ring.cq;
	bool any = block_engine_deliver(be);
	unsigned int head, tail;

	uring_follow_window(ur);
	if (be->stuck)
		uring_unstick(ur);
	/* Completions that wait for us to come and get them. */
	if (IO_URING_READ_ONCE(*ur->ring.sq.kflags) &
	    (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
		io_uring_get_events(&ur->ring);
	head = *cq->khead;
	tail = io_uring_smp_load_acquire(cq->ktail);
	any |= head != tail;
	while (head != tail) {
		const struct io_uring_cqe *cqe =
			&cq->cqes[head & cq->ring_mask];
		uintptr_t data = (uintptr_t)cqe->user_data;
		int result = cqe->res;

		io_uring_smp_store_release(cq->khead, ++head);
		if (!data)
			continue; /* a cancellation's own */
		block_engine_back(be);
		uring_complete(ur, (struct block_req *)data, result);
	}
	if (ur->resent) {
		ur->resent = false;
		uring_flush(ur);
	}
	block_engine_settle(be);
	return any;
}

static void uring_events(struct block_engine *be, bool on)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);

	block_engine_events(be, on);
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
	unsigned int i;
	int r = -EINVAL;

	for (i = 0; i < ARRAY_SIZE(flags) && r == -EINVAL; i++) {
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

static void uring_destroy(struct block_engine *be)
{
	struct uring_engine *ur = container_of(be, struct uring_engine, be);

	block_engine_fini(be);
	/* The kernel takes a ring apart at leisure; the pages are to be free
	 * when this returns, for there may be no others (hugetlbfs). */
	if (ur->nr_fixed)
		io_uring_unregister_buffers(&ur->ring);
	if (ur->ring.ring_fd >= 0)
		io_uring_queue_exit(&ur->ring);
	if (ur->nr_fixed)
		free(ur->fixed[ur->nr_fixed - 1].lives);
	free(ur->fixed);
	free(ur);
}

static int uring_create(struct block_engine **out,
			const struct block_engine_config *config)
{
	struct uring_engine *ur = calloc(1, sizeof(*ur));
	int r;

	if (!ur)
		return -ENOMEM;
	ur->backlog_tail = &ur->backlog;
	r = uring_setup(ur, config->depth);
	if (!r)
		r = io_uring_register_files(&ur->ring, &config->image->fd, 1);
	if (!r)
		r = block_engine_init(&ur->be, &block_uring_ops, config);
	if (!r)
		r = io_uring_register_eventfd(&ur->ring, ur->be.event.fd);
	if (r) {
		uring_destroy(&ur->be);
		return r;
	}
	if (!config->window)
		ur->be.config.window = &uring_no_window;
	if (config->nr_fixed || config->window)
		uring_register_fixed(ur);
	uring_follow_window(ur);
	*out = &ur->be;
	return 0;
}

const struct block_engine_ops block_uring_ops = {
	.name = "uring",
	.create = uring_create,
	.submit = uring_submit,
	.commit = uring_commit,
	.poll = uring_poll,
	.events = uring_events,
	.cancel = uring_cancel,
	.destroy = uring_destroy,
};
