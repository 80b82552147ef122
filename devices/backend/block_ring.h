/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_BLOCK_RING_H
#define DEVICES_BACKEND_BLOCK_RING_H

#include <liburing.h>

#include "devices/backend/block_mechanism.h"

/*
 * An io_uring, one for all disks of an I/O thread. System call filters do not
 * see what a ring is asked for, and the kernel would do for it what openat and
 * connect do. So it is made before the thread is filtered, and restricted for
 * good: it reads, writes and cancels, on registered files only. Owner thread.
 */

/* Images on a ring at a time. */
#define RING_FILES 64u

struct block_ring {
	struct io_uring ring;
	int error; /* -errno: the host refuses it, and the rest is not there */
	bool deferred; /* completions wait until we come and get them */
	struct loop_fd event; /* an eventfd: there are completions */
	/* Something is in the completion queue. */
	void (*on_event)(struct block_ring *br);
	struct list_node engines; /* on_event()'s */
	unsigned int nr_wanting; /* engines that want events */
	/* Registered files: whose they are, and for how many engines. */
	struct block_ring_file {
		const struct block_image *image;
		unsigned int users;
	} files[RING_FILES];
	/* Memory that is registered, and for how many engines; NULL: none. */
	const struct block_memory *memory;
	unsigned int memory_users;
	/* What the kernel has of each piece, as of block_memory.lives. NULL:
	 * nothing, as it refuses. */
	uint32_t *lives;
	uint32_t changes; /* of the memory, seen so far */
};

/* The image's file is registered from now on: its number on this ring, or
 * -errno. */
int block_ring_get_file(struct block_ring *br, const struct block_image *image);
/* One user less; the last one's requests are all over. */
void block_ring_put_file(struct block_ring *br, unsigned int slot);

/* memory, as an engine is given it, is to be registered. False: it is not, as
 * another one is. Without it everything works the same, a little slower. */
bool block_ring_get_memory(struct block_ring *br,
			   const struct block_memory *memory);
/* One user less. After the last one the kernel does not have its pages. */
void block_ring_put_memory(struct block_ring *br);
/* The kernel learns what memory there is now. */
void block_ring_follow_memory(struct block_ring *br);
/* Index of the registered buffer that holds all of iov, or -1. */
int block_ring_buffer(const struct block_ring *br, const struct iovec *iov);

/* One engine more, or less, wants events. */
void block_ring_want_events(struct block_ring *br, bool more);

#endif
