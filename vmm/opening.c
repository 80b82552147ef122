/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The worker has copies of all that it reads, so that whoever asked may go
 * away. What was opened and not taken is closed by the pool, too, and so is what
 * a configuration has open, as closing can take as long as opening.
 */
#include "vmm/opening.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/bounds.h"
#include "vmm/log.h"
#include "vmm/opener.h"
#include "vmm/pool.h"
#include "vmm/serial.h"
#include "vmm/util.h"

struct opening {
	/* main thread */
	struct pool_job job;
	struct pool_owner owner;
	struct loop_timer deadline;
	opening_done_fn done; /* NULL: dropped */
	void *opaque;
	bool started; /* done() or opening_on_done() will follow */

	/* Nobody waits any more. Main thread; the worker looks. */
	atomic_bool given_up;

	/* the worker's while the job runs */
	struct opening_item {
		const char *option;
		/* a file, unless config.class is set */
		char *path;
		int fd; /* -1: not open */
		/* a device */
		struct device_config config; /* an own copy */
		void *opened;
	} items[OPENING_FILES + CONFIG_MAX_DEVICES];
	unsigned int nr;
	struct vm_config config;
	bool has_config;
	int result;
	struct error err;
};

/* ---- the worker ---- */

static int opening_open_file(struct opening_item *it, struct error *err)
{
	struct opener_found found;

	if (!it->path)
		return it->fd < 0 ? 0
				  : config_check_file(it->option, NULL, it->fd,
						      err);
	it->fd = opener_open(OPENER_FILE, it->path, OPENER_READ, &found);
	if (it->fd >= 0)
		return 0;
	return config_file_unfit(
		it->option, it->path,
		found.mode && !S_ISREG(found.mode) ? 0 : -it->fd, err);
}

static int opening_open_device(struct opening_item *it, struct error *err)
{
	const struct device_class *class = it->config.class;
	int r = class->open ? class->open(it->config.config, &it->opened, err)
			    : 0;

	return r ? error_prefix(err, r, "--%s", it->option) : 0;
}

/* Bounds are for good: who has heard that there is no machine of the configuration
 * gets none. At the same instant they may still come; nothing more is open then. */
static int opening_open_config(struct opening *o, struct error *err)
{
	int r = serial_open_file(&o->config.serial, err) ? -EIO : 0;

	if (!r)
		r = bounds_look_up(&o->config, err);
	if (!r && !atomic_load(&o->given_up))
		r = bounds_apply(&o->config, err);
	return r;
}

static void opening_run(struct pool_job *job)
{
	struct opening *o = container_of(job, struct opening, job);
	int r = o->has_config ? opening_open_config(o, &o->err) : 0;

	for (unsigned int i = 0; i < o->nr && !r; i++)
		r = o->items[i].config.class ? opening_open_device(&o->items[i],
								   &o->err)
					     : opening_open_file(&o->items[i],
								 &o->err);
	o->result = r;
	opener_leave();
}

static void opening_close(struct pool_job *job)
{
	struct opening *o = container_of(job, struct opening, job);

	for (unsigned int i = 0; i < o->nr; i++) {
		struct opening_item *it = &o->items[i];

		close_fd(&it->fd);
		if (it->opened)
			it->config.class->close(it->opened);
		it->opened = NULL;
	}
	if (o->has_config)
		close_fd(&o->config.serial.fd);
}

/* ---- the end ---- */

static void opening_on_closed(struct pool_job *job)
{
	struct opening *o = container_of(job, struct opening, job);

	for (unsigned int i = 0; i < o->nr; i++) {
		free(o->items[i].path);
		device_config_free(&o->items[i].config);
	}
	if (o->has_config)
		vm_config_free(&o->config);
	free(o);
}

/* Something is open that nobody took. */
static bool opening_is_open(const struct opening *o)
{
	for (unsigned int i = 0; i < o->nr; i++)
		if (o->items[i].fd >= 0 || o->items[i].opened)
			return true;
	return o->has_config && o->config.serial.fd >= 0;
}

static void opening_free(struct opening *o)
{
	o->job.run = opening_close;
	o->job.done = opening_on_closed;
	o->owner.name = "closing files";
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
	atomic_store(&o->given_up, true);
	done(o->opaque, o, r, &err);
}

void opening_drop(struct opening *o)
{
	if (!o)
		return;
	loop_timer_cancel(&o->deadline);
	o->done = NULL;
	atomic_store(&o->given_up, true);
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
	struct opening_item *it = &o->items[o->nr++];

	*it = (struct opening_item){ .option = option, .fd = -1 };
	if (fd >= 0) {
		it->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (it->fd < 0)
			return error_set(err, errno, "--%s fd: %s", option,
					 error_text(errno));
	} else if (path) {
		it->path = strdup(path);
		if (!it->path)
			return error_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

int opening_add_device(struct opening *o, const char *option,
		       const struct device_config *dc, struct error *err)
{
	struct opening_item *it = &o->items[o->nr++];

	*it = (struct opening_item){ .option = option, .fd = -1 };
	/* Threads of shared directories may all that others may. */
	if (dc->class->pool == POOL_SHARES)
		o->owner.kind = POOL_SHARES;
	return device_config_copy(&it->config, dc, err);
}

void opening_add_config(struct opening *o, struct vm_config *vc)
{
	o->config = *vc;
	o->has_config = true;
	vm_config_init(vc);
}

void opening_close_config(struct loop *loop, struct vm_config *vc)
{
	struct opening *o = opening_create(loop, NULL, NULL);

	if (!o) {
		vm_config_free(vc);
		return;
	}
	opening_add_config(o, vc);
	opening_drop(o);
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

void opening_take_config(struct opening *o, struct vm_config *vc)
{
	*vc = o->config;
	o->has_config = false;
}

int opening_take_file(struct opening *o, unsigned int n)
{
	return take_fd(&o->items[n].fd);
}

int opening_make_device(struct opening *o, unsigned int n, struct board *board,
			struct device **out, struct error *err)
{
	struct opening_item *it = &o->items[n];
	int r = board_add_device(board, it->config.class, it->config.config,
				 it->opened, out, err);

	if (!r)
		it->opened = NULL;
	return r;
}
