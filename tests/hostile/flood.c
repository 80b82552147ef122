/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Requests that are right, as many at once as a device's queue takes, and a reset
 * every few milliseconds with all of them in flight: who counts at a limit, counts
 * on.
 */
#include "blk.h"
#include "clock.h"
#include "fuse.h"
#include "hostile.h"
#include "memory.h"
#include "net.h"
#include "param.h"
#include "vsock.h"

#define BYTES 4096u
#define FRAME_LEN 1400u
#define TEST_TYPE "\x88\xb5"
#define LIFE_MS 60
#define SECTORS 1024u
#define SINK_PORT 5001u
#define PIECES_MAX 4

/* A device and the request that it gets over and over. */
struct flood {
	struct vdev *dev;
	struct vq *q;
	struct vq_seg segs[PIECES_MAX];
	unsigned nr;
	/* What it sends by itself is taken. May end a life: not NULL. */
	const char *(*take)(void);
};

static uint8_t data[BYTES], header[64], answer[64];

static const char *begin_blk(struct flood *f, unsigned index)
{
	static struct blk disk;
	struct blk_header *h = (void *)header;
	const char *why = blk_open(&disk, index);

	if (!why)
		why = blk_start(&disk, BLK_F_ALL, 1, 0);
	*h = (struct blk_header){ .type = BLK_OUT, .sector = SECTORS };
	f->dev = &disk.dev;
	f->q = &disk.dev.vq[0];
	f->segs[0] = (struct vq_seg){ header, sizeof(*h), false };
	f->segs[1] = (struct vq_seg){ data, BYTES, false };
	f->segs[2] = (struct vq_seg){ answer, 1, true };
	f->nr = 3;
	return why;
}

static struct net net;

static const char *take_frames(void)
{
	while (net_take(&net, 0) >= 0)
		;
	return NULL;
}

/* The host sends back what has this word in it. */
static const char *begin_net(struct flood *f, unsigned index)
{
	const char *why = net_open(&net, index);
	uint8_t *frame = data + NET_HEADER;

	if (!why)
		why = net_start(&net, ~NET_F_MQ, 1, 0, 2048);
	if (why)
		return why;
	memset(data, 0, sizeof(data));
	memset(frame, 0xff, NET_MAC_LEN);
	for (unsigned i = 0; i < NET_MAC_LEN; i++)
		frame[NET_MAC_LEN + i] =
			*(volatile uint8_t *)(net.dev.config + i);
	memcpy(frame + 2 * NET_MAC_LEN, TEST_TYPE, 2);
	memcpy(frame + 20, "whole", 5);
	f->dev = &net.dev;
	f->q = net_tx_vq(&net, 0);
	f->segs[0] = (struct vq_seg){ data, NET_HEADER + FRAME_LEN, false };
	f->nr = 1;
	f->take = take_frames;
	return NULL;
}

static struct vsock vs;
static struct vsock_conn conn;

/* A life ends early when there is no credit left. */
static const char *take_packets(void)
{
	struct vsock_packet p;

	while (vsock_take(&vs, &conn, &p))
		vsock_give_back(&vs, &p);
	return conn.is_reset ? "the host has closed the connection" : NULL;
}

/* The host asks for nothing, and is asked whether it has room. */
static const char *begin_vsock(struct flood *f, unsigned index)
{
	static uint32_t port = 20000;
	const char *why = NULL;

	(void)index;
	if (!vs.area)
		why = vsock_open(&vs);
	if (!why)
		why = vsock_start(&vs, ~0ull);
	if (!why)
		why = vsock_connect(&vs, &conn, port++, SINK_PORT, 65536);
	vsock_fill(&vs, &conn, VSOCK_CREDIT_REQUEST, 0, (void *)header);
	f->dev = &vs.dev;
	f->q = vsock_tx_vq(&vs);
	f->segs[0] =
		(struct vq_seg){ header, sizeof(struct vsock_header), false };
	f->nr = 1;
	f->take = take_packets;
	return why;
}

static const char *begin_fs(struct flood *f, unsigned index)
{
	static struct fuse share;
	static struct {
		struct fuse_in_header head;
		struct fuse_read_in in;
	} ask;
	struct fuse_entry_out entry;
	const char *why;
	uint64_t fh;

	fuse_open_device(&share, "");
	why = vdev_open_pci(&share.dev, VIRTIO_ID_FS, index);
	if (!why)
		why = fuse_begin(&share, 1);
	if (!why && (fuse_lookup(&share, 1, "large", &entry) ||
		     fuse_open(&share, FUSE_OPEN, entry.nodeid, O_RDONLY, &fh)))
		why = "the directory has no file \"large\"";
	if (why)
		return why;
	ask.head = (struct fuse_in_header){ .len = sizeof(ask),
					    .opcode = FUSE_READ,
					    .unique = 2000,
					    .nodeid = entry.nodeid };
	ask.in = (struct fuse_read_in){ .fh = fh, .size = BYTES };
	f->dev = &share.dev;
	f->q = &share.dev.vq[FUSE_QUEUE];
	f->segs[0] = (struct vq_seg){ &ask, sizeof(ask), false };
	f->segs[1] =
		(struct vq_seg){ answer, sizeof(struct fuse_out_header), true };
	f->segs[2] = (struct vq_seg){ data, BYTES, true };
	f->nr = 3;
	return NULL;
}

/* Until the time is over, or something is wrong. */
static const char *one_life(struct flood *f, uint64_t deadline)
{
	const char *why = NULL;
	uint32_t len;
	int head;

	while (!clock_is_past(deadline) && !why) {
		while (vq_add(f->q, f->segs, f->nr, false) >= 0)
			;
		vq_kick(f->q);
		while ((head = vq_pop(f->q, &len)) >= 0)
			vq_free(f->q, (uint16_t)head);
		if (f->take)
			why = f->take();
		cpu_relax();
	}
	if (!vdev_reset(f->dev))
		return "a reset does not end";
	return why;
}

const char *flood(unsigned *nr_lives)
{
	static const struct {
		const char *name;
		const char *(*begin)(struct flood *f, unsigned index);
	} kinds[] = {
		{ "blk", begin_blk },
		{ "net", begin_net },
		{ "vsock", begin_vsock },
		{ "fs", begin_fs },
	};
	unsigned index = (unsigned)param_number("index", 0);
	uint64_t end = clock_after_ms(param_number("ms", 1000));
	struct flood f = { 0 };
	const char *why = "no such kind";

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!param_is("kind", kinds[i].name))
			continue;
		for (*nr_lives = 0; !clock_is_past(end); ++*nr_lives) {
			why = kinds[i].begin(&f, index);
			if (!why)
				why = one_life(&f, clock_after_ms(LIFE_MS));
			if (why)
				return why;
		}
	}
	return why;
}
