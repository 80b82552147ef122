/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_BLOCK_ENGINE_H
#define DEVICES_BACKEND_BLOCK_ENGINE_H

#include "devices/backend/block.h"

/*
 * What the engines share; for them only. Requests that finish without waiting
 * go on a ready list that the next poll() delivers; an eventfd, watched by the
 * loop, makes sure there is a next poll(). Owner loop only.
 */

/* Longest iovec array and transfer that go to the kernel at once. */
#define BLOCK_IOV_MAX 1024u
#define BLOCK_LEN_MAX (1u << 30)
/* Zeroes and bounced data go in pieces of this. */
#define BLOCK_CHUNK_LEN 65536u

/* Ways to write zeroes, tried in this order. */
enum block_zero_step {
	BLOCK_ZERO_PUNCH, /* only with BLOCK_ZERO_MAY_UNMAP */
	BLOCK_ZERO_RANGE,
	BLOCK_ZERO_WRITE,
};

/* -errno; fini() accepts one that init() refused or a zeroed one. */
int block_engine_init(struct block_engine *be,
		      const struct block_engine_ops *ops,
		      const struct block_engine_config *config);
void block_engine_fini(struct block_engine *be);

/* First thing in submit(). */
static inline void block_engine_begin(struct block_engine *be,
				      struct block_req *req)
{
	be->in_flight++;
	req->progress = 0;
	req->step = 0;
	req->retries = 0;
}

/* The request is over; called in poll() only. req belongs to the caller. */
static inline void block_engine_done(struct block_engine *be,
				     struct block_req *req, int result)
{
	be->in_flight--;
	req->result = result;
	be->config.done(be->config.opaque, req);
}

/* The request is over, and the next poll() says so. */
void block_engine_finish(struct block_engine *be, struct block_req *req,
			 int result);

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

/*
 * The part of a READ or WRITE that is still to do: at most BLOCK_IOV_MAX
 * entries, returned with their number in *nr. When the part begins inside an
 * entry it is the rest of that one alone, kept in *one. For a WRITE_ZEROES it
 * is the next piece of the zeroes to write.
 */
const struct iovec *block_req_rest(const struct block_req *req,
				   struct iovec *one, unsigned int *nr);

/* The direct image cannot move this request's buffers as they lie. */
bool block_req_is_misaligned(const struct block_engine *be,
			     const struct block_req *req);

/* The fallocate(2) mode of a DISCARD, or of a WRITE_ZEROES at its step. */
int block_fallocate_mode(const struct block_req *req);

/* This file does not know how: fallocate(2)'s ways to say so. */
static inline bool block_is_unsupported(int result)
{
	return result == -EOPNOTSUPP || result == -ENOSYS;
}

/* The first step at or after req's own that this image may know. bad_steps:
 * a bit for each one it does not. */
uint8_t block_zero_step(const struct block_req *req, unsigned int bad_steps);

/*
 * Do all of a request now, blocking. Result as of done(). Here because every
 * engine has requests that its mechanism cannot take.
 */
int block_sync_execute(struct block_engine *be, struct block_req *req);

#endif
