/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct thread {
	char name[THREAD_NAME_LEN];
	void *(*run)(void *);
	void *arg;
};

static void *thread_run(void *arg)
{
	struct thread t = *(struct thread *)arg;

	free(arg);
	/* From in here it is one system call; from outside, a file of /proc. */
	pthread_setname_np(pthread_self(), t.name);
	return t.run(t.arg);
}

int thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
		 void *arg)
{
	struct thread *t = calloc(1, sizeof(*t));
	sigset_t all, old;
	int r;

	if (!t)
		return ENOMEM;
	strncpy(t->name, name, sizeof(t->name) - 1);
	t->run = run;
	t->arg = arg;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(thread, NULL, thread_run, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		free(t);
	return r;
}
