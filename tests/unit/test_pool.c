/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/pool.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "vmm/log.h"
#include "vmm/util.h"

#define MS 1000000ull
#define JOBS 200u

/* A job that runs until its gate is open. */
struct task {
	struct pool_job job;
	atomic_bool *gate; /* NULL: at once */
	atomic_bool begun;
	bool ended;
	unsigned int order; /* of done(), from 1 */
	char thread[16];
	sigset_t blocked;
};

static struct loop *loop;
static unsigned int nr_done;
static atomic_uint nr_running, most_running;

static void task_run(struct pool_job *job)
{
	struct task *t = container_of(job, struct task, job);
	unsigned int now = atomic_fetch_add(&nr_running, 1) + 1;
	unsigned int most = atomic_load(&most_running);

	while (now > most &&
	       !atomic_compare_exchange_weak(&most_running, &most, now))
		;
	pthread_getname_np(pthread_self(), t->thread, sizeof(t->thread));
	pthread_sigmask(SIG_BLOCK, NULL, &t->blocked);
	atomic_store(&t->begun, true);
	while (t->gate && !atomic_load(t->gate))
		usleep(500);
	t->ended = true;
	atomic_fetch_sub(&nr_running, 1);
}

static void task_done(struct pool_job *job)
{
	struct task *t = container_of(job, struct task, job);

	assert_true(loop_is_current(loop));
	assert_true(t->ended);
	t->order = ++nr_done;
}

static void task_submit(struct task *t, struct pool_owner *owner,
			atomic_bool *gate)
{
	*t = (struct task){
		.job = { .run = task_run, .done = task_done, .loop = loop },
		.gate = gate,
	};
	assert_int_equal(pool_submit(owner, &t->job), 0);
}

/* Run the loop until so many jobs are done. */
static void wait_done(unsigned int nr)
{
	uint64_t end = loop_now_ns() + 20000 * MS;

	while (nr_done < nr) {
		assert_true(loop_now_ns() < end);
		loop_quit(loop);
		loop_run(loop);
		usleep(100);
	}
}

static void wait_begun(struct task *t)
{
	uint64_t end = loop_now_ns() + 20000 * MS;

	while (!atomic_load(&t->begun)) {
		assert_true(loop_now_ns() < end);
		usleep(100);
	}
}

/* Threads of the pool, by their names. */
static unsigned int nr_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	char path[64], name[16];
	unsigned int nr = 0;
	FILE *f;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm",
			 entry->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f))
			nr += !strncmp(name, "pool", 4);
		if (f)
			fclose(f);
	}
	closedir(dir);
	return nr;
}

static int setup(void **state unused_param)
{
	loop = loop_create("test", NULL);
	assert_non_null(loop);
	nr_done = 0;
	atomic_store(&most_running, 0);
	return 0;
}

static int teardown(void **state unused_param)
{
	loop_destroy(loop);
	return 0;
}

/* ---- */

static void test_runs_elsewhere(void **state unused_param)
{
	struct pool_owner owner = { .name = "disk", .max = 4 };
	struct task t;
	int sig;

	task_submit(&t, &owner, NULL);
	wait_done(1);
	assert_int_equal(strncmp(t.thread, "pool", 4), 0);
	/* All but that of a forbidden system call, which is this thread's. */
	for (sig = 1; sig < 32; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sig != SIGSYS)
			assert_true(sigismember(&t.blocked, sig));
	assert_false(pool_cancel(&t.job)); /* it is over */
}

/* One owner: in order when one at a time, never more than its maximum. */
static void test_owner_maximum(void **state unused_param)
{
	static const unsigned int maxima[] = { 0, 1, 3 };
	static struct task tasks[JOBS];
	unsigned int i, m;

	for (m = 0; m < ARRAY_SIZE(maxima); m++) {
		struct pool_owner owner = { .name = "disk", .max = maxima[m] };

		nr_done = 0;
		atomic_store(&most_running, 0);
		for (i = 0; i < JOBS; i++)
			task_submit(&tasks[i], &owner, NULL);
		wait_done(JOBS);
		assert_in_range(atomic_load(&most_running), 1,
				MAX(maxima[m], 1u));
		for (i = 0; maxima[m] < 2 && i < JOBS; i++)
			assert_int_equal(tasks[i].order, i + 1);
	}
}

/* One that hangs holds its own jobs up, not those of others. */
static void test_hung_owner(void **state unused_param)
{
	struct pool_owner hung = { .name = "hung", .max = 2 };
	struct pool_owner other = { .name = "other", .max = 2 };
	static struct task held[JOBS], t;
	atomic_bool gate = false;
	unsigned int i;

	for (i = 0; i < JOBS; i++)
		task_submit(&held[i], &hung, &gate);
	wait_begun(&held[1]);
	task_submit(&t, &other, NULL);
	wait_done(1);
	assert_int_equal(t.order, 1);
	for (i = 0; i < JOBS; i++)
		assert_int_equal(atomic_load(&held[i].begun), i < 2);

	/* What has not begun can be taken back, and only that. */
	for (i = 0; i < JOBS; i++)
		assert_int_equal(pool_cancel(&held[i].job), i >= 2);
	task_submit(&t, &hung, NULL);
	atomic_store(&gate, true);
	wait_done(4);
	assert_true(t.order > 2);
	for (i = 2; i < JOBS; i++)
		assert_false(held[i].ended);
}

/* Owners that hang have what they share, and nobody else's first job waits for
 * them; what they had goes to whoever waits. */
static void test_hung_owners(void **state unused_param)
{
	enum { HUNG = POOL_SHARED / 7 + 2, EACH = 8 };
	static struct pool_owner owners[HUNG + 1];
	static struct task held[HUNG][EACH], t[3];
	atomic_bool gate = false, open = false;
	unsigned int i, j;

	for (i = 0; i < HUNG + 1; i++)
		owners[i] = (struct pool_owner){ .name = "fs", .max = EACH };
	for (i = 0; i < HUNG; i++)
		for (j = 0; j < EACH; j++)
			task_submit(&held[i][j], &owners[i], &gate);
	for (i = 0; i < HUNG; i++)
		wait_begun(&held[i][0]);
	while (atomic_load(&nr_running) < HUNG + POOL_SHARED)
		usleep(500);
	/* One at a time, as there is nothing left to share. */
	for (i = 0; i < ARRAY_SIZE(t); i++)
		task_submit(&t[i], &owners[HUNG], i ? &open : NULL);
	wait_done(1);
	wait_begun(&t[1]);
	assert_int_equal(atomic_load(&nr_running), HUNG + POOL_SHARED + 1);
	assert_false(atomic_load(&t[2].begun));
	atomic_store(&gate, true);
	wait_begun(&t[2]);
	atomic_store(&open, true);
	wait_done(HUNG * EACH + ARRAY_SIZE(t));
}

/* Many owners: no more threads than the pool may have, and all get through. */
static void test_pool_maximum(void **state unused_param)
{
	static struct pool_owner owners[JOBS];
	static struct task tasks[JOBS];
	atomic_bool gate = false;
	unsigned int i;

	for (i = 0; i < JOBS; i++) {
		owners[i] = (struct pool_owner){ .name = "disk" };
		task_submit(&tasks[i], &owners[i], &gate);
	}
	for (i = 0; i < POOL_MAX; i++)
		wait_begun(&tasks[i]);
	assert_int_equal(atomic_load(&nr_running), POOL_MAX);
	/* One that has a thread to come is taken back in front of others. */
	assert_true(pool_cancel(&tasks[POOL_MAX].job));
	atomic_store(&gate, true);
	wait_done(JOBS - 1);
	assert_int_equal(atomic_load(&most_running), POOL_MAX);
}

/* done() submits again. */
static void again_done(struct pool_job *job)
{
	task_done(job);
	if (nr_done < 1000)
		assert_int_equal(pool_submit(job->owner, job), 0);
}

/* Each kind has threads of its own: those of the one are not the other's, and when
 * they are all held, the other's are not. */
static void test_kinds(void **state unused_param)
{
	static struct pool_owner owners[POOL_MAX];
	static struct task held[POOL_MAX], t[2];
	struct pool_owner share = { .name = "fs", .kind = POOL_SHARES };
	atomic_bool gate = false;
	unsigned int i;

	for (i = 0; i < POOL_MAX; i++) {
		owners[i] = (struct pool_owner){ .name = "disk" };
		task_submit(&held[i], &owners[i], &gate);
	}
	for (i = 0; i < POOL_MAX; i++)
		wait_begun(&held[i]);
	for (i = 0; i < ARRAY_SIZE(t); i++)
		task_submit(&t[i], &share, NULL);
	wait_done(ARRAY_SIZE(t));
	for (i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(strncmp(t[i].thread, "share", 5), 0);
	atomic_store(&gate, true);
	wait_done(POOL_MAX + ARRAY_SIZE(t));
	for (i = 0; i < POOL_MAX; i++)
		assert_int_equal(strncmp(held[i].thread, "pool", 4), 0);
}

static void test_again_from_done(void **state unused_param)
{
	struct pool_owner owner = { .name = "disk" };
	struct task t = {
		.job = { .run = task_run, .done = again_done, .loop = loop }
	};

	assert_int_equal(pool_submit(&owner, &t.job), 0);
	wait_done(1000);
}

/* An idle pool has no threads, and starts again when there is work. */
static void test_idle(void **state unused_param)
{
	struct pool_owner owner = { .name = "disk", .max = 8 };
	struct task tasks[8];
	atomic_bool gate = false;
	uint64_t end = loop_now_ns() + 20000 * MS;
	unsigned int i;

	for (i = 0; i < 8; i++)
		task_submit(&tasks[i], &owner, &gate);
	for (i = 0; i < 8; i++)
		wait_begun(&tasks[i]);
	assert_true(nr_threads() >= 8);
	atomic_store(&gate, true);
	wait_done(8);
	while (nr_threads()) {
		assert_true(loop_now_ns() < end);
		usleep(10000);
	}
	task_submit(&tasks[0], &owner, NULL);
	wait_done(9);
	assert_int_equal(nr_threads(), 1);
}

/* ---- in a process of its own ---- */

static void in_child(int (*check)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(check());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int check_end(void)
{
	struct pool_owner hung = { .name = "_disk7" }, other = { .name = "x" };
	static struct task held, next, slow, late;
	atomic_bool never = false, soon = false;
	int log_fd = memfd_create("log", 0);
	uint64_t start = loop_now_ns();
	char log[256] = "";

	log_init(log_fd, LOG_WARN);
	task_submit(&held, &hung, &never);
	task_submit(&next, &hung, NULL);
	task_submit(&slow, &other, &soon);
	wait_begun(&held);
	wait_begun(&slow);
	if (pool_end(50 * MS) != 2 || loop_now_ns() - start < 50 * MS)
		return 1;
	atomic_store(&soon, true);
	if (pool_end(5000 * MS) != 1 || loop_now_ns() - start < 5000 * MS)
		return 2;
	late.job = slow.job;
	if (pool_submit(&other, &late.job) != -ESHUTDOWN)
		return 3;
	if (next.begun || !pool_cancel(&next.job))
		return 4;
	if (pread(log_fd, log, sizeof(log) - 1, 0) <= 0 ||
	    !strstr(log, "_disk7: ") || strstr(strstr(log, "x: ") + 3, "x: "))
		return 5;
	/* The hung one does not keep the process from ending. */
	return 0;
}

static void test_end(void **state unused_param)
{
	in_child(check_end);
}

/* Not a single thread to be had: the caller is told. */
static int check_no_threads(void)
{
	struct rlimit none = { 0, 0 };
	struct pool_owner owner = { .name = "disk" };
	struct task t = {
		.job = { .run = task_run, .done = task_done, .loop = loop }
	};

	/* The limit is none for root. */
	if (setrlimit(RLIMIT_NPROC, &none) || setresuid(65534, 65534, 65534))
		return 77;
	if (pool_submit(&owner, &t.job) != -EAGAIN)
		return 1;
	return owner.nr_jobs || pool_cancel(&t.job) || t.begun ? 2 : 0;
}

static void test_no_threads(void **state unused_param)
{
	in_child(check_no_threads);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	/* The first ones fork, which wants a process of one thread. */
	const struct CMUnitTest tests[] = {
		UNIT(test_end),
		UNIT(test_no_threads),
		UNIT(test_runs_elsewhere),
		UNIT(test_owner_maximum),
		UNIT(test_hung_owner),
		UNIT(test_hung_owners),
		UNIT(test_pool_maximum),
		UNIT(test_kinds),
		UNIT(test_again_from_done),
		UNIT(test_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
