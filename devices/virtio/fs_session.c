/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A guest's session with the file system: from INIT to DESTROY, another INIT, or
 * the device's reset. With its end the guest knows no inode and has no file open;
 * as closing files takes as long as the host likes, it is the pool that ends a
 * session and begins the next one, in turn: jobs of the device itself run one by
 * one.
 */
#include <errno.h>

#include "devices/virtio/fs_decode.h"
#include "devices/virtio/fs_ops.h"
#include "devices/virtio/fs_session.h"

/* Requests that the guest itself has under way: no reason to be held back by the
 * defaults, which are for daemons. */
#define FS_MAX_BACKGROUND 65535u
#define FS_CONGESTION_THRESHOLD 49149u
/* Of what is mapped, as a power of two: 4 KiB. */
#define FS_MAP_ALIGNMENT 12u

/* What is wanted of what the guest offers. NO_OPEN and NO_OPENDIR are only said
 * by the guest. With ALLOW_IDMAP, requests that make nothing come from nobody
 * (-1): they are done for nobody here, either. */
static uint64_t fs_session_flags(const struct fs *fs)
{
	const struct fs_config *c = &fs->config;
	uint64_t f = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO |
		     FUSE_ATOMIC_O_TRUNC | FUSE_DO_READDIRPLUS |
		     FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS |
		     FUSE_MAX_PAGES | FUSE_SUBMOUNTS | FUSE_HANDLE_KILLPRIV_V2 |
		     FUSE_SETXATTR_EXT | FUSE_INIT_EXT | FUSE_NO_OPEN_SUPPORT |
		     FUSE_NO_OPENDIR_SUPPORT | FS_INIT_CREATE_SUPP_GROUP |
		     FS_INIT_ALLOW_IDMAP;

	if (c->cache == FS_CACHE_AUTO)
		f |= FUSE_AUTO_INVAL_DATA;
	if (c->cache == FS_CACHE_ALWAYS)
		f |= FUSE_CACHE_SYMLINKS;
	if (c->cache == FS_CACHE_NEVER)
		f |= FS_INIT_DIRECT_IO_ALLOW_MMAP;
	if (c->writeback)
		f |= FUSE_WRITEBACK_CACHE;
	if (c->posix_acl)
		f |= FUSE_POSIX_ACL | FUSE_DONT_MASK;
	if (c->locks)
		f |= FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS;
	if (c->dax)
		f |= FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX;
	return f;
}

static void fs_session_negotiate(struct fs *fs, const struct fuse_init_in *in)
{
	uint64_t offered = in->flags;

	if (offered & FUSE_INIT_EXT)
		offered |= (uint64_t)in->flags2 << 32;
	offered &= fs_session_flags(fs);
	/* A file that nobody opens is cut by SETATTR. */
	if (fs->config.cache == FS_CACHE_ALWAYS &&
	    offered & FUSE_NO_OPEN_SUPPORT)
		offered &= ~(uint64_t)FUSE_ATOMIC_O_TRUNC;
	__atomic_store_n(&fs->session.flags, offered, __ATOMIC_RELAXED);
	fs->session.minor = MIN(in->minor, FS_PROTO_MINOR);
}

static int fs_session_reply(struct fs_run *r, const struct fuse_init_in *in)
{
	const struct fs_session *s = &r->fs->session;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = s->minor,
		.max_readahead = in->max_readahead,
		.flags = (uint32_t)s->flags,
		.max_background = FS_MAX_BACKGROUND,
		.congestion_threshold = FS_CONGESTION_THRESHOLD,
		.max_write = r->fs->max_pages * FS_PAGE,
		.time_gran = 1,
		.max_pages = (uint16_t)r->fs->max_pages,
		.map_alignment = r->fs->config.dax ? FS_MAP_ALIGNMENT : 0,
		.flags2 = (uint32_t)(s->flags >> 32),
	};

	return fs_reply(r, &out, sizeof(out));
}

/* The guest knows nothing, and has nothing open and nothing mapped. */
static void fs_session_forget_all(struct fs *fs)
{
	if (fs->dev.window)
		window_forget(fs->dev.window);
	fs_tree_forget_all(fs->tree);
}

int fs_do_init(struct fs_run *r)
{
	const struct fuse_init_in *in = r->arg;
	struct fuse_init_out ours = { .major = FUSE_KERNEL_VERSION,
				      .minor = FS_PROTO_MINOR };
	struct fs *fs = r->fs;

	/* Newer than any: it asks again with what it is told. */
	if (in->major > FUSE_KERNEL_VERSION)
		return fs_reply(r, &ours, sizeof(ours));
	if (in->major < FUSE_KERNEL_VERSION || in->minor < FS_PROTO_MINOR_MIN)
		return -EPROTO;
	atomic_store(&fs->has_session, false);
	fs_session_forget_all(fs);
	fs_session_negotiate(fs, in);
	atomic_store(&fs->used, true);
	atomic_store(&fs->has_session, true);
	return fs_session_reply(r, in);
}

int fs_do_destroy(struct fs_run *r)
{
	atomic_store(&r->fs->has_session, false);
	fs_session_forget_all(r->fs);
	return 0;
}

/* Linux sends none over virtio-fs, so that nothing here waits for one. */
int fs_do_interrupt(struct fs_run *r)
{
	return fs_decode_has_room(&r->req->chain) ? -ENOSYS : 0;
}

/* ---- the end by reset ---- */

/* Nothing that INIT began since is forgotten. */
static void fs_session_forget(struct pool_job *job)
{
	struct fs *fs = container_of(job, struct fs, forget_job);

	fs->forgets_seen = atomic_load(&fs->forgets);
	if (!atomic_load(&fs->has_session))
		fs_session_forget_all(fs);
}

static void fs_session_submit(struct fs *fs)
{
	if (pool_submit(&fs->dev.device.pool, &fs->forget_job))
		atomic_store(&fs->forgets, 0); /* the process ends */
}

static void fs_session_on_forgotten(struct pool_job *job)
{
	struct fs *fs = container_of(job, struct fs, forget_job);
	unsigned int seen = fs->forgets_seen;

	if (atomic_fetch_sub(&fs->forgets, seen) != seen)
		fs_session_submit(fs);
}

void fs_session_end(struct fs *fs)
{
	atomic_store(&fs->has_session, false);
	if (atomic_exchange(&fs->used, false) &&
	    !atomic_fetch_add(&fs->forgets, 1))
		fs_session_submit(fs);
}

void fs_session_setup(struct fs *fs)
{
	fs->dev.device.pool.name = fs->dev.device.id;
	fs->forget_job.run = fs_session_forget;
	fs->forget_job.done = fs_session_on_forgotten;
	fs->forget_job.loop = fs->dev.queues[FS_HIPRIO].loop;
}
