/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/slow_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/pool.h"
#include "vmm/util.h"

#define SLOW_FILE_LAST_NS 200000000u

struct slow_file {
	struct loop *loop;
	struct pool_owner owner;
	struct pool_job write_job;
	struct pool_job last_job; /* comes after that */
	struct loop_call call;
	int fd; /* for jobs */

	/* any thread, under lock (a leaf) */
	pthread_mutex_t lock;
	pthread_cond_t closed;
	bool writing; /* a job does, and slow_file_on_written() will look again */
	bool failed; /* the disk is full: not tried until more is put */
	bool is_closed;
	bool given_up; /* what is there is not written any more */
	size_t size, head, tail; /* written to, read from; free running */
	uint8_t buffer[];
};

/* ---- threads of the pool ---- */

static size_t slow_file_peek(struct slow_file *sf, const uint8_t **data)
{
	mutex_guard(&sf->lock);
	size_t off = sf->tail & (sf->size - 1);

	*data = sf->buffer + off;
	return sf->failed || sf->given_up
		       ? 0
		       : MIN(sf->head - sf->tail, sf->size - off);
}

static void slow_file_drain(struct slow_file *sf)
{
	const uint8_t *data;
	size_t len;
	ssize_t n;

	while ((len = slow_file_peek(sf, &data))) {
		n = write(sf->fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		pthread_mutex_lock(&sf->lock);
		sf->failed = n <= 0;
		sf->tail += (size_t)MAX(n, 0);
		pthread_mutex_unlock(&sf->lock);
	}
}

static void slow_file_run_write(struct pool_job *job)
{
	slow_file_drain(container_of(job, struct slow_file, write_job));
}

static void slow_file_run_last(struct pool_job *job)
{
	struct slow_file *sf = container_of(job, struct slow_file, last_job);

	slow_file_drain(sf);
	close(sf->fd);
	pthread_mutex_lock(&sf->lock);
	sf->is_closed = true;
	pthread_cond_signal(&sf->closed);
	pthread_mutex_unlock(&sf->lock);
}

/* ---- the loop's thread ---- */

static void slow_file_rest(struct slow_file *sf)
{
	pthread_mutex_lock(&sf->lock);
	sf->writing = false;
	pthread_mutex_unlock(&sf->lock);
}

static void slow_file_write(struct slow_file *sf)
{
	bool go;

	pthread_mutex_lock(&sf->lock);
	go = !sf->writing && !sf->failed && !sf->given_up &&
	     sf->head != sf->tail;
	sf->writing |= go;
	pthread_mutex_unlock(&sf->lock);
	/* Where there is no thread, what is put next tries again. */
	if (go && pool_submit(&sf->owner, &sf->write_job))
		slow_file_rest(sf);
}

static void slow_file_on_put(struct loop_call *lc)
{
	slow_file_write(container_of(lc, struct slow_file, call));
}

static void slow_file_on_written(struct pool_job *job)
{
	struct slow_file *sf = container_of(job, struct slow_file, write_job);

	slow_file_rest(sf);
	slow_file_write(sf);
}

static void slow_file_free(struct slow_file *sf)
{
	pthread_cond_destroy(&sf->closed);
	pthread_mutex_destroy(&sf->lock);
	free(sf);
}

static void slow_file_on_last(struct pool_job *job)
{
	slow_file_free(container_of(job, struct slow_file, last_job));
}

static void slow_file_on_end(struct loop_call *lc)
{
	slow_file_free(container_of(lc, struct slow_file, call));
}

struct slow_file *slow_file_open(struct loop *loop, int fd, size_t size,
				 const char *name, struct error *err)
{
	struct slow_file *sf = calloc(1, sizeof(*sf) + size);
	int copy = sf ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (copy < 0) {
		error_set(err, errno, "%s: %s", name, error_text(errno));
		free(sf);
		return NULL;
	}
	sf->loop = loop;
	sf->owner.name = name;
	sf->write_job = (struct pool_job){ .run = slow_file_run_write,
					   .done = slow_file_on_written,
					   .loop = loop };
	sf->last_job = (struct pool_job){ .run = slow_file_run_last,
					  .done = slow_file_on_last,
					  .loop = loop };
	sf->call.fn = slow_file_on_put;
	pthread_mutex_init(&sf->lock, NULL);
	pthread_cond_init(&sf->closed, NULL);
	sf->fd = copy;
	sf->size = size;
	return sf;
}

bool slow_file_put(struct slow_file *sf, const void *data, size_t len)
{
	size_t off, part;
	bool fits, idle;

	pthread_mutex_lock(&sf->lock);
	fits = len <= sf->size - (sf->head - sf->tail);
	if (fits) {
		off = sf->head & (sf->size - 1);
		part = MIN(len, sf->size - off);
		memcpy(sf->buffer + off, data, part);
		memcpy(sf->buffer, (const uint8_t *)data + part, len - part);
		sf->head += len;
	}
	sf->failed = false;
	idle = !sf->writing;
	pthread_mutex_unlock(&sf->lock);
	if (idle)
		loop_post(sf->loop, &sf->call);
	return fits;
}

bool slow_file_close(struct slow_file *sf, size_t *lost)
{
	uint64_t end_ns = loop_now_ns() + SLOW_FILE_LAST_NS;
	bool closed;

	loop_cancel(sf->loop, &sf->call);
	pthread_mutex_lock(&sf->lock);
	sf->failed = false;
	pthread_mutex_unlock(&sf->lock);
	/* Where there is no thread, it is done here. */
	if (pool_submit(&sf->owner, &sf->last_job)) {
		slow_file_run_last(&sf->last_job);
		/* Behind slow_file_on_written(). */
		sf->call.fn = slow_file_on_end;
		loop_post(sf->loop, &sf->call);
	}
	pthread_mutex_lock(&sf->lock);
	while (!sf->is_closed &&
	       cond_wait_until(&sf->closed, &sf->lock, end_ns))
		;
	sf->given_up = true;
	closed = sf->is_closed;
	*lost = sf->head - sf->tail;
	pthread_mutex_unlock(&sf->lock);
	return closed;
}
