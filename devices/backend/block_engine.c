/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/block_engine.h"

#include <assert.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "vmm/log.h"
#include "vmm/util.h"

/* Never written, so that reads of it all share the kernel's zero page. */
static char zeroes[BLOCK_CHUNK_LEN] __attribute__((aligned(4096)));

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
		kind = BLOCK_ENGINE_URING;
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
	be->event.on_event = engine_on_event;
	be->event.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (be->event.fd < 0)
		return -errno;
	if (config->image->direct) {
		be->bounce = aligned_alloc(4096, BLOCK_CHUNK_LEN);
		if (!be->bounce)
			return -ENOMEM;
	}
	return loop_fd_add(config->loop, &be->event, EPOLLIN | EPOLLET);
}

void block_engine_fini(struct block_engine *be)
{
	assert(be->in_flight == 0);
	if (!be->ops)
		return;
	loop_fd_del(&be->event);
	close_fd(&be->event.fd);
	free(be->bounce);
	be->bounce = NULL;
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

bool block_req_is_misaligned(const struct block_engine *be,
			     const struct block_req *req)
{
	const struct block_image *img = be->config.image;
	uintptr_t places = 0, lengths = 0;
	unsigned int i;

	if (!img->direct || req->op > BLOCK_WRITE)
		return false;
	for (i = 0; i < req->nr_iov; i++) {
		places |= (uintptr_t)req->iov[i].iov_base;
		lengths |= req->iov[i].iov_len;
	}
	/* A piece may begin where memory_align says, but holds whole blocks. */
	return places & (img->memory_align - 1) ||
	       lengths & (img->logical_block - 1);
}

int block_fallocate_mode(const struct block_req *req)
{
	if (req->op == BLOCK_WRITE_ZEROES && req->step == BLOCK_ZERO_RANGE)
		return FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
}

uint8_t block_zero_step(const struct block_req *req, unsigned int bad_steps)
{
	uint8_t step = req->step;

	if (step == BLOCK_ZERO_PUNCH && !(req->flags & BLOCK_ZERO_MAY_UNMAP))
		step = BLOCK_ZERO_RANGE;
	while (bad_steps & (1u << step))
		step++;
	return step;
}
