/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * WP, nothing wraps: the arithmetic of rate limits. There is no __int128 for Frama-C,
 * so products have 64 bits here, and what is multiplied at most 31, for 128 and 63.
 */
#include <stdbool.h>
#include <stdint.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define UNLIMITED 0x7fffffffu

typedef uint64_t u128;

/* FROM vmm/token_bucket.h: struct token_state */
/* FROM vmm/token_bucket.h: struct token_bucket */

/*@ lemma product: \forall integer a, b;
  @	0 <= a <= 0x80000000 && 0 <= b <= 0x80000000 ==>
  @		a * b <= 0x4000000000000000;
  @ lemma at_least: \forall integer a, b;
  @	0 < a && 0 < b ==> b <= a * b;
  @*/

/*@ predicate is_bucket(struct token_bucket *tb) =
  @	0 < tb->size <= UNLIMITED && 0 < tb->refill_ns <= UNLIMITED &&
  @	0 < tb->idle_size <= tb->waiting_size <= UNLIMITED &&
  @	tb->state.rest < tb->refill_ns &&
  @	tb->state.tokens <= UNLIMITED && tb->state.debt <= UNLIMITED &&
  @	(tb->state.tokens == 0 || tb->state.debt == 0);
  @*/

/* It stays one; what came in paid debts first, and nobody has saved more than the
 * bucket holds. */
/*@ requires \valid(tb) && is_bucket(tb);
  @ requires bounds: tb->last_ns + UNLIMITED >= now_ns;
  @ assigns tb->last_ns, tb->state;
  @ ensures is_bucket(tb);
  @ ensures tb->state.debt <= \old(tb->state.debt);
  @ ensures tb->state.tokens >= \old(tb->state.tokens);
  @ ensures tb->state.tokens <= \max(\old(tb->state.tokens), tb->waiting_size);
  @ ensures tb->state.burst == \old(tb->state.burst);
  @*/
static void token_bucket_refill(struct token_bucket *tb, uint64_t now_ns);

/* 0 exactly when something is there; else never 0 for one that has nothing. */
/*@ requires \valid(tb) && is_bucket(tb);
  @ requires bounds: tb->last_ns + UNLIMITED >= now_ns;
  @ assigns tb->last_ns, tb->state, tb->refused;
  @ ensures is_bucket(tb);
  @ ensures \result == 0 <==> tb->state.burst > 0 || tb->state.tokens > 0;
  @*/
uint64_t token_bucket_wait_ns(struct token_bucket *tb, uint64_t now_ns);

/* No more is there than before, and what was not there is owed. */
/*@ requires \valid(tb) && is_bucket(tb);
  @ requires bounds: n <= UNLIMITED && tb->state.debt + n <= UNLIMITED;
  @ assigns tb->state;
  @ ensures is_bucket(tb);
  @ ensures tb->state.rest == \old(tb->state.rest);
  @ ensures tb->state.burst + tb->state.tokens + n ==
  @	\old(tb->state.burst + tb->state.tokens) +
  @		(tb->state.debt - \old(tb->state.debt));
  @*/
void token_bucket_spend(struct token_bucket *tb, uint64_t n);

/* FROM vmm/token_bucket.c: token_bucket_refill token_bucket_wait_ns */
/* FROM vmm/token_bucket.c: token_bucket_spend */
