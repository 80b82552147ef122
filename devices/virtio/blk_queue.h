/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_BLK_QUEUE_H
#define DEVICES_VIRTIO_BLK_QUEUE_H

#include <linux/virtio_blk.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "devices/backend/block.h"
#include "devices/virtio/blk_memory.h"
#include "devices/virtio/blk_params.h"
#include "devices/virtio/virtio.h"
#include "vmm/byteorder.h"
#include "vmm/util.h"

/*
 * A virtio-blk device, as its two halves share it: blk.c is what the guest sees
 * of the device, blk_queue.c is what happens to requests.
 */

#define BLK_SECTOR 512u
/* A driver that keeps to these has no request of more than 32 MiB; one that does
 * not is refused. */
#define BLK_SIZE_MAX (128u << 10) /* bytes */
#define BLK_SEG_MAX 254u
#define BLK_REQUEST_MAX ((uint64_t)BLK_SIZE_MAX * BLK_SEG_MAX) /* bytes */
/* Header, status and a buffer cut by a memory region's border. */
#define BLK_SEG_EXTRA 4u
#define BLK_DISCARD_MAX_SECTORS (1u << 22) /* 2 GiB a request */
/* 32 MiB: a host may have to write them. */
#define BLK_ZEROES_MAX_SECTORS (1u << 16)

struct blk_config_space {
	le64 capacity; /* sectors */
	le32 size_max;
	le32 seg_max;
	uint8_t geometry[4];
	le32 blk_size;
	uint8_t physical_block_exp;
	uint8_t alignment_offset;
	le16 min_io_size;
	le32 opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	le16 num_queues;
	le32 max_discard_sectors;
	le32 max_discard_seg;
	le32 discard_sector_alignment;
	le32 max_write_zeroes_sectors;
	le32 max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
};
_Static_assert(sizeof(struct blk_config_space) == 64, "section 5.2.4");

struct blk_queue;

struct blk_req {
	struct vq_chain chain;
	struct block_req be;
	struct iovec *last; /* of the chain; the status follows its end */
	uint64_t begun; /* of io_counters_begin() */
	uint32_t in_len; /* writable bytes filled when it succeeds */
};

/* Owner loop only. */
struct blk_queue {
	struct blk *blk;
	struct virtio_queue *q;
	struct block_engine *engine;
	uint64_t said_ns; /* when the log was last told */
};

struct blk {
	struct virtio_dev dev;
	/* set at creation */
	struct blk_config config; /* its strings are not kept */
	struct block_image *image;
	struct blk_queue *queues;
	unsigned int seg_max;
	char serial[BLK_ID_LEN];
	/* For engines to register. Main thread. */
	struct blk_memory_user memory;
	/* vCPU, under dev.lock */
	struct blk_config_space space;
	/* any thread */
	atomic_bool writeback;
};

static inline struct blk *blk_of(struct virtio_dev *dev)
{
	return container_of(dev, struct blk, dev);
}

/* ---- for struct virtio_ops; the queue's own loop, but where it says so ---- */

/* Make the engine and room for requests. -errno: the queue does not start. */
int blk_queue_start(struct virtio_dev *dev, unsigned int qidx);
/* Have the requests end that the host has: they are used, or were cancelled and
 * go back into the ring. virtio_queue_idle() follows. */
void blk_queue_stop(struct virtio_dev *dev, unsigned int qidx);
/* Take chains, give them to the engine, publish what is done. */
void blk_on_kick(struct virtio_dev *dev, unsigned int qidx);
/* Look for completions. Returns true when there were some. */
bool blk_poll(struct virtio_dev *dev, unsigned int qidx);
/* The loop is about to sleep (on), or polls. */
void blk_events(struct virtio_dev *dev, unsigned int qidx, bool on);

#endif
