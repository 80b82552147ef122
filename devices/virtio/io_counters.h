/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_IO_COUNTERS_H
#define DEVICES_VIRTIO_IO_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/device.h"
#include "vmm/loop.h"

/*
 * What went through one queue. Written by the queue's loop alone, read by any
 * thread while it runs: each number is whole, all of them together may be a
 * request apart.
 */
#define IO_LATENCY_STEPS 16u /* 1 us, 2 us, 4 us, ... */

struct io_direction {
	uint64_t ops, bytes;
	/* of the requests that were timed */
	uint64_t nr, sum_ns, min_ns, max_ns;
	/* [i]: less than 2^i us; the last one: all others */
	uint64_t steps[IO_LATENCY_STEPS + 1];
};

struct io_counters {
	uint64_t begun; /* requests */
	struct io_direction directions[2]; /* [write] */
	uint64_t errors; /* of the host */
	uint64_t throttled_ns; /* requests were held back by the rate limit */
	uint64_t kicks, interrupts;
};

/* The first requests are all timed, then one in 64: a clock costs more than
 * the rest of the counting. */
#define IO_TIMED_FIRST 1024u
#define IO_TIMED_EACH 64u

/* Add to a number that others read. Owner only. */
static inline void io_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* A request begins; returns what io_counters_end() is to be told: the time in
 * nanoseconds, or 0 when this one is not timed. Owner. */
static inline uint64_t io_counters_begin(struct io_counters *c)
{
	uint64_t n = c->begun++;

	if (n >= IO_TIMED_FIRST && n % IO_TIMED_EACH)
		return 0;
	return loop_now_ns();
}

/* A request of len bytes was done. begun: of io_counters_begin(). Owner. */
void io_counters_end(struct io_counters *c, bool write, uint64_t len,
		     uint64_t begun);

/* Add the numbers of `from` to the sums in `to`. Any thread. */
void io_counters_sum(struct io_counters *to, const struct io_counters *from);

/* Tell all of them; latencies are in microseconds. Any thread. */
void io_counters_emit(const struct io_counters *c, device_emit_fn emit,
		      void *arg);
/* Tell operations and bytes only, as those of queue qidx. Any thread. */
void io_counters_emit_queue(const struct io_counters *c, unsigned int qidx,
			    device_emit_fn emit, void *arg);

#endif
