/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_BLOCK_MECHANISM_H
#define DEVICES_BACKEND_BLOCK_MECHANISM_H

#include <errno.h>

#include "devices/backend/block.h"
#include "devices/backend/block_req.h"

/*
 * What an engine is made of: this half, which takes, queues and ends requests,
 * and a mechanism of the kernel to which it hands reads and writes. On the owner
 * loop only.
 *
 * Requests that finish without waiting go on a ready list that the next poll
 * delivers; an eventfd, watched by the loop, makes sure there is a next poll.
 *
 * What the mechanism cannot do is a plain system call, made in one of two
 * places. On this thread, where the page cache most likely serves it at once: a
 * read that refuses to wait, and a buffered write to a local image. Else on a
 * thread of the pool, which may wait as long as the host likes.
 */

struct block_mechanism {
	const char *name; /* "uring", "aio", "sync" */
	size_t size; /* bytes of its own struct */
	bool needs_direct; /* it waits for anything but O_DIRECT */
	/* The rest, all NULL: there is none, only plain calls. */

	/* be is zeroed but for its first member. -errno: the host refuses, and
	 * nothing is left behind. */
	int (*open)(struct block_engine *be);
	/* Give what is queued to the kernel (block_engine_taken()). True: it did
	 * not take all, and has to be asked again. */
	bool (*flush)(struct block_engine *be);
	/* For each request that came back: block_engine_back(), then
	 * block_engine_moved(). True if there was any. No system call when
	 * there is nothing. */
	bool (*reap)(struct block_engine *be);
	/* As block_engine_events(). NULL: completions always make events. */
	void (*events)(struct block_engine *be, bool on);
	/* As block_engine_cancel(), for what the kernel has; a flush follows.
	 * NULL: it cannot. */
	void (*cancel)(struct block_engine *be);
	/* Nothing is in flight. */
	void (*close)(struct block_engine *be);
};

/* First member of every mechanism's own struct. */
struct block_engine {
	const struct block_mechanism *mechanism;
	struct block_engine_config config;
	unsigned int in_flight; /* submitted and not yet done */
	bool wants_events;
	bool stuck; /* the kernel took less than all; poll() tries again */
	bool cancelling; /* until nothing is in flight */
	struct loop_fd event; /* an eventfd: something for poll() to do */
	/* Each request is in one of these, or the kernel has it. */
	struct list_node batch; /* submitted since the last commit */
	struct list_node queue; /* for the mechanism */
	struct list_node pooled; /* the pool has it */
	struct list_node ready; /* finished, for the next poll() */
	/* requests that other threads or the kernel have, and how many of them
	 * have come back: when that last changed, as commit() saw it */
	unsigned int nr_away;
	unsigned int nr_back;
	unsigned int seen_back;
	uint64_t seen_ns;
	/* calls on this thread, for what the page cache serves at once */
	bool reads_now;
	unsigned int reads_pause; /* not for that many reads */
	bool writes_now;
	uint64_t writes_after_ns; /* not before that time */
};

extern const struct block_mechanism block_uring;
extern const struct block_mechanism block_aio;
extern const struct block_mechanism block_sync;

/* An engine with this mechanism and no other. config is copied. -errno. */
int block_engine_make(struct block_engine **out,
		      const struct block_mechanism *mechanism,
		      const struct block_engine_config *config);

/* ---- for mechanisms ---- */

/* The piece that holds all of iov, or -1. */
static inline int block_memory_piece(const struct block_memory *m,
				     const struct iovec *iov)
{
	for (unsigned int i = 0; i < m->nr_regions; i++) {
		const struct block_region *r = &m->regions[i];
		size_t off = (size_t)((uintptr_t)iov->iov_base -
				      (uintptr_t)r->mem.iov_base);

		if (off >= r->mem.iov_len ||
		    iov->iov_len > r->mem.iov_len - off)
			continue;
		if (off % BLOCK_MEMORY_UNIT + iov->iov_len > BLOCK_MEMORY_UNIT)
			return -1;
		return (int)(r->first + off / BLOCK_MEMORY_UNIT);
	}
	return -1;
}

/* The first request that is queued, or NULL. */
static inline struct block_req *block_engine_next(struct block_engine *be)
{
	return list_first(struct block_req, &be->queue, node);
}

/* The kernel has a request that was queued. */
static inline void block_engine_taken(struct block_engine *be,
				      struct block_req *req)
{
	list_remove(&req->node);
	be->nr_away++;
}

/* It has it no more. */
static inline void block_engine_back(struct block_engine *be)
{
	be->nr_away--;
	be->nr_back++;
}

/* The request, which is in no list, is over, and the next poll() says so. */
void block_engine_finish(struct block_engine *be, struct block_req *req,
			 int result);

/* The kernel moved so many bytes of a request, or gave up with -errno: done()
 * is told, or the rest is queued. Where done() may be called. */
void block_engine_moved(struct block_engine *be, struct block_req *req,
			long result);

/* Ask the loop for another poll(). */
void block_engine_signal(struct block_engine *be);

#endif
