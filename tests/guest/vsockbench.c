/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * How fast is vsock? Connects to port= of the host and polls. mode=tx sends
 * packets of len= bytes, each in a buffer of its own, as many at once as the
 * peer's credit allows; mode=rx takes what comes; mode=rtt sends len= bytes and
 * waits for as many. warm_ms=, run_ms=, credit= that the guest grants.
 */
#include "vsock.h"

#include "clock.h"
#include "memory.h"
#include "param.h"
#include "power.h"
#include "text.h"

#define SLOTS_MAX 128
#define CLOCK_EVERY 64
#define SILENCE_MS 5000
#define END_US 200000
#define RTT_STEP_NS 50
#define RTT_STEPS 40000

struct bench {
	struct vsock vs;
	struct vsock_conn conn;
	uint32_t len;
	/* header and data of the packets that may be on their way */
	struct vsock_header headers[SLOTS_MAX];
	struct vsock_header credit;
	char *data;
	uint16_t slot_of_head[VQ_SIZE_MAX]; /* SLOTS_MAX: the credit's */
	uint16_t free[SLOTS_MAX];
	unsigned nr_free;
	bool credit_is_out;
	uint64_t nr_bytes, nr_packets;
	uint32_t rtt[RTT_STEPS];
};

static struct bench bench;

static void reap(struct bench *b)
{
	struct vq *q = vsock_tx_vq(&b->vs);
	int head;

	while ((head = vq_pop(q, NULL)) >= 0) {
		uint16_t slot = b->slot_of_head[head];

		if (slot == SLOTS_MAX)
			b->credit_is_out = false;
		else
			b->free[b->nr_free++] = slot;
		vq_free(q, (uint16_t)head);
	}
}

static void send_packet(struct bench *b)
{
	uint16_t slot = b->free[--b->nr_free];
	struct vq_seg segs[] = {
		{ &b->headers[slot], sizeof(b->headers[slot]), false },
		{ b->data + slot * b->len, b->len, false },
	};
	int head;

	vsock_fill(&b->vs, &b->conn, VSOCK_RW, b->len, &b->headers[slot]);
	head = vq_add(vsock_tx_vq(&b->vs), segs, 2, false);
	b->slot_of_head[head] = slot;
	b->nr_packets++;
}

static void send_credit(struct bench *b)
{
	struct vq_seg seg = { &b->credit, sizeof(b->credit), false };
	int head;

	vsock_fill(&b->vs, &b->conn, VSOCK_CREDIT_UPDATE, 0, &b->credit);
	head = vq_add(vsock_tx_vq(&b->vs), &seg, 1, false);
	b->slot_of_head[head] = SLOTS_MAX;
	b->credit_is_out = true;
	vq_kick(vsock_tx_vq(&b->vs));
}

/* What came: its bytes count as read. Credit is told when half of it is used,
 * as others do. */
static uint32_t receive(struct bench *b)
{
	struct vsock_packet p;
	uint32_t bytes = 0;

	while (vsock_take(&b->vs, &b->conn, &p)) {
		if (p.header->op == VSOCK_RW)
			bytes += p.header->len;
		vsock_give_back(&b->vs, &p);
	}
	b->conn.fwd_cnt += bytes;
	reap(b);
	if (b->conn.fwd_cnt - b->conn.fwd_told >= b->conn.buf_alloc / 2 &&
	    !b->credit_is_out)
		send_credit(b);
	return bytes;
}

/* As many packets as the peer has room for; bytes that it has taken. */
static uint32_t transmit(struct bench *b)
{
	uint32_t before = b->conn.peer_fwd;
	bool any = false;

	receive(b);
	while (b->nr_free && vsock_room(&b->conn) >= b->len) {
		send_packet(b);
		any = true;
	}
	if (any)
		vq_kick(vsock_tx_vq(&b->vs));
	return b->conn.peer_fwd - before;
}

/* Until the time is over; the cycles it took, 0 when nothing moves. */
static uint64_t run_stream(struct bench *b, uint64_t ms)
{
	uint64_t start = clock_cycles(), end = clock_after_ms(ms), now;
	uint64_t silence = clock_after_ms(SILENCE_MS);
	bool is_tx = param_is("mode", "tx");
	unsigned empty = 0;

	b->nr_bytes = b->nr_packets = 0;
	for (;;) {
		uint32_t bytes = is_tx ? transmit(b) : receive(b);

		b->nr_bytes += bytes;
		if (!bytes) {
			cpu_relax();
			if (++empty % CLOCK_EVERY)
				continue;
		}
		now = clock_cycles();
		if (bytes)
			silence = now + SILENCE_MS * clock_khz();
		if ((int64_t)(now - silence) >= 0 || b->conn.is_reset)
			return 0;
		if ((int64_t)(now - end) >= 0)
			return now - start;
	}
}

/* One message there and one back. */
static uint64_t round_trip(struct bench *b)
{
	uint64_t start = clock_cycles(), late = clock_after_ms(SILENCE_MS);
	uint32_t got = 0;

	send_packet(b);
	vq_kick(vsock_tx_vq(&b->vs));
	while (got < b->len) {
		got += receive(b);
		if (clock_is_past(late))
			return 0;
		cpu_relax();
	}
	return (clock_cycles() - start) * 1000000 / clock_khz();
}

static const char *run_rtt(struct bench *b, uint64_t ms)
{
	uint64_t end = clock_after_ms(ms);

	memset(b->rtt, 0, sizeof(b->rtt));
	for (b->nr_packets = 0; !clock_is_past(end);) {
		uint64_t ns;

		while (!b->nr_free)
			reap(b);
		ns = round_trip(b) / RTT_STEP_NS;
		if (!ns)
			return "no answer comes back";
		b->rtt[ns < RTT_STEPS ? ns : RTT_STEPS - 1]++;
	}
	return NULL;
}

static uint64_t rtt_percentile(const struct bench *b, unsigned percent)
{
	uint64_t left = b->nr_packets * percent / 100;
	unsigned i;

	for (i = 0; i < RTT_STEPS - 1 && left >= b->rtt[i]; i++)
		left -= b->rtt[i];
	return (uint64_t)i * RTT_STEP_NS;
}

static const char *bench_rtt(struct bench *b)
{
	const char *why = run_rtt(b, param_number("warm_ms", 200));

	if (why)
		return why;
	say("BEGIN");
	why = run_rtt(b, param_number("run_ms", 1000));
	if (!why)
		say("RESULT packets=%lu p50_ns=%lu p99_ns=%lu", b->nr_packets,
		    rtt_percentile(b, 50), rtt_percentile(b, 99));
	return why;
}

static const char *bench_stream(struct bench *b)
{
	uint64_t cycles;

	if (!run_stream(b, param_number("warm_ms", 200)))
		return "nothing moves";
	say("BEGIN");
	run_stream(b, 10); /* what gathered while that was said */
	cycles = run_stream(b, param_number("run_ms", 1000));
	if (!cycles)
		return "nothing moves";
	say("RESULT bytes=%lu ns=%lu packets=%lu alloc=%u", b->nr_bytes,
	    cycles * 1000 / clock_khz() * 1000, b->nr_packets,
	    b->conn.peer_alloc);
	return NULL;
}

static const char *bench_start(struct bench *b)
{
	uint64_t features = VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
	const char *why = vsock_open(&b->vs);

	if (!why)
		why = vsock_start(&b->vs, features);
	if (why)
		return why;
	b->len = (uint32_t)param_number("len", 65536);
	if (!b->len || b->len > 65536)
		return "len";
	b->data = arena_alloc(SLOTS_MAX * b->len, 4096);
	for (b->nr_free = 0; b->nr_free < SLOTS_MAX &&
			     2 * b->nr_free + 4u < vsock_tx_vq(&b->vs)->size;
	     b->nr_free++)
		b->free[b->nr_free] = (uint16_t)b->nr_free;
	say("READY");
	return vsock_connect(&b->vs, &b->conn, 1025,
			     (uint32_t)param_number("port", 1024),
			     (uint32_t)param_number("credit", 4 << 20));
}

void guest_main(const struct guest_info *info)
{
	const char *why = bench_start(&bench);

	(void)info;
	if (!why)
		why = param_is("mode", "rtt") ? bench_rtt(&bench)
					      : bench_stream(&bench);
	if (why)
		power_off_failed(why);
	clock_wait_us(END_US); /* the host looks at the monitor once more */
	vdev_reset(&bench.vs.dev);
	say("DONE");
}
