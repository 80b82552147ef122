/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A driver that breaks the rules of the network device, count= times, by
 * chance but the same for each seed=: chains and headers of all three kinds of
 * queue. After each a good frame must go out, if need be after the reset that
 * the device asks for. And resets while frames come and go, after which the
 * device must leave all memory alone.
 */
#include "nic.h"

#include "clock.h"
#include "memory.h"
#include "param.h"
#include "report.h"
#include "text.h"

#define PLAYGROUND (256u << 10)
#define SETTLE_US 200
#define QUIET_US 2000
#define UNTOUCHED 0xa5

static struct {
	struct random random;
	uint8_t *playground; /* a copy of a frame, and room */
	unsigned nr_resets;
} h;

static uint64_t below(uint64_t limit)
{
	return random_below(&h.random, limit);
}

static uint64_t odd_address(uint32_t len)
{
	switch (below(8)) {
	case 0:
		return nic_ram_end - below(len + 1);
	case 1:
		return ~0ull - below(8192);
	case 2:
		return nic_ram_end + below(1ull << 40);
	default:
		return (uint64_t)h.playground +
		       below(PLAYGROUND -
			     (len < PLAYGROUND ? len : PLAYGROUND) + 1);
	}
}

static uint32_t odd_length(void)
{
	static const uint32_t lengths[] = { 0,	  1,	 2,	11,    12,
					    13,	  24,	 26,	27,    60,
					    1514, 65535, 65562, 131072 };

	if (below(16) == 0)
		return 0x80000000 + (uint32_t)below(1u << 31);
	return lengths[below(ARRAY_SIZE(lengths))];
}

/* A header whose fields lie at the edges of what they may be. */
static void odd_header(uint8_t *header)
{
	static const uint8_t types[] = { 0, 1, 3, 4, 5, 0x81, 0x84, 0xff };

	for (unsigned i = 0; i < NET_HEADER; i++)
		header[i] = (uint8_t)(below(3) ? 0 : below(256));
	header[1] = types[below(ARRAY_SIZE(types))];
	if (below(2))
		header[0] = (uint8_t)below(8);
	if (below(2)) { /* csum_start, csum_offset in front of all */
		header[6] = (uint8_t)below(64);
		header[7] = 0;
		header[8] = (uint8_t)(0 - below(64));
		header[9] = (uint8_t)(0 - below(2));
	}
}

/* A chain of mostly good pieces, in either direction, that may loop. */
static void break_chain(struct vq *q, bool readable)
{
	volatile struct vq_desc *table = q->desc;
	uint16_t nr = (uint16_t)(1 + below(6));
	bool indirect = below(3) == 0;
	uint16_t head = q->size > 16 ? 8 : 0;

	if (indirect)
		table = (void *)(h.playground + PLAYGROUND - 4096);
	for (uint16_t i = 0; i < nr; i++) {
		volatile struct vq_desc *d = &table[indirect ? i : head + i];
		uint16_t next = (uint16_t)((indirect ? 0 : head) + i + 1);

		d->len = odd_length();
		d->addr = odd_address(d->len);
		d->flags = (uint16_t)(readable ? 0 : VQ_DESC_WRITE);
		if (below(12) == 0)
			d->flags ^= VQ_DESC_WRITE;
		if (below(16) == 0)
			d->flags |= VQ_DESC_INDIRECT;
		if (i + 1 < nr || below(16) == 0)
			d->flags |= VQ_DESC_NEXT;
		d->next = below(16) ? next : (uint16_t)below(65536);
	}
	if (readable && below(4)) { /* the first piece has the header */
		table[indirect ? 0 : head].addr = (uint64_t)h.playground;
		table[indirect ? 0 : head].len =
			NET_HEADER + (uint32_t)below(80);
	}
	if (indirect) {
		q->desc[head].addr = (uint64_t)table;
		q->desc[head].len = below(8) ? nr * 16u : odd_length();
		q->desc[head].flags = VQ_DESC_INDIRECT;
	}
	vq_offer(q, below(16) ? head : (uint16_t)below(65536));
	if (below(16) == 0)
		q->avail_idx = (uint16_t)(q->avail_idx + below(65536));
}

/* Waits until all is used, or the device has had its time. */
static void settle(const struct vq *q)
{
	uint64_t end = clock_cycles() + SETTLE_US * clock_khz() / 1000;

	while (!clock_is_past(end) && q->used[1] != q->avail_idx)
		cpu_relax();
}

static const char *good_frame(void)
{
	static uint8_t frame[NET_HEADER + 60];
	struct vq_seg seg = { frame, sizeof(frame), false };
	int answer;

	memset(frame, 0xff, sizeof(frame)); /* to all, from nobody */
	memset(frame, 0, NET_HEADER);
	memset(frame + NET_HEADER + 6, 2, 6);
	answer = net_send(&nic, 0, &seg, 1, false);
	return answer ? failed("a good frame ends with %d", answer) : NULL;
}

static const char *malformed_round(uint64_t round)
{
	struct vq *q = below(4) ? net_tx_vq(&nic, 0) : net_rx_vq(&nic, 0);
	const char *why;

	if (nic.control && below(4) == 0)
		q = nic.control;
	odd_header(h.playground);
	if (q == nic.control) { /* class and command */
		h.playground[0] = (uint8_t)below(7);
		h.playground[1] = (uint8_t)below(4);
	}
	break_chain(q, q->index & 1 || q == nic.control);
	vq_publish(q);
	vq_ring_doorbell(q);
	settle(q);
	if (nic.dev.ops->status(&nic.dev) & VIRTIO_S_NEEDS_RESET)
		h.nr_resets++;
	/* What it keeps, this driver does not understand itself. */
	why = nic_start();
	if (!why)
		why = good_frame();
	return why ? failed("round %lu, queue %u: %s", round, q->index, why)
		   : NULL;
}

static void hostile_init(void)
{
	random_init(&h.random, param_number("seed", 1));
	h.nr_resets = 0;
	if (!h.playground)
		h.playground = arena_alloc(PLAYGROUND, 4096);
}

const char *nic_malformed(void)
{
	uint64_t count = param_number("count", 1000);
	const char *why = NULL;

	hostile_init();
	for (uint64_t i = 0; !why && i < count; i++)
		why = malformed_round(i);
	say("COUNT rounds=%lu resets=%u", count, h.nr_resets);
	return why;
}

/* ---- resets under load ------------------------------------------------ */

static const char *expect_quiet(void)
{
	for (unsigned pair = 0; pair < nic.nr_pairs; pair++)
		memset(nic.rx[pair].area, UNTOUCHED, NET_RX_AREA);
	clock_wait_us(QUIET_US);
	for (unsigned pair = 0; pair < nic.nr_pairs; pair++) {
		const uint64_t *area = (const void *)nic.rx[pair].area;

		for (unsigned i = 0; i < NET_RX_AREA / 8; i++) {
			if (area[i] != 0xa5a5a5a5a5a5a5a5)
				return failed("byte %u of pair %u was written",
					      i * 8, pair);
		}
	}
	return NULL;
}

/* As many frames as the queue takes, then away from them. */
static void leave_load(void)
{
	for (unsigned pair = 0; pair < nic.nr_pairs; pair++) {
		struct vq *q = net_tx_vq(&nic, pair);

		for (unsigned i = 0; i < NIC_SLOTS; i++) {
			struct vq_seg seg = { nic_slot(i) - NET_HEADER,
					      NET_HEADER + 1514, false };

			if (vq_add(q, &seg, 1, false) < 0)
				break;
		}
		vq_kick(q);
	}
	clock_wait_us(below(4) * below(100));
}

const char *nic_resets(void)
{
	uint64_t rounds = param_number("rounds", 50), nr_frames = 0;
	const char *why = NULL;

	hostile_init();
	for (unsigned i = 0; i < NIC_SLOTS; i++)
		memset(nic_slot(i) - NET_HEADER, 0, NET_HEADER);
	for (uint64_t round = 0; !why && round < rounds; round++) {
		leave_load();
		for (unsigned pair = 0; pair < nic.nr_pairs; pair++)
			nr_frames += net_rx_vq(&nic, pair)->used[1];
		if (!vdev_reset(&nic.dev))
			return failed("round %lu: the reset does not end",
				      round);
		why = expect_quiet();
		if (!why)
			why = nic_start();
		if (!why)
			why = good_frame();
	}
	say("RESETS rounds=%lu frames=%lu", rounds, nr_frames);
	return why;
}
