/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_UTIL_H
#define VMM_UTIL_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

#define HUGE_PAGE (2 * MIB)

/* For messages: for %llu and %llx. */
static inline unsigned long long llu(uint64_t v)
{
	return v;
}
static inline unsigned long long mib(uint64_t bytes)
{
	return bytes / MIB;
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define ALIGN_DOWN(v, a) ((v) & ~((uint64_t)(a)-1))
#define ALIGN_UP(v, a) ALIGN_DOWN((v) + (uint64_t)(a)-1, a)
#define IS_POW2(v) ((v) != 0 && ((v) & ((v)-1)) == 0)
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define unused_param __attribute__((unused))

/* What CLOCK_MONOTONIC says, nanoseconds. */
static inline uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Close a descriptor, if it is one, and forget it. */
static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Hand a descriptor over to who owns it from now on. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Have [a, a + a_len) and [b, b + b_len), neither of them empty, anything in
 * common? Both may end where numbers do. */
static inline bool ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b,
				  uint64_t b_len)
{
	return b - a < a_len || a - b < b_len;
}

/* Wait for cond, of a mutex that is held, until then on CLOCK_MONOTONIC, in
 * nanoseconds. False: the time has come. */
static inline bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex,
				   uint64_t until_ns)
{
	const struct timespec ts = { .tv_sec = (time_t)(until_ns / 1000000000u),
				     .tv_nsec =
					     (long)(until_ns % 1000000000u) };

	return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &ts) !=
	       ETIMEDOUT;
}

static inline pthread_mutex_t *mutex_take(pthread_mutex_t *mutex)
{
	pthread_mutex_lock(mutex);
	return mutex;
}
static inline void mutex_release(pthread_mutex_t **mutex)
{
	pthread_mutex_unlock(*mutex);
}

/* Hold a mutex to the end of the block, by whichever way it is left. A
 * declaration: what follows it has the mutex. */
#define mutex_guard(mutex)                              \
	__attribute__((cleanup(mutex_release), unused)) \
	pthread_mutex_t *guarded = mutex_take(mutex)

/* A local that closes itself; for set-up code only. Starts at -1. */
#define cleanup_fd __attribute__((cleanup(close_fd)))

#endif
