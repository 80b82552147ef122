/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "blk.h"

#include "clock.h"
#include "io.h"
#include "memory.h"
#include "param.h"

#define REQUEST_TIMEOUT_MS 10000
#define STATUS_EVERY 4096 /* spins between looks at the device status */

const char *blk_open(struct blk *blk, unsigned index)
{
	uint64_t mmio = param_number_after("virtio_mmio.device", '@', 0);

	blk->header = arena_alloc(sizeof(*blk->header), 16);
	blk->status = arena_alloc(1, 16);
	if (mmio)
		return vdev_open_mmio(&blk->dev, mmio, VIRTIO_ID_BLK);
	return vdev_open_pci(&blk->dev, VIRTIO_ID_BLK, index);
}

const char *blk_start(struct blk *blk, uint64_t features, uint16_t nr_queues,
		      uint16_t queue_size)
{
	uint64_t config = blk->dev.config;
	const char *why;

	why = vdev_start(&blk->dev, features, nr_queues, queue_size);
	if (why)
		return why;
	blk->nr_sectors = mmio_read32(config + BLK_CONFIG_CAPACITY) |
			  (uint64_t)mmio_read32(config + 4) << 32;
	return NULL;
}

static int blk_wait(struct blk *blk, struct vq *q, int head)
{
	uint64_t deadline = clock_after_ms(REQUEST_TIMEOUT_MS);
	int done;

	for (unsigned spins = 1;; spins++) {
		done = vq_pop(q, &blk->used_len);
		if (done >= 0)
			break;
		if (spins % STATUS_EVERY == 0 &&
		    (blk->dev.ops->status(&blk->dev) & VIRTIO_S_NEEDS_RESET))
			return BLK_BROKEN;
		if (clock_is_past(deadline))
			return BLK_LOST;
		cpu_relax();
	}
	if (done != head)
		return BLK_WRONG_HEAD;
	vq_free(q, (uint16_t)head);
	return BLK_OK;
}

int blk_do_chain(struct blk *blk, unsigned queue, const struct vq_seg *chain,
		 unsigned nr, bool indirect, volatile uint8_t *status)
{
	struct vq *q = &blk->dev.vq[queue];
	int head, result;

	*status = BLK_UNWRITTEN;
	head = vq_add(q, chain, nr, indirect && q->indirect);
	if (head < 0)
		return BLK_FULL;
	vq_kick(q);
	result = blk_wait(blk, q, head);
	return result ? result : *status;
}

int blk_do(struct blk *blk, unsigned queue, uint32_t type, uint64_t sector,
	   const struct vq_seg *data, unsigned nr, bool indirect)
{
	struct vq_seg chain[VQ_CHAIN_MAX];

	if (nr + 2 > VQ_CHAIN_MAX)
		return BLK_FULL;
	*blk->header = (struct blk_header){ .type = type, .sector = sector };
	chain[0] = (struct vq_seg){ blk->header, sizeof(*blk->header), false };
	for (unsigned i = 0; i < nr; i++)
		chain[i + 1] = data[i];
	chain[nr + 1] = (struct vq_seg){ blk->status, 1, true };
	return blk_do_chain(blk, queue, chain, nr + 2, indirect, blk->status);
}

int blk_read(struct blk *blk, uint64_t sector, void *data, uint32_t len)
{
	struct vq_seg seg = { data, len, true };

	return blk_do(blk, 0, BLK_IN, sector, &seg, 1, false);
}

int blk_write(struct blk *blk, uint64_t sector, const void *data, uint32_t len)
{
	struct vq_seg seg = { data, len, false };

	return blk_do(blk, 0, BLK_OUT, sector, &seg, 1, false);
}

void blk_fill_pattern(void *data, uint32_t len, uint32_t seed, uint64_t sector)
{
	uint64_t n = sector * (BLK_SECTOR / 4);
	char *out = data;

	for (uint32_t i = 0; i < len; i += 4) {
		uint32_t word = blk_pattern(seed, n + i / 4);

		memcpy(out + i, &word, 4);
	}
}

uint32_t blk_check_pattern(const void *data, uint32_t len, uint32_t seed,
			   uint64_t sector)
{
	uint64_t n = sector * (BLK_SECTOR / 4);
	const char *in = data;

	for (uint32_t i = 0; i < len; i += 4) {
		uint32_t word = blk_pattern(seed, n + i / 4);

		for (uint32_t j = 0; j < 4; j++) {
			if (in[i + j] != ((const char *)&word)[j])
				return i + j;
		}
	}
	return len;
}
