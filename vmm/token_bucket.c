/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Refilling keeps the remainder of its division, so no token is lost to
 * rounding however often a bucket is looked at. Products of two 64-bit values
 * plus a 64-bit one fit 128 bits: (2^64-1)^2 + 2^64-1 < 2^128.
 */
#include "vmm/token_bucket.h"

#include "vmm/util.h"

#define IDLE_NS 25000000u
#define WAITING_NS 100000000u

__extension__ typedef unsigned __int128 u128;

/* What the rate gives in ns. */
static uint64_t token_bucket_worth(const struct token_bucket *tb, uint64_t ns)
{
	return (uint64_t)MIN((u128)tb->size * ns / tb->refill_ns,
			     (u128)UINT64_MAX);
}

void token_bucket_set(struct token_bucket *tb,
		      const struct token_bucket_config *config, uint64_t now_ns)
{
	uint64_t ms = MIN(config->refill_time_ms, UINT64_MAX / 1000000);
	uint64_t debt = tb->state.debt;

	*tb = (struct token_bucket){
		.size = config->size,
		.refill_ns = config->size ? ms * 1000000 : 0,
		.last_ns = now_ns,
	};
	if (!tb->refill_ns)
		return;
	tb->idle_size = MAX(1u, MIN(tb->size, token_bucket_worth(tb, IDLE_NS)));
	tb->waiting_size =
		MAX(tb->idle_size, token_bucket_worth(tb, WAITING_NS));
	tb->state.debt = debt;
	if (!debt) {
		tb->state.burst = config->one_time_burst;
		tb->state.tokens = tb->idle_size;
	}
}

static void token_bucket_refill(struct token_bucket *tb, uint64_t now_ns)
{
	/* A clock that went back: count from where it is now. */
	uint64_t elapsed = now_ns > tb->last_ns ? now_ns - tb->last_ns : 0;
	u128 product = (u128)elapsed * tb->size + tb->state.rest;
	u128 fresh = product / tb->refill_ns;
	uint64_t paid = (uint64_t)MIN(fresh, (u128)tb->state.debt);
	uint64_t max = tb->refused ? tb->waiting_size : tb->idle_size;

	tb->last_ns = now_ns;
	tb->state.rest = (uint64_t)(product % tb->refill_ns);
	tb->state.debt -= paid;
	fresh -= paid;
	if (tb->state.tokens >= max || fresh >= max - tb->state.tokens) {
		tb->state.tokens = MAX(max, tb->state.tokens);
		tb->state.rest = 0; /* full: nothing runs over into later */
	} else {
		tb->state.tokens += (uint64_t)fresh;
	}
}

uint64_t token_bucket_wait_ns(struct token_bucket *tb, uint64_t now_ns)
{
	u128 missing;

	if (!tb->refill_ns)
		return 0;
	token_bucket_refill(tb, now_ns);
	tb->refused = !tb->state.burst && !tb->state.tokens;
	if (!tb->refused)
		return 0;
	/* missing is not 0, because rest < refill_ns. */
	missing = ((u128)tb->state.debt + 1) * tb->refill_ns - tb->state.rest;
	missing = (missing - 1) / tb->size + 1;
	return (uint64_t)MIN(missing, (u128)UINT64_MAX);
}

void token_bucket_spend(struct token_bucket *tb, uint64_t n)
{
	uint64_t part = MIN(n, tb->state.burst);

	if (!tb->refill_ns)
		return;
	tb->state.burst -= part;
	n -= part;
	part = MIN(n, tb->state.tokens);
	tb->state.tokens -= part;
	/* There may be one: several were told at once that they pass. */
	tb->state.debt += MIN(n - part, UINT64_MAX - tb->state.debt);
}
