/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Sessions, queues, and resets while there is much to do. */
#include "share.h"

#include "clock.h"
#include "hotplug.h"
#include "memory.h"
#include "param.h"
#include "text.h"

#define LOAD_MAX 64
#define LOAD_BYTES 16384u
#define RESETS 30

#define LOOKS_EACH 500 /* turns */

/* What is known and open does not survive a session. */
static const char *know(uint64_t *nodeid, uint64_t *fh)
{
	struct fuse_entry_out entry;

	EXPECT(fuse_lookup(&share, ROOT, "file", &entry), 0);
	*nodeid = entry.nodeid;
	EXPECT(fuse_open(&share, FUSE_OPEN, *nodeid, O_RDONLY, fh), 0);
	EXPECT(fuse_read(&share, *nodeid, *fh, 0, NULL, 64), SHARE_TEXT_LEN);
	return NULL;
}

static const char *forgotten(uint64_t nodeid, uint64_t fh)
{
	struct fuse_attr attr;

	EXPECT(fuse_getattr(&share, nodeid, &attr), -E_STALE);
	EXPECT(fuse_read(&share, nodeid, fh, 0, NULL, 64), -E_BADF);
	EXPECT(fuse_getattr(&share, ROOT, &attr), 0);
	return NULL;
}

const char *share_init_twice(void)
{
	struct fuse_init_out out;
	uint64_t nodeid, fh;
	const char *why;

	for (unsigned i = 0; i < 3; i++) {
		why = know(&nodeid, &fh);
		if (why)
			return why;
		EXPECT(fuse_init(&share, 0, &out), 0);
		why = forgotten(nodeid, fh);
		if (why)
			return why;
	}
	return NULL;
}

const char *share_destroy(void)
{
	struct fuse_init_out out;
	struct fuse_attr attr;
	uint64_t nodeid, fh;
	const char *why = know(&nodeid, &fh);

	if (why)
		return why;
	EXPECT(fuse_do(&share, &(struct fuse_req){ .opcode = FUSE_DESTROY }),
	       0);
	EXPECT(fuse_getattr(&share, ROOT, &attr), -E_NOTCONN);
	EXPECT(fuse_lookup(&share, ROOT, "file", NULL), -E_NOTCONN);
	EXPECT(fuse_init(&share, 0, &out), 0);
	return forgotten(nodeid, fh);
}

const char *share_forget(void)
{
	struct fuse_entry_out entry;
	struct fuse_attr attr;

	for (unsigned i = 0; i < 3; i++)
		EXPECT(fuse_lookup(&share, ROOT, "file", &entry), 0);
	EXPECT(fuse_forget(&share, entry.nodeid, 2), 0);
	EXPECT(fuse_getattr(&share, entry.nodeid, &attr), 0);
	EXPECT(fuse_forget(&share, entry.nodeid, 1), 0);
	EXPECT(fuse_getattr(&share, entry.nodeid, &attr), -E_STALE);
	EXPECT(fuse_forget(&share, entry.nodeid, 1), 0);
	/* Only that is for the queue which waits behind nothing. */
	share.queue = FUSE_HIPRIO;
	EXPECT(fuse_getattr(&share, ROOT, &attr), -E_INVAL);
	share.queue = FUSE_QUEUE;
	return NULL;
}

const char *share_queues(void)
{
	const char *why = NULL;
	uint64_t nodeid, fh;

	for (unsigned q = 0; !why && q < SHARE_QUEUES; q++) {
		share.queue = FUSE_QUEUE + q;
		why = know(&nodeid, &fh);
	}
	share.queue = FUSE_QUEUE;
	return why;
}

/* ---- load ------------------------------------------------------------- */

/* Reads and directory listings and syncs, each in its own memory. */
struct load {
	struct fuse_in_header head;
	struct fuse_read_in arg;
	struct fuse_out_header out_head;
} __attribute__((aligned(64)));

static struct load load[LOAD_MAX];
static char *load_data;

static bool load_add(struct vq *q, unsigned i, uint64_t nodeid, uint64_t fh)
{
	static const uint32_t opcodes[] = { FUSE_READ, FUSE_READ, FUSE_FSYNC,
					    FUSE_STATFS };
	uint32_t opcode = opcodes[i % ARRAY_SIZE(opcodes)];
	uint32_t arg_len = opcode == FUSE_READ	  ? sizeof(load[i].arg)
			   : opcode == FUSE_FSYNC ? 16
						  : 0;
	struct vq_seg segs[4];
	unsigned nr = 0;

	load[i].head = (struct fuse_in_header){
		.len = (uint32_t)sizeof(load[i].head) + arg_len,
		.opcode = opcode,
		.unique = i,
		.nodeid = nodeid,
	};
	load[i].arg = (struct fuse_read_in){ .fh = fh };
	if (opcode == FUSE_READ)
		load[i].arg.size = LOAD_BYTES;
	segs[nr++] =
		(struct vq_seg){ &load[i].head, sizeof(load[i].head), false };
	if (arg_len)
		segs[nr++] = (struct vq_seg){ &load[i].arg, arg_len, false };
	segs[nr++] = (struct vq_seg){ &load[i].out_head,
				      sizeof(load[i].out_head), true };
	segs[nr++] =
		(struct vq_seg){ load_data + i * LOAD_BYTES, LOAD_BYTES, true };
	return vq_add(q, segs, nr, q->indirect) >= 0;
}

/* ---- until it is gone ------------------------------------------------- */

/* As many requests as have ended begin again. False: one failed. */
static bool load_turn(struct vq *q, uint64_t nodeid, uint64_t fh,
		      uint8_t *slot_of_head)
{
	uint32_t len;
	int head;

	while ((head = vq_pop(q, &len)) >= 0) {
		unsigned i = slot_of_head[head];

		vq_free(q, (uint16_t)head);
		if (len < sizeof(struct fuse_out_header) ||
		    load[i].out_head.error || load[i].out_head.unique != i)
			return false;
		slot_of_head[q->free_head] = (uint8_t)i;
		load_add(q, i, nodeid, fh);
	}
	vq_kick(q);
	return true;
}

/* What the host asks for by its hot-plug chip: the device is let go of, in the
 * middle of it all, and there is a new one. */
static const char *load_eject(uint32_t word)
{
	say("EJECT");
	hotplug_eject(word);
	while ((hotplug_event() & 0xff) != HOTPLUG_DEVICE_CHECK)
		cpu_relax();
	return fuse_open_device(&share, "");
}

static const char *load_fill(uint64_t *nodeid, uint64_t *fh,
			     uint8_t *slot_of_head)
{
	struct vq *q = &share.dev.vq[FUSE_QUEUE];
	const char *why = fuse_begin(&share, SHARE_QUEUES);

	if (!why)
		why = know(nodeid, fh);
	for (unsigned i = 0; !why && i < LOAD_MAX; i++) {
		slot_of_head[q->free_head] = (uint8_t)i;
		REQUIRE(load_add(q, i, *nodeid, *fh));
	}
	return why;
}

const char *share_load(void)
{
	static uint8_t slot_of_head[VQ_SIZE_MAX];
	unsigned turns = 0;
	uint64_t nodeid, fh;
	const char *why;

	load_data = arena_alloc(LOAD_MAX * LOAD_BYTES, 4096);
	for (;;) {
		uint32_t word = 0;

		why = load_fill(&nodeid, &fh, slot_of_head);
		if (why)
			return why;
		say("LOAD");
		while ((word & 0xff) != HOTPLUG_EJECT_REQUEST) {
			if (!load_turn(&share.dev.vq[FUSE_QUEUE], nodeid, fh,
				       slot_of_head))
				return "a request fails";
			word = ++turns % LOOKS_EACH ? 0 : hotplug_event();
		}
		why = load_eject(word);
		if (why)
			return why;
	}
}

/* The device is reset with whatever it has not done yet. Nothing of that comes
 * later: the memory is not written to any more. */
const char *share_reset_under_load(void)
{
	const char *why = NULL;
	uint64_t nodeid, fh;

	if (!load_data)
		load_data = arena_alloc(LOAD_MAX * LOAD_BYTES, 4096);
	for (unsigned n = 0; !why && n < RESETS; n++) {
		why = know(&nodeid, &fh);
		for (unsigned q = 0; !why && q < SHARE_QUEUES; q++) {
			struct vq *vq = &share.dev.vq[FUSE_QUEUE + q];

			for (unsigned i = q; i < LOAD_MAX; i += SHARE_QUEUES)
				REQUIRE(load_add(vq, i, nodeid, fh));
			vq_kick(vq);
		}
		clock_wait_us(n * 20);
		if (!why && !vdev_reset(&share.dev))
			why = "reset does not end";
		memset(load_data, 0x5a, LOAD_MAX * LOAD_BYTES);
		clock_wait_us(500);
		for (unsigned i = 0; i < LOAD_MAX * LOAD_BYTES; i++)
			if (load_data[i] != 0x5a)
				return failed("written after reset %u", n);
		if (!why)
			why = fuse_begin(&share, SHARE_QUEUES);
		if (!why)
			why = forgotten(nodeid, fh);
	}
	return why;
}
