/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_TOKEN_BUCKET_H
#define VMM_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Rate limits as pure arithmetic: time is an argument, in nanoseconds of any
 * clock, and nothing here waits. Any values are safe. One thread at a time.
 *
 * The rate is `size` tokens per `refill_time_ms`, and it holds over any second:
 * who was idle has saved up what 25 ms are worth (one token at least, `size` at
 * most) and no more. Who wants a burst says so: `one_time_burst`. One token is
 * enough for a request of any length; what is missing becomes debt that time
 * pays off before the next request passes, so a request larger than the bucket
 * does not stall. While a request waits, up to 100 ms gather: a timer that
 * fires late costs nothing, and the rate is exact for small buckets too.
 */
struct token_bucket_config {
	uint64_t size; /* tokens; 0: no limit */
	uint64_t one_time_burst; /* tokens on top, spent first, once */
	uint64_t refill_time_ms; /* 0: no limit */
};

/* What of a bucket is not derived: no pointer and no time of the host, so that
 * it can be saved as it is. */
struct token_state {
	uint64_t tokens; /* tokens and debt: one of them is 0 */
	uint64_t debt;
	uint64_t burst; /* left of the one-time burst */
	uint64_t rest; /* of the last refill: part token, in 1/refill_ns */
};

struct token_bucket {
	struct token_state state;
	uint64_t size;
	uint64_t refill_ns; /* 0: no limit */
	uint64_t idle_size; /* most tokens saved up */
	uint64_t waiting_size; /* ... while a request waits */
	uint64_t last_ns; /* refilled up to here */
	bool refused; /* a request waits */
};

/*
 * Have this rate and burst from now on, with what an idle bucket has saved up.
 * tb is all zero the first time; later its debt stays, unless there is no limit.
 */
void token_bucket_set(struct token_bucket *tb,
		      const struct token_bucket_config *config,
		      uint64_t now_ns);

/* Nanoseconds until there is a token, so that a request may pass; 0: now. A
 * request is taken to wait from a call that is not 0 to one that is. */
uint64_t token_bucket_wait_ns(struct token_bucket *tb, uint64_t now_ns);

/* A request of n tokens passes, of those to which token_bucket_wait_ns() returned
 * 0 last. */
void token_bucket_spend(struct token_bucket *tb, uint64_t n);

/* May another one pass, whatever time it is? */
static inline bool token_bucket_has(const struct token_bucket *tb)
{
	return !tb->refill_ns || tb->state.burst || tb->state.tokens;
}

#endif
