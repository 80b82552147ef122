/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/memory_hold.h"

#include <stddef.h>

#include "vmm/util.h"

static void memory_hold_release(struct memory_hold *mh)
{
	while (mh->held) {
		unsigned int slot = (unsigned int)__builtin_ctzll(mh->held);

		mh->held &= mh->held - 1;
		gmem_release(mh->gm, slot);
	}
}

static void memory_hold_on_call(struct loop_call *lc)
{
	struct memory_hold *mh = container_of(lc, struct memory_hold, call);

	/* When another range went meanwhile, this comes again. */
	if (!atomic_load(&mh->users))
		memory_hold_release(mh);
}

void memory_hold_add(struct memory_hold *mh)
{
	atomic_fetch_add(&mh->users, 1);
}

void memory_hold_drop(struct memory_hold *mh)
{
	if (atomic_fetch_sub(&mh->users, 1) == 1)
		loop_post(mh->loop, &mh->call);
}

static void memory_hold_removed(struct gmem_listener *gl,
				const struct gmem_range *range)
{
	struct memory_hold *mh = container_of(gl, struct memory_hold, listener);

	gmem_hold(mh->gm, range->slot);
	mh->held |= 1ull << range->slot;
	/* One more than there are, until all are counted. */
	memory_hold_add(mh);
	mh->went(mh);
	memory_hold_drop(mh);
}

void memory_hold_init(struct memory_hold *mh, struct gmem *gm,
		      struct loop *loop, void (*went)(struct memory_hold *mh))
{
	_Static_assert(GMEM_MAX_RANGES <= 64, "a bit for each");
	mh->gm = gm;
	mh->loop = loop;
	mh->went = went;
	mh->call.fn = memory_hold_on_call;
	mh->listener.removed = memory_hold_removed;
	gmem_listen(gm, &mh->listener, NULL); /* takes what there is */
}

void memory_hold_fini(struct memory_hold *mh)
{
	gmem_unlisten(&mh->listener);
	if (mh->loop)
		loop_cancel(mh->loop, &mh->call);
	memory_hold_release(mh);
}
