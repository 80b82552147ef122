/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What is written is what is read: sizes, splits, depth, zeroes. */
#include "disk.h"

#include "clock.h"
#include "io.h"
#include "memory.h"
#include "param.h"
#include "random.h"

#define SPLIT_ROUNDS 300
#define SPLIT_PIECES_MAX 24
#define SPLIT_BYTES_MAX 65536
#define GUARD 0xc7

#define DEPTH_REQUESTS 64
#define DEPTH_BYTES 16384

#define DRAIN_MS 10000

/* Seeds and places that the host knows too; see disk_leave_pattern(). */
#define LEFT_SEED 0x1eaf0001
#define LEFT_BYTES (4u << 20)
#define LEFT_ZEROES_AT (1u << 20)
#define LEFT_DISCARD_AT (2u << 20)
#define LEFT_HOLE_BYTES (512u << 10)

const char *disk_rw_sizes(void)
{
	for (uint32_t len = BLK_SECTOR; len <= DISK_BUFFER; len *= 2) {
		for (unsigned indirect = 0; indirect < 2; indirect++) {
			struct vq_seg out = { disk_out, len, false };
			struct vq_seg in = { disk_in, len, true };
			uint32_t seed = len + indirect;
			int status;

			blk_fill_pattern(disk_out, len, seed, 7);
			status =
				blk_do(&disk, 0, BLK_OUT, 7, &out, 1, indirect);
			if (status != BLK_OK)
				return failed("write of %u: %d", len, status);
			memset(disk_in, 0x5a, len);
			status = blk_do(&disk, 0, BLK_IN, 7, &in, 1, indirect);
			if (status != BLK_OK)
				return failed("read of %u: %d", len, status);
			if (blk_check_pattern(disk_in, len, seed, 7) != len)
				return failed("%u bytes, indirect %u, differ",
					      len, indirect);
		}
	}
	return NULL;
}

/*
 * A request cut at random. The pieces lie in one buffer, at odd addresses,
 * with guard bytes between. The header may be two pieces or one with the
 * first data, the status byte one with the last (virtio 1.2 §2.7.4: the
 * device makes no assumption on the framing).
 */
struct split {
	struct vq_seg seg[SPLIT_PIECES_MAX + 4];
	unsigned nr;
	char *header;
	volatile uint8_t *status;
	struct {
		char *at;
		uint32_t len;
	} piece[SPLIT_PIECES_MAX];
	unsigned nr_pieces;
	char *end;
};

static void split_add(struct split *s, const volatile void *at, uint32_t len,
		      bool write)
{
	struct vq_seg *last = s->nr ? &s->seg[s->nr - 1] : NULL;

	/* Neighbours of the same direction become one now and then. */
	if (last && last->write == write &&
	    (const volatile char *)last->addr + last->len == at) {
		last->len += len;
		return;
	}
	s->seg[s->nr++] = (struct vq_seg){ at, len, write };
}

static void split_make(struct split *s, struct random *r, char *buffer,
		       uint32_t len, bool is_read)
{
	unsigned cut = (unsigned)random_below(r, 17);
	uint32_t left = len;
	char *at = buffer + 1 + random_below(r, 64);

	memset(s, 0, sizeof(*s));
	s->header = at;
	at += sizeof(struct blk_header);
	if (cut && cut < 16) {
		/* A second piece elsewhere: the last bytes move there. */
		at += 16;
		s->seg[s->nr++] = (struct vq_seg){ s->header, cut, false };
		s->seg[s->nr++] = (struct vq_seg){ at, 16 - cut, false };
		at += 16 - cut;
	} else {
		split_add(s, s->header, 16, false);
	}
	if (cut & 1)
		at += 1 + random_below(r, 100);
	while (left) {
		uint32_t part = (uint32_t)random_below(r, left) + 1;

		if (s->nr_pieces == SPLIT_PIECES_MAX - 1)
			part = left;
		s->piece[s->nr_pieces].at = at;
		s->piece[s->nr_pieces++].len = part;
		split_add(s, at, part, is_read);
		at += part;
		left -= part;
		if (random_below(r, 4))
			at += 1 + random_below(r, 600);
	}
	s->status = (volatile uint8_t *)at;
	split_add(s, at, 1, true);
	s->end = at + 1;
}

/* The header, which may lie in two places. */
static void split_set_header(struct split *s, uint32_t type, uint64_t sector)
{
	struct blk_header header = { .type = type, .sector = sector };
	uint32_t first = s->seg[0].len < 16 ? s->seg[0].len : 16;

	memcpy(s->header, &header, first);
	if (first < 16)
		memcpy((char *)(uint64_t)s->seg[1].addr,
		       (char *)&header + first, 16 - first);
}

/* Between the pieces nothing may be written. */
static bool split_guards_hold(const struct split *s)
{
	const char *at = s->piece[0].at;

	for (unsigned i = 0; i < s->nr_pieces; i++) {
		for (; at < s->piece[i].at; at++) {
			if ((uint8_t)*at != GUARD)
				return false;
		}
		at += s->piece[i].len;
	}
	for (at = s->end; at < s->end + 64; at++) {
		if ((uint8_t)*at != GUARD)
			return false;
	}
	return true;
}

static const char *split_write(struct split *s, struct random *r, uint32_t seed,
			       uint64_t sector, uint32_t len)
{
	uint32_t done = 0;
	int status;

	blk_fill_pattern(disk_in, len, seed, sector);
	memset(disk_out, GUARD, DISK_BUFFER);
	split_make(s, r, disk_out, len, false);
	for (unsigned i = 0; i < s->nr_pieces; i++) {
		memcpy(s->piece[i].at, disk_in + done, s->piece[i].len);
		done += s->piece[i].len;
	}
	split_set_header(s, BLK_OUT, sector);
	status = blk_do_chain(&disk, 0, s->seg, s->nr, random_next(r) & 1,
			      s->status);
	if (status != BLK_OK)
		return failed("write of %u in %u pieces at %lu: %d", len, s->nr,
			      sector, status);
	return NULL;
}

static const char *split_read(struct split *s, struct random *r, uint32_t seed,
			      uint64_t sector, uint32_t len)
{
	uint32_t done = 0;
	int status;

	memset(disk_out, GUARD, DISK_BUFFER);
	split_make(s, r, disk_out, len, true);
	split_set_header(s, BLK_IN, sector);
	status = blk_do_chain(&disk, 0, s->seg, s->nr, random_next(r) & 1,
			      s->status);
	if (status != BLK_OK)
		return failed("read of %u in %u pieces at %lu: %d", len, s->nr,
			      sector, status);
	if (!split_guards_hold(s))
		return failed("a read of %u wrote between its pieces", len);
	for (unsigned i = 0; i < s->nr_pieces; i++) {
		memcpy(disk_in + done, s->piece[i].at, s->piece[i].len);
		done += s->piece[i].len;
	}
	if (blk_check_pattern(disk_in, len, seed, sector) != len)
		return failed("%u bytes in %u pieces at %lu differ", len, s->nr,
			      sector);
	return NULL;
}

const char *disk_rw_splits(void)
{
	static struct split split;
	struct random r;
	const char *why = NULL;

	random_init(&r, param_number("seed", 1));
	for (uint32_t i = 0; !why && i < SPLIT_ROUNDS; i++) {
		uint32_t sectors = (uint32_t)random_below(
			&r, i % 10 ? 16 : SPLIT_BYTES_MAX / BLK_SECTOR);
		uint32_t len = (sectors + 1) * BLK_SECTOR;
		uint64_t sector =
			random_below(&r, (DISK_AREA - len) / BLK_SECTOR);

		why = split_write(&split, &r, i, sector, len);
		if (!why)
			why = split_read(&split, &r, i, sector, len);
	}
	return why;
}

/* Many requests at a time, each with its own place and pattern. */
static const char *depth_pass(uint32_t type, uint32_t seed)
{
	static struct blk_header header[DEPTH_REQUESTS];
	static volatile uint8_t status[DEPTH_REQUESTS];
	struct vq *q = &disk.dev.vq[0];
	uint64_t deadline = clock_after_ms(DRAIN_MS);
	unsigned in_flight = 0;

	for (unsigned i = 0; i < DEPTH_REQUESTS; i++) {
		uint64_t sector = i * (DEPTH_BYTES / BLK_SECTOR);
		char *data = disk_out + i * DEPTH_BYTES;
		const struct vq_seg chain[] = {
			{ &header[i], sizeof(header[i]), false },
			{ data, DEPTH_BYTES, type == BLK_IN },
			{ &status[i], 1, true },
		};

		header[i] = (struct blk_header){ type, 0, sector };
		status[i] = BLK_UNWRITTEN;
		if (type == BLK_OUT)
			blk_fill_pattern(data, DEPTH_BYTES, seed, sector);
		else
			memset(data, 0x5a, DEPTH_BYTES);
		if (vq_add(q, chain, 3, i & 1 && q->indirect) < 0)
			return failed("the queue takes only %u requests", i);
		in_flight++;
		if (i % 5 == 0)
			vq_kick(q);
	}
	vq_kick(q);
	while (in_flight) {
		int head = vq_pop(q, NULL);

		if (clock_is_past(deadline))
			return failed("%u requests are lost", in_flight);
		if (head < 0)
			continue;
		vq_free(q, (uint16_t)head);
		in_flight--;
	}
	for (unsigned i = 0; i < DEPTH_REQUESTS; i++) {
		uint64_t sector = i * (DEPTH_BYTES / BLK_SECTOR);

		if (status[i] != BLK_OK)
			return failed("request %u: %u", i, status[i]);
		if (type == BLK_IN &&
		    blk_check_pattern(disk_out + i * DEPTH_BYTES, DEPTH_BYTES,
				      seed, sector) != DEPTH_BYTES)
			return failed("request %u differs", i);
	}
	return NULL;
}

const char *disk_rw_depth(void)
{
	const char *why = NULL;

	for (uint32_t seed = 0; !why && seed < 20; seed++) {
		why = depth_pass(BLK_OUT, seed);
		if (!why)
			why = depth_pass(BLK_IN, seed);
	}
	return why;
}

static int do_range(uint32_t type, uint64_t sector, uint32_t nr_sectors,
		    uint32_t flags)
{
	const struct blk_range range = { sector, nr_sectors, flags };
	const struct vq_seg seg = { &range, sizeof(range), false };

	return blk_do(&disk, 0, type, 0, &seg, 1, false);
}

/* Pattern, a range made zero in its midst, pattern. */
static const char *zero_midst(uint32_t type, uint32_t flags, uint64_t sector,
			      uint32_t nr_sectors)
{
	const uint32_t side = 128 * BLK_SECTOR;
	const uint32_t len = nr_sectors * BLK_SECTOR;
	const char *why = disk_write_pattern(9, sector - 128, len + 2 * side);
	int status;

	if (why)
		return why;
	status = do_range(type, sector, nr_sectors, flags);
	if (status != BLK_OK)
		return failed("%u sectors at %lu, flags %x: %d", nr_sectors,
			      sector, flags, status);
	why = disk_expect_pattern(9, sector - 128, side);
	if (!why)
		why = disk_expect_zeroes(sector, len);
	if (!why)
		why = disk_expect_pattern(9, sector + nr_sectors, side);
	return why;
}

const char *disk_write_zeroes(void)
{
	static const uint32_t sizes[] = { 1, 7, 8, 64, 1000, 4096 };
	const char *why = NULL;

	if (!(disk.dev.features & BLK_F_WRITE_ZEROES))
		return skipped("WRITE_ZEROES is not offered");
	for (unsigned i = 0; !why && i < ARRAY_SIZE(sizes); i++) {
		why = zero_midst(BLK_WRITE_ZEROES, 0, 1001, sizes[i]);
		if (!why)
			why = zero_midst(BLK_WRITE_ZEROES, BLK_RANGE_UNMAP,
					 2048, sizes[i]);
	}
	return why;
}

/* A file gives zeroes for what was discarded, in whole blocks at least. */
const char *disk_discard(void)
{
	static const uint32_t sizes[] = { 8, 64, 1024, 4096 };
	const char *why = NULL;

	if (!(disk.dev.features & BLK_F_DISCARD))
		return skipped("DISCARD is not offered");
	for (unsigned i = 0; !why && i < ARRAY_SIZE(sizes); i++)
		why = zero_midst(BLK_DISCARD, 0, 2048, sizes[i]);
	return why;
}

/* Ranges to refuse (virtio 1.2 §5.2.6.2); no byte may change. */
const char *disk_range_bad(void)
{
	const uint64_t end = disk.nr_sectors;
	const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t nr_sectors;
		uint32_t flags;
		int wanted;
	} cases[] = {
		{ BLK_DISCARD, end, 8, 0, BLK_IOERR },
		{ BLK_DISCARD, end - 4, 8, 0, BLK_IOERR },
		{ BLK_DISCARD, ~0ull - 3, 8, 0, BLK_IOERR },
		{ BLK_DISCARD, 1ull << 55, 8, 0, BLK_IOERR },
		{ BLK_DISCARD, 0, 8, BLK_RANGE_UNMAP, BLK_UNSUPP },
		{ BLK_DISCARD, 0, 8, 0x80000000, BLK_UNSUPP },
		{ BLK_WRITE_ZEROES, end - 4, 8, 0, BLK_IOERR },
		{ BLK_WRITE_ZEROES, ~0ull - 3, 8, 0, BLK_IOERR },
		{ BLK_WRITE_ZEROES, 0, 8, 2, BLK_UNSUPP },
		{ BLK_WRITE_ZEROES, 0, 0xffffffff, 0, BLK_IOERR },
	};
	const struct vq_seg half = { disk_out, 8, false };
	const char *why = disk_write_pattern(11, 0, 4096);
	int status;

	if (why)
		return why;
	if (!(disk.dev.features & BLK_F_DISCARD) ||
	    !(disk.dev.features & BLK_F_WRITE_ZEROES))
		return skipped("DISCARD or WRITE_ZEROES is not offered");
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		status = do_range(cases[i].type, cases[i].sector,
				  cases[i].nr_sectors, cases[i].flags);
		if (status != cases[i].wanted)
			return failed("case %u: %d", i, status);
	}
	status = blk_do(&disk, 0, BLK_DISCARD, 0, &half, 1, false);
	if (status == BLK_OK || status == BLK_LOST)
		return failed("half a range: %d", status);
	if (status == BLK_BROKEN)
		why = disk_start(1);
	if (why)
		return why;
	status = blk_do(&disk, 0, BLK_WRITE_ZEROES, 0, NULL, 0, false);
	if (status == BLK_LOST)
		return failed("no range: %d", status);
	if (status == BLK_BROKEN)
		why = disk_start(1);
	if (why)
		return why;
	return disk_expect_pattern(11, 0, 4096);
}

/*
 * For the host: LEFT_BYTES of the pattern with two holes of zeroes, flushed.
 * A kind of hole that the device does not offer is written as zeroes.
 */
const char *disk_leave_pattern(void)
{
	static const struct {
		uint64_t feature;
		uint32_t type, at;
	} holes[] = {
		{ BLK_F_WRITE_ZEROES, BLK_WRITE_ZEROES, LEFT_ZEROES_AT },
		{ BLK_F_DISCARD, BLK_DISCARD, LEFT_DISCARD_AT },
	};
	const char *why = disk_write_pattern(LEFT_SEED, 0, LEFT_BYTES);
	int status;

	if (why)
		return why;
	for (unsigned i = 0; i < ARRAY_SIZE(holes); i++) {
		uint64_t sector = holes[i].at / BLK_SECTOR;

		if (disk.dev.features & holes[i].feature) {
			status = do_range(holes[i].type, sector,
					  LEFT_HOLE_BYTES / BLK_SECTOR, 0);
		} else {
			memset(disk_out, 0, LEFT_HOLE_BYTES);
			status = blk_write(&disk, sector, disk_out,
					   LEFT_HOLE_BYTES);
		}
		if (status != BLK_OK)
			return failed("hole %u: %d", i, status);
	}
	status = blk_do(&disk, 0, BLK_FLUSH, 0, NULL, 0, false);
	return status == BLK_OK ? NULL : failed("flush: %d", status);
}
