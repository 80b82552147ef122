/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_FUZZ_STREAM_H
#define TESTS_FUZZ_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The fuzzer's bytes, taken as numbers; zeroes when they are used up. */
struct stream {
	const uint8_t *data;
	size_t left;
};

/* Little endian, nr bytes. */
static inline uint64_t stream_take(struct stream *s, unsigned int nr)
{
	uint64_t v = 0;
	unsigned int i;

	for (i = 0; i < nr && s->left; i++, s->left--)
		v |= (uint64_t)*s->data++ << 8 * i;
	return v;
}

/* What must hold whatever the guest does. */
static inline void require(bool ok)
{
	if (!ok)
		abort();
}

#endif
