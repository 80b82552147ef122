/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_PAGES_H
#define VMM_PAGES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/loop.h"
#include "vmm/util.h"

/*
 * Gigabytes of pages to allocate or to clear take seconds, and are bound by
 * memory: threads share the work, and who asked for it goes on.
 */

#define PAGES_MAX_PIECES 48u
#define PAGES_MAX_THREADS 16u

enum pages_op {
	PAGES_POPULATE, /* allocate them, as if they were written to */
	PAGES_CLEAR, /* write zeroes to those that are there */
};

/*
 * One piece of such work, in the caller's storage: zeroed, then op and ended are
 * set, pieces added, and it is started. All functions are for one thread,
 * but for pages_stop().
 */
struct pages_job {
	enum pages_op op;
	/* Posted when all is done, or stopped: then pages_end() returns at
	 * once. loop NULL: nobody wants to know. */
	struct loop *loop;
	struct loop_call ended;

	/* pages.c's own */
	struct pages_piece {
		uint8_t *hva;
		uint64_t len;
	} pieces[PAGES_MAX_PIECES];
	unsigned int nr_pieces;
	pthread_t threads[PAGES_MAX_THREADS];
	unsigned int nr_threads;
	/* any thread */
	_Atomic uint64_t next; /* bytes given to threads */
	atomic_uint running; /* threads */
	atomic_int result; /* of the first one that failed; else 0 */
};

/* Bytes that the host could still give away, or all there are if unknown. Any
 * thread. */
uint64_t pages_host_left(void);

/* The program's own pages that were used until now are mapped no more; what is
 * needed again comes back when it is run. For a process that stays and does
 * little. */
void pages_forget_program(void);

/* Private anonymous memory of len bytes that costs nothing, 2 MiB aligned so that
 * huge pages can lie in it. Any thread. MAP_FAILED, with errno. */
void *pages_map_room(uint64_t len, int prot);

/*
 * mmap(2) over something, which stays when there are no pages: a failed MAP_FIXED
 * leaves a hole, where the next mapping of anybody may go. Any thread. -errno.
 */
int pages_map_over(void *hva, uint64_t len, int prot, int flags, int fd,
		   uint64_t off);

#define PAGES_LOOK_MAX (2 * MIB)
/* Has the host begun to read pages of a file, and does not have them: it reads them
 * now, or could not? hva, len: where they are mapped, PAGES_LOOK_MAX at most; off:
 * where they are in fd. Nothing is read for that. Any thread. False on a kernel that
 * does not tell. */
bool pages_are_missing(void *hva, uint64_t len, int fd, uint64_t off);

/* Add [hva, hva+len), whole pages that stay mapped until pages_end(). */
void pages_add(struct pages_job *job, void *hva, uint64_t len);
/* Bytes that were added. */
uint64_t pages_len(const struct pages_job *job);
/* Start the threads, one per CPU of the host at most. When the host refuses
 * even one, the work is done in here. Without pieces nothing happens. */
void pages_start(struct pages_job *job);
/* Have the threads leave it unfinished, within milliseconds, also when they are
 * started later. Any thread. */
void pages_stop(struct pages_job *job);
/* Wait for the threads; afterwards the job has no pieces. 0, -ECANCELED after
 * pages_stop(), or -errno from madvise(2); with a message. One that was not
 * started is accepted. */
int pages_end(struct pages_job *job, struct error *err);

#endif
