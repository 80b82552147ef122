/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "vmm/confine.h"
#include "vmm/few.h"
#include "vmm/landlock.h"
#include "vmm/list.h"
#include "vmm/log.h"
#include "vmm/privilege.h"
#include "vmm/thread_kind.h"
#include "vmm/util.h"

struct thread {
	char name[THREAD_NAME_LEN];
	void (*prepare)(void *); /* or NULL */
	void *(*run)(void *);
	void *arg;
	/* for thread_visit(): from its beginning on */
	struct list_node node;
	pid_t tid;
	int schedstat; /* -1: not open */
};

/* All that run. */
static struct {
	pthread_mutex_t lock; /* a leaf */
	struct list_node list;
} threads = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.list = { &threads.list, &threads.list },
};

/* The thread that makes the others, and what is asked of it. */
static struct {
	pthread_mutex_t turn; /* one asks at a time; then: */
	pthread_mutex_t lock; /* guards what follows; a leaf */
	pthread_cond_t changed;
	struct thread *wanted; /* NULL: nothing, or it is done */
	pthread_t *made;
	int result;
	bool exists; /* written before there are other threads */
} spawn = {
	.turn = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};

/* Its figures; those who come and go all the time keep nothing open for it. The
 * name has nothing to do with what may be opened: it is before its filter. */
static void thread_enter(struct thread *t)
{
	mutex_guard(&threads.lock);

	t->tid = gettid();
	t->schedstat = -1;
	if (!thread_is_kind(t->name, "pool") &&
	    !thread_is_kind(t->name, "share"))
		t->schedstat = open("/proc/thread-self/schedstat",
				    O_RDONLY | O_CLOEXEC);
	list_insert(&threads.list, &t->node);
}

static void thread_leave(struct thread *t)
{
	mutex_guard(&threads.lock);

	list_remove(&t->node);
	close_fd(&t->schedstat);
}

unsigned int thread_usable_cpus(void)
{
	static atomic_uint known;
	unsigned int nr = atomic_load(&known);
	cpu_set_t set;

	if (nr)
		return nr;
	/* It fails where there are more than the set has room for. */
	nr = !sched_getaffinity(0, sizeof(set), &set)
		     ? (unsigned int)CPU_COUNT(&set)
		     : CPU_SETSIZE;
	atomic_store(&known, nr);
	return nr;
}

void thread_is_first(void)
{
	static struct thread first;

	prctl(PR_GET_NAME, first.name);
	thread_enter(&first);
}

static uint64_t thread_cpu_ns(const struct thread *t)
{
	/* As pthread_getcpuclockid(3) makes it, which wants a pthread_t. */
	clockid_t clock = (clockid_t)(~(unsigned int)t->tid << 3 | 6u);
	struct timespec ts = { 0, 0 };

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void thread_visit(void (*fn)(void *arg, const char *name, uint64_t cpu_ns,
			     uint64_t wait_ns),
		  void *arg)
{
	mutex_guard(&threads.lock);

	list_for_each_entry (struct thread, t, &threads.list, node) {
		unsigned long long cpu, wait = 0;
		char text[96];
		ssize_t n = t->schedstat < 0 ? 0
					     : few_pread(t->schedstat, text,
							 sizeof(text) - 1, 0);

		text[MAX(n, 0)] = '\0';
		if (sscanf(text, "%llu %llu", &cpu, &wait) != 2)
			cpu = thread_cpu_ns(t);
		fn(arg, t->name, cpu, wait);
	}
}

static void *thread_run(void *arg)
{
	struct thread t = *(struct thread *)arg;
	void *result;
	int r;

	free(arg);
	/* Those that spawn makes have it from their first moment on. */
	if (!spawn.exists)
		pthread_setname_np(pthread_self(), t.name);
	thread_enter(&t);
	r = privilege_thread(t.name);
	if (!r)
		r = landlock_thread(t.name);
	if (!r && t.prepare)
		t.prepare(t.arg);
	if (!r)
		r = confine_thread(t.name);
	if (r) {
		/* It must not run with more than it should have. */
		log_error("cannot confine this thread: %s", strerror(-r));
		_exit(EXIT_FAILURE);
	}
	result = t.run(t.arg);
	thread_leave(&t);
	return result;
}

/* All signals are blocked but that of a forbidden call, which would otherwise
 * end the process without a word. */
static int thread_create(pthread_t *thread, struct thread *t)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(thread, NULL, thread_run, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

static int thread_create_by_spawn(pthread_t *thread, struct thread *t)
{
	mutex_guard(&spawn.turn);
	int r;

	pthread_mutex_lock(&spawn.lock);
	spawn.made = thread;
	spawn.wanted = t;
	pthread_cond_broadcast(&spawn.changed);
	while (spawn.wanted)
		pthread_cond_wait(&spawn.changed, &spawn.lock);
	r = spawn.result;
	pthread_mutex_unlock(&spawn.lock);
	return r;
}

int thread_start_prepared(pthread_t *thread, const char *name,
			  void (*prepare)(void *), void *(*run)(void *),
			  void *arg)
{
	struct thread *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return ENOMEM;
	strncpy(t->name, name, sizeof(t->name) - 1);
	t->prepare = prepare;
	t->run = run;
	t->arg = arg;
	r = spawn.exists ? thread_create_by_spawn(thread, t)
			 : thread_create(thread, t);
	if (r)
		free(t);
	/* It may not have run yet, and a client look for it. */
	else if (!spawn.exists)
		pthread_setname_np(*thread, name);
	return r;
}

int thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
		 void *arg)
{
	return thread_start_prepared(thread, name, NULL, run, arg);
}

__attribute__((noreturn)) static void *spawn_run(void *arg unused_param)
{
	pthread_mutex_lock(&spawn.lock);
	for (;;) {
		while (!spawn.wanted)
			pthread_cond_wait(&spawn.changed, &spawn.lock);
		/* A new thread is called as the one that made it, and who asked
		 * may look it up at once. */
		pthread_setname_np(pthread_self(), spawn.wanted->name);
		spawn.result = thread_create(spawn.made, spawn.wanted);
		pthread_setname_np(pthread_self(), "spawn");
		spawn.wanted = NULL;
		pthread_cond_broadcast(&spawn.changed);
	}
}

int thread_spawn_start(void)
{
	pthread_t thread;
	int r = thread_start(&thread, "spawn", spawn_run, NULL);

	if (r)
		return -r;
	pthread_detach(thread);
	spawn.exists = true;
	return 0;
}
