/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/confine.h"
#include "vmm/landlock.h"
#include "vmm/log.h"
#include "vmm/privilege.h"
#include "vmm/util.h"

struct thread {
	char name[THREAD_NAME_LEN];
	void *(*run)(void *);
	void *arg;
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

static void *thread_run(void *arg)
{
	struct thread t = *(struct thread *)arg;
	int r;

	free(arg);
	/* Those that spawn makes have it from their first moment on. */
	if (!spawn.exists)
		pthread_setname_np(pthread_self(), t.name);
	r = privilege_thread(t.name);
	if (!r)
		r = landlock_thread(t.name);
	if (!r)
		r = confine_thread(t.name);
	if (r) {
		/* It must not run with more than it should have. */
		log_error("cannot confine this thread: %s", strerror(-r));
		_exit(EXIT_FAILURE);
	}
	return t.run(t.arg);
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

int thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
		 void *arg)
{
	struct thread *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return ENOMEM;
	strncpy(t->name, name, sizeof(t->name) - 1);
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
