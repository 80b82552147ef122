/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_LIMIT_H
#define DEVICES_VIRTIO_LIMIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/param_table.h"
#include "vmm/token_bucket.h"

/*
 * The rate limit of a virtio device: two budgets that a request must both fit,
 * bytes and requests. It belongs to the device and all its queues share it; a
 * reset by the driver does not touch it. A device that moves data both ways has
 * one for each.
 */

/* Which of a device's limits: one for what goes to the guest, one for what comes
 * from it. A device that makes no difference has its one limit in the first. */
enum virtio_direction {
	VIRTIO_TO_GUEST,
	VIRTIO_FROM_GUEST,
	VIRTIO_DIRECTIONS,
};

/* As users write it; a member of the params struct of a class. */
struct limit_config {
	struct token_bucket_config bw, ops; /* bytes, requests */
};

/*
 * As users write them for a device with a limit for each direction: what is said
 * of both holds for each by itself, and a number that is said of one direction
 * takes the place of that number there.
 */
struct limits_config {
	struct limit_config both;
	struct limit_config each[VIRTIO_DIRECTIONS]; /* or LIMIT_UNSET */
};

#define LIMIT_UNSET UINT64_MAX
#define LIMIT_MAX ((uint64_t)INT64_MAX) /* JSON has no larger numbers */
#define LIMIT_MAX_MS 86400000u

/* clang-format off: one line, one thing to say */
#define LIMIT_PARAM_SET(params, member, key, path, words, kind)              \
	PARAM(#key "_size", kind, params, member.key.size,                   \
	      words " allowed per " #key "_refill_time; 0: no limit",        \
	      .json = "rate_limiter_config." path ".size", .unit = words),   \
		PARAM(#key "_one_time_burst", kind, params,                  \
		      member.key.one_time_burst,                             \
		      words " allowed once, on top",                         \
		      .json = "rate_limiter_config." path ".one_time_burst", \
		      .unit = words),                                        \
		PARAM(#key "_refill_time", UINT, params,                     \
		      member.key.refill_time_ms,                             \
		      "time in which " #key "_size " words " come back",     \
		      .json = "rate_limiter_config." path ".refill_time",    \
		      .unit = "ms", .def = 1000, .min = 1,                   \
		      .max = LIMIT_MAX_MS)
/* The parameters of struct limit_config `member` of the struct `params`. */
#define LIMIT_PARAMS(params, member)                                     \
	LIMIT_PARAM_SET(params, member, bw, "bandwidth", "bytes", SIZE), \
		LIMIT_PARAM_SET(params, member, ops, "ops", "requests", UINT)

#define LIMIT_OVERRIDE(params, way, key, value, field, path, kind, largest, \
		       words)                                               \
	PARAM(#way "_" #key "_" value, kind, params, field,                 \
	      #key "_" value " of what the guest " words,                   \
	      .json = #way "." path "." value, .def = LIMIT_UNSET,          \
	      .max = largest)
#define LIMIT_OVERRIDE_SET(params, way, member, key, path, kind, words)       \
	LIMIT_OVERRIDE(params, way, key, "size", member.key.size, path, kind, \
		       LIMIT_MAX, words),                                     \
		LIMIT_OVERRIDE(params, way, key, "one_time_burst",            \
			       member.key.one_time_burst, path, kind,         \
			       LIMIT_MAX, words),                             \
		LIMIT_OVERRIDE(params, way, key, "refill_time",               \
			       member.key.refill_time_ms, path, UINT,         \
			       LIMIT_MAX_MS, words)
#define LIMIT_OVERRIDES(params, way, member, words)                            \
	LIMIT_OVERRIDE_SET(params, way, member, bw, "bandwidth", SIZE, words), \
		LIMIT_OVERRIDE_SET(params, way, member, ops, "ops", UINT,      \
				   words)
/* The parameters of struct limits_config `member` of the struct `params`: those
 * of both, with the JSON group rate_limiter_config; and of rx and tx. */
#define LIMITS_PARAMS(params, member)                                       \
	LIMIT_PARAMS(params, member.both),                                  \
		LIMIT_OVERRIDES(params, rx, member.each[VIRTIO_TO_GUEST],   \
				"receives"),                                \
		LIMIT_OVERRIDES(params, tx, member.each[VIRTIO_FROM_GUEST], \
				"sends")
/* clang-format on */

/* What holds in one direction. Any thread. */
struct limit_config limit_of(const struct limits_config *limits,
			     enum virtio_direction direction);

/* All zero but for the lock, it limits nothing. */
struct limit {
	atomic_bool active; /* any thread: there is a limit at all */
	/* any thread, under lock, which is a leaf */
	pthread_mutex_t lock;
	struct limit_config config;
	struct token_bucket bytes;
	struct token_bucket ops;
};

/*
 * Limit to what config says from now_ns on; a size or time of 0 is no limit.
 * What it says already is not begun anew, nor is a burst. What was taken ahead
 * of time before (token_bucket.h: debt) still has to be waited for. config is
 * copied. False: nothing changed. Any thread.
 */
bool limit_set(struct limit *limit, const struct limit_config *config,
	       uint64_t now_ns);

/*
 * May something go? False: asking again makes sense at *until_ns. Times are in
 * nanoseconds of CLOCK_MONOTONIC. Any thread.
 */
bool limit_may(struct limit *limit, uint64_t now_ns, uint64_t *until_ns);
/* It went, with len bytes. False: nothing may go without limit_may(). Any
 * thread; several that were told that they may are all charged. */
bool limit_charge(struct limit *limit, uint64_t len);

#endif
