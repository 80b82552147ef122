/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_BLOCK_H
#define DEVICES_BACKEND_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/error.h"
#include "vmm/loop.h"
#include "vmm/opener.h"
#include "vmm/pool.h"

/*
 * The host side of a disk: an image (block_image, one per disk) and engines
 * (block_engine, one per queue) that move data between it and iovecs. No rings
 * and no guest addresses here.
 */

/* ---- image ---- */

/* Filled by block_image_open(); it may not move after that. */
struct block_image {
	int fd;
	/* bytes; a trailing part block is not shown. Any thread. */
	_Atomic uint64_t size;
	/* bytes: the device's own; for files 512, or what O_DIRECT asks for */
	uint32_t logical_block;
	uint32_t physical_block; /* bytes, >= logical_block */
	uint32_t discard_granularity; /* bytes; 0: discard not possible */
	uint32_t memory_align; /* of buffers, bytes; 1 unless direct */
	bool readonly;
	bool direct; /* O_DIRECT */
	bool allocate;
	bool is_blockdev;
	/* A block device, or a file on a file system that this host keeps by
	 * itself; others may hang, and answer from no cache. */
	bool is_local;
	bool lock_is_shared; /* with who gave us the descriptor */
	struct opener_found found; /* as it was opened */
	char name[256]; /* its path in quotes, for messages */
	/* For the calls that are made on threads of the pool. */
	struct pool_owner pool;
};

struct block_image_config {
	const char *path; /* NULL when fd is given */
	/* An open descriptor, used when path is NULL; its file is opened once
	 * more, or where that may not be, it is dup'd. */
	int fd;
	bool readonly;
	bool direct;
	/* A file gets all of its blocks from the host, when it is opened and
	 * when it grows. */
	bool allocate;
};

/*
 * Open, check (regular file or block device), take the advisory lock (OFD
 * lock: shared when readonly, exclusive else, so that two writers cannot share
 * an image), allocate what is to be, and read the geometry. Any thread; takes
 * as long as the host likes, and some seconds when the image is locked.
 * Errors: -errno with a message naming the path and the way out.
 */
int block_image_open(struct block_image *img,
		     const struct block_image_config *config,
		     struct error *err);
/* Accepts a half-open one (fd -1). Nothing uses the image any more. Any thread;
 * takes as long as the host likes: a file system may write everything first. */
void block_image_close(struct block_image *img);
/*
 * Have an image of `bytes`, a multiple of the logical block: a file is made
 * longer (with a hole) or cut, of a block device it is only checked that it
 * has that size. -errno with a message, nothing changed: -EINVAL for a size
 * that cannot be, -EROFS when read-only, else what the host said. Any thread,
 * one at a time; takes as long as the host likes.
 */
int block_image_resize(struct block_image *img, uint64_t bytes,
		       struct error *err);

/* ---- engine ---- */

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,
	BLOCK_DISCARD,
	BLOCK_WRITE_ZEROES,
};

#define BLOCK_ZERO_MAY_UNMAP 1u

/*
 * One request; embedded in the device's own request, which owns it from
 * submit to done. iov stays untouched by the caller meanwhile and names
 * exactly len bytes, cut anywhere; zero-length entries are fine. offset and
 * len are bytes, multiples of the logical block, inside the image, len not 0
 * unless nothing is to be read or written: the caller checked. FLUSH looks at
 * neither.
 */
struct block_req {
	enum block_op op;
	unsigned int flags;
	uint64_t offset;
	uint64_t len;
	const struct iovec *iov; /* READ, WRITE */
	unsigned int nr_iov;
	/* engine's own, from submit to done */
	uint64_t progress; /* bytes done */
	int result;
	uint8_t retries;
	struct list_node node; /* in one of the engine's lists */
	struct block_engine *be;
	struct pool_job job;
};

/*
 * 0 or -errno of the whole request (short transfers are continued inside the
 * engine; a read past the end of a file that shrank is -EIO); -ECANCELED when
 * block_engine_cancel() was in time. Always called on the engine's loop, from
 * block_engine_poll(), a descriptor event or a posted call, never from inside
 * submit(), commit() or cancel(), whatever the mechanism. It may submit and
 * commit again; it must not poll.
 */
typedef void (*block_done_fn)(void *opaque, struct block_req *req);

#define BLOCK_MEMORY_UNIT (128ul << 20) /* bytes */
#define BLOCK_MEMORY_REGIONS 9u

/*
 * Memory that requests mostly lie in, to be pinned and known to the kernel. It
 * comes and goes while engines run, in pieces of BLOCK_MEMORY_UNIT (the last one
 * of a region may be shorter). One thread changes it, with
 * block_memory_change(); engines that share it follow in their next poll, and
 * until then touch nothing of the memory that was there before.
 */
struct block_memory {
	/* set before the first engine */
	struct block_region {
		struct iovec mem;
		unsigned int first; /* its first piece */
	} regions[BLOCK_MEMORY_REGIONS];
	unsigned int nr_regions;
	unsigned int nr_pieces; /* of all regions */
	/* for each piece: 0, or which of the changes brought it */
	_Atomic uint32_t *lives;
	_Atomic uint32_t changes;
};

/* One more region, with no memory in it yet; of no length: none. m is zeroed at
 * first, and no engine uses it. Main thread. -ENOMEM. */
int block_memory_add(struct block_memory *m, const struct iovec *mem);
/* Free what add() took; accepts a zeroed one. No engine uses it. Main thread. */
void block_memory_fini(struct block_memory *m);
/* Memory came or went at these addresses: whole pieces of one region. */
void block_memory_change(struct block_memory *m, const struct iovec *mem,
			 bool there);

struct block_engine_config {
	struct block_image *image; /* borrowed, outlives the engine */
	unsigned int depth; /* most requests in flight, 1..32768 */
	struct loop *loop; /* all of the engine runs on its thread */
	block_done_fn done;
	void *opaque;
	/* A hint (uring only), which costs the host every page of it; borrowed.
	 * NULL: none. */
	const struct block_memory *memory;
};

/* For the loops that engines are on: without it they are not io_uring's. */
extern const struct loop_local block_loop_local;

enum block_engine_kind {
	BLOCK_ENGINE_AUTO, /* the first that works */
	BLOCK_ENGINE_URING,
	BLOCK_ENGINE_AIO,
	BLOCK_ENGINE_SYNC,
};

struct block_engine;

/*
 * Make the engine asked for, or the next one in order uring, aio, sync when the
 * host refuses it, saying so once per process in the log. AUTO is sync for an
 * image that is not local: there the kernel would use threads as well, which
 * all disks of an I/O thread share. On the loop's thread, as all that follow.
 * Fails only for want of memory or descriptors: -ENOMEM, -EMFILE, -ENFILE.
 */
int block_engine_create(struct block_engine **out, enum block_engine_kind kind,
			const struct block_engine_config *config);
/* Nothing is in flight. */
void block_engine_destroy(struct block_engine *be);
/* Take one request; the caller never has more than config.depth in flight.
 * Nothing is done about it before commit(). */
void block_engine_submit(struct block_engine *be, struct block_req *req);
/* End of a batch: what was submitted goes to the kernel, with one system call
 * where the mechanism can. */
void block_engine_commit(struct block_engine *be);
/* Deliver what has completed, follow what the memory says. Returns true if there
 * was anything to deliver. No system call when there is nothing. */
bool block_engine_poll(struct block_engine *be);
/* The loop is about to sleep and needs completions as events on the engine's
 * descriptor / is awake again and polls. On at first, so that a device which
 * never polls need not care. What completed before the call makes an event
 * too. */
void block_engine_events(struct block_engine *be, bool on);
/*
 * Have what is in flight end soon: what the host has not begun ends with
 * -ECANCELED, and what it has begun does where the mechanism can take it back.
 * The rest ends when the host answers, be it never. For a batch that is
 * committed.
 */
void block_engine_cancel(struct block_engine *be);

#endif
