/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What the programs that measure limits share: time, and how results are told. */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

#include <err.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define NS 1000000000ull
#define NS_PER_MS 1000000ull
#define RTT_MAX 1000000u

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

static inline uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static inline unsigned number(const char *word)
{
	return (unsigned)strtoul(word, NULL, 10);
}

/* Zeroed, and in huge pages where there are some, as a guest's memory is. */
static inline uint8_t *buffers(unsigned nr, size_t stride)
{
	void *area = mmap(NULL, nr * stride, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		err(1, "buffers");
	madvise(area, nr * stride, MADV_HUGEPAGE);
	memset(area, 0, nr * stride);
	return area;
}

static inline int rtt_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* what: what n counts; cpu: cpu_ns() at the start. */
static inline void say_stream(const char *what, uint64_t n, uint64_t start,
			      uint64_t cpu)
{
	printf("RESULT %s=%llu ns=%llu cpu_ns=%llu\n", what,
	       (unsigned long long)n, (unsigned long long)(now_ns() - start),
	       (unsigned long long)(cpu_ns() - cpu));
	fflush(stdout);
}

static inline void say_rtt(const char *what, uint32_t *times, unsigned nr,
			   uint64_t cpu)
{
	qsort(times, nr, sizeof(times[0]), rtt_compare);
	printf("RESULT %s=%u p50_ns=%u p99_ns=%u cpu_ns=%llu\n", what, nr,
	       times[nr / 2], times[nr - nr / 100 - 1],
	       (unsigned long long)(cpu_ns() - cpu));
	fflush(stdout);
}

#endif
