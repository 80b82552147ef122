/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * One lock, held for a few instructions at a time. Each kind of work has a crew, and
 * no job goes from one to the other. A job is in its owner's list while as many jobs
 * are admitted as may be, then in the crew's queue, then on a thread. A thread is
 * only started when the queue holds more jobs than there are threads without one.
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
	struct pool_crew *crew; /* NULL: it does not exist */
	struct pool_job *job; /* that it runs, or NULL */
};

struct pool_crew {
	const char *name; /* of its threads */
	pthread_cond_t work; /* for an idle thread */
	struct list_node owners; /* that have jobs which are not admitted */
	unsigned int nr_shared; /* jobs that are, but for each owner's first */
	struct list_node ready;
	unsigned int nr_ready;
	unsigned int nr_threads;
	unsigned int nr_idle; /* of them, without a job */
	struct pool_worker workers[POOL_MAX];
};

#define POOL_CREW(kind, text)                                                  \
	[kind] = {                                                             \
		.name = text,                                                  \
		.work = PTHREAD_COND_INITIALIZER,                              \
		.owners = { &pool.crews[kind].owners,                          \
			    &pool.crews[kind].owners },                        \
		.ready = { &pool.crews[kind].ready, &pool.crews[kind].ready }, \
	}

static struct {
	pthread_mutex_t lock; /* guards all; a leaf but for loop_post() */
	pthread_cond_t ended; /* for pool_end() */
	bool closed;
	struct pool_crew crews[POOL_KINDS];
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.ended = PTHREAD_COND_INITIALIZER,
	.crews = { POOL_CREW(POOL_DEVICES, "pool"),
		   POOL_CREW(POOL_SHARES, "share") },
};

static struct pool_crew *pool_crew(const struct pool_owner *owner)
{
	return &pool.crews[owner->kind];
}

/* ---- with the lock held ---- */

static bool pool_has_room_locked(const struct pool_owner *owner)
{
	return !owner->nr_admitted ||
	       (owner->nr_admitted < owner->max &&
		pool_crew(owner)->nr_shared < POOL_SHARED);
}

/* The next jobs go to the crew's queue, as many as may. */
static void pool_admit_locked(struct pool_crew *crew)
{
	struct pool_job *job;

	list_for_each_entry (struct pool_owner, owner, &crew->owners, node) {
		while (pool_has_room_locked(owner) &&
		       (job = list_take_first(struct pool_job, &owner->waiting,
					      node))) {
			job->state = POOL_JOB_READY;
			list_insert(&crew->ready, &job->node);
			crew->nr_ready++;
			crew->nr_shared += owner->nr_admitted++ > 0;
		}
		if (list_is_empty(&owner->waiting))
			list_remove(&owner->node);
	}
}

/* The job has left the crew's queue and its thread, or its owner's list. */
static void pool_forget_locked(struct pool_crew *crew, struct pool_job *job)
{
	job->owner->nr_jobs--;
	if (job->state != POOL_JOB_WAITING)
		crew->nr_shared -= --job->owner->nr_admitted > 0;
	job->state = POOL_JOB_IDLE;
	pool_admit_locked(crew);
}

static void pool_withdraw_locked(struct pool_crew *crew, struct pool_job *job)
{
	list_remove(&job->node);
	if (job->state == POOL_JOB_READY)
		crew->nr_ready--;
	pool_forget_locked(crew, job);
}

/* ---- threads ---- */

/* The crew's next job; NULL when there was none for long, or never will be. */
static struct pool_job *pool_next_locked(struct pool_crew *crew)
{
	uint64_t until_ns = loop_now_ns() + POOL_IDLE_NS;
	bool in_time = true;

	while (!pool.closed && !crew->nr_ready && in_time) {
		crew->nr_idle++;
		in_time = cond_wait_until(&crew->work, &pool.lock, until_ns);
		crew->nr_idle--;
	}
	if (pool.closed || !crew->nr_ready)
		return NULL;
	crew->nr_ready--;
	return container_of(list_take(&crew->ready), struct pool_job, node);
}

static void *pool_thread(void *arg)
{
	struct pool_worker *worker = arg;
	struct pool_crew *crew;
	struct pool_job *job;

	pthread_mutex_lock(&pool.lock);
	crew = worker->crew;
	while ((job = pool_next_locked(crew))) {
		job->state = POOL_JOB_RUNNING;
		worker->job = job;
		pthread_mutex_unlock(&pool.lock);
		job->run(job);
		pthread_mutex_lock(&pool.lock);
		worker->job = NULL;
		pool_forget_locked(crew, job);
		/* From here on the job is its owner's again. */
		loop_post(job->loop, &job->call);
		pthread_cond_signal(&pool.ended);
	}
	worker->crew = NULL;
	crew->nr_threads--;
	pthread_mutex_unlock(&pool.lock);
	return NULL;
}

static int pool_start_thread_locked(struct pool_crew *crew)
{
	struct pool_worker *worker = crew->workers;
	char name[THREAD_NAME_LEN];
	pthread_t thread;
	int r;

	if (crew->nr_threads == POOL_MAX)
		return -EAGAIN;
	while (worker->crew)
		worker++;
	snprintf(name, sizeof(name), "%s%u", crew->name,
		 (unsigned int)(worker - crew->workers));
	r = thread_start(&thread, name, pool_thread, worker);
	if (r)
		return -r;
	pthread_detach(thread);
	/* Where it begins, it waits for the lock. */
	worker->crew = crew;
	crew->nr_threads++;
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
	struct pool_crew *crew = pool_crew(owner);
	mutex_guard(&pool.lock);
	int r = 0;

	if (pool.closed)
		return -ESHUTDOWN;
	if (!owner->nr_jobs++) {
		list_init(&owner->waiting);
		list_init(&owner->node);
	}
	if (list_is_empty(&owner->node))
		list_insert(&crew->owners, &owner->node);
	job->owner = owner;
	job->call.fn = pool_on_done;
	job->state = POOL_JOB_WAITING;
	list_insert(&owner->waiting, &job->node);
	pool_admit_locked(crew);
	if (crew->nr_ready > crew->nr_idle)
		r = pool_start_thread_locked(crew);
	else
		pthread_cond_signal(&crew->work);
	/* One of those that are there will come to it. */
	if (crew->nr_threads)
		r = 0;
	if (r)
		pool_withdraw_locked(crew, job);
	return r;
}

bool pool_cancel(struct pool_job *job)
{
	mutex_guard(&pool.lock);
	bool is_queued = job->state == POOL_JOB_WAITING ||
			 job->state == POOL_JOB_READY;

	if (is_queued)
		pool_withdraw_locked(pool_crew(job->owner), job);
	return is_queued;
}

/* How many jobs are on threads; told: the log names them. */
static unsigned int pool_count_running_locked(bool told)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < POOL_KINDS * POOL_MAX; i++) {
		const struct pool_job *job =
			pool.crews[i / POOL_MAX].workers[i % POOL_MAX].job;

		nr += job != NULL;
		if (job && told)
			log_warn("%s: the host has not answered yet",
				 job->owner->name);
	}
	return nr;
}

unsigned int pool_end(uint64_t timeout_ns)
{
	uint64_t until_ns = loop_now_ns() + timeout_ns;
	mutex_guard(&pool.lock);

	pool.closed = true;
	for (unsigned int kind = 0; kind < POOL_KINDS; kind++)
		pthread_cond_broadcast(&pool.crews[kind].work);
	while (pool_count_running_locked(false) &&
	       cond_wait_until(&pool.ended, &pool.lock, until_ns))
		;
	return pool_count_running_locked(true);
}
