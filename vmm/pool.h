/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_POOL_H
#define VMM_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/list.h"
#include "vmm/loop.h"

/*
 * Threads for calls of the host that may take for ever: opening, closing and
 * resizing files, reads and writes that cannot be asked for otherwise. Each kind of
 * owners has threads of its own, whose names tell what they may do (confine.h).
 * They start when there is work, block all signals, and end after a second without.
 * There are POOL_MAX of a kind at most. Files that hang cannot hold them all: each
 * owner has a maximum of its own, and beyond the first job of each, all owners of a
 * kind together have POOL_SHARED.
 */

#define POOL_MAX 128u
#define POOL_SHARED 64u

enum pool_kind {
	POOL_DEVICES, /* "pool0" and up: they open nothing by themselves */
	POOL_SHARES, /* "share0" and up: what shared directories take as well */
	POOL_KINDS
};

/* On whose behalf jobs run: a disk, or a device that is being added. All zero
 * but for the first three fields; it must stay while it has jobs. */
struct pool_owner {
	const char *name; /* in the log; borrowed while there are jobs */
	unsigned int max; /* jobs on threads at the same time; 0 is 1 */
	enum pool_kind kind;
	/* pool's own */
	unsigned int nr_jobs;
	unsigned int nr_admitted; /* in the pool's queue or on a thread */
	struct list_node waiting; /* for others to end */
	struct list_node node; /* among the owners that have such */
};

/*
 * One piece of work, in the caller's storage, which must stay until done() is
 * called or pool_cancel() returned true. Zero at first; it may be submitted
 * again from done().
 */
struct pool_job {
	/* The work, on a thread of the pool. */
	void (*run)(struct pool_job *job);
	/* run() has returned. On the thread of `loop`, which must stay as long
	 * as the job. */
	void (*done)(struct pool_job *job);
	struct loop *loop;
	/* pool's own */
	struct pool_owner *owner;
	struct loop_call call;
	struct list_node node;
	enum {
		POOL_JOB_IDLE,
		POOL_JOB_WAITING, /* in its owner's list */
		POOL_JOB_READY, /* in the pool's queue */
		POOL_JOB_RUNNING,
	} state;
};

/*
 * Have the job run, after those that its owner submitted before. Never blocks.
 * Any thread. -ESHUTDOWN after pool_end(), or -EAGAIN when the host refuses
 * the pool's first thread: done() will not be called.
 */
int pool_submit(struct pool_owner *owner, struct pool_job *job);

/*
 * Take back a job that has not begun: true, and done() will not be called.
 * False: it runs, has run, or was never submitted. Never blocks. The thread of
 * the job's loop.
 */
bool pool_cancel(struct pool_job *job);

/*
 * The end of the process is near: no job begins from now on. Wait up to
 * timeout_ns for those that run; the log names the owners of what runs even
 * then. Returns the number of these: unless it is 0, jobs, owners and loops
 * must stay until the process ends. One thread.
 */
unsigned int pool_end(uint64_t timeout_ns);

#endif
