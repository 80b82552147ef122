/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_MEMORY_HOLD_H
#define DEVICES_VIRTIO_MEMORY_HOLD_H

#include <stdatomic.h>
#include <stdint.h>

#include "vmm/gmem.h"
#include "vmm/loop.h"

/*
 * Ranges of memory that went while somebody had pointers into them: their
 * addresses are held until the last of these users has let go.
 */
struct memory_hold {
	/* set by memory_hold_init() */
	struct gmem *gm;
	struct loop *loop; /* the main one */
	/* A range went: call memory_hold_add() for each user there is. Main
	 * thread. */
	void (*went)(struct memory_hold *mh);

	/* main thread */
	struct gmem_listener listener;
	uint64_t held; /* ranges, a bit per slot */
	struct loop_call call;

	/* any thread */
	atomic_uint users;
};

/* Begin to listen. mh: the caller's storage, zeroed; gm and loop are borrowed.
 * Main thread. */
void memory_hold_init(struct memory_hold *mh, struct gmem *gm,
		      struct loop *loop, void (*went)(struct memory_hold *mh));
/* There are no users any more. One that is zeroed is accepted. Main thread. */
void memory_hold_fini(struct memory_hold *mh);

/* One user more, inside went(). */
void memory_hold_add(struct memory_hold *mh);
/* It has no pointers from before the last call of went(). Any thread; mh may be
 * gone afterwards. */
void memory_hold_drop(struct memory_hold *mh);

#endif
