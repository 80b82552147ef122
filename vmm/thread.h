/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_THREAD_H
#define VMM_THREAD_H

#include <pthread.h>
#include <stdint.h>

#define THREAD_NAME_LEN 16u /* with its NUL: what the kernel keeps */

/*
 * pthread_create() of a thread that is called name (copied, and cut to
 * THREAD_NAME_LEN) when this returns, and begins with all signals blocked: they
 * are the main thread's. Any thread. 0, or an errno.
 */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
		 void *arg);
/* The same; the thread begins with prepare(arg), which may make what system
 * calls the thread that makes threads may: its own filter comes after that. */
int thread_start_prepared(pthread_t *thread, const char *name,
			  void (*prepare)(void *), void *(*run)(void *),
			  void *arg);

/*
 * From now on threads are made by one called "spawn", and begin with what it
 * has, whatever the thread that asks has: its system call filter (confine.h), for
 * one. Main thread, before there are others. -errno.
 */
int thread_spawn_start(void);

/* CPUs that this process may run on, 1 or more, as they were when this was called
 * first. Any thread. */
unsigned int thread_usable_cpus(void);

/* The calling thread is the process's first: thread_visit() knows it from now
 * on. Once. */
void thread_is_first(void);
/* Call fn for all threads: what the host's scheduler says, nanoseconds on a CPU,
 * and of waiting for one, which of those of the pool is not known. Any thread. */
void thread_visit(void (*fn)(void *arg, const char *name, uint64_t cpu_ns,
			     uint64_t wait_ns),
		  void *arg);

#endif
