/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The event loop. A turn is: run posted calls, expired timers, then descriptor
 * events; with pollers present the loop first looks at them, busily, for a
 * window that adapts itself: a sleep that ended sooner than the longest poll
 * asked for makes the window grow, a longer one makes it shrink to nothing, so
 * an idle guest costs no CPU time and a busy one no wake-ups.
 */
#include "vmm/loop.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "arch/host.h"
#include "vmm/thread.h"

#define EVENTS_MAX 16
#define POLL_WINDOW_MIN_NS 4000u
/* While polling, look at descriptors and calls this often. */
#define POLL_TURNS 64u
/* ... or after so many in vain, when what is waited for is another process's. */
#define POLL_IN_VAIN 16u
/* All others give way after so long; a fast disk answers before. */
#define POLL_GIVE_WAY_NS 3000u

struct loop {
	/* any thread */
	_Atomic(struct loop_call *) calls; /* newest first */
	atomic_bool quit;
	int wake_fd; /* eventfd: calls or quit */

	/* owner thread */
	int epoll_fd;
	struct loop_call *todo; /* of the turn under way, oldest first */
	struct loop_fd wake;
	struct list_node timers; /* sorted, soonest first */
	struct list_node pollers;
	uint64_t window_ns;
	uint64_t poll_max_ns;
	bool gives_way; /* who worked last waits for other processes, */
	bool gave_way; /* ... and they had their turn since */
	struct epoll_event *events; /* of the turn under way */
	int nr_events;
	void *locals[LOOP_LOCALS]; /* of local_kinds */

	/* set at start */
	const struct loop_local *local_kinds[LOOP_LOCALS];
	unsigned int nr_locals;
	char name[THREAD_NAME_LEN];
	pthread_t thread;
	bool has_thread;
};

static _Thread_local struct loop *loop_current;

uint64_t loop_now_ns(void)
{
	return monotonic_ns();
}

bool loop_is_current(const struct loop *loop)
{
	return loop_current == loop;
}

/* ---- descriptors ---- */

int loop_fd_add(struct loop *loop, struct loop_fd *lf, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = lf };

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, lf->fd, &ev))
		return -errno;
	lf->loop = loop;
	return 0;
}

int loop_fd_change(struct loop_fd *lf, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = lf };

	if (epoll_ctl(lf->loop->epoll_fd, EPOLL_CTL_MOD, lf->fd, &ev))
		return -errno;
	return 0;
}

void loop_fd_del(struct loop_fd *lf)
{
	struct loop *loop = lf->loop;

	if (!loop)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, lf->fd, NULL);
	lf->loop = NULL;
	for (int i = 0; i < loop->nr_events; i++)
		if (loop->events[i].data.ptr == lf)
			loop->events[i].data.ptr = NULL;
}

static void loop_on_wake(struct loop_fd *lf)
{
	eventfd_t n;

	/* Fails only when another turn has read it already. */
	(void)!eventfd_read(lf->fd, &n);
}

static void loop_wake(struct loop *loop)
{
	(void)!eventfd_write(loop->wake_fd, 1);
}

/* ---- timers ---- */

void loop_timer_cancel(struct loop_timer *lt)
{
	if (lt->armed)
		list_remove(&lt->node);
	lt->armed = false;
}

void loop_timer_set(struct loop *loop, struct loop_timer *lt,
		    uint64_t expires_ns)
{
	struct list_node *at = &loop->timers;

	loop_timer_cancel(lt);
	lt->expires_ns = expires_ns;
	lt->armed = true;
	list_for_each_entry (struct loop_timer, other, &loop->timers, node) {
		if (other->expires_ns > expires_ns) {
			at = &other->node;
			break;
		}
	}
	list_insert(at, &lt->node);
}

/* Timers that a handler sets into the past wait for the next turn. */
static void loop_run_timers(struct loop *loop)
{
	uint64_t now = list_is_empty(&loop->timers) ? 0 : loop_now_ns();
	struct loop_timer *lt;

	while ((lt = list_first(struct loop_timer, &loop->timers, node)) &&
	       lt->expires_ns <= now) {
		loop_timer_cancel(lt);
		lt->on_expire(lt);
		if (loop_now_ns() - now > 10000000)
			break; /* let descriptors have their turn */
	}
}

/* ---- calls ---- */

void loop_post(struct loop *loop, struct loop_call *lc)
{
	struct loop_call *head;

	if (atomic_exchange(&lc->pending, true))
		return;
	head = atomic_load(&loop->calls);
	do
		lc->next = head;
	while (!atomic_compare_exchange_weak(&loop->calls, &head, lc));
	/* Only the first of a batch needs the eventfd. */
	if (!head)
		loop_wake(loop);
}

/* Take what was posted, to the end of todo. */
static void loop_take_calls(struct loop *loop)
{
	struct loop_call *lc = atomic_exchange(&loop->calls, NULL);
	struct loop_call *next, *first = NULL, **end = &loop->todo;

	for (; lc; lc = next) {
		next = lc->next;
		lc->next = first;
		first = lc;
	}
	while (*end)
		end = &(*end)->next;
	*end = first;
}

static bool loop_run_calls(struct loop *loop)
{
	struct loop_call *lc;

	if (!atomic_load_explicit(&loop->calls, memory_order_relaxed) &&
	    !loop->todo)
		return false;
	loop_take_calls(loop);
	while ((lc = loop->todo)) {
		loop->todo = lc->next;
		atomic_store(&lc->pending, false);
		lc->fn(lc);
	}
	return true;
}

void loop_cancel(struct loop *loop, struct loop_call *lc)
{
	struct loop_call **at;

	if (!atomic_load(&lc->pending))
		return;
	loop_take_calls(loop);
	for (at = &loop->todo; *at && *at != lc; at = &(*at)->next)
		;
	if (*at)
		*at = lc->next;
	atomic_store(&lc->pending, false);
}

/* ---- pollers ---- */

static void loop_set_poll_max(struct loop *loop)
{
	uint64_t max = 0;

	list_for_each_entry (struct loop_poller, lp, &loop->pollers, node)
		max = MAX(max, lp->poll_us * 1000ull);
	loop->poll_max_ns = max;
	loop->window_ns = MIN(loop->window_ns, max);
}

void loop_poller_add(struct loop *loop, struct loop_poller *lp)
{
	list_insert(&loop->pollers, &lp->node);
	loop_set_poll_max(loop);
}

void loop_poller_del(struct loop *loop, struct loop_poller *lp)
{
	list_remove(&lp->node);
	loop_set_poll_max(loop);
}

static void loop_worked(struct loop *loop, bool gives_way)
{
	loop->gives_way = gives_way;
	loop->gave_way = false;
}

static bool loop_poll_once(struct loop *loop)
{
	bool progress = false;

	list_for_each_entry (struct loop_poller, lp, &loop->pollers, node) {
		bool gives_way = lp->gives_way;

		if (!lp->poll(lp))
			continue;
		loop_worked(loop, gives_way);
		progress = true;
	}
	return progress;
}

static bool loop_pollers_sleep(struct loop *loop)
{
	bool work = false;

	list_for_each_entry (struct loop_poller, lp, &loop->pollers, node)
		work |= lp->sleep(lp);
	return work;
}

static void loop_pollers_wake(struct loop *loop)
{
	list_for_each_entry (struct loop_poller, lp, &loop->pollers, node)
		lp->wake(lp);
}

/* How many looks in vain are enough before the next thing is done. */
static unsigned int loop_patience(const struct loop *loop)
{
	if (!loop->gives_way)
		return POLL_TURNS;
	return loop->gave_way ? POLL_IN_VAIN : 1;
}

/*
 * Poll until nothing happened for the window; without one, until there is nothing
 * to do. Returns after POLL_TURNS turns at most, so that the rest of the loop
 * stays alive under load. Who polls in vain gives way, as others may need this CPU
 * for what is waited for: at once when these are other processes.
 * True: poll again; false: the window passed in silence.
 */
static bool loop_poll_busy(struct loop *loop, uint64_t *last_work_ns)
{
	unsigned int turn, in_vain = 0;
	bool worked = false;
	uint64_t now;

	for (turn = 0; turn < POLL_TURNS && in_vain < loop_patience(loop);
	     turn++) {
		bool progress = loop_poll_once(loop);

		if (atomic_load_explicit(&loop->calls, memory_order_relaxed))
			return true;
		worked |= progress;
		in_vain = progress ? 0 : in_vain + 1;
		if (in_vain && !loop->window_ns)
			return false;
		if (in_vain)
			arch_cpu_relax();
	}
	now = loop_now_ns();
	if (worked)
		*last_work_ns = now;
	if (in_vain &&
	    (loop->gives_way || now - *last_work_ns >= POLL_GIVE_WAY_NS)) {
		sched_yield();
		loop->gave_way = true;
	}
	return worked || now - *last_work_ns < loop->window_ns;
}

/* How long the sleep took tells whether polling would have paid. */
static void loop_adapt(struct loop *loop, uint64_t slept_ns)
{
	if (slept_ns > loop->poll_max_ns)
		loop->window_ns /= 2;
	else
		loop->window_ns =
			MIN(loop->poll_max_ns,
			    MAX(loop->window_ns * 2, POLL_WINDOW_MIN_NS));
	if (loop->window_ns < POLL_WINDOW_MIN_NS)
		loop->window_ns = 0;
}

/* ---- what it has for others ---- */

void loop_add_local(struct loop *loop, const struct loop_local *kind)
{
	assert(loop->nr_locals < LOOP_LOCALS);
	loop->local_kinds[loop->nr_locals++] = kind;
}

void loop_open_local(struct loop *loop)
{
	for (unsigned int i = 0; i < loop->nr_locals; i++)
		loop->locals[i] = loop->local_kinds[i]->open(loop);
}

void *loop_local(const struct loop *loop, const struct loop_local *kind)
{
	for (unsigned int i = 0; i < loop->nr_locals; i++)
		if (loop->local_kinds[i] == kind)
			return loop->locals[i];
	return NULL;
}

static void loop_close_local(struct loop *loop)
{
	for (unsigned int i = 0; i < loop->nr_locals; i++) {
		if (loop->locals[i])
			loop->local_kinds[i]->close(loop->locals[i]);
		loop->locals[i] = NULL;
	}
}

/* ---- the loop ---- */

static int loop_wait(struct loop *loop, bool block)
{
	const struct loop_timer *lt =
		list_first(struct loop_timer, &loop->timers, node);
	uint64_t now = block && lt ? loop_now_ns() : UINT64_MAX;
	uint64_t ns = lt && lt->expires_ns > now ? lt->expires_ns - now : 0;
	const struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000u),
				     .tv_nsec = (long)(ns % 1000000000u) };

	return epoll_pwait2(loop->epoll_fd, loop->events, EVENTS_MAX,
			    block && !lt ? NULL : &ts, NULL);
}

/* True: there were events. */
static bool loop_turn(struct loop *loop, bool block)
{
	bool worked;

	loop->nr_events = loop_wait(loop, block);
	worked = loop->nr_events > 0;
	if (worked)
		loop_worked(loop, true);
	for (int i = 0; i < loop->nr_events; i++) {
		struct loop_fd *lf = loop->events[i].data.ptr;

		if (lf == &loop->wake)
			loop_on_wake(lf);
		else if (lf)
			lf->on_event(lf, loop->events[i].events);
	}
	loop->nr_events = 0;
	loop_run_calls(loop);
	loop_run_timers(loop);
	return worked;
}

static void loop_sleep(struct loop *loop)
{
	uint64_t start;

	if (list_is_empty(&loop->pollers)) {
		loop_turn(loop, true);
		return;
	}
	if (loop_pollers_sleep(loop)) {
		/* Others have waited while there was work. */
		loop_turn(loop, false);
		loop_pollers_wake(loop);
		return;
	}
	start = loop->poll_max_ns ? loop_now_ns() : 0;
	loop_turn(loop, true);
	if (loop->poll_max_ns)
		loop_adapt(loop, loop_now_ns() - start);
	loop_pollers_wake(loop);
}

void loop_run(struct loop *loop)
{
	struct epoll_event events[EVENTS_MAX];
	struct loop *outer = loop_current;
	uint64_t last_work_ns;

	loop_current = loop;
	loop->events = events;
	while (!atomic_load(&loop->quit)) {
		last_work_ns = loop->window_ns ? loop_now_ns() : 0;
		while (!list_is_empty(&loop->pollers) &&
		       loop_poll_busy(loop, &last_work_ns) &&
		       !atomic_load(&loop->quit))
			if (loop_turn(loop, false))
				last_work_ns = loop_now_ns();
		if (!atomic_load(&loop->quit))
			loop_sleep(loop);
	}
	loop_run_calls(loop);
	atomic_store(&loop->quit, false);
	loop->events = NULL;
	loop_current = outer;
}

void loop_quit(struct loop *loop)
{
	atomic_store(&loop->quit, true);
	loop_wake(loop);
}

struct loop *loop_create(const char *name, struct error *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	strncpy(loop->name, name, sizeof(loop->name) - 1);
	list_init(&loop->timers);
	list_init(&loop->pollers);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->wake.fd = loop->wake_fd;
	if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
	    loop_fd_add(loop, &loop->wake, EPOLLIN)) {
		error_set(err, errno, "cannot make an event loop: %s",
			  strerror(errno));
		loop_destroy(loop);
		return NULL;
	}
	return loop;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	loop_thread_stop(loop);
	loop_close_local(loop);
	close_fd(&loop->epoll_fd);
	close_fd(&loop->wake_fd);
	free(loop);
}

static void loop_thread_prepare(void *arg)
{
	loop_open_local(arg);
}

static void *loop_thread(void *arg)
{
	struct loop *loop = arg;

	loop_run(loop);
	loop_close_local(loop);
	return NULL;
}

int loop_thread_start(struct loop *loop, struct error *err)
{
	int r;

	if (loop->has_thread)
		return 0;
	r = thread_start_prepared(&loop->thread, loop->name,
				  loop_thread_prepare, loop_thread, loop);
	loop->has_thread = !r;
	return r ? error_set(err, r, "cannot start thread %s: %s", loop->name,
			     strerror(r))
		 : 0;
}

void loop_thread_stop(struct loop *loop)
{
	if (!loop->has_thread)
		return;
	loop_quit(loop);
	pthread_join(loop->thread, NULL);
	loop->has_thread = false;
}
