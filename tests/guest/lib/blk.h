/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Driver for virtio-blk (virtio 1.2 §5.2). */
#ifndef GUEST_BLK_H
#define GUEST_BLK_H

#include "guest.h"
#include "vdev.h"

#define BLK_SECTOR 512

#define BLK_F_SIZE_MAX (1ull << 1)
#define BLK_F_SEG_MAX (1ull << 2)
#define BLK_F_RO (1ull << 5)
#define BLK_F_BLK_SIZE (1ull << 6)
#define BLK_F_FLUSH (1ull << 9)
#define BLK_F_TOPOLOGY (1ull << 10)
#define BLK_F_CONFIG_WCE (1ull << 11)
#define BLK_F_MQ (1ull << 12)
#define BLK_F_DISCARD (1ull << 13)
#define BLK_F_WRITE_ZEROES (1ull << 14)

#define BLK_F_ALL                                                      \
	(BLK_F_SIZE_MAX | BLK_F_SEG_MAX | BLK_F_RO | BLK_F_BLK_SIZE |  \
	 BLK_F_FLUSH | BLK_F_TOPOLOGY | BLK_F_CONFIG_WCE | BLK_F_MQ |  \
	 BLK_F_DISCARD | BLK_F_WRITE_ZEROES | VIRTIO_F_INDIRECT_DESC | \
	 VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET)

enum blk_type {
	BLK_IN = 0,
	BLK_OUT = 1,
	BLK_FLUSH = 4,
	BLK_GET_ID = 8,
	BLK_DISCARD = 11,
	BLK_WRITE_ZEROES = 13,
};

enum blk_status {
	BLK_OK = 0,
	BLK_IOERR = 1,
	BLK_UNSUPP = 2,
	BLK_UNWRITTEN = 0xee, /* what the driver leaves in the byte */
	BLK_LOST = -1, /* not used in time */
	BLK_BROKEN = -2, /* the device needs a reset */
	BLK_WRONG_HEAD = -3,
	BLK_FULL = -4,
};

enum blk_config {
	BLK_CONFIG_CAPACITY = 0,
	BLK_CONFIG_SIZE_MAX = 8,
	BLK_CONFIG_SEG_MAX = 12,
	BLK_CONFIG_BLK_SIZE = 20,
	BLK_CONFIG_WCE = 32, /* 8 bits */
	BLK_CONFIG_NUM_QUEUES = 34, /* 16 bits */
	BLK_CONFIG_MAX_DISCARD_SECTORS = 36,
};

#define BLK_ID_LEN 20

struct blk_header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};

struct blk_range {
	uint64_t sector;
	uint32_t nr_sectors;
	uint32_t flags;
};

#define BLK_RANGE_UNMAP 1u

struct blk {
	struct vdev dev;
	struct blk_header *header; /* one for the request at hand */
	volatile uint8_t *status;
	uint64_t nr_sectors;
	uint32_t used_len; /* of the last request */
};

/* Disk number index; or the one at virtio_mmio.device=SIZE@ADDRESS:IRQ, which
 * is how a monitor without PCI names it. */
const char *blk_open(struct blk *blk, unsigned index);

/* The device started with these features, its capacity read. */
const char *blk_start(struct blk *blk, uint64_t features, uint16_t nr_queues,
		      uint16_t queue_size);

/* One request on a queue, waited for: an enum blk_status. data may be NULL
 * when there are no segments. */
int blk_do(struct blk *blk, unsigned queue, uint32_t type, uint64_t sector,
	   const struct vq_seg *data, unsigned nr, bool indirect);

/* The same for a chain built by hand. */
int blk_do_chain(struct blk *blk, unsigned queue, const struct vq_seg *chain,
		 unsigned nr, bool indirect, volatile uint8_t *status);

/* The same for one buffer, on queue 0, direct. */
int blk_read(struct blk *blk, uint64_t sector, void *data, uint32_t len);
int blk_write(struct blk *blk, uint64_t sector, const void *data, uint32_t len);

/* Word number n of the test pattern that the host checks too. */
static inline uint32_t blk_pattern(uint32_t seed, uint64_t n)
{
	return ((uint32_t)n * 2654435761u) ^ seed;
}

void blk_fill_pattern(void *data, uint32_t len, uint32_t seed, uint64_t sector);

/* Offset of the first byte that differs, or len. */
uint32_t blk_check_pattern(const void *data, uint32_t len, uint32_t seed,
			   uint64_t sector);

#endif
