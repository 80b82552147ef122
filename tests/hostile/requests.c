/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Requests of each kind of device, right but for their numbers. */
#include "blk.h"
#include "fuse.h"
#include "hostile.h"
#include "memory.h"
#include "net.h"
#include "vsock.h"

#define HEAD_LEN 256u /* of a slot: what is asked; then what is answered */
#define REPLY_OFF 4096u
#define GOOD_CID 3
#define HOST_PORT 5000u
#define FUSE_OPS 56

/* A number that fits where it goes, mostly. */
static uint64_t small(struct attacker *a, uint64_t limit)
{
	return one_in(a, 6) ? edge(a) : below(a, limit);
}

static struct vq_desc piece(const void *addr, uint32_t len, bool write)
{
	return (struct vq_desc){ .addr = (uint64_t)addr,
				 .len = len,
				 .flags = write ? VQ_DESC_WRITE : 0 };
}

/* Data, of any length that the playground has. */
static struct vq_desc data(struct attacker *a, bool write)
{
	static const uint32_t lengths[] = { 1,	  60,	512,  1024,
					    1514, 4096, 8192, 65536 };
	uint32_t len = lengths[below(a, ARRAY_SIZE(lengths))];

	return piece(a->play + below(a, PLAY_LEN - len), len, write);
}

/* ---- blk -------------------------------------------------------------- */

static unsigned blk_request(struct attacker *a, struct vq_desc *p)
{
	static const uint8_t types[] = { BLK_IN,      BLK_IN,
					 BLK_OUT,     BLK_OUT,
					 BLK_FLUSH,   BLK_GET_ID,
					 BLK_DISCARD, BLK_WRITE_ZEROES };
	uint8_t *slot = next_slot(a);
	struct blk_header *h = (void *)slot;
	struct blk_range *range = (void *)(slot + HEAD_LEN);
	unsigned nr = 0;

	h->type = types[below(a, ARRAY_SIZE(types))];
	if (one_in(a, 20))
		h->type = (uint32_t)edge(a);
	h->sector = small(a, 40000);
	p[nr++] = piece(h, sizeof(*h), false);
	if (h->type == BLK_DISCARD || h->type == BLK_WRITE_ZEROES) {
		for (unsigned i = 0; i < 4; i++)
			range[i] = (struct blk_range){
				.sector = small(a, 40000),
				.nr_sectors = (uint32_t)small(a, 4096),
				.flags = (uint32_t)small(a, 2),
			};
		p[nr++] = piece(range,
				(uint32_t)sizeof(*range) *
					(uint32_t)(1 + below(a, 4)),
				false);
	} else if (h->type != BLK_FLUSH) {
		for (uint64_t n = 1 + below(a, 4); n > 0; n--)
			p[nr++] = data(a, h->type != BLK_OUT);
	}
	p[nr++] = piece(slot + REPLY_OFF, 1, true);
	return nr;
}

/* ---- net -------------------------------------------------------------- */

struct net_header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, nr_buffers;
};

static void net_frame(struct attacker *a, uint8_t *frame)
{
	static const uint16_t types[] = { 0x0008, 0xdd86, 0x0081,
					  0xa888, 0xb588, 0x0608 };

	for (unsigned i = 0; i < 64; i++)
		frame[i] = (uint8_t)random_next(&a->random);
	if (one_in(a, 2)) {
		memset(frame, 0xff, 6);
		memcpy(frame + 6, "\2\0\0\0\0\2", 6);
	}
	memcpy(frame + 12, &types[below(a, ARRAY_SIZE(types))], 2);
	memcpy(frame + 16, &types[below(a, ARRAY_SIZE(types))], 2);
	if (one_in(a, 2)) {
		frame[14] = 0x45;
		frame[23] = one_in(a, 2) ? 6 : 17;
	}
}

static unsigned net_tx(struct attacker *a, struct vq_desc *p)
{
	static const uint8_t kinds[] = { 0, 0, 1, 3, 4, 5, 0x80, 0x81 };
	uint8_t *slot = next_slot(a);
	struct net_header *h = (void *)slot;
	unsigned nr = 0;

	h->flags = (uint8_t)small(a, 4);
	h->gso_type = kinds[below(a, ARRAY_SIZE(kinds))];
	h->hdr_len = (uint16_t)small(a, 128);
	h->gso_size = (uint16_t)small(a, 1500);
	h->csum_start = (uint16_t)small(a, 64);
	h->csum_offset = (uint16_t)small(a, 20);
	h->nr_buffers = (uint16_t)small(a, 2);
	net_frame(a, slot + NET_HEADER);
	p[nr++] = piece(slot, NET_HEADER + (uint32_t)below(a, 80), false);
	for (uint64_t n = below(a, 5); n > 0; n--)
		p[nr++] = data(a, false);
	return nr;
}

static unsigned net_command(struct attacker *a, struct vq_desc *p)
{
	uint8_t *slot = next_slot(a);

	slot[0] = (uint8_t)small(a, 6);
	slot[1] = (uint8_t)small(a, 5);
	for (unsigned i = 2; i < 64; i += 2) {
		uint16_t word = (uint16_t)small(a, 4);

		memcpy(slot + i, &word, 2);
	}
	p[0] = piece(slot, 2, false);
	p[1] = piece(slot + 2, 1 + (uint32_t)below(a, 64), false);
	p[2] = piece(slot + REPLY_OFF, 1, true);
	return 3;
}

static unsigned net_request(struct attacker *a, unsigned queue,
			    struct vq_desc *p)
{
	unsigned nr = 0;

	if (queue + 1 == a->nr_rings)
		return net_command(a, p);
	if (queue % 2)
		return net_tx(a, p);
	for (uint64_t n = 1 + below(a, 3); n > 0; n--)
		p[nr++] = data(a, true);
	return nr;
}

/* ---- vsock ------------------------------------------------------------ */

static unsigned vsock_request(struct attacker *a, unsigned queue,
			      struct vq_desc *p)
{
	struct vsock_header *h = (void *)next_slot(a);

	if (queue != 1) {
		p[0] = data(a, true);
		if (p[0].len < sizeof(*h) && !one_in(a, 40))
			p[0].len = SLOT_LEN;
		return 1;
	}
	*h = (struct vsock_header){
		.src_cid = one_in(a, 8) ? edge(a) : GOOD_CID,
		.dst_cid = one_in(a, 8) ? edge(a) : VSOCK_HOST_CID,
		.src_port = (uint32_t)small(a, 64),
		.dst_port = one_in(a, 4) ? (uint32_t)edge(a) : HOST_PORT,
		.len = (uint32_t)small(a, 4096),
		.type = (uint16_t)(one_in(a, 20) ? edge(a) : VSOCK_STREAM),
		.op = (uint16_t)small(a, 8),
		.flags = (uint32_t)small(a, 4),
		.buf_alloc = (uint32_t)small(a, 1 << 18),
		.fwd_cnt = (uint32_t)small(a, 4096),
	};
	if (one_in(a, 3)) /* to a connection of the host's own making */
		h->dst_port = (1u << 31 | 1u << 30) + (uint32_t)below(a, 8);
	if (one_in(a, 2))
		h->len = (uint32_t)below(a, 4096);
	p[0] = piece(h, sizeof(*h), false);
	p[1] = piece(a->play + below(a, PLAY_LEN - 65536), h->len, false);
	return h->len ? 2 : 1;
}

/* ---- fs --------------------------------------------------------------- */

static const char *const names[] = {
	"file",	   "dir",
	"a",	   "b",
	".",	   "..",
	"",	   "a/b",
	"fifo",	   "large",
	"upwards", "absolute",
	"user.x",  "security.capability",
};

static uint64_t known(struct attacker *a)
{
	return one_in(a, 5) ? edge(a) : a->known[below(a, KNOWN_MAX)];
}

/* Words that fit most arguments: a handle, an offset, a length, flags. */
static void fs_arguments(struct attacker *a, uint8_t *args)
{
	for (unsigned i = 0; i < 12; i++) {
		uint64_t word = known(a);

		if (one_in(a, 3))
			word = one_in(a, 2) ? below(a, 4096)
					    : below(a, 64) << 12;
		if (one_in(a, 4))
			word = below(a, 4096) << 32 | below(a, 4096);
		memcpy(args + 8 * i, &word, 8);
	}
}

static uint32_t fs_name(struct attacker *a, uint8_t *at)
{
	const char *name = names[below(a, ARRAY_SIZE(names))];
	uint32_t len = 0;

	while (name[len])
		len++;
	memcpy(at, name, len);
	/* with its end, or without */
	at[len] = one_in(a, 20) ? 'x' : 0;
	return len + 1;
}

/* As a driver begins: else nothing is answered. */
static uint32_t fs_init(uint8_t *args)
{
	struct fuse_init_in *in = (void *)args;

	memset(in, 0, sizeof(*in));
	in->major = 7;
	in->minor = 45;
	in->flags = FUSE_INIT_EXT | FUSE_MAX_PAGES | FUSE_DO_READDIRPLUS;
	return sizeof(*in);
}

static unsigned fs_request(struct attacker *a, unsigned queue,
			   struct vq_desc *p)
{
	uint8_t *slot = next_slot(a),
		*args = slot + sizeof(struct fuse_in_header);
	struct fuse_in_header *h = (void *)slot;
	uint32_t len = 8 * (uint32_t)below(a, 13);
	unsigned nr = 0;

	memset(h, 0, sizeof(*h));
	h->opcode = (uint32_t)below(a, FUSE_OPS);
	if (!queue)
		h->opcode = one_in(a, 2) ? FUSE_FORGET : FUSE_BATCH_FORGET;
	h->unique = random_next(&a->random);
	h->nodeid = known(a);
	fs_arguments(a, args);
	if (one_in(a, 12)) {
		h->opcode = FUSE_INIT;
		len = fs_init(args);
	} else if (one_in(a, 4)) {
		h->opcode = FUSE_LOOKUP;
		len = 0;
	}
	for (uint64_t n = below(a, 3); n > 0; n--)
		len += fs_name(a, args + len);
	h->len = (uint32_t)sizeof(*h) + len;
	if (one_in(a, 20))
		h->len = (uint32_t)edge(a);
	if (one_in(a, 20))
		h->total_extlen = (uint16_t)edge(a);
	p[nr++] = piece(slot, (uint32_t)sizeof(*h) + len, false);
	if (h->opcode == FUSE_WRITE || one_in(a, 20))
		p[nr++] = data(a, false);
	p[nr++] = piece(slot + REPLY_OFF, 4096, true);
	if (one_in(a, 4))
		p[nr++] = data(a, true);
	a->reply = (uint64_t *)(slot + REPLY_OFF);
	memset(a->reply, 0, sizeof(struct fuse_out_header) + 8);
	return nr;
}

void learn(struct attacker *a)
{
	const struct fuse_out_header *out = (const void *)a->reply;

	if (out->len > sizeof(*out) && !out->error)
		a->known[below(a, KNOWN_MAX)] = a->reply[2];
}

unsigned make_request(struct attacker *a, const struct target *t,
		      unsigned queue, struct vq_desc *pieces)
{
	switch (t->type) {
	case VIRTIO_ID_BLK:
		return blk_request(a, pieces);
	case VIRTIO_ID_NET:
		return net_request(a, queue, pieces);
	case VIRTIO_ID_VSOCK:
		return vsock_request(a, queue, pieces);
	default:
		return fs_request(a, queue, pieces);
	}
}
