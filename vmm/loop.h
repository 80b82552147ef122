/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_LOOP_H
#define VMM_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/list.h"

/*
 * One event loop type for every thread that waits: `main` and `ioN`. A loop
 * has file descriptors, timers, calls from other threads, and pollers: bounded
 * busy waiting before it sleeps, so that a fast device does not pay a wake-up
 * per request.
 */
struct loop;

/* ---- descriptors: owner thread, or any thread before the loop runs ---- */

struct loop_fd {
	int fd; /* borrowed */
	/* events: EPOLLIN, EPOLLOUT, ... as in epoll_wait(2) */
	void (*on_event)(struct loop_fd *lf, uint32_t events);
	struct loop *loop; /* set by loop_fd_add() */
};

/* Watch lf->fd for events. lf is the caller's until loop_fd_del(). -errno from
 * epoll_ctl(2); -EPERM: the fd cannot be polled (plain file). */
int loop_fd_add(struct loop *loop, struct loop_fd *lf, uint32_t events);
/* Watch for other events; 0: for none. -errno from epoll_ctl(2). */
int loop_fd_change(struct loop_fd *lf, uint32_t events);
/* No event of lf is delivered after this returns; lf may be freed. A lf that
 * was not added is accepted. */
void loop_fd_del(struct loop_fd *lf);

/* ---- timers: owner thread only ---- */

struct loop_timer {
	void (*on_expire)(struct loop_timer *lt);
	uint64_t expires_ns; /* CLOCK_MONOTONIC */
	struct list_node node;
	bool armed;
};

/* Arm, or move when armed. One shot. A time in the past fires on the next turn. */
void loop_timer_set(struct loop *loop, struct loop_timer *lt,
		    uint64_t expires_ns);
/* It does not fire any more; lt may be freed. One that is not armed is accepted. */
void loop_timer_cancel(struct loop_timer *lt);

/* CLOCK_MONOTONIC in nanoseconds. Any thread. */
uint64_t loop_now_ns(void);

/* ---- pollers: owner thread only ---- */

struct loop_poller {
	/* Look for work without a system call and do it. Returns true when
	 * there was some. */
	bool (*poll)(struct loop_poller *lp);
	/* The loop is about to sleep: ask the other side for events. Returns
	 * true when work came in meanwhile (the loop then polls again). */
	bool (*sleep)(struct loop_poller *lp);
	/* The loop is awake and polls: events are not needed. */
	void (*wake)(struct loop_poller *lp);
	uint32_t poll_us; /* longest busy wait this one asks for, 0: none */
	/* What it waits for comes from other processes, which may have to share
	 * this CPU: they get it as soon as there is nothing to do. */
	bool gives_way;
	struct list_node node;
};

/* Poll lp from the next turn on. lp is the caller's until loop_poller_del(). */
void loop_poller_add(struct loop *loop, struct loop_poller *lp);
/* Do not poll lp any more; it may be freed. Accepted inside its own poll(). */
void loop_poller_del(struct loop *loop, struct loop_poller *lp);

/* ---- calls: any thread ---- */

struct loop_call {
	void (*fn)(struct loop_call *lc);
	struct loop_call *next;
	atomic_bool pending;
};

/*
 * Run lc->fn on the loop's thread. lc is the caller's storage and must live
 * until fn has run; fn may free or post it again. Posting one that is pending
 * does nothing. Order of posting is kept. Never blocks, never fails.
 */
void loop_post(struct loop *loop, struct loop_call *lc);

/* Take back lc if it was posted and has not run; it may be freed then. Owner
 * thread, and nobody posts it meanwhile. */
void loop_cancel(struct loop *loop, struct loop_call *lc);

/* ---- what a loop has for others ---- */

/* One thing for all devices on a loop, which its thread makes before its system
 * calls are filtered (vmm/confine.h). */
struct loop_local {
	/* Before the loop runs. NULL: there is none. */
	void *(*open)(struct loop *loop);
	/* When it does not run any more. */
	void (*close)(void *local);
};

/* Kinds of a loop, at most. */
#define LOOP_LOCALS 4

/* Its thread is to make one of this kind, too. Before there is a thread. */
void loop_add_local(struct loop *loop, const struct loop_local *kind);
/* For a loop without a thread: the caller makes them, and is the owner. Once;
 * loop_destroy() undoes it. */
void loop_open_local(struct loop *loop);
/* What open() of this kind gave, or NULL. Owner thread. */
void *loop_local(const struct loop *loop, const struct loop_local *kind);

/* ---- life ---- */

/* A loop without a thread; the caller runs it. NULL and -errno in *err's
 * message when the host refuses epoll or eventfd. */
struct loop *loop_create(const char *name, struct error *err);
/* Stop its thread, if it has one, and free a loop that does not run. NULL is
 * accepted. Not from that thread. */
void loop_destroy(struct loop *loop);

/* Start a thread that is called `name` and runs the loop; signals are blocked
 * in it. One that has a thread is left as it is. -errno from
 * pthread_create(3). */
int loop_thread_start(struct loop *loop, struct error *err);
/* Ask the loop to end and join its thread. Not from that thread. */
void loop_thread_stop(struct loop *loop);

/* Run until loop_quit(). On the calling thread. */
void loop_run(struct loop *loop);
/* Any thread; the loop ends its current turn first. */
void loop_quit(struct loop *loop);

/* Does this run on the loop's thread? Any thread. */
bool loop_is_current(const struct loop *loop);

#endif
