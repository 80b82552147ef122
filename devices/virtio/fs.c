/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * virtio-fs (virtio 1.2 section 5.11): configuration space, counters, and the
 * device's life.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "devices/registry.h"
#include "devices/virtio/fs_device.h"
#include "devices/virtio/fs_queue.h"
#include "devices/virtio/fs_session.h"
#include "devices/virtio/fs_source.h"
#include "devices/virtio/transport_pci.h"
#include "devices/virtio/virtio_limit.h"
#include "vmm/board.h"
#include "vmm/kept.h"
#include "vmm/opener_protocol.h"
#include "vmm/param.h"
#include "vmm/privilege.h"
#include "vmm/syscall_rule.h"

#define FS_VIRTIO_ID 26
#define FS_PCI_CLASS 0x018000 /* mass storage, other */

static int fs_device_set(struct virtio_dev *dev, const void *config,
			 struct error *err unused_param)
{
	const struct fs_config *c = config;

	virtio_set_limit(dev, VIRTIO_TO_GUEST, &c->limit);
	return 0;
}

/* ---- counters ---- */

/* Requests of these kinds. */
static uint64_t fs_sum(const struct fs *fs, const uint8_t *opcodes,
		       unsigned int nr)
{
	uint64_t sum = 0;
	unsigned int i, j;

	for (i = 0; i < fs->dev.nr_queues; i++)
		for (j = 0; j < nr; j++)
			sum += __atomic_load_n(&fs->queues[i].done[opcodes[j]],
					       __ATOMIC_RELAXED);
	return sum;
}

/* Of all queues, a counter that lies at this offset of each. */
static uint64_t fs_sum_at(const struct fs *fs, size_t offset)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < fs->dev.nr_queues; i++) {
		const char *fq = (const char *)&fs->queues[i];

		sum += __atomic_load_n(
			(const uint64_t *)(const void *)(fq + offset),
			__ATOMIC_RELAXED);
	}
	return sum;
}

static void fs_device_counters(struct virtio_dev *dev, device_emit_fn emit,
			       void *arg)
{
	static const uint8_t opens[] = { FUSE_OPEN, FUSE_OPENDIR, FUSE_CREATE,
					 FUSE_TMPFILE };
	static const uint8_t lookups[] = { FUSE_LOOKUP };
	static const uint8_t forgets[] = { FUSE_FORGET, FUSE_BATCH_FORGET };
	struct fs *fs = fs_of(dev);
	uint64_t requests = fs_sum_at(fs, offsetof(struct fs_queue, unknown));
	struct fs_counts counts = { 0 };
	uint8_t i;

	for (i = 0; i < FS_OPS; i++)
		requests += fs_sum(fs, &i, 1);
	pthread_mutex_lock(&dev->lock);
	if (fs->tree)
		fs_tree_count(fs->tree, &counts);
	pthread_mutex_unlock(&dev->lock);
	emit(arg, "requests", requests);
	emit(arg, "lookups", fs_sum(fs, lookups, ARRAY_SIZE(lookups)));
	emit(arg, "forgets", fs_sum(fs, forgets, ARRAY_SIZE(forgets)));
	emit(arg, "opens", fs_sum(fs, opens, ARRAY_SIZE(opens)));
	emit(arg, "malformed",
	     fs_sum_at(fs, offsetof(struct fs_queue, malformed)));
	emit(arg, "pooled",
	     fs_sum_at(fs, offsetof(struct fs_queue, nr_pooled)));
	emit(arg, "lock_waits", atomic_load(&fs->nr_lockers));
	emit(arg, "inodes", counts.inodes);
	emit(arg, "open_files", counts.files);
	emit(arg, "descriptors", counts.fds);
	emit(arg, "table_bytes", counts.bytes);
	emit(arg, "dax_faults",
	     fs->dev.window ? window_faults(fs->dev.window) : 0);
}

/* ---- life ---- */

/* A jail does not do with less than was asked for. */
static int fs_check_jail(const struct fs_config *c, struct error *err)
{
	if (c->frozen && kept_is_there(KEPT_FD_DIR))
		return error_set(
			err, EPERM,
			"mounts=frozen: a jail cannot clone mounts; leave it out");
	if (privilege_lacks(fs_params_capabilities(c)))
		return error_set(
			err, EPERM,
			"tag=%s: the jail has no capabilities for it; start with --jail shares=on, or as a user",
			error_value(c->tag).text);
	return 0;
}

static int fs_device_open(const void *config, void **opened, struct error *err)
{
	struct fs_source *source;
	int r = fs_check_jail(config, err);

	if (r)
		return r;
	privilege_raise(fs_params_capabilities(config));
	r = fs_source_open(&source, config, err);
	privilege_lower();
	if (!r)
		*opened = source;
	return r;
}

static void fs_device_close(void *opened)
{
	fs_source_close(opened);
}

static void fs_device_reset(struct virtio_dev *dev)
{
	fs_session_end(fs_of(dev));
}

static void fs_device_release(struct virtio_dev *dev)
{
	struct fs *fs = fs_of(dev);

	/* Counters are asked for meanwhile. */
	pthread_mutex_lock(&dev->lock);
	fs->tree = NULL;
	pthread_mutex_unlock(&dev->lock);
	fs_source_close(fs->source);
	fs->source = NULL;
}

static void fs_device_destroy(struct virtio_dev *dev)
{
	struct fs *fs = fs_of(dev);

	virtio_fini(dev);
	free(fs->queues);
	free(fs);
}

static const struct virtio_ops fs_ops = {
	.queue_start = fs_queue_start,
	.kick = fs_on_kick,
	.queue_stop = fs_queue_stop,
	.reset = fs_device_reset,
	.set = fs_device_set,
	.counters = fs_device_counters,
	.release = fs_device_release,
	.destroy = fs_device_destroy,
};

static int fs_build(struct fs *fs, struct board *board, struct error *err)
{
	const struct fs_config *c = &fs->config;
	uint64_t nr = c->num_queues ? c->num_queues
				    : MIN(board->nr_cpus, FS_QUEUES_AUTO);
	struct virtio_init init = {
		.board = board,
		.class = &fs_class,
		.name = c->id,
		.ops = &fs_ops,
		.id = FS_VIRTIO_ID,
		.nr_queues = (unsigned int)nr + 1,
		.queue_size = (uint16_t)c->queue_size,
		.chain_size = sizeof(struct fs_req),
		.poll_us = (uint32_t)c->poll_us,
		.nr_io_queues = (unsigned int)nr + 1,
		.own_loops = true,
		.config = &fs->space,
		.config_len = sizeof(fs->space),
		.shm = c->dax,
	};
	unsigned int i;
	int r;

	fs->max_pages =
		MIN((uint32_t)c->queue_size - FS_SEG_HEADERS, FS_MAX_PAGES);
	init.iov_max = fs->max_pages + FS_SEG_EXTRA;
	/* Not a string: one of 36 bytes has no NUL (section 5.11.4). */
	memcpy(fs->space.tag, c->tag, strnlen(c->tag, FS_TAG_LEN));
	fs->space.num_request_queues = le32_of((uint32_t)nr);
	fs->queues = calloc(init.nr_queues, sizeof(*fs->queues));
	if (!fs->queues)
		return error_set(err, ENOMEM, "out of memory");
	r = virtio_init(&fs->dev, &init, err);
	if (r)
		return r;
	/* Nobody waits for what comes there. */
	fs->dev.queues[FS_HIPRIO].poller.poll_us = 0;
	virtio_set_limit(&fs->dev, VIRTIO_TO_GUEST, &c->limit);
	fs_queue_setup_device(fs);
	for (i = 0; i < init.nr_queues; i++)
		fs_queue_setup(fs, &fs->queues[i], &fs->dev.queues[i]);
	fs->pool.name = fs->dev.device.id;
	fs->pool.max = FS_POOL_MAX;
	fs->pool.kind = POOL_SHARES;
	fs_session_setup(fs);
	return vpci_attach(&fs->dev, FS_PCI_CLASS, err);
}

static int fs_device_create(struct board *board, const void *config,
			    void *opened, struct device **out,
			    struct error *err)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	struct fs_source *source = opened;
	int r;

	if (!fs)
		return error_set(err, ENOMEM, "out of memory");
	fs->config = *(const struct fs_config *)config;
	r = fs_params_take(&fs->config, source->handover.words, err);
	if (!r)
		r = fs_build(fs, board, err);
	if (r) {
		fs_device_destroy(&fs->dev);
		return r;
	}
	fs->source = source;
	fs->tree = source->tree;
	*out = &fs->dev.device;
	return 0;
}

static const struct device_root fs_root = {
	.is_dir = true,
	.tag = "rootfs",
	.cmdline = "root=rootfs rootfstype=virtiofs",
};

/* What requests make, most of it; clone, mount_setattr and those of processes are
 * for a clone of the tree, those of sockets for one that is handed over. */
static const struct syscall_rule fs_syscalls[] = {
	MAY("capget", ON_OWN | ON_SHARE),
	MAY("capset", ON_OWN | ON_SHARE),
	MAY("close", ON_MAIN | ON_OWN | ON_SHARE),
	MAY("fcntl", ON_OWN | ON_SHARE, IF_ARG(1, F_DUPFD_CLOEXEC)),
	MAY("fcntl", ON_OWN | ON_SHARE, IF_ARG(1, F_OFD_SETLK)),
	MAY("fstatfs", ON_OWN | ON_SHARE),
	MAY("lseek", ON_MAIN | ON_OWN | ON_SHARE),
	MAY("name_to_handle_at", ON_OWN | ON_SHARE),
	MAY("newfstatat", ON_OWN | ON_SHARE),
	MAY("open_by_handle_at", ON_OWN | ON_SHARE),
	MAY("openat", ON_OWN | ON_SHARE),
	MAY("recvmsg", ON_SHARE),
	MAY("statx", ON_OWN | ON_SHARE),
	MAY("write", ON_MAIN | ON_OWN | ON_SHARE),
	/* Not seen: on all of these threads. What may wait is done again by the
	 * pool, what does not is done by the loop, and where the directory lies
	 * decides which it is. */
	MAY("copy_file_range", ON_OWN | ON_SHARE),
	MAY("fallocate", ON_OWN | ON_SHARE),
	MAY("fchdir", ON_OWN | ON_SHARE),
	MAY("fchmodat", ON_OWN | ON_SHARE),
	MAY("fchownat", ON_OWN | ON_SHARE),
	MAY("fcntl", ON_OWN | ON_SHARE, IF_ARG(1, F_GETFL)),
	MAY("fcntl", ON_OWN | ON_SHARE, IF_ARG(1, F_OFD_GETLK)),
	MAY("fcntl", ON_OWN | ON_SHARE, IF_ARG(1, F_SETFL)),
	MAY("fdatasync", ON_OWN | ON_SHARE),
	MAY("fsync", ON_OWN | ON_SHARE),
	MAY("ftruncate", ON_OWN | ON_SHARE),
	MAY("getdents64", ON_OWN | ON_SHARE),
	MAY("getgroups", ON_OWN | ON_SHARE),
	MAY("getxattr", ON_OWN | ON_SHARE),
	MAY("linkat", ON_OWN | ON_SHARE),
	MAY("listxattr", ON_OWN | ON_SHARE),
	MAY("mkdirat", ON_OWN | ON_SHARE),
	MAY("mknodat", ON_OWN | ON_SHARE),
	MAY("mprotect", ON_MAIN | ON_OWN | ON_SHARE, IF_WITHOUT(2, PROT_EXEC)),
	MAY("openat2", ON_OWN | ON_SHARE),
	MAY("prctl", ON_OWN | ON_SHARE, IF_ARG(0, PR_GET_SECUREBITS)),
	MAY("preadv2", ON_OWN | ON_SHARE),
	MAY("prlimit64", ON_OWN | ON_SHARE),
	MAY("pwritev2", ON_OWN | ON_SHARE),
	MAY("read", ON_OWN | ON_SHARE),
	MAY("readlinkat", ON_OWN | ON_SHARE),
	MAY("removexattr", ON_OWN | ON_SHARE),
	MAY("renameat", ON_OWN | ON_SHARE),
	MAY("renameat2", ON_OWN | ON_SHARE),
	MAY("setfsgid", ON_OWN | ON_SHARE),
	MAY("setfsuid", ON_OWN | ON_SHARE),
	MAY("setxattr", ON_OWN | ON_SHARE),
	MAY("symlinkat", ON_OWN | ON_SHARE),
	MAY("syncfs", ON_OWN | ON_SHARE),
	MAY("umask", ON_OWN | ON_SHARE),
	MAY("unlinkat", ON_OWN | ON_SHARE),
	MAY("unshare", ON_OWN | ON_SHARE, IF_ARG(0, CLONE_FS)),
	MAY("utimensat", ON_OWN | ON_SHARE),
	/* Not seen: callers of several groups or with fewer rights than their
	 * user's, locks of whole files, where there is no /proc, and what
	 * newer C libraries make of fstat(3) when they read a file. */
	MAY("fchmod", ON_OWN | ON_SHARE),
	MAY("fchmodat2", ON_OWN | ON_SHARE),
	MAY("flock", ON_OWN | ON_SHARE),
	MAY("fstat", ON_OWN | ON_SHARE),
	MAY("getegid", ON_OWN | ON_SHARE),
	MAY("geteuid", ON_OWN | ON_SHARE),
	MAY("prctl", ON_OWN | ON_SHARE, IF_ARG(0, PR_SET_SECUREBITS)),
	MAY("setgroups", ON_OWN | ON_SHARE),
	/* Not seen: a process that holds a user namespace for a clone of the
	 * tree (fs_clone.c), where ids are mapped and the kernel can. */
	MAY("clone", ON_SHARE, IF_ARG(0, CLONE_VM | CLONE_NEWUSER | SIGCHLD)),
	MAY("kill", ON_SHARE),
	MAY("mount_setattr", ON_SHARE),
	MAY("open_tree", ON_SHARE),
	MAY("pause", ON_SHARE),
	MAY("prctl", ON_SHARE, IF_ARG(0, PR_SET_PDEATHSIG)),
	MAY("wait4", ON_SHARE),
	{ .name = "" },
};

/* Its root: what is below it is opened by threads of its own. */
static void fs_places(const void *config, device_place_fn fn, void *arg)
{
	const struct fs_config *c = config;

	fn(arg, c->path, OPENER_READ);
}

const struct device_class fs_class = {
	.name = "fs",
	.option = "fs",
	.json_list = "fs",
	.params = &fs_param_set,
	.set_params = &fs_set_param_set,
	.places = fs_places,
	.peer_keys = fs_peer_keys,
	.unique = "tag",
	.root = &fs_root,
	.syscalls = fs_syscalls,
	.pool = POOL_SHARES,
	.capabilities = fs_params_capabilities,
	.open = fs_device_open,
	.close = fs_device_close,
	.create = fs_device_create,
};
