/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * How fast is the disk? Keeps qd= requests of bs= bytes in flight on one
 * queue and polls for their ends, so that what is measured is the monitor:
 * no interrupts, no allocation, no doorbell that the device did not ask for.
 *
 * rw=randread|randwrite|read|write, warm_ms=, run_ms=, span= (bytes of the
 * disk used, default all), indirect=0|1 (default: only when a ring of direct
 * chains would be too short). Several runs: runs=. A ring that cannot hold qd
 * requests is kept full; RESULT tells how many were in flight.
 */
#include "blk.h"
#include "clock.h"
#include "memory.h"
#include "param.h"
#include "power.h"
#include "text.h"

#define BENCH_QD_MAX 1024
#define CLOCK_EVERY 64 /* empty polls between looks at the clock */
#define SILENCE_MS 10000 /* a device that ends nothing for so long */

struct bench_slot {
	struct blk_header header;
	volatile uint8_t status;
} __attribute__((aligned(64)));

struct bench {
	struct blk blk;
	struct vq *q;
	struct bench_slot *slots;
	uint16_t slot_of_head[VQ_SIZE_MAX];

	bool is_random;
	uint32_t type;
	uint32_t len;
	unsigned depth;
	bool indirect;
	uint64_t nr_blocks; /* of len bytes */

	uint64_t next_block;
	uint64_t random;
	unsigned in_flight;
	uint64_t nr_done;
};

static uint64_t bench_next_sector(struct bench *b)
{
	uint64_t block;

	if (b->is_random) {
		b->random ^= b->random << 13;
		b->random ^= b->random >> 7;
		b->random ^= b->random << 17;
		block = (uint64_t)(((unsigned __int128)b->random *
				    b->nr_blocks) >>
				   64);
	} else {
		block = b->next_block++;
		if (b->next_block == b->nr_blocks)
			b->next_block = 0;
	}
	return block * (b->len / BLK_SECTOR);
}

static const char *bench_configure(struct bench *b)
{
	uint64_t span;

	b->type = param_is("rw", "randwrite") || param_is("rw", "write")
			  ? BLK_OUT
			  : BLK_IN;
	b->is_random = param_is("rw", "randread") ||
		       param_is("rw", "randwrite");
	b->len = (uint32_t)param_number("bs", 4096);
	b->depth = (unsigned)param_number("qd", 1);
	b->random = param_number("seed", 0x9e3779b97f4a7c15);
	if (!b->depth || b->depth > BENCH_QD_MAX || b->depth > b->q->size)
		return "qd is not between 1 and the queue's size";
	if (!b->len || b->len % BLK_SECTOR)
		return "bs is not a multiple of 512";
	span = b->blk.nr_sectors * BLK_SECTOR;
	if (param_number("span", 0) && param_number("span", 0) < span)
		span = param_number("span", 0);
	b->nr_blocks = span / b->len;
	if (!b->nr_blocks)
		return "the disk is smaller than bs";
	b->indirect = b->q->indirect &&
		      param_number("indirect", b->depth * 3 > b->q->size);
	if (!b->indirect && b->depth * 3 > b->q->size)
		b->depth = b->q->size / 3;
	return b->depth ? NULL : "the queue is too short for a request";
}

/* The next request of this slot; its chain is already there. */
static void bench_refill(struct bench *b, struct bench_slot *slot)
{
	slot->header.sector = bench_next_sector(b);
	slot->status = BLK_UNWRITTEN;
	b->in_flight++;
}

static const char *bench_fill(struct bench *b)
{
	b->slots = arena_alloc(b->depth * sizeof(*b->slots), 4096);
	for (unsigned i = 0; i < b->depth; i++) {
		struct bench_slot *slot = &b->slots[i];
		char *data = arena_alloc(b->len, 4096);
		struct vq_seg chain[] = {
			{ &slot->header, sizeof(slot->header), false },
			{ data, b->len, b->type == BLK_IN },
			{ &slot->status, 1, true },
		};
		int head;

		blk_fill_pattern(data, b->len, i, 0);
		slot->header.type = b->type;
		bench_refill(b, slot);
		head = vq_add(b->q, chain, ARRAY_SIZE(chain), b->indirect);
		if (head < 0)
			return "the ring is full";
		b->slot_of_head[head] = (uint16_t)i;
	}
	vq_kick(b->q);
	return NULL;
}

/* Takes what has ended and offers it again; false when a request failed. */
static bool bench_poll(struct bench *b, bool again, unsigned *nr)
{
	int head;

	*nr = 0;
	while ((head = vq_pop(b->q, NULL)) >= 0) {
		struct bench_slot *slot = &b->slots[b->slot_of_head[head]];

		if (slot->status != BLK_OK) {
			say("FAIL blkbench: status %u", slot->status);
			return false;
		}
		b->in_flight--;
		(*nr)++;
		if (again) {
			bench_refill(b, slot);
			vq_offer(b->q, (uint16_t)head);
		}
	}
	if (*nr && again)
		vq_kick(b->q);
	b->nr_done += *nr;
	return true;
}

/* Runs until the time is over; the cycles it took, 0 when it failed. */
static uint64_t bench_run(struct bench *b, uint64_t ms)
{
	uint64_t start = clock_cycles();
	uint64_t end = clock_after_ms(ms);
	uint64_t now, silence = clock_after_ms(ms + SILENCE_MS);
	unsigned empty = 0, nr;

	b->nr_done = 0;
	for (;;) {
		if (!bench_poll(b, true, &nr))
			return 0;
		if (nr) {
			empty = 0;
		} else {
			cpu_relax();
			if (++empty % CLOCK_EVERY)
				continue;
		}
		now = clock_cycles();
		if ((int64_t)(now - silence) >= 0) {
			say("FAIL blkbench: no request ends");
			return 0;
		}
		if ((int64_t)(now - end) >= 0 && b->nr_done)
			return now - start;
	}
}

static bool bench_drain(struct bench *b)
{
	uint64_t deadline = clock_after_ms(SILENCE_MS);
	unsigned nr;

	while (b->in_flight) {
		if (!bench_poll(b, false, &nr) || clock_is_past(deadline))
			return false;
	}
	return true;
}

static bool bench_report(struct bench *b)
{
	uint64_t kicks = b->q->nr_kicks;
	uint64_t cycles = bench_run(b, param_number("run_ms", 1000));
	uint64_t us = cycles * 1000 / clock_khz();

	if (!us)
		return false;
	say("RESULT iops=%lu mbps=%lu ops=%lu us=%lu kicks=%lu tsc_khz=%lu qd=%u",
	    b->nr_done * 1000000 / us, b->nr_done * b->len / us, b->nr_done, us,
	    b->q->nr_kicks - kicks, clock_khz(), b->depth);
	return true;
}

void guest_main(const struct guest_info *info)
{
	static struct bench bench;
	struct bench *b = &bench;
	uint64_t runs = param_number("runs", 1);
	bool ok = true;
	const char *why;

	(void)info;
	b->q = &b->blk.dev.vq[0];
	why = blk_open(&b->blk, 0);
	if (!why)
		why = blk_start(&b->blk, BLK_F_ALL & ~VIRTIO_F_RING_RESET, 1,
				0);
	if (!why)
		why = bench_configure(b);
	if (!why)
		why = bench_fill(b);
	if (why)
		power_off_failed(why);
	ok = bench_run(b, param_number("warm_ms", 200));
	while (ok && runs--)
		ok = bench_report(b);
	if (ok && bench_drain(b))
		say("DONE");
}
