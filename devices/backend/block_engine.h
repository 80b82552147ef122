/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_BLOCK_ENGINE_H
#define DEVICES_BACKEND_BLOCK_ENGINE_H

#include <errno.h>

#include "devices/backend/block.h"
#include "devices/backend/block_req.h"

/*
 * What the engines share; for them only, and on the owner loop only. Requests
 * that finish without waiting go on a ready list that the next poll() delivers;
 * an eventfd, watched by the loop, makes sure there is a next poll().
 *
 * A plain system call is made in one of two places. On this thread, where the
 * page cache most likely serves it at once: a read that refuses to wait, and a
 * buffered write to a local image. Else on a thread of the pool, which may wait
 * as long as the host likes.
 */

/* The part that all engines begin with. config is copied. -errno. */
int block_engine_init(struct block_engine *be,
		      const struct block_engine_ops *ops,
		      const struct block_engine_config *config);
/* Nothing is in flight. Accepts one that init() refused, or a zeroed one. */
void block_engine_fini(struct block_engine *be);

/* First thing in submit(). */
static inline void block_engine_begin(struct block_engine *be,
				      struct block_req *req)
{
	if (!be->in_flight++)
		be->cancelling = false;
	req->progress = 0;
	req->retries = 0;
}

/* The request is over; called where done() may be. req belongs to the caller. */
static inline void block_engine_done(struct block_engine *be,
				     struct block_req *req, int result)
{
	be->in_flight--;
	req->result = result;
	be->config.done(be->config.opaque, req);
}

/*
 * The kernel moved so many bytes of the request, or gave up with -errno. True:
 * the rest is still to do. False: the request is over, done() was told.
 */
static inline bool block_engine_moved(struct block_engine *be,
				      struct block_req *req, long result)
{
	if (result > 0)
		req->progress += (uint64_t)result;
	if (result < 0)
		block_engine_done(be, req, (int)result);
	else if (req->progress >= req->len)
		block_engine_done(be, req, 0);
	else if (!result) /* the file is shorter than it was */
		block_engine_done(be, req, -EIO);
	else if (be->cancelling)
		block_engine_done(be, req, -ECANCELED);
	else
		return true;
	return false;
}

/* The request is over, and the next poll() says so. */
void block_engine_finish(struct block_engine *be, struct block_req *req,
			 int result);

/* A request goes to another thread or the kernel, and comes back from there. */
static inline void block_engine_away(struct block_engine *be)
{
	be->nr_away++;
}

static inline void block_engine_back(struct block_engine *be)
{
	be->nr_away--;
	be->nr_back++;
}

/*
 * Read what the page cache has of the request, without waiting. True: that was
 * all of it, and the request is finished. False: the rest is still to do.
 */
bool block_engine_read_now(struct block_engine *be, struct block_req *req);

/* Keep the request for block_engine_write_now(). False: it is not a write that
 * is to be made on this thread. */
bool block_engine_hold_write(struct block_engine *be, struct block_req *req);

/*
 * Make the writes that were held. slow() gets those that would hold up the
 * loop: because one just did, or because the host owes an answer for long.
 */
void block_engine_write_now(struct block_engine *be,
			    void (*slow)(struct block_engine *be,
					 struct block_req *req));

/* Do the rest of the request on a thread of the pool. */
void block_engine_defer(struct block_engine *be, struct block_req *req);

/* submit() without a mechanism of the kernel: hold, read or defer. */
void block_engine_submit_plain(struct block_engine *be, struct block_req *req);

/* ->cancel() for what the pool has. */
void block_engine_cancel(struct block_engine *be);

/* done() for the ready list as it is now. True if there was any. */
bool block_engine_deliver(struct block_engine *be);

/* Ask the loop for another poll(). */
void block_engine_signal(struct block_engine *be);

/* Last thing in commit(), poll() and events(). */
static inline void block_engine_settle(struct block_engine *be)
{
	if (be->wants_events && (be->ready || be->stuck))
		block_engine_signal(be);
}

/* ->events() of engines whose completions always make events. */
void block_engine_events(struct block_engine *be, bool on);

#endif
