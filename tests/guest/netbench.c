/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * How fast is the network? Polls, so that what is measured is the monitor: no
 * interrupts, no allocation, no doorbell that the device did not ask for.
 *
 * mode=tx keeps a ring full of frames of len= bytes, each in a buffer of its
 * own; with gso= set they are TCP segments to be cut at that size. mode=rx
 * counts what comes. mode=rtt sends a frame of len= bytes and waits for one.
 * warm_ms=, run_ms=; depth= frames at once (default: the ring).
 */
#include "net.h"

#include "clock.h"
#include "io.h"
#include "memory.h"
#include "param.h"
#include "power.h"
#include "text.h"

#define RX_LEN 2048
#define CLOCK_EVERY 64 /* empty polls between looks at the clock */
#define SILENCE_MS 5000
#define END_US 200000
#define RTT_STEP_NS 50
#define RTT_STEPS 40000

#define ETH_TEST 0x88b5
#define ETH_IP 0x0800
#define TCP_HEAD 54u /* Ethernet, IPv4, TCP */
#define IP_HEAD 14u
#define GSO_TCPV4 1
#define NEEDS_CSUM 1

struct bench {
	struct net net;
	struct vq *tx, *rx;
	uint32_t len, stride;
	uint16_t gso;
	unsigned depth;
	uint64_t nr_done;
	uint64_t nr_lost; /* round trips without an answer in time */
	uint32_t rtt[RTT_STEPS];
};

static struct bench bench;

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* From the guest to a host that is none, so that nobody answers. */
static void fill_ethernet(uint8_t *frame, uint16_t type)
{
	static const uint8_t macs[] = { 2, 0, 0, 0, 0, 0x77, 2, 0, 0, 0, 0, 2 };

	memcpy(frame, macs, sizeof(macs));
	put16(frame + 12, type);
}

static void fill_tcp(struct bench *b, uint8_t *header)
{
	static const uint8_t ip[] = { 0x45, 0, 0,  0, 0, 1, 0,	0, 64, 6,
				      0,    0, 10, 0, 0, 2, 10, 0, 0,  1 };
	uint8_t *frame = header + NET_HEADER;
	const uint16_t fields[] = { TCP_HEAD, b->gso, IP_HEAD + 20, 16 };

	header[0] = NEEDS_CSUM;
	header[1] = GSO_TCPV4;
	memcpy(header + 2, fields, sizeof(fields));
	fill_ethernet(frame, ETH_IP);
	memcpy(frame + IP_HEAD, ip, sizeof(ip));
	put16(frame + IP_HEAD + 2, (uint16_t)(b->len - IP_HEAD));
	frame[46] = 0x50; /* data offset: five words */
	frame[47] = 0x10; /* ACK */
}

static const char *fill_tx(struct bench *b)
{
	b->stride = (NET_HEADER + b->len + 4095) & ~4095u;
	for (unsigned i = 0; i < b->depth; i++) {
		uint8_t *header = arena_alloc(b->stride, 4096);
		struct vq_seg seg = { header, NET_HEADER + b->len, false };

		if (b->gso)
			fill_tcp(b, header);
		else
			fill_ethernet(header + NET_HEADER, ETH_TEST);
		if (vq_add(b->tx, &seg, 1, false) < 0)
			return "the ring is full";
	}
	return NULL;
}

/* What the device has used is offered again; how many frames that was. */
static unsigned turn(struct vq *q)
{
	unsigned nr = 0;
	int head;

	while ((head = vq_pop(q, NULL)) >= 0) {
		vq_offer(q, (uint16_t)head);
		nr++;
	}
	if (nr)
		vq_kick(q);
	return nr;
}

/* Until the time is over; the cycles it took, 0 when nothing moves. */
static uint64_t run_stream(struct vq *q, uint64_t ms)
{
	uint64_t start = clock_cycles(), end = clock_after_ms(ms), now;
	uint64_t silence = clock_after_ms(SILENCE_MS);
	unsigned empty = 0, nr;

	for (bench.nr_done = 0;; bench.nr_done += nr) {
		nr = turn(q);
		if (!nr) {
			cpu_relax();
			if (++empty % CLOCK_EVERY)
				continue;
		}
		now = clock_cycles();
		if (nr)
			silence = now + SILENCE_MS * clock_khz();
		if ((int64_t)(now - silence) >= 0)
			return 0;
		if ((int64_t)(now - end) >= 0 && bench.nr_done)
			return now - start;
	}
}

/* One frame there and one back: its time in ns, 0 when none came. */
static uint64_t round_trip(struct bench *b, uint16_t head)
{
	uint64_t start = clock_cycles(), late = clock_after_ms(SILENCE_MS);

	vq_offer(b->tx, head);
	vq_kick(b->tx);
	while (!turn(b->rx)) {
		if (clock_is_past(late))
			return 0;
		cpu_relax();
	}
	start = clock_cycles() - start;
	while (vq_pop(b->tx, NULL) < 0) {
		if (clock_is_past(late))
			return 0;
	}
	return start * 1000000 / clock_khz();
}

/* The head of the one chain stays the same. */
static const char *run_rtt(struct bench *b, uint64_t ms)
{
	uint64_t end = clock_after_ms(ms);
	int head = 0;

	memset(b->rtt, 0, sizeof(b->rtt));
	for (b->nr_done = 0; !clock_is_past(end); b->nr_done++) {
		uint64_t ns = round_trip(b, (uint16_t)head);

		if (!ns)
			return "no answer comes back";
		ns /= RTT_STEP_NS;
		b->rtt[ns < RTT_STEPS ? ns : RTT_STEPS - 1]++;
	}
	return NULL;
}

static uint64_t rtt_percentile(const struct bench *b, unsigned percent)
{
	uint64_t left = b->nr_done * percent / 100;
	unsigned i;

	for (i = 0; i < RTT_STEPS - 1 && left >= b->rtt[i]; i++)
		left -= b->rtt[i];
	return (uint64_t)i * RTT_STEP_NS;
}

static const char *bench_rtt(struct bench *b)
{
	const char *why;
	int head = -1;

	say("READY");
	/* The first one makes the chain; it comes back, too. */
	vq_kick(b->tx);
	while (head < 0)
		head = vq_pop(b->tx, NULL);
	while (!turn(b->rx))
		;
	why = run_rtt(b, param_number("warm_ms", 200));
	if (why)
		return why;
	say("BEGIN");
	why = run_rtt(b, param_number("run_ms", 1000));
	if (!why)
		say("RESULT frames=%lu p50_ns=%lu p99_ns=%lu", b->nr_done,
		    rtt_percentile(b, 50), rtt_percentile(b, 99));
	return why;
}

static const char *bench_stream(struct bench *b, struct vq *q)
{
	uint64_t cycles, kicks;

	vq_kick(q);
	say("READY"); /* frames may come */
	if (!run_stream(q, param_number("warm_ms", 200)))
		return "nothing moves";
	say("BEGIN");
	run_stream(q, 10); /* what gathered while that was said */
	kicks = q->nr_kicks;
	cycles = run_stream(q, param_number("run_ms", 1000));
	if (!cycles)
		return "nothing moves";
	say("RESULT frames=%lu ns=%lu kicks=%lu", b->nr_done,
	    cycles * 1000 / clock_khz() * 1000, q->nr_kicks - kicks);
	return NULL;
}

static const char *bench_start(struct bench *b)
{
	uint64_t features = NET_F_MAC | NET_F_CSUM | NET_F_HOST_TSO4 |
			    NET_F_MRG_RXBUF | VIRTIO_F_INDIRECT_DESC |
			    VIRTIO_F_EVENT_IDX;
	const char *why = net_open(&b->net, 0);

	if (!why)
		why = net_start(&b->net, features, 1, 0, RX_LEN);
	if (why)
		return why;
	b->rx = net_rx_vq(&b->net, 0);
	b->tx = net_tx_vq(&b->net, 0);
	b->len = (uint32_t)param_number("len", 1514);
	b->gso = (uint16_t)param_number("gso", 0);
	b->depth = (unsigned)param_number("depth", b->tx->size);
	if (param_is("mode", "rtt"))
		b->depth = 1;
	if (b->depth > b->tx->size || b->len > NET_FRAME_MAX)
		return "depth or len";
	return fill_tx(b);
}

void guest_main(const struct guest_info *info)
{
	const char *why = bench_start(&bench);

	(void)info;
	if (!why && param_is("mode", "rtt"))
		why = bench_rtt(&bench);
	else if (!why)
		why = bench_stream(&bench, param_is("mode", "rx") ? bench.rx
								  : bench.tx);
	if (why)
		power_off_failed(why);
	clock_wait_us(END_US); /* the host looks at the monitor once more */
	vdev_reset(&bench.net.dev);
	say("DONE");
}
