/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/blk_memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "vmm/util.h"

struct blk_memory {
	struct block_memory pieces;
	struct gmem_listener listener;
	/* Engines register only memory that is all there from the start, as
	 * registering pins it; then it saves up to a tenth of the time. */
	bool registers;
	struct list_node disks; /* struct blk_memory_user */
};

static_assert(BLOCK_MEMORY_UNIT == GMEM_BLOCK, "memory comes in such pieces");
static_assert(BLOCK_MEMORY_REGIONS > GMEM_MAX_RAM, "and one for all DIMMs");

/* Queues follow when they wake up. */
static void blk_memory_change(struct blk_memory *bm,
			      const struct gmem_range *range, bool there)
{
	const struct iovec mem = { range->hva, range->len };

	if (range->kind == GMEM_WINDOW || !(range->flags & GMEM_POPULATED))
		return;
	block_memory_change(&bm->pieces, &mem, there);
	list_for_each_entry (struct blk_memory_user, user, &bm->disks, node) {
		for (unsigned int i = 0; i < user->dev->nr_queues; i++)
			virtio_notify_write(user->dev, i);
	}
}

static void blk_memory_removed(struct gmem_listener *gl,
			       const struct gmem_range *range)
{
	blk_memory_change(container_of(gl, struct blk_memory, listener), range,
			  false);
}

static int blk_memory_added(struct gmem_listener *gl,
			    const struct gmem_range *range, struct error *err)
{
	struct blk_memory *bm = container_of(gl, struct blk_memory, listener);
	const struct iovec mem = { range->hva, range->len };

	if (range->kind == GMEM_RAM && range->flags & GMEM_POPULATED) {
		if (block_memory_add(&bm->pieces, &mem))
			return error_set(err, ENOMEM, "out of memory");
		bm->registers = true;
	}
	blk_memory_change(bm, range, true);
	return 0;
}

static void blk_memory_free(struct blk_memory *bm)
{
	gmem_unlisten(&bm->listener);
	block_memory_fini(&bm->pieces);
	free(bm);
}

static struct blk_memory *blk_memory_create(struct board *board,
					    struct error *err)
{
	struct blk_memory *bm = calloc(1, sizeof(*bm));
	const struct iovec dimms = { board->gmem.reserved.hva,
				     board->gmem.reserved.len };

	if (!bm || block_memory_add(&bm->pieces, &dimms)) {
		error_set(err, ENOMEM, "out of memory");
		free(bm);
		return NULL;
	}
	list_init(&bm->disks);
	bm->listener.added = blk_memory_added;
	bm->listener.removed = blk_memory_removed;
	if (!gmem_listen(&board->gmem, &bm->listener, err))
		return bm;
	blk_memory_free(bm);
	return NULL;
}

int blk_memory_get(struct blk_memory_user *user, struct virtio_dev *dev,
		   const struct blk_memory_user *other, struct board *board,
		   struct error *err)
{
	user->dev = dev;
	user->memory = other ? other->memory : blk_memory_create(board, err);
	if (!user->memory)
		return -ENOMEM;
	list_insert(&user->memory->disks, &user->node);
	return 0;
}

void blk_memory_put(struct blk_memory_user *user)
{
	if (!user->memory)
		return;
	list_remove(&user->node);
	if (list_is_empty(&user->memory->disks))
		blk_memory_free(user->memory);
	user->memory = NULL;
}

const struct block_memory *blk_memory_of(const struct blk_memory_user *user)
{
	return user->memory->registers ? &user->memory->pieces : NULL;
}
