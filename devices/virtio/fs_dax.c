/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * DAX: the guest has files of the host in the device's shared memory region, and
 * reads and writes them there without requests. It says which part of which file
 * is to be where; the host's page cache is the only one.
 */
#include "devices/virtio/fs_dax.h"

#include <errno.h>
#include <string.h>

#include "devices/virtio/fs_decode.h"
#include "devices/virtio/fs_ops.h"

/* A guest that looks where a file was cut waits as long, at most. */
#define FS_DAX_LOOK_NS 500000000ull

/* ---- files that are cut, pages that cannot be read ---- */

/* One queue of the device at a time sees to it. */
void fs_dax_watch(struct fs_queue *fq)
{
	struct fs *fs = fq->fs;

	if (!fs->dev.window || atomic_exchange(&fs->has_watcher, true))
		return;
	fq->is_watcher = true;
	loop_timer_set(fq->q->loop, &fq->dax_timer,
		       loop_now_ns() + FS_DAX_LOOK_NS);
}

static void fs_dax_unwatch(struct fs_queue *fq)
{
	if (!fq->is_watcher)
		return;
	loop_timer_cancel(&fq->dax_timer);
	fq->is_watcher = false;
	atomic_store(&fq->fs->has_watcher, false);
}

static void fs_dax_run(struct pool_job *job)
{
	struct fs_queue *fq = container_of(job, struct fs_queue, dax_job);

	fq->dax_again = window_look(fq->fs->dev.window);
}

static void fs_dax_done(struct pool_job *job)
{
	struct fs_queue *fq = container_of(job, struct fs_queue, dax_job);

	fq->dax_runs = false;
	if (!fs_queue_try_end(fq) && !fq->q->draining && fq->dax_again)
		fs_dax_watch(fq);
}

static void fs_dax_on_timer(struct loop_timer *lt)
{
	struct fs_queue *fq = container_of(lt, struct fs_queue, dax_timer);

	/* Who maps the first one after this looks himself. */
	fs_dax_unwatch(fq);
	if (fq->dax_runs) {
		fs_dax_watch(fq);
		return;
	}
	fq->dax_job.loop = fq->q->loop;
	fq->dax_runs = !pool_submit(&fq->fs->pool, &fq->dax_job);
}

void fs_dax_stop(struct fs_queue *fq)
{
	fs_dax_unwatch(fq);
	if (fq->dax_runs && pool_cancel(&fq->dax_job))
		fq->dax_runs = false;
}

void fs_dax_grew(struct fs_run *r, uint64_t nodeid)
{
	if (r->fs->dev.window)
		window_grew(r->fs->dev.window, nodeid);
}

void fs_dax_setup(struct fs_queue *fq)
{
	fq->dax_timer.on_expire = fs_dax_on_timer;
	fq->dax_job.run = fs_dax_run;
	fq->dax_job.done = fs_dax_done;
}

/* ---- requests ---- */

int fs_do_setupmapping(struct fs_run *r)
{
	const struct fuse_setupmapping_in *in = r->arg;
	const struct window_map map = {
		.off = in->moffset,
		.len = in->len,
		.file = r->req->head.nodeid,
		.file_off = in->foffset,
		.writable = in->flags & FUSE_SETUPMAPPING_FLAG_WRITE,
	};
	struct fs *fs = r->fs;
	int fd, e;

	if (!fs->dev.window)
		return -ENOSYS;
	if (!window_fits(fs->dev.window, &map))
		return -EINVAL;
	/* in->fh counts for nothing: Linux has none to send. */
	fd = fs_lend(fs->tree, map.file, map.writable);
	if (fd < 0)
		return fd;
	e = window_map(fs->dev.window, &map, fd);
	fs_lend_end(fs->tree, fd);
	if (!r->call.may_wait)
		fs_dax_watch(r->req->fq);
	return e;
}

int fs_do_removemapping(struct fs_run *r)
{
	const struct fuse_removemapping_in *in = r->arg;
	struct fuse_removemapping_one one;
	int e = 0;

	if (in->count != r->text_len / sizeof(one) || r->text_len % sizeof(one))
		return -EINVAL;
	if (!r->fs->dev.window)
		return -ENOSYS;
	for (uint32_t i = 0; i < in->count && !e; i++) {
		memcpy(&one, r->text + i * sizeof(one), sizeof(one));
		e = window_unmap(r->fs->dev.window, one.moffset, one.len);
	}
	return e;
}
