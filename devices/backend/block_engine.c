/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/block_engine.h"

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

/* ---- choice of an engine ---- */

static const struct {
	const struct block_engine_ops *ops; /* NULL: not built */
	const char *name;
	const char *hint;
} engines[] = {
	[BLOCK_ENGINE_URING] = {
#ifndef VMM_NO_URING
		.ops = &block_uring_ops,
#endif
		.name = "io_uring",
		.hint = "sysctl kernel.io_uring_disabled, a seccomp filter or "
			"the limit of locked memory (ulimit -l) may forbid it",
	},
	[BLOCK_ENGINE_AIO] = {
#ifndef VMM_NO_AIO
		.ops = &block_aio_ops,
#endif
		.name = "Linux AIO",
		.hint = "sysctl fs.aio-max-nr may be used up",
	},
	[BLOCK_ENGINE_SYNC] = {
		.ops = &block_sync_ops,
		.name = "plain system calls",
	},
};

static void engine_say_fallback(enum block_engine_kind from, int r,
				enum block_engine_kind to)
{
	static atomic_flag said[ARRAY_SIZE(engines)];

	if (atomic_flag_test_and_set(&said[from]))
		return;
	if (engines[from].ops)
		log_warn("disks use %s: the host refuses %s (%s; %s)",
			 engines[to].name, engines[from].name, strerror(-r),
			 engines[from].hint);
	else
		log_warn("disks use %s: %s is not built in", engines[to].name,
			 engines[from].name);
}

int block_engine_create(struct block_engine **out, enum block_engine_kind kind,
			const struct block_engine_config *config)
{
	enum block_engine_kind next;
	int r;

	assert(config->depth >= 1 && config->depth <= 32768);
	if (kind == BLOCK_ENGINE_AUTO)
		kind = config->image->is_local ? BLOCK_ENGINE_URING
					       : BLOCK_ENGINE_SYNC;
	for (;; kind = next) {
		r = engines[kind].ops ? engines[kind].ops->create(out, config)
				      : -ENOSYS;
		if (!r || kind == BLOCK_ENGINE_SYNC)
			return r;
		next = kind == BLOCK_ENGINE_URING ? BLOCK_ENGINE_AIO
						  : BLOCK_ENGINE_SYNC;
		engine_say_fallback(kind, r, next);
	}
}

/* ---- memory ---- */

int block_window_init(struct block_window *w, const struct iovec *mem)
{
	w->mem = *mem;
	w->lives =
		calloc(mem->iov_len / BLOCK_WINDOW_UNIT + 1, sizeof(*w->lives));
	return w->lives ? 0 : -ENOMEM;
}

void block_window_fini(struct block_window *w)
{
	free((void *)(uintptr_t)w->lives);
}

void block_window_change(struct block_window *w, const struct iovec *mem,
			 bool there)
{
	size_t off = (size_t)((char *)mem->iov_base - (char *)w->mem.iov_base);
	size_t i = off / BLOCK_WINDOW_UNIT, end = off + mem->iov_len;
	uint32_t life = w->changes + 1;

	assert(end <= w->mem.iov_len);
	for (; i * BLOCK_WINDOW_UNIT < end; i++)
		atomic_store(&w->lives[i], there ? life : 0);
	atomic_store(&w->changes, life);
}

/* ---- what engines share ---- */

static void engine_on_event(struct loop_fd *lf, uint32_t events unused_param)
{
	struct block_engine *be = container_of(lf, struct block_engine, event);

	/* Edge triggered: the count need not be read. */
	be->ops->poll(be);
}

int block_engine_init(struct block_engine *be,
		      const struct block_engine_ops *ops,
		      const struct block_engine_config *config)
{
	be->ops = ops;
	be->config = *config;
	be->wants_events = true;
	be->ready_tail = &be->ready;
	list_init(&be->pooled);
	be->reads_now = !config->image->direct;
	be->writes_now = !config->image->direct && config->image->is_local;
	be->event.on_event = engine_on_event;
	be->event.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (be->event.fd < 0)
		return -errno;
	return loop_fd_add(config->loop, &be->event, EPOLLIN | EPOLLET);
}

void block_engine_fini(struct block_engine *be)
{
	assert(be->in_flight == 0);
	if (!be->ops)
		return;
	loop_fd_del(&be->event);
	close_fd(&be->event.fd);
}

void block_engine_finish(struct block_engine *be, struct block_req *req,
			 int result)
{
	req->result = result;
	req->next = NULL;
	*be->ready_tail = req;
	be->ready_tail = &req->next;
}

bool block_engine_deliver(struct block_engine *be)
{
	struct block_req *req = be->ready, *next;

	if (!req)
		return false;
	be->ready = NULL;
	be->ready_tail = &be->ready;
	for (; req; req = next) {
		next = req->next;
		block_engine_done(be, req, req->result);
	}
	return true;
}

void block_engine_signal(struct block_engine *be)
{
	/* Cannot fail: the count stays far below its limit. */
	(void)!eventfd_write(be->event.fd, 1);
}

void block_engine_events(struct block_engine *be, bool on)
{
	be->wants_events = on;
	block_engine_settle(be);
}

/* ---- plain calls, on this thread ---- */

bool block_engine_read_now(struct block_engine *be, struct block_req *req)
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

/* A part of a page may have to be read first. File systems wait for their disk
 * anyway when they have to; a block device does for nothing else. */
static bool engine_is_part_write(const struct block_engine *be,
				 const struct block_req *req)
{
	return be->config.image->is_blockdev &&
	       (req->offset | req->len) % PAGE_LEN;
}

bool block_engine_hold_write(struct block_engine *be, struct block_req *req)
{
	if (req->op != BLOCK_WRITE || !be->writes_now ||
	    engine_is_part_write(be, req))
		return false;
	req->next = be->writes;
	be->writes = req;
	return true;
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

void block_engine_write_now(struct block_engine *be,
			    void (*slow)(struct block_engine *be,
					 struct block_req *req))
{
	struct block_req *req = be->writes, *next;
	uint64_t start = loop_now_ns(), spent;
	bool is_slow = start < be->writes_after_ns ||
		       engine_is_stalled(be, start);
	long waits = is_slow ? 0 : engine_waits();

	be->writes = NULL;
	for (; req; req = next) {
		next = req->next;
		if (is_slow) {
			slow(be, req);
			continue;
		}
		block_engine_finish(be, req,
				    block_req_execute(be->config.image, req));
		spent = loop_now_ns() - start;
		if (spent > WRITE_NS && engine_waits() != waits) {
			is_slow = true;
			be->writes_after_ns = start + spent * WRITE_PAUSE;
		}
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
	block_engine_done(req->be, req, req->result);
}

void block_engine_defer(struct block_engine *be, struct block_req *req)
{
	int r;

	req->be = be;
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
	block_engine_away(be);
}

void block_engine_submit_plain(struct block_engine *be, struct block_req *req)
{
	if (block_engine_hold_write(be, req) ||
	    (req->op == BLOCK_READ && block_engine_read_now(be, req)))
		return;
	block_engine_defer(be, req);
}

void block_engine_cancel(struct block_engine *be)
{
	be->cancelling = be->in_flight != 0;
	list_for_each_entry (struct block_req, req, &be->pooled, node) {
		if (!pool_cancel(&req->job))
			continue;
		list_remove(&req->node);
		block_engine_back(be);
		block_engine_finish(be, req, -ECANCELED);
	}
	block_engine_settle(be);
}
