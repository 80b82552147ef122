/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_TOKEN_BUCKET_H
#define VMM_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Rate limits as pure arithmetic: time is an argument, in nanoseconds of any
 * clock, and nothing here waits. Any values are safe. Owned by one thread.
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

struct token_bucket {
	uint64_t size;
	uint64_t refill_ns; /* 0: no limit */
	uint64_t idle_size; /* most tokens saved up */
	uint64_t waiting_size; /* ... while a request waits */
	uint64_t tokens; /* tokens and debt: one of them is 0 */
	uint64_t debt;
	uint64_t burst; /* left of the one-time burst */
	uint64_t last_ns; /* refilled up to here */
	uint64_t rest; /* of the last refill: part token, in 1/refill_ns */
	/* counters */
	uint64_t throttled_ns; /* time from a refusal to the next pass */
	uint64_t throttled_count; /* how often that was */
	uint64_t refused_ns; /* when the refusal under way began */
	bool refused;
};

void token_bucket_init(struct token_bucket *tb,
		       const struct token_bucket_config *config,
		       uint64_t now_ns);

/*
 * Take n tokens. False: none were taken; ask again in *wait_ns (never 0).
 */
bool token_bucket_take(struct token_bucket *tb, uint64_t now_ns, uint64_t n,
		       uint64_t *wait_ns);

/* Two budgets that a request must both fit: bytes and requests. */
struct rate_limiter {
	struct token_bucket bandwidth;
	struct token_bucket ops;
};

void rate_limiter_init(struct rate_limiter *rl,
		       const struct token_bucket_config *bandwidth,
		       const struct token_bucket_config *ops, uint64_t now_ns);

/* True when there is any limit at all. */
bool rate_limiter_is_active(const struct rate_limiter *rl);

/* As token_bucket_take(), for one request of len bytes: from both or none. */
bool rate_limiter_take(struct rate_limiter *rl, uint64_t now_ns, uint64_t len,
		       uint64_t *wait_ns);

#endif
