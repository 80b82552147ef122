/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * One lock, held for a few instructions at a time. A job is in its owner's list
 * while as many jobs are admitted as may be, then in the pool's queue, then on a
 * thread. A thread is only started when the queue holds more jobs than there are
 * threads without one.
 */
#include "vmm/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "vmm/log.h"
#include "vmm/thread.h"
#include "vmm/util.h"

/* A thread without work waits so long for more. */
#define POOL_IDLE_NS 1000000000u

struct pool_worker {
	bool exists;
	struct pool_job *job; /* that it runs, or NULL */
};

static struct {
	pthread_mutex_t lock; /* guards all; a leaf but for loop_post() */
	pthread_cond_t work; /* for an idle thread */
	pthread_cond_t ended; /* for pool_end() */
	struct list_node owners; /* that have jobs which are not admitted */
	unsigned int nr_shared; /* jobs that are, but for each owner's first */
	struct list_node ready;
	unsigned int nr_ready;
	unsigned int nr_threads;
	unsigned int nr_idle; /* of them, without a job */
	bool closed;
	struct pool_worker workers[POOL_MAX];
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.work = PTHREAD_COND_INITIALIZER,
	.ended = PTHREAD_COND_INITIALIZER,
	.owners = { &pool.owners, &pool.owners },
	.ready = { &pool.ready, &pool.ready },
};

/* ---- with the lock held ---- */

static bool pool_has_room_locked(const struct pool_owner *owner)
{
	return !owner->nr_admitted || (owner->nr_admitted < owner->max &&
				       pool.nr_shared < POOL_SHARED);
}

/* The next jobs go to the pool's queue, as many as may. */
static void pool_admit_locked(void)
{
	struct pool_job *job;

	list_for_each_entry (struct pool_owner, owner, &pool.owners, node) {
		while (pool_has_room_locked(owner) &&
		       (job = list_take_first(struct pool_job, &owner->waiting,
					      node))) {
			job->state = POOL_JOB_READY;
			list_insert(&pool.ready, &job->node);
			pool.nr_ready++;
			pool.nr_shared += owner->nr_admitted++ > 0;
		}
		if (list_is_empty(&owner->waiting))
			list_remove(&owner->node);
	}
}

/* The job has left the pool's queue and its thread, or its owner's list. */
static void pool_forget_locked(struct pool_job *job)
{
	job->owner->nr_jobs--;
	if (job->state != POOL_JOB_WAITING)
		pool.nr_shared -= --job->owner->nr_admitted > 0;
	job->state = POOL_JOB_IDLE;
	pool_admit_locked();
}

static void pool_withdraw_locked(struct pool_job *job)
{
	list_remove(&job->node);
	if (job->state == POOL_JOB_READY)
		pool.nr_ready--;
	pool_forget_locked(job);
}

/* ---- threads ---- */

/* The next job; NULL when there was none for long, or never will be. */
static struct pool_job *pool_next_locked(void)
{
	uint64_t until_ns = loop_now_ns() + POOL_IDLE_NS;
	bool in_time = true;

	while (!pool.closed && !pool.nr_ready && in_time) {
		pool.nr_idle++;
		in_time = cond_wait_until(&pool.work, &pool.lock, until_ns);
		pool.nr_idle--;
	}
	if (pool.closed || !pool.nr_ready)
		return NULL;
	pool.nr_ready--;
	return container_of(list_take(&pool.ready), struct pool_job, node);
}

static void *pool_thread(void *arg)
{
	struct pool_worker *worker = arg;
	struct pool_job *job;

	pthread_mutex_lock(&pool.lock);
	while ((job = pool_next_locked())) {
		job->state = POOL_JOB_RUNNING;
		worker->job = job;
		pthread_mutex_unlock(&pool.lock);
		job->run(job);
		pthread_mutex_lock(&pool.lock);
		worker->job = NULL;
		pool_forget_locked(job);
		/* From here on the job is its owner's again. */
		loop_post(job->loop, &job->call);
		pthread_cond_signal(&pool.ended);
	}
	worker->exists = false;
	pool.nr_threads--;
	pthread_mutex_unlock(&pool.lock);
	return NULL;
}

static int pool_start_thread_locked(void)
{
	struct pool_worker *worker = pool.workers;
	char name[THREAD_NAME_LEN];
	pthread_t thread;
	int r;

	if (pool.nr_threads == POOL_MAX)
		return -EAGAIN;
	while (worker->exists)
		worker++;
	snprintf(name, sizeof(name), "pool%u",
		 (unsigned int)(worker - pool.workers));
	r = thread_start(&thread, name, pool_thread, worker);
	if (r)
		return -r;
	pthread_detach(thread);
	worker->exists = true;
	pool.nr_threads++;
	return 0;
}

/* ---- jobs ---- */

static void pool_on_done(struct loop_call *lc)
{
	struct pool_job *job = container_of(lc, struct pool_job, call);

	/* The thread that posted this has let go of the loop. */
	pthread_mutex_lock(&pool.lock);
	pthread_mutex_unlock(&pool.lock);
	job->done(job);
}

int pool_submit(struct pool_owner *owner, struct pool_job *job)
{
	mutex_guard(&pool.lock);
	int r = 0;

	if (pool.closed)
		return -ESHUTDOWN;
	if (!owner->nr_jobs++) {
		list_init(&owner->waiting);
		list_init(&owner->node);
	}
	if (list_is_empty(&owner->node))
		list_insert(&pool.owners, &owner->node);
	job->owner = owner;
	job->call.fn = pool_on_done;
	job->state = POOL_JOB_WAITING;
	list_insert(&owner->waiting, &job->node);
	pool_admit_locked();
	if (pool.nr_ready > pool.nr_idle)
		r = pool_start_thread_locked();
	else
		pthread_cond_signal(&pool.work);
	/* One of those that are there will come to it. */
	if (pool.nr_threads)
		r = 0;
	if (r)
		pool_withdraw_locked(job);
	return r;
}

bool pool_cancel(struct pool_job *job)
{
	mutex_guard(&pool.lock);
	bool is_queued = job->state == POOL_JOB_WAITING ||
			 job->state == POOL_JOB_READY;

	if (is_queued)
		pool_withdraw_locked(job);
	return is_queued;
}

static unsigned int pool_count_running_locked(void)
{
	unsigned int i, nr = 0;

	for (i = 0; i < POOL_MAX; i++)
		nr += pool.workers[i].job != NULL;
	return nr;
}

unsigned int pool_end(uint64_t timeout_ns)
{
	uint64_t until_ns = loop_now_ns() + timeout_ns;
	mutex_guard(&pool.lock);

	pool.closed = true;
	pthread_cond_broadcast(&pool.work);
	while (pool_count_running_locked() &&
	       cond_wait_until(&pool.ended, &pool.lock, until_ns))
		;
	for (unsigned int i = 0; i < POOL_MAX; i++)
		if (pool.workers[i].job)
			log_warn("%s: the host has not answered yet",
				 pool.workers[i].job->owner->name);
	return pool_count_running_locked();
}
