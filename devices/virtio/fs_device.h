/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_FS_DEVICE_H
#define DEVICES_VIRTIO_FS_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/backend/fs.h"
#include "devices/virtio/fs_params.h"
#include "devices/virtio/fs_proto.h"
#include "devices/virtio/virtio.h"
#include "vmm/byteorder.h"
#include "vmm/iov.h"
#include "vmm/util.h"

/*
 * A virtio-fs device (virtio 1.2 section 5.11), as its parts share it: fs.c is
 * what the guest sees of the device, fs_queue.c takes requests from rings,
 * fs_decode.c reads them, fs_ops.c knows which there are, and fs_session.c,
 * fs_inode.c, fs_names.c, fs_file.c, fs_dir.c, fs_xattr.c and fs_lock.c do them. None of them makes a
 * call of the file system: that is devices/backend/fs.h.
 */

#define FS_HIPRIO 0u /* the queue for what waits behind nothing */
#define FS_PAGE 4096u
#define FS_MAX_PAGES 256u
/* Buffers of a request beside its pages: two headers and arguments, one page
 * more when they are not aligned, and cuts at the borders of memory. */
#define FS_SEG_EXTRA 8u
/* Buffers that the driver itself takes off the queue's size. */
#define FS_SEG_HEADERS 4u
/* Requests of a device on threads of the pool. */
#define FS_POOL_MAX 8u
/* What requests have behind their arguments, but for data of files. */
#define FS_ARG_MAX 128u
#define FS_TEXT_MAX (256u + 65536u) /* name and value of an attribute */
#define FS_NAMES_MAX 2u
#define FS_EXT_MAX 1024u
/* Locks that are waited for. */
#define FS_LOCK_WAITS 64u

struct fs_config_space {
	uint8_t tag[FS_TAG_LEN];
	le32 num_request_queues;
};
_Static_assert(sizeof(struct fs_config_space) == 40, "section 5.11.4");

/* What INIT has negotiated. */
struct fs_session {
	uint32_t minor;
	uint64_t flags;
};

struct fs_queue;

/* A request while its chain is lent. */
struct fs_req {
	struct vq_chain chain;
	struct fs_queue *fq;
	struct list_node node; /* in fq->pooled or fq->lockers */
	struct pool_job job;
	struct fuse_in_header head; /* as it was when it was taken */
	uint64_t begun; /* of io_counters_begin() */
	uint64_t moved; /* bytes of files */
	int result; /* bytes of the reply behind its header, or -errno */
	bool malformed;
};

/* Owner loop only; counters are read by others. */
struct fs_queue {
	struct fs *fs;
	struct virtio_queue *q;
	struct list_node pooled; /* requests that threads of the pool have */
	struct list_node lockers; /* those that wait for a lock */
	struct loop_timer lock_timer;
	struct loop_timer rest_timer; /* of FS_HIPRIO */
	unsigned int nr_single; /* requests there that came alone */
	struct loop_timer trim_timer; /* of the queue that is the trimmer */
	struct loop_timer dax_timer; /* of the queue that is the watcher */
	atomic_bool stopping; /* what takes long ends early; any thread */
	bool is_trimmer;
	bool is_watcher; /* of files that are mapped */
	bool dax_runs; /* dax_job is with the pool */
	bool dax_again; /* dax_job's */
	struct pool_job dax_job; /* window_look() */
	bool trim_runs; /* trim_job is with the pool */
	bool trims_all; /* trim_job's */
	bool trims_last; /* it is to run once more before the queue is off */
	struct pool_job trim_job; /* fs_tree_trim() */
	uint64_t said_ns; /* when the log was last told */
	uint64_t done[FS_OPS]; /* requests, by opcode */
	uint64_t unknown; /* requests of no known opcode */
	uint64_t malformed;
	uint64_t nr_pooled; /* requests that the pool had */
};

/* Is all that was in flight when the queue was stopped over, with nothing left
 * behind in mounts of the host? Then it is off, and the device may be gone. False
 * also of one that was not stopped. Owner loop. */
bool fs_queue_try_end(struct fs_queue *fq);

struct fs {
	struct virtio_dev dev;
	/* set at creation */
	struct fs_config config; /* its strings are not kept */
	struct fs_source *source;
	struct fs_tree *tree; /* the source's */
	struct fs_queue *queues;
	struct fs_config_space space;
	uint32_t max_pages;
	/* any thread, own lock: requests of all queues that may wait */
	struct pool_owner pool;
	/* The end of sessions, in turn with INIT: device.pool. */
	struct pool_job forget_job;
	atomic_uint forgets; /* that were asked for */
	unsigned int forgets_seen; /* forget_job's own */
	/* any thread, atomic */
	atomic_bool has_session; /* session is the guest's */
	atomic_bool used; /* the tree may know something */
	atomic_uint nr_lockers;
	atomic_bool has_trimmer;
	atomic_bool has_watcher;
	atomic_bool has_reaper;
	/* of who set has_reaper, until he clears it */
	struct fs_queue *reaper;
	struct pool_job reap_job; /* fs_tree_reap(), by device.pool */
	/* written by INIT, while there is no session */
	struct fs_session session;
};

static inline struct fs *fs_of(struct virtio_dev *dev)
{
	return container_of(dev, struct fs, dev);
}

static inline bool fs_has(const struct fs *fs, uint64_t flag)
{
	return __atomic_load_n(&fs->session.flags, __ATOMIC_RELAXED) & flag;
}

/* A guest that was told that files need not be opened sends no RELEASE either. */
static inline bool fs_sends_no_open(const struct fs *fs)
{
	return fs->config.cache == FS_CACHE_ALWAYS &&
	       fs_has(fs, FUSE_NO_OPEN_SUPPORT);
}

static inline bool fs_sends_no_opendir(const struct fs *fs)
{
	return fs->config.cache == FS_CACHE_ALWAYS &&
	       fs_has(fs, FUSE_NO_OPENDIR_SUPPORT);
}

/* Arguments of one request, copied from the guest. */
struct fs_scratch {
	union {
		uint8_t arg[FS_ARG_MAX];
		uint64_t align;
	};
	char text[FS_TEXT_MAX];
	union {
		uint8_t ext[FS_EXT_MAX];
		uint64_t ext_align;
	};
};

struct fs_op;

/* A part of a chain's buffers, which are cut in place meanwhile. */
struct fs_cut {
	struct iovec *iov; /* NULL: nothing is cut */
	unsigned int nr;
	struct iovec first, last; /* as they were */
};

/* One run of a request: by its queue's loop, or again by the pool. It lies on the
 * stack of whose thread that is. */
struct fs_run {
	struct fs *fs;
	struct fs_req *req;
	const struct fs_op *op;
	struct fs_call call;
	const void *arg; /* as long as the op's longest, zeroes behind it */
	char *text; /* what is behind them */
	uint32_t text_len;
	const char *names[FS_NAMES_MAX]; /* in text */
	uint32_t names_len; /* bytes, each with its NUL */
	struct iov_cursor reply; /* behind the header; entries in RAM */
	uint64_t room; /* bytes behind the header, wherever they lie */
	struct fs_cut data;
	struct fs_scratch scratch;
};

/* What is known of a kind of request. */
struct fs_op {
	const char *name;
	/* Do it. Returns the bytes of the reply behind its header, or -errno;
	 * -EAGAIN: nothing was done as it would wait, and r->call.may_wait is
	 * false. Loop of the queue, or the pool. */
	int (*run)(struct fs_run *r);
	uint16_t arg_len; /* bytes of arguments */
	/* Of INIT, which grows: as many are understood. Of others: there are as
	 * many after FUSE_SETXATTR_EXT. 0: arg_len, always. */
	uint16_t arg_max;
	uint16_t reply_len; /* bytes for which there has to be room */
	uint8_t nr_names;
	uint32_t text_max; /* bytes behind the arguments; of what is data: 0 */
	unsigned int flags; /* FS_OP_* */
};

#define FS_OP_HIPRIO 1u /* that queue is for it */
#define FS_OP_SILENT 2u /* has no reply */
#define FS_OP_READS 4u /* data for the guest */
#define FS_OP_WRITES 8u /* data of the guest, behind the arguments */
#define FS_OP_SLOW 16u /* takes longer than an interrupt */
#define FS_OP_SESSION 32u /* begins or ends a session: in turn, by the pool */
#define FS_OP_AGAIN 64u /* -EAGAIN is its answer */
#define FS_OP_LOCK_WAIT 128u /* -EAGAIN: once more, later */
#define FS_OP_VALUE 256u /* names are followed by more */

#endif
