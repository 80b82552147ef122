/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * How fast is a shared directory? Keeps qd= requests in flight on one queue, and
 * polls for their ends: no interrupts, no doorbell that the device did not ask
 * for.
 *
 * op=getattr|lookup|read|write of `data` (len= bytes at random offsets of span=
 * bytes), op=create (CREATE, RELEASE, UNLINK and FORGET, one after the other),
 * op=readdirplus of `dir`, from its beginning to its end, 64 KiB at a time;
 * op=dax: copies len= bytes at random offsets of `data`, which is mapped and was
 * read before; op=ram: the same of memory. warm_ms=, run_ms=.
 */
#include "clock.h"
#include "fuse.h"
#include "memory.h"
#include "param.h"
#include "power.h"
#include "random.h"
#include "text.h"

#define SLOTS_MAX 64
#define CLOCK_EVERY 64 /* empty polls between looks at the clock */
#define SILENCE_MS 10000
#define END_US 200000
#define LIST_LEN 65536u
#define MAP_LEN (2u << 20)
#define FORGETS_MAX 512u /* less than a queue holds: none is overwritten */

struct slot {
	struct fuse_in_header head;
	union {
		struct fuse_getattr_in getattr;
		struct fuse_read_in read;
		struct fuse_write_in write;
		char name[8];
	} arg;
	struct fuse_out_header out_head;
	char reply[256];
} __attribute__((aligned(64)));

struct forget {
	struct fuse_in_header head;
	struct fuse_forget_in arg;
};

struct bench {
	struct fuse f;
	struct forget forgets[FORGETS_MAX];
	unsigned nr_forgets;
	struct vq *q;
	struct slot slots[SLOTS_MAX];
	uint8_t slot_of_head[VQ_SIZE_MAX];
	char *data;
	const char *from; /* what is copied: in the window, or memory */
	uint32_t opcode;
	uint32_t len;
	unsigned depth;
	uint64_t nr_blocks;
	uint64_t nodeid, fh;
	uint64_t nr_done;
	struct random random;
};

static struct bench bench;

/* ---- requests in flight ----------------------------------------------- */

static void refill(struct bench *b, struct slot *s)
{
	if (b->opcode != FUSE_READ && b->opcode != FUSE_WRITE)
		return;
	/* The offset is at the same place in both. */
	s->arg.read.offset = random_below(&b->random, b->nr_blocks) * b->len;
}

static uint32_t arg_len_of(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_GETATTR:
		return sizeof(struct fuse_getattr_in);
	case FUSE_LOOKUP:
		return 5;
	default:
		return sizeof(struct fuse_read_in);
	}
}

static uint32_t reply_len_of(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_GETATTR:
		return sizeof(struct fuse_attr_out);
	case FUSE_LOOKUP:
		return sizeof(struct fuse_entry_out);
	default:
		return sizeof(struct fuse_write_out);
	}
}

static bool add(struct bench *b, unsigned i)
{
	uint32_t arg_len = arg_len_of(b->opcode);
	struct slot *s = &b->slots[i];
	struct vq_seg segs[] = {
		{ &s->head, sizeof(s->head), false },
		{ &s->arg, arg_len, false },
		{ b->data + (uint64_t)i * b->len, b->len, false },
		{ &s->out_head, sizeof(s->out_head), true },
		{ s->reply, reply_len_of(b->opcode), true },
	};
	unsigned nr = ARRAY_SIZE(segs);
	int head;

	s->head = (struct fuse_in_header){
		.len = (uint32_t)sizeof(s->head) + arg_len,
		.opcode = b->opcode,
		.unique = i + 1, /* 0 is what some do not take */
		.nodeid = b->opcode == FUSE_LOOKUP ? FUSE_ROOT_ID : b->nodeid,
	};
	memset(&s->arg, 0, sizeof(s->arg));
	if (b->opcode == FUSE_LOOKUP) {
		memcpy(s->arg.name, "data", 5);
	} else if (b->opcode != FUSE_GETATTR) {
		s->arg.read.fh = b->fh;
		s->arg.read.size = b->len;
	}
	refill(b, s);
	if (b->opcode == FUSE_WRITE) {
		s->head.len += b->len;
	} else if (b->opcode == FUSE_READ) {
		segs[4] = segs[2];
		segs[4].write = true;
	}
	if (b->opcode != FUSE_WRITE) {
		segs[2] = segs[3];
		segs[3] = segs[4];
		nr--;
	}
	head = vq_add(b->q, segs, nr, b->q->indirect);
	if (head >= 0)
		b->slot_of_head[head] = (uint8_t)i;
	return head >= 0;
}

/* Takes what has ended and offers it again; false: a request failed. */
static bool poll(struct bench *b, bool again, unsigned *nr)
{
	int head;

	*nr = 0;
	while ((head = vq_pop(b->q, NULL)) >= 0) {
		struct slot *s = &b->slots[b->slot_of_head[head]];

		if (s->out_head.error) {
			say("FAIL fsbench: error %d", s->out_head.error);
			return false;
		}
		(*nr)++;
		if (again) {
			refill(b, s);
			vq_offer(b->q, (uint16_t)head);
		}
	}
	if (*nr && again)
		vq_kick(b->q);
	b->nr_done += *nr;
	return true;
}

/* Until the time is over; the cycles it took, 0 when something is wrong. */
static uint64_t run_flight(struct bench *b, uint64_t ms)
{
	uint64_t start = clock_cycles(), end = clock_after_ms(ms), now;
	uint64_t silence = clock_after_ms(ms + SILENCE_MS);
	unsigned empty = 0, nr;

	for (b->nr_done = 0;;) {
		if (!poll(b, true, &nr))
			return 0;
		if (!nr) {
			cpu_relax();
			if (++empty % CLOCK_EVERY)
				continue;
		}
		now = clock_cycles();
		if ((int64_t)(now - silence) >= 0)
			return 0;
		if ((int64_t)(now - end) >= 0 && b->nr_done)
			return now - start;
	}
}

/* ---- one after the other ---------------------------------------------- */

/* Nobody waits for that. */
static void forget(struct bench *b, uint64_t nodeid)
{
	struct vq *q = &b->f.dev.vq[FUSE_HIPRIO];
	struct forget *g = &b->forgets[b->nr_forgets++ % FORGETS_MAX];
	const struct vq_seg seg = { g, sizeof(*g), false };
	int head;

	while ((head = vq_pop(q, NULL)) >= 0)
		vq_free(q, (uint16_t)head);
	*g = (struct forget){ .head = { .len = sizeof(*g),
					.opcode = FUSE_FORGET,
					.unique = b->nr_forgets,
					.nodeid = nodeid },
			      .arg = { .nlookup = 1 } };
	vq_add(q, &seg, 1, false);
	vq_kick(q);
}

static bool create_one(struct bench *b)
{
	struct fuse_entry_out entry;
	uint64_t fh;

	if (fuse_create(&b->f, FUSE_ROOT_ID, "made", O_RDWR, 0600, &entry,
			&fh) ||
	    fuse_release(&b->f, FUSE_RELEASE, entry.nodeid, fh) ||
	    fuse_name(&b->f, FUSE_UNLINK, FUSE_ROOT_ID, "made"))
		return false;
	forget(b, entry.nodeid);
	return true;
}

/* Some entries, of which the guest then forgets again what it has heard. */
static bool list_some(struct bench *b, uint64_t *off, unsigned *nr)
{
	const struct fuse_read_in in = { .fh = b->fh,
					 .offset = *off,
					 .size = LIST_LEN };
	int r = fuse_do(&b->f, &(struct fuse_req){ .opcode = FUSE_READDIRPLUS,
						   .nodeid = b->nodeid,
						   .arg = &in,
						   .arg_len = sizeof(in),
						   .room = LIST_LEN });
	uint32_t at = 0;

	for (*nr = 0; !r && at < b->f.reply_len; (*nr)++) {
		const struct fuse_direntplus *p =
			(const void *)(b->f.reply + at);

		*off = p->dirent.off;
		at += (uint32_t)FUSE_DIRENTPLUS_SIZE(p);
	}
	return !r;
}

static bool list_all(struct bench *b)
{
	uint64_t off = 0;
	unsigned nr;

	do {
		if (!list_some(b, &off, &nr))
			return false;
		b->nr_done += nr;
	} while (nr);
	return true;
}

static uint64_t run_steps(struct bench *b, uint64_t ms)
{
	uint64_t start = clock_cycles(), end = clock_after_ms(ms);
	bool is_create = param_is("op", "create");

	for (b->nr_done = 0; !clock_is_past(end);) {
		if (is_create)
			b->nr_done++;
		if (!(is_create ? create_one(b) : list_all(b)))
			return 0;
	}
	return clock_cycles() - start;
}

/* ---- copies ----------------------------------------------------------- */

static bool is_copy(void)
{
	return param_is("op", "dax") || param_is("op", "ram");
}

static const char *prepare_copies(struct bench *b)
{
	uint64_t span = b->nr_blocks * b->len;
	struct vpci_shm shm = vpci_find_shm(&b->f.dev);
	uint64_t off;

	if (param_is("op", "ram")) {
		b->from = arena_alloc(span, MAP_LEN);
		return NULL;
	}
	if (shm.len < span)
		return "the window is too small";
	for (off = 0; off < span; off += MAP_LEN)
		if (fuse_map(&b->f, b->nodeid, off, MAP_LEN, off,
			     FUSE_SETUPMAPPING_FLAG_READ))
			return "it cannot be mapped";
	b->from = (const char *)shm.addr;
	for (off = 0; off < span; off += b->len)
		memcpy(b->data, b->from + off, b->len);
	return NULL;
}

static uint64_t run_copies(struct bench *b, uint64_t ms)
{
	uint64_t start = clock_cycles(), end = clock_after_ms(ms);

	for (b->nr_done = 0; !clock_is_past(end); b->nr_done++)
		memcpy(b->data,
		       b->from +
			       random_below(&b->random, b->nr_blocks) * b->len,
		       b->len);
	return clock_cycles() - start;
}

/* ---- all -------------------------------------------------------------- */

static const char *prepare(struct bench *b)
{
	bool is_list = param_is("op", "readdirplus");
	struct fuse_entry_out entry;

	if (fuse_lookup(&b->f, FUSE_ROOT_ID, is_list ? "dir" : "data", &entry))
		return "there is no such file";
	b->nodeid = entry.nodeid;
	if (fuse_open(&b->f, is_list ? FUSE_OPENDIR : FUSE_OPEN, b->nodeid,
		      is_list ? O_RDONLY : O_RDWR, &b->fh))
		return "it cannot be opened";
	b->opcode = param_is("op", "getattr")  ? FUSE_GETATTR
		    : param_is("op", "lookup") ? FUSE_LOOKUP
		    : param_is("op", "write")  ? FUSE_WRITE
					       : FUSE_READ;
	b->len = (uint32_t)param_number("len", 4096);
	b->depth = (unsigned)param_number("qd", 1);
	b->nr_blocks = param_number("span", 64 << 20) / b->len;
	if (!b->nr_blocks || !b->depth || b->depth > SLOTS_MAX)
		return "len, span or qd";
	b->data = arena_alloc((uint64_t)b->depth * b->len, 4096);
	memset(b->data, 0x5a, (uint64_t)b->depth * b->len);
	random_init(&b->random, param_number("seed", 1));
	b->q = &b->f.dev.vq[FUSE_QUEUE];
	return is_copy() ? prepare_copies(b) : NULL;
}

static const char *run(struct bench *b)
{
	bool steps = param_is("op", "create") ||
		     param_is("op", "readdirplus") || is_copy();
	uint64_t (*go)(struct bench * b, uint64_t ms) = is_copy() ? run_copies
							: steps	  ? run_steps
								  : run_flight;
	uint64_t cycles;
	unsigned nr;

	for (unsigned i = 0; !steps && i < b->depth; i++)
		if (!add(b, i))
			return "the ring is full";
	if (!steps)
		vq_kick(b->q);
	if (!go(b, param_number("warm_ms", 200)))
		return "nothing moves";
	say("BEGIN");
	if (!go(b, 10)) /* what gathered while that was said */
		return "nothing moves";
	cycles = go(b, param_number("run_ms", 1000));
	if (!cycles)
		return "nothing moves";
	say("RESULT ops=%lu ns=%lu", b->nr_done,
	    cycles * 1000 / clock_khz() * 1000);
	clock_wait_us(END_US); /* the host looks at the monitor once more */
	for (unsigned left = steps ? 0 : b->depth; left; left -= nr)
		if (!poll(b, false, &nr))
			break;
	return NULL;
}

void guest_main(const struct guest_info *info)
{
	struct bench *b = &bench;
	const char *why = fuse_open_device(&b->f, param_text("tag", ""));

	(void)info;
	if (!why)
		why = fuse_begin(&b->f, 1);
	if (!why)
		why = prepare(b);
	say("READY");
	if (!why)
		why = run(b);
	if (why)
		power_off_failed(why);
	vdev_reset(&b->f.dev);
	say("DONE");
}
