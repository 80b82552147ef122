/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Queues of all sizes, full ones, many; and resets while they are busy. */
#include "disk.h"

#include "clock.h"
#include "io.h"
#include "memory.h"
#include "param.h"
#include "random.h"

#define LOAD_MAX 128
#define LOAD_BYTES 8192
#define LOAD_SECTORS (LOAD_BYTES / BLK_SECTOR)
#define DRAIN_MS 10000
#define QUIET_US 3000 /* for a write that comes after a reset */
#define UNTOUCHED 0xa5

/* Requests in flight, whatever the queue. */
struct load {
	struct blk_header header[LOAD_MAX];
	volatile uint8_t status[LOAD_MAX];
	unsigned nr;
};

static struct load load;

static char *load_data(unsigned i)
{
	return disk_out + i * LOAD_BYTES;
}

/* Request i goes to its own LOAD_BYTES of the disk. */
static bool load_add(struct vq *q, unsigned i, uint32_t type, bool indirect)
{
	const struct vq_seg chain[] = {
		{ &load.header[i], sizeof(load.header[i]), false },
		{ load_data(i), LOAD_BYTES, type == BLK_IN },
		{ &load.status[i], 1, true },
	};

	load.header[i] = (struct blk_header){ type, 0, i * LOAD_SECTORS };
	load.status[i] = BLK_UNWRITTEN;
	return vq_add(q, chain, ARRAY_SIZE(chain), indirect) >= 0;
}

/* As many as the queue takes, then one kick. */
static void load_fill(struct vq *q, uint32_t type, bool indirect)
{
	for (load.nr = 0; load.nr < LOAD_MAX; load.nr++) {
		if (!load_add(q, load.nr, type, indirect))
			break;
	}
	vq_kick(q);
}

static const char *load_drain(struct vq *q, unsigned in_flight)
{
	uint64_t deadline = clock_after_ms(DRAIN_MS);

	while (in_flight) {
		int head = vq_pop(q, NULL);

		if (head >= 0) {
			vq_free(q, (uint16_t)head);
			in_flight--;
		} else if (clock_is_past(deadline)) {
			return failed("%u requests are lost", in_flight);
		}
	}
	return NULL;
}

static const char *load_check_status(void)
{
	for (unsigned i = 0; i < load.nr; i++) {
		if (load.status[i] != BLK_OK)
			return failed("request %u of %u: %u", i, load.nr,
				      load.status[i]);
	}
	return NULL;
}

static const char *read_and_compare(uint32_t seed)
{
	return disk_expect_pattern(seed, 0, LOAD_MAX * LOAD_BYTES);
}

const char *disk_queue_sizes(void)
{
	uint16_t max;
	const char *why = disk_start(1);

	if (!why)
		why = disk_write_pattern(21, 0, DISK_BUFFER);
	max = disk.dev.vq[0].size;
	for (uint16_t size = 2; !why && size && size <= max; size *= 2) {
		struct vq_seg in = { disk_in, 4096, true };

		why = blk_start(&disk, BLK_F_ALL, 1, size);
		/* Four rounds of the ring, and some. */
		for (unsigned i = 0; !why && i < 4u * size + 3; i++) {
			int status = blk_do(&disk, 0, BLK_IN, i % 64, &in, 1,
					    size < 4 || i & 1);

			if (status != BLK_OK)
				why = failed("size %u: read %u: %d", size, i,
					     status);
			else if (blk_check_pattern(disk_in, 4096, 21, i % 64) !=
				 4096)
				why = failed("size %u: read %u differs", size,
					     i);
		}
	}
	return why;
}

/* Each of the ring features alone, and none. */
const char *disk_queue_features(void)
{
	static const uint64_t sets[] = {
		0,
		VIRTIO_F_INDIRECT_DESC,
		VIRTIO_F_EVENT_IDX,
		VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(sets); i++) {
		const char *why = blk_start(&disk, sets[i], 1, 0);
		struct vq *q = &disk.dev.vq[0];

		if (!why)
			why = disk_write_pattern(i, 0, DISK_BUFFER);
		for (unsigned round = 0; !why && round < 20; round++) {
			load_fill(q, BLK_IN, round & 1 && q->indirect);
			why = load_drain(q, load.nr);
			if (!why)
				why = load_check_status();
		}
		if (!why)
			why = read_and_compare(i);
		if (why)
			return why;
	}
	return NULL;
}

/* Every descriptor of the ring in use, direct and indirect. */
const char *disk_queue_full(void)
{
	const char *why = disk_start(1);
	struct vq *q = &disk.dev.vq[0];
	uint16_t size = q->size;

	if (!why && size > LOAD_MAX)
		why = blk_start(&disk, BLK_F_ALL, 1, LOAD_MAX);
	for (unsigned round = 0; !why && round < 40; round++) {
		bool indirect = round & 1;

		load_fill(q, BLK_IN, indirect);
		if (load.nr != (indirect ? q->size : q->size / 3))
			why = failed("%u requests fit", load.nr);
		if (!why)
			why = load_drain(q, load.nr);
		if (!why)
			why = load_check_status();
	}
	return why;
}

/* All queues at the same time. */
const char *disk_queue_many(void)
{
	uint16_t nr = mmio_read16(disk.dev.config + BLK_CONFIG_NUM_QUEUES);
	unsigned each;
	const char *why;

	if (!(disk.dev.features & BLK_F_MQ) || nr < 2)
		return skipped("one queue");
	if (nr > VDEV_MAX_QUEUES)
		nr = VDEV_MAX_QUEUES;
	why = disk_start(nr);
	each = LOAD_MAX / nr;
	for (uint32_t round = 0; !why && round < 50; round++) {
		load.nr = each * nr;
		for (unsigned i = 0; i < load.nr; i++) {
			blk_fill_pattern(load_data(i), LOAD_BYTES, round,
					 i * LOAD_SECTORS);
			if (!load_add(&disk.dev.vq[i % nr], i, BLK_OUT, true))
				return failed("request %u does not fit", i);
		}
		for (unsigned i = 0; i < nr; i++)
			vq_kick(&disk.dev.vq[i]);
		for (unsigned i = 0; !why && i < nr; i++)
			why = load_drain(&disk.dev.vq[i], each);
		if (!why)
			why = load_check_status();
		if (!why)
			why = disk_expect_pattern(round, 0,
						  load.nr * LOAD_BYTES);
	}
	return why;
}

/* Nothing may be written to memory once a reset is acknowledged. */
static const char *expect_quiet(struct vq *q)
{
	uint16_t used = q->used[1];

	memset(disk_out, UNTOUCHED, LOAD_MAX * LOAD_BYTES);
	for (unsigned i = 0; i < LOAD_MAX; i++)
		load.status[i] = UNTOUCHED;
	clock_wait_us(QUIET_US);
	if (q->used[1] != used)
		return failed("the used index moved after the reset");
	for (unsigned i = 0; i < LOAD_MAX; i++) {
		if (load.status[i] != UNTOUCHED)
			return failed("a status came after the reset");
	}
	for (uint32_t i = 0; i < LOAD_MAX * LOAD_BYTES; i++) {
		if ((uint8_t)disk_out[i] != UNTOUCHED)
			return failed("data came after the reset");
	}
	return NULL;
}

/* Each sector is as it was before or as it was to become. */
static const char *expect_either(uint32_t before, uint32_t after)
{
	for (unsigned i = 0; i < load.nr * LOAD_SECTORS; i++) {
		int status = blk_read(&disk, i, disk_in, BLK_SECTOR);

		if (status != BLK_OK)
			return failed("read of sector %u: %d", i, status);
		if (blk_check_pattern(disk_in, BLK_SECTOR, before, i) !=
			    BLK_SECTOR &&
		    blk_check_pattern(disk_in, BLK_SECTOR, after, i) !=
			    BLK_SECTOR)
			return failed("sector %u is neither old nor new", i);
	}
	return NULL;
}

static void load_start(struct random *r, unsigned round, uint32_t seed)
{
	bool is_write = round % 3 == 2;

	if (is_write) {
		for (unsigned i = 0; i < LOAD_MAX; i++)
			blk_fill_pattern(load_data(i), LOAD_BYTES, seed,
					 i * LOAD_SECTORS);
	}
	load_fill(&disk.dev.vq[0], is_write ? BLK_OUT : BLK_IN, round % 2);
	clock_wait_us(random_below(r, 4) * random_below(r, 100));
}

const char *disk_reset_under_load(void)
{
	uint64_t rounds = param_number("rounds", 50);
	struct random r;
	const char *why = disk_start(1);

	random_init(&r, param_number("seed", 1));
	if (!why)
		why = disk_write_pattern(100, 0, LOAD_MAX * LOAD_BYTES);
	for (unsigned round = 0; !why && round < rounds; round++) {
		load_start(&r, round, 101);
		if (!vdev_reset(&disk.dev))
			return failed("round %u: the reset does not end",
				      round);
		why = expect_quiet(&disk.dev.vq[0]);
		if (!why)
			why = disk_start(1);
		if (!why && round % 10 == 2)
			why = expect_either(100, 101);
		if (!why)
			why = disk_write_pattern(100, 0, LOAD_BYTES);
		if (!why)
			why = disk_expect_pattern(100, 0, LOAD_BYTES);
	}
	return why;
}

/* virtio 1.2 §4.1.4.3.1: 1 asks for the reset, it reads 0 when done. */
static bool queue_reset(struct vdev *dev, uint16_t index)
{
	uint64_t deadline = clock_after_ms(DRAIN_MS);

	vpci_select_queue(dev, index);
	mmio_write16(dev->common + VPCI_QUEUE_RESET, 1);
	while (mmio_read16(dev->common + VPCI_QUEUE_RESET) == 1) {
		if (clock_is_past(deadline))
			return false;
	}
	return mmio_read16(dev->common + VPCI_QUEUE_ENABLE) == 0;
}

const char *disk_queue_reset_under_load(void)
{
	uint64_t rounds = param_number("rounds", 50);
	struct random r;
	const char *why = disk_start(1);

	if (why)
		return why;
	if (!(disk.dev.features & VIRTIO_F_RING_RESET))
		return skipped("RING_RESET is not offered");
	random_init(&r, param_number("seed", 2));
	why = disk_write_pattern(100, 0, LOAD_MAX * LOAD_BYTES);
	for (unsigned round = 0; !why && round < rounds; round++) {
		load_start(&r, round, 101);
		if (!queue_reset(&disk.dev, 0))
			return failed(
				"round %u: the queue's reset does not end",
				round);
		why = expect_quiet(&disk.dev.vq[0]);
		if (!why)
			why = vdev_add_queue(&disk.dev, 0, round % 2 ? 0 : 64);
		if (!why && round % 10 == 2)
			why = expect_either(100, 101);
		if (!why)
			why = disk_write_pattern(100, 0, LOAD_BYTES);
		if (!why)
			why = disk_expect_pattern(100, 0, LOAD_BYTES);
	}
	return why;
}
