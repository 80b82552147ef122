/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Numbers that look random and are the same each time for a seed. */
#ifndef GUEST_RANDOM_H
#define GUEST_RANDOM_H

#include <stdint.h>

struct random {
	uint64_t state; /* never 0 */
};

static inline void random_init(struct random *r, uint64_t seed)
{
	r->state = (seed + 1) * 0x9e3779b97f4a7c15;
	if (!r->state)
		r->state = 1;
}

static inline uint64_t random_next(struct random *r)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state * 0x2545f4914f6cdd1d;
}

/* 0 to limit - 1 */
static inline uint64_t random_below(struct random *r, uint64_t limit)
{
	return (uint64_t)(((unsigned __int128)random_next(r) * limit) >> 64);
}

#endif
