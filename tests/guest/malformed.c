/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A driver that breaks every rule of the split virtqueue, count= times, by
 * chance but the same for each seed=. After each the device must serve a good
 * read, if need be after the reset that it asks for; the monitor must live.
 *
 * Broken requests read the disk or write its second half, and aim at nothing
 * that this program needs: they point into a playground, at places past the
 * RAM, or at addresses that wrap.
 */
#include "blk.h"
#include "clock.h"
#include "io.h"
#include "memory.h"
#include "param.h"
#include "power.h"
#include "random.h"
#include "text.h"

#define PLAYGROUND (1u << 20)
#define GOOD_BYTES 4096
#define GOOD_SEED 77
#define SETTLE_US 300
#define QUEUE_SIZE 128

struct malformed {
	struct blk blk;
	struct vq *q;
	struct random random;
	uint64_t ram_end;
	char *playground;
	struct blk_header *header;
	volatile uint8_t *status;
	uint64_t nr_resets; /* asked for by the device */
	uint64_t nr_survived; /* went on without one */
};

static struct malformed m;

static uint64_t below(uint64_t limit)
{
	return random_below(&m.random, limit);
}

/* An address that is no good, with a length that may wrap it. */
static uint64_t bad_address(void)
{
	switch (below(8)) {
	case 0:
		return m.ram_end;
	case 1:
		return m.ram_end + below(1ull << 40);
	case 2:
		return ~0ull - below(8192);
	case 3:
		return 1ull << 63;
	case 4:
		return (1ull << 52) - 1 - below(65536);
	case 5:
		return 0xd8000000 + below(1 << 20); /* no RAM, no BAR */
	case 6:
		return random_next(&m.random) | 1ull << 47;
	default:
		return m.ram_end + 0x1000 * below(1000);
	}
}

static uint32_t odd_length(void)
{
	static const uint32_t lengths[] = {
		0,	    1,		15,	    16,		17,
		511,	    512,	513,	    4096,	65536,
		0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff,
	};

	return lengths[below(ARRAY_SIZE(lengths))];
}

static uint64_t play_address(uint32_t len)
{
	return (uint64_t)m.playground + below(PLAYGROUND - len + 1);
}

static void set_desc(volatile struct vq_desc *desc, uint64_t addr, uint32_t len,
		     uint16_t flags, uint16_t next)
{
	desc->addr = addr;
	desc->len = len;
	desc->flags = flags;
	desc->next = next;
}

/* A request for the chain to break: a read, mostly. */
static void new_header(void)
{
	static const uint32_t types[] = {
		BLK_IN,	   BLK_IN,	BLK_IN,		  BLK_OUT, BLK_GET_ID,
		BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES, 99,
	};
	uint64_t half = m.blk.nr_sectors / 2;

	m.header->type = types[below(ARRAY_SIZE(types))];
	m.header->sector = half + below(half);
}

/* Header, one piece of data, status, in this table from this index. */
static void good_chain(volatile struct vq_desc *table, uint16_t at)
{
	set_desc(&table[at], (uint64_t)m.header, 16, VQ_DESC_NEXT,
		 (uint16_t)(at + 1));
	set_desc(&table[at + 1], play_address(4096), 4096,
		 VQ_DESC_NEXT | VQ_DESC_WRITE, (uint16_t)(at + 2));
	set_desc(&table[at + 2], (uint64_t)m.status, 1, VQ_DESC_WRITE, 0);
}

static void offer(uint16_t head)
{
	vq_offer(m.q, head);
}

/* ---- the ways to go wrong; each leaves something on the ring ---------- */

static void break_loop(void)
{
	uint16_t len = (uint16_t)(1 + below(QUEUE_SIZE));

	for (uint16_t i = 0; i < len; i++)
		set_desc(&m.q->desc[i], play_address(512), 512,
			 (uint16_t)(VQ_DESC_NEXT | (i ? VQ_DESC_WRITE : 0)),
			 (uint16_t)((i + 1) % len));
	offer((uint16_t)below(len));
}

static void break_address(void)
{
	good_chain(m.q->desc, 0);
	m.q->desc[below(3)].addr = bad_address();
	offer(0);
}

static void break_end_of_ram(void)
{
	uint32_t len = (uint32_t)(1 + below(65536));

	good_chain(m.q->desc, 0);
	m.header->type = BLK_OUT; /* reads memory */
	set_desc(&m.q->desc[1], m.ram_end - below(len), len, VQ_DESC_NEXT, 2);
	offer(0);
}

static void break_length(void)
{
	volatile struct vq_desc *desc = &m.q->desc[below(3)];

	good_chain(m.q->desc, 0);
	desc->len = odd_length();
	/* What is long must not reach this program. */
	if (desc->len > 65536)
		desc->addr = ~0ull - below(desc->len);
	else
		desc->addr = play_address(desc->len);
	offer(0);
}

static void break_many_empty(void)
{
	uint16_t n = (uint16_t)(3 + below(QUEUE_SIZE - 3));

	for (uint16_t i = 0; i < n; i++)
		set_desc(&m.q->desc[i], below(2) ? bad_address() : 0, 0,
			 (uint16_t)(VQ_DESC_NEXT | (i > 1 ? VQ_DESC_WRITE : 0)),
			 (uint16_t)(i + 1));
	m.q->desc[n - 1].flags &= (uint16_t)~VQ_DESC_NEXT;
	offer(0);
}

static void break_next(void)
{
	good_chain(m.q->desc, 0);
	m.q->desc[below(2)].next =
		(uint16_t)(QUEUE_SIZE + below(65536 - QUEUE_SIZE));
	offer(0);
}

static void break_head(void)
{
	good_chain(m.q->desc, 0);
	offer((uint16_t)(QUEUE_SIZE + below(65536 - QUEUE_SIZE)));
}

static void break_avail_idx(void)
{
	good_chain(m.q->desc, 0);
	offer(0);
	m.q->avail_idx = (uint16_t)(m.q->avail_idx + QUEUE_SIZE +
				    below(65535 - QUEUE_SIZE));
}

static void break_same_head(void)
{
	good_chain(m.q->desc, 0);
	for (uint64_t i = 2 + below(QUEUE_SIZE - 1); i > 0; i--)
		offer(0);
}

static void break_order(void)
{
	good_chain(m.q->desc, 0);
	m.q->desc[0].flags |= VQ_DESC_WRITE;
	m.q->desc[1].flags &= (uint16_t)~VQ_DESC_WRITE;
	if (below(2))
		m.q->desc[0].flags &= (uint16_t)~VQ_DESC_WRITE;
	if (below(2))
		set_desc(&m.q->desc[2], (uint64_t)m.status, 1,
			 VQ_DESC_WRITE | VQ_DESC_NEXT, 3);
	set_desc(&m.q->desc[3], play_address(16), 16, 0, 0);
	offer(0);
}

static void break_no_status(void)
{
	good_chain(m.q->desc, 0);
	m.q->desc[below(3)].flags = 0;
	if (below(2))
		m.q->desc[2].len = 0;
	offer(0);
}

static void break_short_header(void)
{
	good_chain(m.q->desc, 0);
	m.q->desc[0].len = (uint32_t)below(16);
	offer(0);
}

static void break_indirect_size(void)
{
	volatile struct vq_desc *table = (void *)m.playground;
	static const uint32_t sizes[] = {
		0,    1,	15,	   17,	       16,	   47,
		0x10, 0x100000, 0x1000000, 0x10000000, 0xfffffff0, 0xffffffff,
	};

	good_chain(table, 0);
	set_desc(&m.q->desc[0], (uint64_t)table,
		 sizes[below(ARRAY_SIZE(sizes))], VQ_DESC_INDIRECT, 0);
	offer(0);
}

static void break_indirect_address(void)
{
	set_desc(&m.q->desc[0], bad_address(), 48, VQ_DESC_INDIRECT, 0);
	offer(0);
}

static void break_indirect_flags(void)
{
	volatile struct vq_desc *table = (void *)m.playground;

	good_chain(table, 0);
	set_desc(&m.q->desc[0], (uint64_t)table, 48,
		 VQ_DESC_INDIRECT | VQ_DESC_NEXT |
			 (below(2) ? VQ_DESC_WRITE : 0),
		 1);
	good_chain(m.q->desc, 1);
	offer(0);
}

static void break_indirect_nested(void)
{
	volatile struct vq_desc *table = (void *)m.playground;

	good_chain(table, 0);
	table[below(3)].flags |= VQ_DESC_INDIRECT;
	if (below(2))
		set_desc(&table[0], (uint64_t)table, 48, VQ_DESC_INDIRECT, 0);
	set_desc(&m.q->desc[0], (uint64_t)table, 48, VQ_DESC_INDIRECT, 0);
	offer(0);
}

static void break_indirect_next(void)
{
	volatile struct vq_desc *table = (void *)m.playground;

	good_chain(table, 0);
	table[below(2)].next = (uint16_t)(below(2) ? 3 + below(65533) : 0);
	set_desc(&m.q->desc[0], (uint64_t)table, 48, VQ_DESC_INDIRECT, 0);
	offer(0);
}

/* A table as long as can be, of one-byte pieces. */
static void break_indirect_long(void)
{
	volatile struct vq_desc *table = (void *)m.playground;
	uint32_t nr = (uint32_t)(QUEUE_SIZE + below(32768));

	for (uint32_t i = 0; i < nr; i++)
		set_desc(&table[i], (uint64_t)m.header, 16, VQ_DESC_NEXT,
			 (uint16_t)(i + 1));
	set_desc(&table[nr - 1], (uint64_t)m.status, 1, VQ_DESC_WRITE, 0);
	set_desc(&m.q->desc[0], (uint64_t)table, nr * 16, VQ_DESC_INDIRECT, 0);
	offer(0);
}

/* Every field of a few descriptors by chance, but for where they point. */
static void break_anything(void)
{
	for (uint16_t i = 0; i < 8; i++)
		set_desc(&m.q->desc[i],
			 below(3) ? play_address(65536) : bad_address(),
			 (uint32_t)below(65536), (uint16_t)below(8),
			 (uint16_t)below(10));
	for (uint64_t n = 1 + below(8); n > 0; n--)
		offer((uint16_t)below(10));
}

/* The queue itself lies nowhere, or askew. */
static void break_rings(void)
{
	struct vdev *dev = &m.blk.dev;
	struct vq bad = *m.q;

	vdev_reset(dev);
	if (vdev_negotiate(dev, BLK_F_ALL))
		return;
	bad.size = QUEUE_SIZE;
	switch (below(4)) {
	case 0:
		bad.desc = (void *)bad_address();
		break;
	case 1:
		bad.avail = (void *)bad_address();
		break;
	case 2:
		bad.used = (void *)bad_address();
		break;
	default:
		bad.desc = (void *)(m.ram_end - 64);
		bad.avail = (void *)(m.ram_end - 2);
		bad.used = (void *)(m.ram_end - 6);
	}
	dev->ops->queue_enable(dev, &bad);
	vdev_driver_ok(dev);
}

static const struct {
	const char *name;
	void (*run)(void);
} breaks[] = {
	{ "loop", break_loop },
	{ "address", break_address },
	{ "end of ram", break_end_of_ram },
	{ "length", break_length },
	{ "many empty", break_many_empty },
	{ "next", break_next },
	{ "head", break_head },
	{ "avail index", break_avail_idx },
	{ "same head", break_same_head },
	{ "order", break_order },
	{ "no status", break_no_status },
	{ "short header", break_short_header },
	{ "indirect size", break_indirect_size },
	{ "indirect address", break_indirect_address },
	{ "indirect flags", break_indirect_flags },
	{ "indirect nested", break_indirect_nested },
	{ "indirect next", break_indirect_next },
	{ "indirect long", break_indirect_long },
	{ "anything", break_anything },
	{ "rings", break_rings },
};

/* ---- and back to good ------------------------------------------------- */

static const char *start(void)
{
	return blk_start(&m.blk, BLK_F_ALL, 1, QUEUE_SIZE);
}

static const char *good_read(void)
{
	static char data[GOOD_BYTES];
	int status;

	memset(data, 0, sizeof(data));
	status = blk_read(&m.blk, 0, data, sizeof(data));
	if (status != BLK_OK)
		return "a good read fails";
	if (blk_check_pattern(data, sizeof(data), GOOD_SEED, 0) != sizeof(data))
		return "a good read gives other data";
	return NULL;
}

/*
 * A device that is well and has used all that it was offered goes on as it
 * is. Else the driver starts afresh: the device asks for it, or keeps what
 * the driver does not understand itself.
 */
static const char *recover(bool rings_are_ours)
{
	uint64_t end = clock_cycles() + SETTLE_US * clock_khz() / 1000;
	struct vdev *dev = &m.blk.dev;

	while (!clock_is_past(end)) {
		if (m.q->used[1] == m.q->avail_idx)
			break;
		cpu_relax();
	}
	if (dev->ops->status(dev) & VIRTIO_S_NEEDS_RESET) {
		m.nr_resets++;
		return start();
	}
	if (!rings_are_ours || m.q->used[1] != m.q->avail_idx)
		return start();
	m.nr_survived++;
	vq_free_all(m.q);
	return NULL;
}

static const char *malformed_round(uint64_t i)
{
	unsigned kind = (unsigned)below(ARRAY_SIZE(breaks));
	const char *why;

	new_header();
	breaks[kind].run();
	vq_publish(m.q);
	vq_ring_doorbell(m.q);
	why = recover(breaks[kind].run != break_rings);
	if (!why)
		why = good_read();
	if (why)
		say("FAIL malformed: %lu (%s): %s", i, breaks[kind].name, why);
	return why;
}

static const char *malformed_start(const struct guest_info *info)
{
	static char data[GOOD_BYTES];
	const char *why = blk_open(&m.blk, 0);

	m.q = &m.blk.dev.vq[0];
	m.ram_end = info->ram_end;
	m.playground = arena_alloc(PLAYGROUND, 4096);
	m.header = arena_alloc(sizeof(*m.header), 16);
	m.status = arena_alloc(1, 16);
	random_init(&m.random, param_number("seed", 1));
	if (!why)
		why = start();
	if (why)
		return why;
	if (m.q->size != QUEUE_SIZE || m.blk.nr_sectors < 64)
		return "the queue or the disk is too small";
	blk_fill_pattern(data, sizeof(data), GOOD_SEED, 0);
	if (blk_write(&m.blk, 0, data, sizeof(data)) != BLK_OK)
		return "a good write fails";
	return good_read();
}

void guest_main(const struct guest_info *info)
{
	uint64_t count = param_number("count", 1000);
	const char *why = malformed_start(info);

	if (why)
		power_off_failed(why);
	for (uint64_t i = param_number("from", 0); !why && i < count; i++)
		why = malformed_round(i);
	if (!why)
		say("PASS malformed");
	say("COUNT %lu, of these %lu needed a reset, %lu did not", count,
	    m.nr_resets, m.nr_survived);
	say("DONE");
}
