/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The worker has copies of all that it reads, so that whoever asked may go
 * away. What was opened and not taken is closed by the pool, too, as closing
 * can take as long as opening.
 */
#include "vmm/opening.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"
#include "vmm/pool.h"
#include "vmm/util.h"

#define OPENING_FILES 2u

struct opening {
	/* main thread */
	struct pool_job job;
	struct pool_owner owner;
	struct loop_timer deadline;
	opening_done_fn done; /* NULL: dropped */
	void *opaque;
	bool started; /* done() or opening_on_done() will follow */

	/* the worker's while the job runs */
	struct opening_file {
		const char *option;
		char *path;
		int from; /* a descriptor instead; -1: none */
		int fd; /* -1: not open */
	} files[OPENING_FILES];
	unsigned int nr_files;
	struct opening_device {
		const char *option;
		struct device_config config; /* an own copy */
		void *opened;
	} devices[CONFIG_MAX_DEVICES];
	unsigned int nr_devices;
	int result;
	struct error err;
};

/* ---- the worker ---- */

static int opening_open_file(struct opening_file *f, struct error *err)
{
	int r;

	if (!f->path && f->from < 0)
		return 0;
	r = config_check_file(f->option, f->path, f->from, err);
	if (r)
		return r;
	f->fd = f->from >= 0 ? take_fd(&f->from)
			     : open(f->path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0)
		return error_set(err, errno, "--%s %s: %s", f->option,
				 error_value(f->path).text, error_text(errno));
	return 0;
}

static int opening_open_device(struct opening_device *d, struct error *err)
{
	const struct device_class *class = d->config.class;
	int r = class->open ? class->open(d->config.config, &d->opened, err)
			    : 0;

	return r ? error_prefix(err, r, "--%s", d->option) : 0;
}

static void opening_run(struct pool_job *job)
{
	struct opening *o = container_of(job, struct opening, job);
	unsigned int i;
	int r = 0;

	for (i = 0; i < o->nr_files && !r; i++)
		r = opening_open_file(&o->files[i], &o->err);
	for (i = 0; i < o->nr_devices && !r; i++)
		r = opening_open_device(&o->devices[i], &o->err);
	o->result = r;
}

static void opening_close(struct pool_job *job)
{
	struct opening *o = container_of(job, struct opening, job);
	unsigned int i;

	for (i = 0; i < o->nr_files; i++) {
		close_fd(&o->files[i].from);
		close_fd(&o->files[i].fd);
	}
	for (i = 0; i < o->nr_devices; i++) {
		struct opening_device *d = &o->devices[i];

		if (d->opened)
			d->config.class->close(d->opened);
		d->opened = NULL;
	}
}

/* ---- the end ---- */

static void opening_on_closed(struct pool_job *job)
{
	struct opening *o = container_of(job, struct opening, job);
	unsigned int i;

	for (i = 0; i < o->nr_files; i++)
		free(o->files[i].path);
	for (i = 0; i < o->nr_devices; i++)
		device_config_free(&o->devices[i].config);
	free(o);
}

/* Something is open that nobody took. */
static bool opening_is_open(const struct opening *o)
{
	unsigned int i;

	for (i = 0; i < o->nr_files; i++)
		if (o->files[i].fd >= 0 || o->files[i].from >= 0)
			return true;
	for (i = 0; i < o->nr_devices; i++)
		if (o->devices[i].opened)
			return true;
	return false;
}

static void opening_free(struct opening *o)
{
	o->job.run = opening_close;
	o->job.done = opening_on_closed;
	if (opening_is_open(o) && !pool_submit(&o->owner, &o->job))
		return;
	opening_close(&o->job);
	opening_on_closed(&o->job);
}

static void opening_on_done(struct pool_job *job)
{
	struct opening *o = container_of(job, struct opening, job);

	loop_timer_cancel(&o->deadline);
	if (o->done)
		o->done(o->opaque, o, o->result, &o->err);
	opening_free(o);
}

static void opening_on_deadline(struct loop_timer *lt)
{
	struct opening *o = container_of(lt, struct opening, deadline);
	opening_done_fn done = o->done;
	struct error err;
	int r = error_set(
		&err, ETIMEDOUT,
		"the host has not opened its files in time; see what holds up their file system");

	log_warn("%s", err.msg);
	o->done = NULL;
	done(o->opaque, o, r, &err);
}

void opening_drop(struct opening *o)
{
	if (!o)
		return;
	loop_timer_cancel(&o->deadline);
	o->done = NULL;
	if (!o->started || pool_cancel(&o->job))
		opening_free(o);
}

/* ---- the beginning ---- */

struct opening *opening_create(struct loop *loop, opening_done_fn done,
			       void *opaque)
{
	struct opening *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->owner.name = "opening files";
	o->job.run = opening_run;
	o->job.done = opening_on_done;
	o->job.loop = loop;
	o->deadline.on_expire = opening_on_deadline;
	o->done = done;
	o->opaque = opaque;
	return o;
}

int opening_add_file(struct opening *o, const char *option, const char *path,
		     int fd, struct error *err)
{
	struct opening_file *f = &o->files[o->nr_files++];

	*f = (struct opening_file){ .option = option, .from = -1, .fd = -1 };
	if (fd >= 0) {
		f->from = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (f->from < 0)
			return error_set(err, errno, "--%s fd: %s", option,
					 error_text(errno));
	} else if (path) {
		f->path = strdup(path);
		if (!f->path)
			return error_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

int opening_add_device(struct opening *o, const char *option,
		       const struct device_config *dc, struct error *err)
{
	struct opening_device *d = &o->devices[o->nr_devices];
	int r = device_config_copy(&d->config, dc, err);

	if (r)
		return r;
	d->option = option;
	o->nr_devices++;
	return 0;
}

int opening_start(struct opening *o, uint64_t timeout_ns, struct error *err)
{
	int r = pool_submit(&o->owner, &o->job);

	if (r)
		return error_set(err, r, "cannot open files: %s",
				 error_text(-r));
	o->started = true;
	loop_timer_set(o->job.loop, &o->deadline, loop_now_ns() + timeout_ns);
	return 0;
}

/* ---- what was opened ---- */

int opening_take_file(struct opening *o, unsigned int n)
{
	return take_fd(&o->files[n].fd);
}

int opening_make_device(struct opening *o, unsigned int n, struct board *board,
			struct device **out, struct error *err)
{
	struct opening_device *d = &o->devices[n];
	int r = board_add_device(board, d->config.class, d->config.config,
				 d->opened, out, err);

	if (!r)
		d->opened = NULL;
	return r;
}
