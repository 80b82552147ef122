/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/loop.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "vmm/util.h"

#define MS 1000000ull

static struct loop *loop;
static char trace[64]; /* a letter per thing that ran */

static void note(char c)
{
	size_t len = strlen(trace);

	assert_true(len + 1 < sizeof(trace));
	trace[len] = c;
	trace[len + 1] = '\0';
}

static int setup(void **state unused_param)
{
	loop = loop_create("test", NULL);
	assert_non_null(loop);
	trace[0] = '\0';
	return 0;
}

static int teardown(void **state unused_param)
{
	loop_thread_stop(loop);
	loop_destroy(loop);
	return 0;
}

/* ---- calls ---- */

struct step {
	struct loop_call call;
	char c;
	bool quit;
	struct step *then; /* posted from inside */
};

static void step_run(struct loop_call *lc)
{
	struct step *s = container_of(lc, struct step, call);

	assert_true(loop_is_current(loop));
	note(s->c);
	if (s->then) {
		struct step *then = s->then;

		s->then = NULL;
		loop_post(loop, &then->call);
	}
	if (s->quit)
		loop_quit(loop);
}

#define STEP(ch)                                      \
	{                                             \
		.call = { .fn = step_run }, .c = (ch) \
	}

static void test_post_order(void **state unused_param)
{
	struct step s[] = { STEP('a'), STEP('b'), STEP('c'), STEP('q') };
	unsigned int i;

	s[3].quit = true;
	for (i = 0; i < ARRAY_SIZE(s); i++)
		loop_post(loop, &s[i].call);
	loop_post(loop, &s[0].call); /* pending: nothing */
	assert_false(loop_is_current(loop));
	loop_run(loop);
	assert_false(loop_is_current(loop));
	assert_string_equal(trace, "abcq");
}

static void test_post_from_inside(void **state unused_param)
{
	struct step a = STEP('a'), b = STEP('b'), q = STEP('q');

	a.then = &a; /* itself, once */
	b.then = &q;
	q.quit = true;
	loop_post(loop, &a.call);
	loop_post(loop, &b.call);
	loop_run(loop);
	assert_string_equal(trace, "abaq");
}

/* What was posted before the quit runs, and a new run starts afresh. */
static void test_quit(void **state unused_param)
{
	struct step a = STEP('a'), q = STEP('q');

	loop_post(loop, &a.call);
	loop_quit(loop);
	loop_run(loop);
	assert_string_equal(trace, "a");
	q.quit = true;
	loop_post(loop, &q.call);
	loop_run(loop);
	assert_string_equal(trace, "aq");
}

/* A call that another thread waits for. */
struct count {
	struct loop_call call;
	unsigned int *n;
	atomic_bool ran;
};

static void count_run(struct loop_call *lc)
{
	struct count *c = container_of(lc, struct count, call);

	assert_true(loop_is_current(loop));
	++*c->n;
	atomic_store(&c->ran, true);
}

static void count_and_wait(unsigned int *n)
{
	struct count c = { .call.fn = count_run, .n = n };

	loop_post(loop, &c.call);
	while (!atomic_load(&c.ran))
		sched_yield();
}

static void *count_thread(void *arg)
{
	unsigned int i;

	for (i = 0; i < 200; i++)
		count_and_wait(arg);
	return NULL;
}

static void test_post_from_threads(void **state unused_param)
{
	unsigned int n = 0, i;
	pthread_t threads[4];

	assert_int_equal(loop_thread_start(loop, NULL), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, count_thread, &n), 0);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	loop_thread_stop(loop);
	assert_int_equal(n, 800);
}

/* ---- timers ---- */

struct alarm {
	struct loop_timer timer;
	char c;
	bool quit;
	struct alarm *cancels;
	bool again; /* set itself into the past, once */
};

static void alarm_run(struct loop_timer *lt)
{
	struct alarm *a = container_of(lt, struct alarm, timer);

	assert_false(lt->armed);
	assert_true(loop_now_ns() >= lt->expires_ns);
	note(a->c);
	if (a->cancels)
		loop_timer_cancel(&a->cancels->timer);
	if (a->again) {
		a->again = false;
		loop_timer_set(loop, lt, 1);
	}
	if (a->quit)
		loop_quit(loop);
}

#define ALARM(ch)                                              \
	{                                                      \
		.timer = { .on_expire = alarm_run }, .c = (ch) \
	}

static void test_timers(void **state unused_param)
{
	struct alarm a = ALARM('a'), b = ALARM('b'), c = ALARM('c'),
		     d = ALARM('d'), q = ALARM('q');
	uint64_t now = loop_now_ns();

	q.quit = true;
	b.cancels = &d;
	loop_timer_set(loop, &q.timer, now + 20 * MS);
	loop_timer_set(loop, &c.timer, now + 50 * MS);
	loop_timer_set(loop, &d.timer, now + 15 * MS);
	loop_timer_set(loop, &a.timer, now + 5 * MS);
	loop_timer_set(loop, &b.timer, now + 10 * MS);
	loop_timer_set(loop, &c.timer, now + 7 * MS); /* moved */
	loop_timer_cancel(&a.timer);
	loop_timer_cancel(&a.timer); /* not armed: nothing */
	loop_timer_set(loop, &a.timer, now + 7 * MS); /* equal: behind c */
	loop_run(loop);
	assert_string_equal(trace, "cabq");
	assert_true(loop_now_ns() - now >= 20 * MS);
	assert_false(d.timer.armed);
}

static void test_timer_in_the_past(void **state unused_param)
{
	struct alarm a = ALARM('a'), q = ALARM('q');

	a.again = true;
	q.quit = true;
	loop_timer_set(loop, &a.timer, 0);
	loop_timer_set(loop, &q.timer, loop_now_ns() + 2 * MS);
	loop_run(loop);
	assert_string_equal(trace, "aaq");
}

/* So far away that no clock gets there: it is as if there were none. */
static void test_timer_in_the_far_future(void **state unused_param)
{
	struct alarm never[] = { ALARM('x'), ALARM('y'), ALARM('z') };
	struct alarm q = ALARM('q');
	struct timespec before, after;

	loop_timer_set(loop, &never[0].timer, UINT64_MAX);
	loop_timer_set(loop, &never[1].timer, UINT64_MAX - 1);
	loop_timer_set(loop, &never[2].timer, INT64_MAX);
	q.quit = true;
	/* It sleeps, rather than asking again and again. */
	assert_int_equal(loop_thread_start(loop, NULL), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	usleep(200000);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	loop_thread_stop(loop);
	assert_true((uint64_t)(after.tv_sec - before.tv_sec) * 1000 * MS +
			    (uint64_t)after.tv_nsec - (uint64_t)before.tv_nsec <
		    50 * MS);
	loop_timer_set(loop, &q.timer, loop_now_ns() + MS);
	loop_run(loop);
	assert_string_equal(trace, "q");
	loop_timer_cancel(&never[0].timer);
	assert_true(never[1].timer.armed && never[2].timer.armed);
}

/* ---- descriptors ---- */

struct source {
	struct loop_fd lf;
	struct source *deletes;
	char c;
	bool quit;
};

static void source_run(struct loop_fd *lf, uint32_t events)
{
	struct source *s = container_of(lf, struct source, lf);
	eventfd_t n;

	assert_true(events & EPOLLIN);
	assert_int_equal(eventfd_read(lf->fd, &n), 0);
	note(s->c);
	if (s->deletes)
		loop_fd_del(&s->deletes->lf);
	if (s->quit)
		loop_quit(loop);
}

static void source_init(struct source *s, char c)
{
	memset(s, 0, sizeof(*s));
	s->c = c;
	s->lf.on_event = source_run;
	s->lf.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(s->lf.fd >= 0);
	assert_int_equal(loop_fd_add(loop, &s->lf, EPOLLIN), 0);
}

static void source_fini(struct source *s)
{
	loop_fd_del(&s->lf);
	loop_fd_del(&s->lf); /* not added: nothing */
	close_fd(&s->lf.fd);
}

/* Both are ready in one turn; the first takes the second away. */
static void test_delete_in_handler(void **state unused_param)
{
	struct source a, b;

	source_init(&a, 'a');
	source_init(&b, 'b');
	a.deletes = &b;
	b.deletes = &a;
	a.quit = b.quit = true;
	loop_run(loop);
	assert_int_equal(strlen(trace), 1);
	source_fini(&a);
	source_fini(&b);
}

static void test_change(void **state unused_param)
{
	struct source a;
	struct step q = STEP('q');

	source_init(&a, 'a');
	assert_int_equal(loop_fd_change(&a.lf, 0), 0);
	q.quit = true;
	loop_post(loop, &q.call);
	loop_run(loop);
	assert_string_equal(trace, "q");
	assert_int_equal(loop_fd_change(&a.lf, EPOLLIN), 0);
	a.quit = true;
	loop_run(loop);
	assert_string_equal(trace, "qa");
	source_fini(&a);
}

static void test_add_fails(void **state unused_param)
{
	struct loop_fd lf = { .fd = -1 };

	assert_int_equal(loop_fd_add(loop, &lf, EPOLLIN), -EBADF);
	loop_fd_del(&lf);
}

/* ---- pollers ---- */

struct poller {
	struct loop_poller lp;
	unsigned int work; /* poll() finds something this often */
	bool late; /* work comes in while going to sleep, once, */
	bool always_late; /* ... or each time */
	bool late_on_wake; /* ... or when the loop is awake again */
	bool asleep;
	unsigned int polls, sleeps, wakes;
	unsigned int in_vain; /* polls, since work was found */
};

static struct poller *watched;
static unsigned int least_in_vain; /* of watched, when the loop gave way */

/* Instead of libc's. */
int sched_yield(void)
{
	if (watched)
		least_in_vain = MIN(least_in_vain, watched->in_vain);
	return 0;
}

static bool poller_poll(struct loop_poller *lp)
{
	struct poller *p = container_of(lp, struct poller, lp);

	assert_false(p->asleep);
	p->polls++;
	p->in_vain++;
	if (!p->work)
		return false;
	p->in_vain = 0;
	p->work--;
	return true;
}

static bool poller_sleep(struct loop_poller *lp)
{
	struct poller *p = container_of(lp, struct poller, lp);

	assert_false(p->asleep);
	assert_int_equal(p->work, 0); /* not while there is work */
	p->asleep = true;
	p->sleeps++;
	if (!p->late && !p->always_late)
		return false;
	p->late = false;
	p->work = 1;
	return true;
}

static void poller_wake(struct loop_poller *lp)
{
	struct poller *p = container_of(lp, struct poller, lp);

	p->asleep = false;
	p->wakes++;
	p->work += p->late_on_wake;
}

static void poller_init(struct poller *p, unsigned int poll_us)
{
	memset(p, 0, sizeof(*p));
	p->lp = (struct loop_poller){ .poll = poller_poll,
				      .sleep = poller_sleep,
				      .wake = poller_wake,
				      .poll_us = poll_us };
	loop_poller_add(loop, &p->lp);
}

/* Sleep and wake come in pairs, and nothing is polled in between. */
static void test_poller_protocol(void **state unused_param)
{
	struct poller p, other;
	struct alarm a = ALARM('a'), q = ALARM('q');

	poller_init(&p, 50);
	poller_init(&other, 0);
	p.work = 500;
	p.late = true;
	q.quit = true;
	loop_timer_set(loop, &a.timer, loop_now_ns() + 5 * MS);
	loop_timer_set(loop, &q.timer, loop_now_ns() + 10 * MS);
	loop_run(loop);
	assert_string_equal(trace, "aq");
	assert_int_equal(p.work, 0);
	assert_true(p.polls > 500);
	assert_true(p.sleeps >= 2);
	assert_int_equal(p.sleeps, p.wakes);
	assert_int_equal(other.sleeps, other.wakes);
	assert_true(other.polls > 0);
	loop_poller_del(loop, &p.lp);
	loop_poller_del(loop, &other.lp);
}

/* A poller that always finds work starves neither calls nor timers. */
static void test_poller_is_fair(void **state unused_param)
{
	struct poller p;
	struct step a = STEP('a');
	struct alarm q = ALARM('q');

	poller_init(&p, 50);
	p.work = 2000000000;
	q.quit = true;
	loop_post(loop, &a.call);
	loop_timer_set(loop, &q.timer, loop_now_ns() + 5 * MS);
	loop_run(loop);
	assert_string_equal(trace, "aq");
	assert_int_equal(p.sleeps, 0);
	loop_poller_del(loop, &p.lp);
}

/* Nor does one that finds some whenever the loop would sleep. */
static void test_poller_is_always_late(void **state unused_param)
{
	struct poller p;
	struct step a = STEP('a');
	struct alarm q = ALARM('q');

	poller_init(&p, 0);
	p.always_late = true;
	q.quit = true;
	loop_post(loop, &a.call);
	loop_timer_set(loop, &q.timer, loop_now_ns() + 5 * MS);
	loop_run(loop);
	assert_string_equal(trace, "aq");
	assert_true(p.sleeps > 1);
	loop_poller_del(loop, &p.lp);
}

/* Where nobody asks for busy waiting, there is none. */
static void test_poller_without_window(void **state unused_param)
{
	struct poller p;
	struct alarm a = ALARM('a'), q = ALARM('q');

	poller_init(&p, 0);
	p.work = 10;
	q.quit = true;
	loop_timer_set(loop, &a.timer, loop_now_ns() + 5 * MS);
	loop_timer_set(loop, &q.timer, loop_now_ns() + 10 * MS);
	loop_run(loop);
	assert_int_equal(p.work, 0);
	assert_true(p.polls <= 10 + 2 * p.sleeps);
	loop_poller_del(loop, &p.lp);
}

/* Calls from another thread wake a loop that sleeps with its pollers. */
static void test_poller_and_calls(void **state unused_param)
{
	struct poller p;
	unsigned int n = 0, i;

	poller_init(&p, 20);
	assert_int_equal(loop_thread_start(loop, NULL), 0);
	for (i = 0; i < 2000; i++)
		count_and_wait(&n);
	loop_thread_stop(loop);
	assert_int_equal(n, 2000);
	assert_int_equal(p.sleeps, p.wakes);
	loop_poller_del(loop, &p.lp);
}

/* Without a window a loop that was woken for nothing sleeps again at once: who
 * brings the next event may need this CPU. */
static void test_poller_in_vain(void **state unused_param)
{
	struct alarm a[8], q = ALARM('q');
	struct poller p;
	unsigned int i;

	poller_init(&p, 0);
	for (i = 0; i < ARRAY_SIZE(a); i++) {
		a[i] = (struct alarm)ALARM('a');
		loop_timer_set(loop, &a[i].timer, loop_now_ns() + i * MS);
	}
	q.quit = true;
	loop_timer_set(loop, &q.timer, loop_now_ns() + 10 * MS);
	loop_run(loop);
	assert_string_equal(trace, "aaaaaaaaq");
	assert_true(p.polls <= p.sleeps + 1);
	loop_poller_del(loop, &p.lp);
}

/* How soon does a poller that found work and finds no more give way? */
static unsigned int gives_way_after(bool gives_way)
{
	struct alarm a[10], q = ALARM('q');
	struct poller p;
	unsigned int i;

	poller_init(&p, 1000000);
	p.lp.gives_way = gives_way;
	p.late_on_wake = true;
	watched = &p;
	least_in_vain = UINT32_MAX;
	for (i = 0; i < ARRAY_SIZE(a); i++) {
		a[i] = (struct alarm)ALARM('a');
		loop_timer_set(loop, &a[i].timer, loop_now_ns() + i * MS);
	}
	q.quit = true;
	loop_timer_set(loop, &q.timer, loop_now_ns() + i * MS);
	loop_run(loop);
	watched = NULL;
	loop_poller_del(loop, &p.lp);
	return least_in_vain;
}

/* At once, when what it waits for is another process's; not so soon else: what
 * does not need this CPU may come at any moment. */
static void test_poller_gives_way(void **state unused_param)
{
	assert_int_equal(gives_way_after(true), 1);
	trace[0] = '\0';
	assert_in_range(gives_way_after(false), 64, UINT32_MAX - 1);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_post_order),
		UNIT(test_post_from_inside),
		UNIT(test_quit),
		UNIT(test_post_from_threads),
		UNIT(test_timers),
		UNIT(test_timer_in_the_past),
		UNIT(test_timer_in_the_far_future),
		UNIT(test_delete_in_handler),
		UNIT(test_change),
		UNIT(test_add_fails),
		UNIT(test_poller_protocol),
		UNIT(test_poller_is_fair),
		UNIT(test_poller_is_always_late),
		UNIT(test_poller_without_window),
		UNIT(test_poller_and_calls),
		UNIT(test_poller_in_vain),
		UNIT(test_poller_gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
