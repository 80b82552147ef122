/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The kernel signals the ring's eventfd, but while the loop polls a flag in the
 * ring keeps it quiet. To watch the ring's own descriptor is not enough:
 * completions that wait for us to come and get them (DEFER_TASKRUN) wake nobody
 * there.
 */
#include "devices/backend/block_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "devices/backend/uring_restrict.h"
#include "vmm/log.h"
#include "vmm/util.h"

/* More than this in one batch are submitted in parts. */
#define RING_SUBMIT_MAX 128u
/* Completions of more are kept by the kernel until there is room. */
#define RING_COMPLETE_MAX 512u

/* ---- registered files ---- */

int block_ring_get_file(struct block_ring *br, const struct block_image *image)
{
	struct block_ring_file *free = NULL;
	int r;

	for (unsigned int i = RING_FILES; i--;) {
		struct block_ring_file *file = &br->files[i];

		if (file->image == image) {
			file->users++;
			return (int)i;
		}
		if (!file->image)
			free = file;
	}
	if (!free)
		return -ENFILE;
	r = io_uring_register_files_update(
		&br->ring, (unsigned int)(free - br->files), &image->fd, 1);
	if (r != 1)
		return r < 0 ? r : -EIO;
	*free = (struct block_ring_file){ image, 1 };
	return (int)(free - br->files);
}

void block_ring_put_file(struct block_ring *br, unsigned int slot)
{
	const int none = -1;

	if (--br->files[slot].users)
		return;
	br->files[slot].image = NULL;
	/* What cannot be taken back is replaced by the next one. */
	io_uring_register_files_update(&br->ring, slot, &none, 1);
}

/* ---- registered memory ---- */

static void ring_say_unregistered(int r)
{
	log_info("disk buffers are not registered: %s", strerror(-r));
}

/* Piece i as the kernel is to know it; without memory: nothing. */
static struct iovec ring_piece(const struct block_memory *m, unsigned int i,
			       uint32_t life)
{
	const struct block_region *r = &m->regions[m->nr_regions - 1];
	size_t off;

	if (!life)
		return (struct iovec){ NULL, 0 };
	while (i < r->first)
		r--;
	off = (i - r->first) * BLOCK_MEMORY_UNIT;
	return (struct iovec){
		(char *)r->mem.iov_base + off,
		MIN(r->mem.iov_len - off, BLOCK_MEMORY_UNIT),
	};
}

void block_ring_follow_memory(struct block_ring *br)
{
	const struct block_memory *m = br->memory;
	uint32_t changes, life;
	int r;

	if (!br->lives || (changes = m->changes) == br->changes)
		return;
	br->changes = changes;
	for (unsigned int i = 0; i < m->nr_pieces; i++) {
		struct iovec piece;

		life = m->lives[i];
		if (br->lives[i] == life)
			continue;
		piece = ring_piece(m, i, life);
		r = io_uring_register_buffers_update_tag(&br->ring, i, &piece,
							 NULL, 1);
		/* A piece that the kernel does not take goes the ordinary way;
		 * one that it does not give back is not used. */
		br->lives[i] = r == 1 ? life : 0;
		if (r != 1)
			ring_say_unregistered(r);
	}
}

static void ring_register_memory(struct block_ring *br)
{
	const struct block_memory *m = br->memory;
	unsigned int i, nr = m->nr_pieces;
	struct iovec *pieces;
	int r = -ENOMEM;

	if (!nr)
		return;
	pieces = calloc(nr, sizeof(*pieces));
	br->lives = calloc(nr, sizeof(*br->lives));
	br->changes = m->changes;
	if (pieces && br->lives) {
		for (i = 0; i < nr; i++) {
			br->lives[i] = m->lives[i];
			pieces[i] = ring_piece(m, i, br->lives[i]);
		}
		r = io_uring_register_buffers(&br->ring, pieces, nr);
	}
	free(pieces);
	if (!r)
		return;
	ring_say_unregistered(r);
	free(br->lives);
	br->lives = NULL;
}

bool block_ring_get_memory(struct block_ring *br,
			   const struct block_memory *memory)
{
	if (!memory || (br->memory && br->memory != memory))
		return false;
	br->memory = memory;
	if (!br->memory_users++)
		ring_register_memory(br);
	return true;
}

void block_ring_put_memory(struct block_ring *br)
{
	if (--br->memory_users)
		return;
	/* The kernel takes a ring apart at leisure; the pages are to be free
	 * when this returns, for there may be no others (hugetlbfs). */
	if (br->lives)
		io_uring_unregister_buffers(&br->ring);
	free(br->lives);
	br->lives = NULL;
	br->memory = NULL;
}

int block_ring_buffer(const struct block_ring *br, const struct iovec *iov)
{
	const struct block_memory *m = br->memory;
	int i = br->lives ? block_memory_piece(m, iov) : -1;

	/* The kernel holds it, and the memory that is there now. */
	return i >= 0 && br->lives[i] && br->lives[i] == m->lives[i] ? i : -1;
}

/* ---- events ---- */

static void ring_on_event(struct loop_fd *lf, uint32_t events unused_param)
{
	struct block_ring *br = container_of(lf, struct block_ring, event);

	/* Edge triggered: the count need not be read. */
	br->on_event(br);
}

void block_ring_want_events(struct block_ring *br, bool more)
{
	bool first = more && !br->nr_wanting;

	br->nr_wanting += more ? 1 : -1u;
	/* A kernel worker that completes a request by itself may look at the
	 * flag before its completion is to be seen: leave it alone then. */
	if (!br->deferred || (br->nr_wanting && !first))
		return;
	io_uring_cq_eventfd_toggle(&br->ring, first);
	if (!first)
		return;
	/* What was deferred before the flag was seen is fetched with this call,
	 * which also keeps the two in order; what is there makes an event. */
	io_uring_get_events(&br->ring);
	if (io_uring_cq_ready(&br->ring))
		(void)!eventfd_write(br->event.fd, 1);
}

/* ---- life ---- */

static int ring_setup(struct block_ring *br)
{
	static const unsigned int flags[] = {
		/* Linux 6.1: completions wait until we look for them */
		IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
			IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		/* Linux 5.19: ... or until our next system call */
		IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	struct io_uring_params params;
	int r = -EINVAL;

	for (unsigned int i = 0; i < ARRAY_SIZE(flags) && r == -EINVAL; i++) {
		params = (struct io_uring_params){
			/* Linux 5.10: nothing can be asked of it yet */
			.flags = flags[i] | IORING_SETUP_CQSIZE |
				 IORING_SETUP_R_DISABLED,
			.cq_entries = RING_COMPLETE_MAX,
		};
		r = io_uring_queue_init_params(RING_SUBMIT_MAX, &br->ring,
					       &params);
	}
	if (r) {
		br->ring.ring_fd = -1;
		return r;
	}
	br->deferred = params.flags & IORING_SETUP_DEFER_TASKRUN;
	return 0;
}

/* From then on it does nothing else. */
static int ring_restrict(struct block_ring *br)
{
	struct io_uring_restriction only[] = {
		URING_DOES(IORING_OP_READV),
		URING_DOES(IORING_OP_WRITEV),
		URING_DOES(IORING_OP_READ),
		URING_DOES(IORING_OP_WRITE),
		URING_DOES(IORING_OP_READ_FIXED),
		URING_DOES(IORING_OP_WRITE_FIXED),
		URING_DOES(IORING_OP_ASYNC_CANCEL),
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
		  .sqe_flags = IOSQE_FIXED_FILE },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
		  .sqe_flags = IOSQE_FIXED_FILE | IOSQE_ASYNC },
		URING_TAKES(IORING_REGISTER_FILES_UPDATE),
		URING_TAKES(IORING_REGISTER_BUFFERS),
		URING_TAKES(IORING_UNREGISTER_BUFFERS),
		URING_TAKES(IORING_REGISTER_BUFFERS_UPDATE),
	};

	return uring_restrict(&br->ring, only, ARRAY_SIZE(only));
}

static int ring_start(struct block_ring *br, struct loop *loop)
{
	int files[RING_FILES];
	int r;

	br->event.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (br->event.fd < 0)
		return -errno;
	br->event.on_event = ring_on_event;
	r = loop_fd_add(loop, &br->event, EPOLLIN | EPOLLET);
	if (!r)
		r = ring_setup(br);
	memset(files, 0xff, sizeof(files)); /* -1: to be had later */
	if (!r)
		r = io_uring_register_files(&br->ring, files, RING_FILES);
	if (!r)
		r = io_uring_register_eventfd(&br->ring, br->event.fd);
	return r ? r : ring_restrict(br);
}

static void ring_stop(struct block_ring *br)
{
	if (br->ring.ring_fd >= 0)
		io_uring_queue_exit(&br->ring);
	loop_fd_del(&br->event);
	close_fd(&br->event.fd);
}

static void *ring_open(struct loop *loop)
{
	struct block_ring *br = calloc(1, sizeof(*br));

	if (!br)
		return NULL;
	br->ring.ring_fd = -1;
	list_init(&br->engines);
	br->error = ring_start(br, loop);
	if (br->error)
		ring_stop(br);
	return br;
}

static void ring_close(void *local)
{
	struct block_ring *br = local;

	if (!br->error)
		ring_stop(br);
	free(br);
}

const struct loop_local block_loop_local = {
	.open = ring_open,
	.close = ring_close,
};
