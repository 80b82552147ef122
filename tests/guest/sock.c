/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The guest's end of vsock for tests: it first sends packets that are wrong, and
 * says what came of them (tests/guest/lib/report.h), when hostile=1. Then it
 * serves: port 1024 gives back what it gets; a connection to port 1025 has it reset
 * the device, without a word to anybody; one to port 1026 has it connect to port
 * 5000 of the host, and serve that; one to port 1027 ends it.
 */
#include "clock.h"
#include "hotplug.h"
#include "memory.h"
#include "param.h"
#include "power.h"
#include "report.h"
#include "text.h"
#include "vsock.h"

#define PORT_ECHO 1024
#define PORT_RESET 1025
#define PORT_DIAL 1026
#define PORT_END 1027
#define HOST_PORT 5000
#define PEERS_MAX 600
#define BUFFER 16384u
#define PIECE 4096u
#define ANSWER_MS 200

#define LOOKS_EACH 500 /* turns of the server */
#define PACKETS_EACH 64 /* of one turn */

struct peer {
	struct vsock_conn c;
	bool used;
	uint32_t first, have; /* bytes of buf, which is a ring */
	uint8_t *buf;
};

static struct vsock vs;
static struct peer peers[PEERS_MAX];
static uint32_t next_port = 40000;

/* ---- packets ---------------------------------------------------------- */

/* One packet, waited for until the device has it. */
static void put(const struct vsock_header *h, uint32_t header_len,
		const void *data, uint32_t len)
{
	struct vq_seg segs[] = { { (void *)(uintptr_t)h, header_len, false },
				 { (void *)(uintptr_t)data, len, false } };
	struct vq *q = vsock_tx_vq(&vs);
	uint64_t deadline = clock_after_ms(10000);
	int head;

	vq_add(q, segs, len ? 2 : 1, false);
	vq_kick(q);
	while ((head = vq_pop(q, NULL)) < 0 && !clock_is_past(deadline))
		cpu_relax();
	if (head >= 0)
		vq_free(q, (uint16_t)head);
}

static void tell(struct vsock_conn *c, enum vsock_op op, uint32_t flags)
{
	static struct vsock_header h;

	vsock_fill(&vs, c, op, 0, &h);
	h.flags = flags;
	put(&h, sizeof(h), NULL, 0);
}

/* ---- packets that are wrong ------------------------------------------- */

/* The operation of the next packet; 0: none comes. */
static unsigned answer(struct vsock_header *h)
{
	static struct vsock_conn nobody;
	uint64_t deadline = clock_after_ms(ANSWER_MS);
	struct vsock_packet p;

	while (!vsock_take(&vs, &nobody, &p))
		if (clock_is_past(deadline))
			return 0;
	*h = *p.header;
	vsock_give_back(&vs, &p);
	return h->op;
}

static const char *send_wrong(struct vsock_header h, uint32_t header_len,
			      unsigned want)
{
	static struct vsock_header sent;
	struct vsock_header got;
	unsigned op;

	sent = h;
	put(&sent, header_len, NULL, 0);
	op = answer(&got);
	if (op != want)
		return failed("answered by %u instead of %u", op, want);
	if (op && (got.src_port != h.dst_port || got.dst_port != h.src_port ||
		   got.src_cid != h.dst_cid || got.dst_cid != h.src_cid ||
		   got.type != h.type))
		return failed("the answer is to something else");
	return NULL;
}

static struct vsock_header stranger(unsigned op)
{
	struct vsock_conn c = { .port = 7, .peer_port = 1u << 31 };
	struct vsock_header h;

	vsock_fill(&vs, &c, (enum vsock_op)op, 0, &h);
	return h;
}

static const char *test_unknown(void)
{
	for (unsigned op = 0; op < 16; op++) {
		const char *why = send_wrong(stranger(op), sizeof(stranger(op)),
					     op == VSOCK_RST ? 0 : VSOCK_RST);

		if (why)
			return why;
	}
	return NULL;
}

static const char *test_wrong_type(void)
{
	struct vsock_header h = stranger(VSOCK_REQUEST);

	h.type = 3;
	return send_wrong(h, sizeof(h), VSOCK_RST);
}

static const char *test_wrong_cid(void)
{
	struct vsock_header h = stranger(VSOCK_REQUEST);
	const char *why;

	h.dst_cid = 77;
	why = send_wrong(h, sizeof(h), VSOCK_RST);
	h = stranger(VSOCK_REQUEST);
	h.src_cid = 1ull << 32 | vs.cid;
	return why ? why : send_wrong(h, sizeof(h), VSOCK_RST);
}

static const char *test_wrong_length(void)
{
	struct vsock_header h = stranger(VSOCK_RW);

	h.len = 0xffffffff;
	return send_wrong(h, sizeof(h), VSOCK_RST);
}

static const char *test_short_header(void)
{
	return send_wrong(stranger(VSOCK_RW), sizeof(struct vsock_header) - 1,
			  0);
}

/* Nobody reads there: the host is full some time, keeps what it was lent, and all
 * credit is used up. */
static const char *test_more_than_credit(void)
{
	static struct vsock_header headers[64];
	static uint8_t data[65536];
	struct vq *q = vsock_tx_vq(&vs);
	struct vsock_conn c;
	const char *why =
		vsock_connect(&vs, &c, next_port++, HOST_PORT, BUFFER);
	struct vsock_packet p;

	for (unsigned i = 0; i < ARRAY_SIZE(headers) && !why; i++) {
		struct vq_seg segs[] = {
			{ &headers[i], sizeof(headers[i]), false },
			{ data, sizeof(data), false },
		};

		vsock_fill(&vs, &c, VSOCK_RW, sizeof(data), &headers[i]);
		vq_add(q, segs, 2, false);
		vq_kick(q);
		clock_wait_us(10000);
		while (vsock_take(&vs, &c, &p))
			vsock_give_back(&vs, &p);
		if (c.is_reset)
			break;
	}
	if (!why && !c.is_reset)
		why = "packets beyond all credit are taken";
	/* All of them come back. */
	clock_wait_us(10000);
	while (vq_pop(q, NULL) >= 0)
		;
	vq_free_all(q);
	return why;
}

static const struct test tests[] = {
	{ "unknown", test_unknown },
	{ "wrong_type", test_wrong_type },
	{ "wrong_cid", test_wrong_cid },
	{ "wrong_length", test_wrong_length },
	{ "short_header", test_short_header },
	{ "more_than_credit", test_more_than_credit },
};

/* ---- the server ------------------------------------------------------- */

static struct peer *find(const struct vsock_header *h)
{
	for (unsigned i = 0; i < PEERS_MAX; i++)
		if (peers[i].used && peers[i].c.port == h->dst_port &&
		    peers[i].c.peer_port == h->src_port)
			return &peers[i];
	return NULL;
}

static struct peer *add(uint32_t port, uint32_t peer_port)
{
	for (unsigned i = 0; i < PEERS_MAX; i++) {
		struct peer *p = &peers[i];

		if (p->used)
			continue;
		if (!p->buf)
			p->buf = arena_alloc(BUFFER, 64);
		p->c = (struct vsock_conn){ .port = port,
					    .peer_port = peer_port,
					    .buf_alloc = BUFFER };
		p->first = p->have = 0;
		p->used = true;
		return p;
	}
	return NULL;
}

static const char *start(void)
{
	for (unsigned i = 0; i < PEERS_MAX; i++)
		peers[i].used = false;
	return vsock_start(&vs, ~0ull);
}

static void on_request(const struct vsock_header *h)
{
	struct vsock_conn c = { .port = h->dst_port, .peer_port = h->src_port };
	struct peer *p = NULL;
	const char *why;

	switch (h->dst_port) {
	case PORT_RESET:
		why = start();
		if (why)
			say("FATAL %s", why);
		return;
	case PORT_END:
		say("DONE");
		power_off();
		return;
	case PORT_DIAL:
		p = add(next_port, HOST_PORT);
		if (p)
			tell(&p->c, VSOCK_REQUEST, 0);
		next_port++;
		p = NULL;
		break;
	case PORT_ECHO:
		p = add(h->dst_port, h->src_port);
	}
	if (!p) {
		tell(&c, VSOCK_RST, 0);
		return;
	}
	p->c.peer_alloc = h->buf_alloc;
	p->c.peer_fwd = h->fwd_cnt;
	tell(&p->c, VSOCK_RESPONSE, 0);
}

static void on_packet(const struct vsock_header *h, const uint8_t *data)
{
	struct peer *p = find(h);

	if (!p) {
		if (h->op == VSOCK_REQUEST)
			on_request(h);
		return;
	}
	p->c.peer_alloc = h->buf_alloc;
	p->c.peer_fwd = h->fwd_cnt;
	switch (h->op) {
	case VSOCK_RW:
		if (h->len > BUFFER - p->have)
			say("FATAL the device ignores credit");
		for (uint32_t i = 0; i < h->len; i++)
			p->buf[(p->first + p->have++) % BUFFER] = data[i];
		break;
	case VSOCK_SHUTDOWN:
		p->c.peer_shut |= h->flags;
		break;
	case VSOCK_CREDIT_REQUEST:
		tell(&p->c, VSOCK_CREDIT_UPDATE, 0);
		break;
	case VSOCK_RST:
		p->used = false;
	}
}

/* Give back what came, and end when the other end has. */
static void serve(struct peer *p)
{
	static struct vsock_header h;
	uint32_t len = p->have;

	if (len > vsock_room(&p->c))
		len = vsock_room(&p->c);
	if (len > PIECE)
		len = PIECE;
	if (len > BUFFER - p->first)
		len = BUFFER - p->first;
	if (len) {
		p->c.fwd_cnt += len;
		vsock_fill(&vs, &p->c, VSOCK_RW, len, &h);
		put(&h, sizeof(h), p->buf + p->first, len);
		p->first = (p->first + len) % BUFFER;
		p->have -= len;
	}
	if (p->c.peer_shut & VSOCK_SHUT_RECEIVE) {
		tell(&p->c, VSOCK_RST, 0);
		p->used = false;
	} else if (p->c.peer_shut & VSOCK_SHUT_SEND && !p->have) {
		tell(&p->c, VSOCK_SHUTDOWN,
		     VSOCK_SHUT_SEND | VSOCK_SHUT_RECEIVE);
		p->c.peer_shut = 0; /* its RST is to come */
	}
}

/* What the hot-plug chip says of a slot: the device may have to go, in the middle
 * of all, and another one comes. */
static const char *look_at_slots(void)
{
	uint32_t word = hotplug_event();
	const char *why;

	if ((word & 0xff) != HOTPLUG_EJECT_REQUEST)
		return NULL;
	say("EJECT");
	hotplug_eject(word);
	while ((hotplug_event() & 0xff) != HOTPLUG_DEVICE_CHECK)
		cpu_relax();
	why = vsock_open(&vs);
	if (!why)
		why = start();
	say("AGAIN");
	return why;
}

void guest_main(const struct guest_info *info)
{
	static struct vsock_conn nobody;
	unsigned turns = 0;
	const char *why;

	(void)info;
	why = vsock_open(&vs);
	if (!why)
		why = start();
	if (why) {
		say("FATAL %s", why);
		return;
	}
	if (param_number("hostile", 0)) {
		report_run(tests, ARRAY_SIZE(tests), NULL);
		return;
	}
	say("READY");
	while (!why) {
		struct vsock_packet p;

		if (++turns % LOOKS_EACH == 0)
			why = look_at_slots();

		for (unsigned n = 0;
		     n < PACKETS_EACH && vsock_take(&vs, &nobody, &p); n++) {
			/* The buffer goes back before the device may be reset. */
			struct vsock_header h = *p.header;
			static uint8_t data[VSOCK_RX_LEN];

			for (uint32_t i = 0; i < h.len; i++)
				data[i] = p.data[i];
			vsock_give_back(&vs, &p);
			on_packet(&h, data);
		}
		for (unsigned i = 0; i < PEERS_MAX; i++)
			if (peers[i].used &&
			    (peers[i].have || peers[i].c.peer_shut))
				serve(&peers[i]);
	}
	say("FATAL %s", why);
}
