/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Two things are faster without the kernel's queues while the page cache serves
 * them, and commit() does them as plain system calls. A batch of one lone read
 * goes by a call that refuses to wait (a fifth less time at depth 1); a miss
 * makes that pause for some requests. Buffered writes to a local image, which
 * io_uring hands to a kernel worker on most file systems, one wake-up each (three
 * to six times slower), are written at once; when that has to wait for long,
 * because the host throttles writers, the mechanism does it for sixteen times as
 * long, so that the loop never loses more than a sixteenth of its time. A write
 * can still be the first to meet a local disk that died: it then waits as long as
 * the disk is dead, and with it this I/O thread's other queues; no other thread
 * does.
 */
#include "devices/backend/block_mechanism.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "vmm/log.h"
#include "vmm/util.h"

/* Reads that are not tried on this thread after one that was not cached. */
#define MISS_PAUSE 32u
/* After writes that waited beyond WRITE_NS, none are made on this thread for
 * WRITE_PAUSE times as long. */
#define WRITE_NS 1000000u
#define WRITE_PAUSE 16u
/* Nor are any while the host has given no answer for so long. */
#define STALL_NS 100000000u
#define PAGE_LEN 4096u
/* A mechanism that says "again" is asked as often. */
#define RETRY_MAX 8u

/* ---- choice of an engine ---- */

/* In the order of their kinds, in which they stand in for each other. */
static const struct {
	const struct block_mechanism *mechanism; /* NULL: not built */
	const char *name;
	const char *hint;
} engines[] = {
	[BLOCK_ENGINE_URING] = {
#ifndef VMM_NO_URING
		.mechanism = &block_uring,
#endif
		.name = "io_uring",
		.hint = "it takes Linux 5.10; sysctl "
			"kernel.io_uring_disabled, a seccomp filter or the "
			"limit of locked memory (ulimit -l) may forbid it",
	},
	[BLOCK_ENGINE_AIO] = {
#ifndef VMM_NO_AIO
		.mechanism = &block_aio,
#endif
		.name = "Linux AIO",
		.hint = "sysctl fs.aio-max-nr may be used up",
	},
	[BLOCK_ENGINE_SYNC] = {
		.mechanism = &block_sync,
		.name = "plain system calls",
	},
};

static void engine_say_fallback(enum block_engine_kind from, int r)
{
	static atomic_flag said[ARRAY_SIZE(engines)];
	const char *to = engines[from + 1].name;

	if (atomic_flag_test_and_set(&said[from]))
		return;
	if (engines[from].mechanism)
		log_warn("disks use %s: the host refuses %s (%s; %s)", to,
			 engines[from].name, strerror(-r), engines[from].hint);
	else
		log_warn("disks use %s: %s is not built in", to,
			 engines[from].name);
}

int block_engine_create(struct block_engine **out, enum block_engine_kind kind,
			const struct block_engine_config *config)
{
	int r;

	assert(config->depth >= 1 && config->depth <= 32768);
	if (kind == BLOCK_ENGINE_AUTO)
		kind = config->image->is_local ? BLOCK_ENGINE_URING
					       : BLOCK_ENGINE_SYNC;
	for (;; kind++) {
		r = engines[kind].mechanism
			    ? block_engine_make(out, engines[kind].mechanism,
						config)
			    : -ENOSYS;
		if (!r || kind == BLOCK_ENGINE_SYNC)
			return r;
		engine_say_fallback(kind, r);
	}
}

/* ---- memory ---- */

int block_memory_add(struct block_memory *m, const struct iovec *mem)
{
	unsigned int i, first = m->nr_pieces;
	unsigned int nr =
		(unsigned int)((mem->iov_len + BLOCK_MEMORY_UNIT - 1) /
			       BLOCK_MEMORY_UNIT);
	_Atomic uint32_t *lives;

	assert(m->nr_regions < BLOCK_MEMORY_REGIONS);
	if (!nr)
		return 0;
	lives = calloc(first + nr, sizeof(*lives));
	if (!lives)
		return -ENOMEM;
	for (i = 0; i < first; i++)
		lives[i] = m->lives[i];
	block_memory_fini(m);
	m->lives = lives;
	m->regions[m->nr_regions++] = (struct block_region){ *mem, first };
	m->nr_pieces += nr;
	return 0;
}

void block_memory_fini(struct block_memory *m)
{
	free((void *)(uintptr_t)m->lives);
}

void block_memory_change(struct block_memory *m, const struct iovec *mem,
			 bool there)
{
	uint32_t life = m->changes + 1;
	struct iovec piece = *mem;
	int i;

	for (size_t off = 0; off < mem->iov_len; off += BLOCK_MEMORY_UNIT) {
		piece.iov_base = (char *)mem->iov_base + off;
		piece.iov_len = MIN(mem->iov_len - off, BLOCK_MEMORY_UNIT);
		i = block_memory_piece(m, &piece);
		assert(i >= 0);
		m->lives[i] = there ? life : 0;
	}
	m->changes = life;
}

/* ---- life ---- */

const struct block_mechanism block_sync = {
	.name = "sync",
	.size = sizeof(struct block_engine),
};

static void engine_on_event(struct loop_fd *lf, uint32_t events unused_param)
{
	/* Edge triggered: the count need not be read. */
	block_engine_poll(container_of(lf, struct block_engine, event));
}

static void engine_free(struct block_engine *be)
{
	loop_fd_del(&be->event);
	close_fd(&be->event.fd);
	free(be);
}

int block_engine_make(struct block_engine **out,
		      const struct block_mechanism *mechanism,
		      const struct block_engine_config *config)
{
	struct block_engine *be = calloc(1, mechanism->size);
	int r;

	if (!be)
		return -ENOMEM;
	be->mechanism = mechanism;
	be->config = *config;
	be->wants_events = true;
	list_init(&be->batch);
	list_init(&be->queue);
	list_init(&be->pooled);
	list_init(&be->ready);
	be->reads_now = !config->image->direct;
	be->writes_now = !config->image->direct && config->image->is_local;
	be->event.on_event = engine_on_event;
	be->event.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = be->event.fd < 0
		    ? -errno
		    : loop_fd_add(config->loop, &be->event, EPOLLIN | EPOLLET);
	if (!r && mechanism->open)
		r = mechanism->open(be);
	if (r)
		engine_free(be);
	else
		*out = be;
	return r;
}

void block_engine_destroy(struct block_engine *be)
{
	assert(be->in_flight == 0);
	if (be->mechanism->close)
		be->mechanism->close(be);
	engine_free(be);
}

/* ---- the ways of a request ---- */

static struct block_req *engine_take(struct list_node *list)
{
	return list_take_first(struct block_req, list, node);
}

void block_engine_finish(struct block_engine *be, struct block_req *req,
			 int result)
{
	req->result = result;
	list_insert(&be->ready, &req->node);
}

/* The request is over; called where done() may be. req belongs to the caller. */
static void engine_done(struct block_engine *be, struct block_req *req,
			int result)
{
	be->in_flight--;
	req->result = result;
	be->config.done(be->config.opaque, req);
}

void block_engine_moved(struct block_engine *be, struct block_req *req,
			long result)
{
	if ((result == -EAGAIN || result == -EINTR) &&
	    req->retries < RETRY_MAX) {
		req->retries++;
	} else {
		if (result > 0)
			req->progress += (uint64_t)result;
		else if (!result && req->len) /* the file got shorter */
			result = -EIO;
		if (result < 0 || req->progress >= req->len) {
			engine_done(be, req, (int)MIN(result, 0));
			return;
		}
		req->retries = 0;
	}
	if (be->cancelling)
		engine_done(be, req, -ECANCELED);
	else
		list_insert(&be->queue, &req->node);
}

/* done() for the ready list as it is now. True if there was any. */
static bool engine_deliver(struct block_engine *be)
{
	struct list_node *last = be->ready.prev, *node;
	struct block_req *req;

	if (list_is_empty(&be->ready))
		return false;
	do {
		node = list_take(&be->ready);
		req = container_of(node, struct block_req, node);
		engine_done(be, req, req->result);
	} while (node != last);
	return true;
}

void block_engine_signal(struct block_engine *be)
{
	/* Cannot fail: the count stays far below its limit. */
	(void)!eventfd_write(be->event.fd, 1);
}

static void engine_flush(struct block_engine *be)
{
	if (be->mechanism->flush)
		be->stuck = be->mechanism->flush(be);
}

/* Last thing in commit(), poll(), cancel() and events(). */
static void engine_settle(struct block_engine *be)
{
	if (be->wants_events && (be->stuck || !list_is_empty(&be->ready)))
		block_engine_signal(be);
}

/* ---- plain calls, on this thread ---- */

/* Read what the page cache has of the request, without waiting. True: that was
 * all of it, and the request is finished. False: the rest is still to do. */
static bool engine_read_now(struct block_engine *be, struct block_req *req)
{
	ssize_t n;

	if (!be->reads_now || be->reads_pause) {
		be->reads_pause -= be->reads_pause != 0;
		return false;
	}
	n = preadv2(be->config.image->fd, req->iov,
		    (int)MIN(req->nr_iov, BLOCK_IOV_MAX), (off_t)req->offset,
		    RWF_NOWAIT);
	if (n >= 0 && (uint64_t)n == req->len) {
		block_engine_finish(be, req, 0);
		return true;
	}
	if (n > 0)
		req->progress = (uint64_t)n;
	else if (n < 0 && errno != EAGAIN)
		be->reads_now = false; /* not for this file system */
	be->reads_pause = MISS_PAUSE;
	return false;
}

/* To be made on this thread? Not a part of a page, which may have to be read
 * first: file systems wait for their disk anyway when they have to; a block
 * device does for nothing else. */
static bool engine_is_write_now(const struct block_engine *be,
				const struct block_req *req)
{
	return req->op == BLOCK_WRITE && be->writes_now &&
	       !(be->config.image->is_blockdev &&
		 (req->offset | req->len) % PAGE_LEN);
}

/* How often this thread has had to wait; to be preempted does not count. */
static long engine_waits(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_nvcsw;
}

/* The host has answered nothing for long that it was asked before. */
static bool engine_is_stalled(struct block_engine *be, uint64_t now)
{
	if (!be->nr_away || be->nr_back != be->seen_back) {
		be->seen_back = be->nr_back;
		be->seen_ns = now;
	}
	return now - be->seen_ns > STALL_NS;
}

/*
 * Make these writes. They stop, and the rest is left, where they would hold up
 * the loop: because one just did, or because the host owes an answer for long.
 */
static void engine_write_now(struct block_engine *be, struct list_node *writes)
{
	uint64_t start = loop_now_ns(), spent;
	struct block_req *req;
	long waits;

	if (start < be->writes_after_ns || engine_is_stalled(be, start))
		return;
	waits = engine_waits();
	while ((req = engine_take(writes))) {
		block_engine_finish(be, req,
				    block_req_execute(be->config.image, req));
		spent = loop_now_ns() - start;
		if (spent <= WRITE_NS || engine_waits() == waits)
			continue;
		be->writes_after_ns = start + spent * WRITE_PAUSE;
		return;
	}
}

/* ---- plain calls, on a thread of the pool ---- */

static void engine_on_pool_run(struct pool_job *job)
{
	struct block_req *req = container_of(job, struct block_req, job);

	req->result = block_req_execute(req->be->config.image, req);
}

static void engine_on_pool_done(struct pool_job *job)
{
	struct block_req *req = container_of(job, struct block_req, job);

	list_remove(&req->node);
	block_engine_back(req->be);
	engine_done(req->be, req, req->result);
}

static void engine_defer(struct block_engine *be, struct block_req *req)
{
	int r;

	req->job = (struct pool_job){ .run = engine_on_pool_run,
				      .done = engine_on_pool_done,
				      .loop = be->config.loop };
	r = be->cancelling ? -ECANCELED
			   : pool_submit(&be->config.image->pool, &req->job);
	if (r) {
		block_engine_finish(be, req, r);
		return;
	}
	list_insert(&be->pooled, &req->node);
	be->nr_away++;
}

/* ---- for devices ---- */

void block_engine_submit(struct block_engine *be, struct block_req *req)
{
	if (!be->in_flight++)
		be->cancelling = false;
	req->be = be;
	req->progress = 0;
	req->retries = 0;
	list_insert(&be->batch, &req->node);
}

/*
 * Does the mechanism take it? A buffered request to a file that a server stands
 * behind would keep a kernel worker of io_uring's for as long as the server
 * likes, of which all disks of an I/O thread have a few; the pool's threads are
 * counted for each disk.
 */
static bool engine_is_queued(const struct block_engine *be,
			     const struct block_req *req)
{
	const struct block_image *image = be->config.image;

	return be->mechanism->flush && req->op <= BLOCK_WRITE &&
	       (image->direct ||
		(image->is_local && !be->mechanism->needs_direct)) &&
	       !block_req_is_misaligned(image, req);
}

/* Without a wait on this thread. alone: it is all there is of its batch. */
static void engine_send(struct block_engine *be, struct block_req *req,
			bool alone)
{
	bool queued = engine_is_queued(be, req);

	if (req->op == BLOCK_READ && (alone || !queued) &&
	    engine_read_now(be, req))
		return;
	if (queued)
		list_insert(&be->queue, &req->node);
	else
		engine_defer(be, req);
}

void block_engine_commit(struct block_engine *be)
{
	bool alone = be->batch.next == be->batch.prev;
	struct list_node writes;
	struct block_req *req;

	list_init(&writes);
	while ((req = engine_take(&be->batch))) {
		if (engine_is_write_now(be, req))
			list_insert(&writes, &req->node);
		else
			engine_send(be, req, alone);
	}
	if (!list_is_empty(&writes))
		engine_write_now(be, &writes);
	while ((req = engine_take(&writes)))
		engine_send(be, req, false);
	engine_flush(be);
	engine_settle(be);
}

bool block_engine_poll(struct block_engine *be)
{
	bool any = engine_deliver(be);

	if (be->mechanism->reap)
		any |= be->mechanism->reap(be);
	/* What was stuck or cut short. */
	if (be->stuck || !list_is_empty(&be->queue))
		engine_flush(be);
	engine_settle(be);
	return any;
}

void block_engine_events(struct block_engine *be, bool on)
{
	be->wants_events = on;
	engine_settle(be);
	if (be->mechanism->events)
		be->mechanism->events(be, on);
}

void block_engine_cancel(struct block_engine *be)
{
	struct block_req *req;

	be->cancelling = be->in_flight != 0;
	while ((req = engine_take(&be->queue)))
		block_engine_finish(be, req, -ECANCELED);
	list_for_each_entry (struct block_req, pooled, &be->pooled, node) {
		if (!pool_cancel(&pooled->job))
			continue;
		list_remove(&pooled->node);
		block_engine_back(be);
		block_engine_finish(be, pooled, -ECANCELED);
	}
	if (be->mechanism->cancel)
		be->mechanism->cancel(be);
	engine_flush(be);
	engine_settle(be);
}
