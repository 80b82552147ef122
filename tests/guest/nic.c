/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A network interface by remote control: the host, which sees the other end of
 * the wire, says on the serial port what is to be done. A command is a line
 * cmd=NAME key=value...; the answer's last line begins with OK or FAIL.
 *
 *   start features= pairs= size= rx_len= irq=   from reset to receive buffers
 *   config                      the configuration space, and its interrupts
 *   control class= command= data=
 *   tx count=|ms= len= seed= ...  frames out; see nic_read_frames()
 *   rx count= ms=               what comes, one line a frame
 *   echo count= ms=             what comes goes back
 *   sink ms= skip_ms=           what comes is counted, after a while
 *   race ... watch seen         two CPUs; see nic_race.c
 *   malformed count= seed=, resets rounds= seed=
 *   events, eject slot=         the hot-plug chip
 *   halt, end
 */
#include "nic.h"

#include "clock.h"
#include "cpu.h"
#include "hotplug.h"
#include "io.h"
#include "irq.h"
#include "memory.h"
#include "param.h"
#include "power.h"
#include "report.h"
#include "text.h"

#define LINE_MAX 1024
#define SILENCE_MS 10000
#define HEAD_SHOWN 32u

struct net nic;
uint64_t nic_ram_end;

static struct {
	uint64_t features;
	uint16_t nr_pairs, size;
	uint32_t rx_len;
	bool irq;
} how;

static uint8_t *slots;

/* ---- parameters ------------------------------------------------------- */

static unsigned nic_digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

unsigned nic_hex(const char *key, uint8_t *out, unsigned size)
{
	const char *s = param_text(key, "");
	unsigned n;

	for (n = 0; n < size && s[2 * n] && s[2 * n + 1]; n++)
		out[n] = (uint8_t)(nic_digit(s[2 * n]) << 4 |
				   nic_digit(s[2 * n + 1]));
	return n;
}

void nic_read_frames(struct nic_frames *f)
{
	memset(f, 0, sizeof(*f));
	f->pair = (unsigned)param_number("pair", 0) % NET_PAIRS_MAX;
	f->count = param_number("count", 0);
	f->ms = param_number("ms", 0);
	f->len = (uint32_t)param_number("len", 60);
	if (f->len > NET_FRAME_MAX)
		f->len = NET_FRAME_MAX;
	f->seed = (uint32_t)param_number("seed", 0);
	f->depth = (unsigned)param_number("depth", 1);
	if (!f->depth || f->depth > NIC_SLOTS)
		f->depth = NIC_SLOTS;
	f->cut = (uint32_t)param_number("cut", NET_HEADER);
	f->indirect = param_number("indirect", 0);
	f->repeat = param_number("repeat", 0);
	nic_hex("vnet", f->vnet, sizeof(f->vnet));
	f->head_len = nic_hex("head", f->head, sizeof(f->head));
	if (f->head_len > f->len)
		f->head_len = f->len;
	if (param_number("pieces", 0))
		random_init(&f->random, param_number("pieces", 0));
}

/* ---- sending ---------------------------------------------------------- */

uint8_t *nic_slot(unsigned slot)
{
	return slots + slot * NIC_SLOT_LEN + NET_HEADER;
}

/* The host computes the same. */
static void nic_fill(const struct nic_frames *f, unsigned slot, uint32_t number)
{
	uint8_t *frame = nic_slot(slot);

	memcpy(frame - NET_HEADER, f->vnet, NET_HEADER);
	memcpy(frame, f->head, f->head_len);
	for (uint32_t i = f->head_len; i < f->len; i++)
		frame[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + f->seed + number);
}

/* Header and frame, in pieces. */
static unsigned nic_cut(struct nic_frames *f, unsigned slot,
			struct vq_seg *segs)
{
	uint8_t *at = nic_slot(slot) - NET_HEADER;
	uint32_t left = NET_HEADER + f->len, part = f->cut;
	unsigned nr = 0;

	while (left) {
		if (f->random.state)
			part = (uint32_t)(1 + random_below(&f->random, left));
		if (!part || part > left || nr + 1 == NIC_PIECES_MAX)
			part = left;
		segs[nr++] = (struct vq_seg){ at, part, false };
		at += part;
		left -= part;
		part = left;
	}
	return nr;
}

struct nic_sender {
	struct vq *q;
	uint16_t slot_of_head[VQ_SIZE_MAX];
	uint16_t free[NIC_SLOTS];
	unsigned nr_free;
	uint64_t next; /* number of the next frame */
};

static void nic_offer(struct nic_frames *f, struct nic_sender *s)
{
	struct vq_seg segs[NIC_PIECES_MAX];

	while (s->nr_free && (!f->count || s->next < f->count)) {
		unsigned slot = s->free[s->nr_free - 1];
		int head;

		if (!f->repeat)
			nic_fill(f, slot, (uint32_t)s->next);
		head = vq_add(s->q, segs, nic_cut(f, slot, segs),
			      f->indirect && s->q->indirect);
		if (head < 0)
			break;
		s->slot_of_head[head] = (uint16_t)slot;
		s->nr_free--;
		s->next++;
	}
	vq_kick(s->q);
}

static unsigned nic_reap(struct nic_sender *s)
{
	unsigned nr = 0;
	int head;

	while ((head = vq_pop(s->q, NULL)) >= 0) {
		s->free[s->nr_free++] = s->slot_of_head[head];
		vq_free(s->q, (uint16_t)head);
		nr++;
	}
	return nr;
}

static void nic_sender_init(struct nic_sender *s, const struct nic_frames *f)
{
	s->q = net_tx_vq(&nic, f->pair);
	s->next = 0;
	for (s->nr_free = 0; s->nr_free < f->depth; s->nr_free++) {
		s->free[s->nr_free] = (uint16_t)s->nr_free;
		if (f->repeat)
			nic_fill(f, s->nr_free, s->nr_free);
	}
}

const char *nic_send(struct nic_frames *f, struct nic_sent *sent)
{
	static struct nic_sender sender;
	uint64_t start = clock_cycles(), last = start, longest = 0, now;
	uint64_t end = clock_after_ms(f->ms), khz = clock_khz();
	bool over = false;

	nic_sender_init(&sender, f);
	sent->frames = 0;
	while (!over || sender.nr_free != f->depth) {
		unsigned nr;

		if (!over)
			nic_offer(f, &sender);
		nr = nic_reap(&sender);
		now = clock_cycles();
		if (nr && now - last > longest)
			longest = now - last;
		if (nr)
			last = now;
		sent->frames += nr;
		over = f->count ? sender.next == f->count : clock_is_past(end);
		if (clock_is_past(last + SILENCE_MS * khz))
			return failed("%u frames are not used, status %x",
				      f->depth - sender.nr_free,
				      nic.dev.ops->status(&nic.dev));
	}
	sent->us = (last - start) * 1000 / khz;
	sent->longest_us = longest * 1000 / khz;
	return NULL;
}

static const char *nic_tx(void)
{
	struct nic_frames f;
	struct nic_sent sent;
	uint64_t kicks;
	const char *why;

	nic_read_frames(&f);
	kicks = net_tx_vq(&nic, f.pair)->nr_kicks;
	why = nic_send(&f, &sent);
	if (!why)
		say("SENT frames=%lu us=%lu longest_us=%lu kicks=%lu",
		    sent.frames, sent.us, sent.longest_us,
		    net_tx_vq(&nic, f.pair)->nr_kicks - kicks);
	return why;
}

/* ---- receiving -------------------------------------------------------- */

static uint32_t nic_crc(const uint8_t *data, uint32_t len)
{
	static uint32_t table[256];
	uint32_t crc = ~0u;

	for (uint32_t i = 0; !table[255] && i < 256; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] >> 1 ^
				   (table[i] & 1 ? 0xedb88320 : 0);
	}
	for (uint32_t i = 0; i < len; i++)
		crc = crc >> 8 ^ table[(crc ^ data[i]) & 255];
	return ~crc;
}

static void nic_show(unsigned pair, uint32_t len)
{
	char vnet[2 * NET_HEADER + 1], head[2 * HEAD_SHOWN + 1];
	uint32_t shown = len < HEAD_SHOWN ? len : HEAD_SHOWN;
	static const char digits[] = "0123456789abcdef";

	for (uint32_t i = 0; i < NET_HEADER; i++) {
		vnet[2 * i] = digits[nic.header[i] >> 4];
		vnet[2 * i + 1] = digits[nic.header[i] & 15];
	}
	vnet[2 * NET_HEADER] = '\0';
	for (uint32_t i = 0; i < shown; i++) {
		head[2 * i] = digits[nic.frame[i] >> 4];
		head[2 * i + 1] = digits[nic.frame[i] & 15];
	}
	head[2 * shown] = '\0';
	say("FRAME pair=%u len=%u buffers=%u crc=%x vnet=%s head=%s", pair, len,
	    nic.nr_buffers, nic_crc(nic.frame, len), vnet, head);
}

/* What came goes back as it came, offload fields and all. */
static const char *nic_return(unsigned pair, uint32_t len)
{
	struct vq_seg segs[] = { { nic.header, NET_HEADER, false },
				 { nic.frame, len, false } };

	memset(nic.header + NET_HEADER_NR_BUFFERS, 0, 2);
	if (net_send(&nic, pair, segs, 2, false))
		return failed("the frame does not go back");
	return NULL;
}

/* A frame of any pair: 0 none, 1 it is there, -1 the device is broken. */
static int nic_next(unsigned *pair, uint32_t *len)
{
	for (*pair = 0; *pair < nic.nr_pairs; (*pair)++) {
		int got = net_take(&nic, *pair);

		if (got == NET_NONE)
			continue;
		*len = (uint32_t)got;
		return got < 0 ? -1 : 1;
	}
	return 0;
}

enum nic_do { NIC_SHOW, NIC_ECHO, NIC_SINK };

static const char *nic_receive(enum nic_do what)
{
	uint64_t count = param_number("count", 0), nr = 0, bytes = 0;
	uint64_t skip = param_number("skip_ms", 0);
	uint64_t begin = clock_after_ms(skip);
	uint64_t end = clock_after_ms(skip + param_number("ms", 1000));
	uint64_t first = 0, last = 0, longest = 0, now;
	const char *why = NULL;

	while (!why && (!count || nr < count) && !clock_is_past(end)) {
		unsigned pair;
		uint32_t len;
		int got = nic_next(&pair, &len);

		if (got < 0)
			why = failed("the device breaks the rules");
		if (!got && how.irq && what == NIC_ECHO)
			cpu_halt();
		if (got <= 0)
			continue;
		now = clock_cycles();
		if (skip && !clock_is_past(begin))
			continue;
		if (nr && now - last > longest)
			longest = now - last;
		last = now;
		first = nr++ ? first : now;
		bytes += len;
		if (what == NIC_SHOW)
			nic_show(pair, len);
		else if (what == NIC_ECHO)
			why = nic_return(pair, len);
	}
	if (!why)
		say("GOT frames=%lu bytes=%lu us=%lu longest_us=%lu", nr, bytes,
		    (last - first) * 1000 / clock_khz(),
		    longest * 1000 / clock_khz());
	return why;
}

static const char *nic_rx(void)
{
	return nic_receive(NIC_SHOW);
}

static const char *nic_echo(void)
{
	return nic_receive(NIC_ECHO);
}

static const char *nic_sink(void)
{
	return nic_receive(NIC_SINK);
}

/* ---- the device ------------------------------------------------------- */

/* One vector for configuration changes, the next ones for the queues. */
static void nic_set_vectors(void)
{
	struct vdev *dev = &nic.dev;

	msix_find(&dev->pci);
	for (uint16_t i = 0; i <= 2 * how.nr_pairs; i++)
		irq_aim(&dev->pci, i, (uint8_t)(NIC_VECTOR + i));
	msix_enable(&dev->pci);
	dev->config_vector = 0;
	for (uint16_t i = 0; i < 2 * how.nr_pairs; i++)
		dev->queue_vector[i] = (uint16_t)(i + 1);
}

const char *nic_start(void)
{
	const char *why = net_start(&nic, how.features, how.nr_pairs, how.size,
				    how.rx_len);

	if (why || !how.irq)
		return why;
	mmio_write16(nic.dev.common + VPCI_CONFIG_VECTOR, 0);
	for (unsigned pair = 0; pair < how.nr_pairs; pair++)
		vq_set_interrupts(net_rx_vq(&nic, pair), true);
	return NULL;
}

static const char *nic_config(void)
{
	uint64_t config = nic.dev.config;
	uint32_t low = mmio_read32(config + NET_CONFIG_MAC);
	uint16_t high = mmio_read16(config + NET_CONFIG_MAC + 4);

	say("CONFIG mac=%lx link=%u pairs=%u mtu=%u features=%lx offered=%lx irqs=%u status=%x",
	    (uint64_t)__builtin_bswap32(low) << 16 | __builtin_bswap16(high),
	    mmio_read16(config + NET_CONFIG_STATUS),
	    mmio_read16(config + NET_CONFIG_MAX_PAIRS),
	    mmio_read16(config + NET_CONFIG_MTU), nic.dev.features,
	    nic.dev.ops->offered(&nic.dev), irq_counts[NIC_VECTOR],
	    nic.dev.ops->status(&nic.dev));
	return NULL;
}

static const char *nic_do_start(void)
{
	const char *why;

	how.features = param_number("features", ~0ull);
	how.nr_pairs = (uint16_t)param_number("pairs", 1);
	how.size = (uint16_t)param_number("size", 0);
	how.rx_len = (uint32_t)param_number("rx_len", 2048);
	how.irq = param_number("irq", 0);
	if (!how.nr_pairs || how.nr_pairs > NET_PAIRS_MAX)
		return failed("pairs");
	if (!nic.header || param_number("reopen", 0)) {
		why = net_open(&nic, 0);
		if (why)
			return why;
	}
	if (how.irq) {
		irq_start();
		nic_set_vectors();
	}
	why = nic_start();
	return why ? why : nic_config();
}

static const char *nic_control(void)
{
	static uint8_t data[128];
	unsigned len = nic_hex("data", data, sizeof(data));

	say("ANSWER value=%d",
	    net_control(&nic, (uint8_t)param_number("class", 0),
			(uint8_t)param_number("command", 0), data, len));
	return NULL;
}

static const char *nic_reset(void)
{
	return vdev_reset(&nic.dev) ? NULL : failed("the reset does not end");
}

static const char *nic_events(void)
{
	uint32_t word;

	while ((word = hotplug_event()))
		say("EVENT kind=%u index=%u value=%u", word >> 24,
		    word >> 8 & 0xffff, word & 0xff);
	return NULL;
}

static const char *nic_eject(void)
{
	hotplug_eject((uint32_t)param_number("slot", 0) << 8);
	return NULL;
}

/* For ever: what the monitor does now is its own affair. */
static const char *nic_halt(void)
{
	say("OK halt");
	while (true)
		cpu_halt();
	return NULL;
}

static const struct {
	const char *name;
	const char *(*run)(void);
} commands[] = {
	{ "start", nic_do_start }, { "reset", nic_reset },
	{ "config", nic_config },  { "control", nic_control },
	{ "tx", nic_tx },	   { "rx", nic_rx },
	{ "echo", nic_echo },	   { "sink", nic_sink },
	{ "race", nic_race },	   { "watch", nic_watch },
	{ "seen", nic_seen },	   { "malformed", nic_malformed },
	{ "resets", nic_resets },  { "events", nic_events },
	{ "eject", nic_eject },	   { "halt", nic_halt },
};

static const char *nic_command(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		if (param_is("cmd", commands[i].name))
			return commands[i].run();
	}
	return failed("no such command");
}

void guest_main(const struct guest_info *info)
{
	static char line[LINE_MAX];

	nic_ram_end = info->ram_end;
	clock_khz(); /* while there is the command line */
	slots = arena_alloc(NIC_SLOTS * NIC_SLOT_LEN, 4096);
	say("READY");
	for (;;) {
		const char *why;

		hear(line, sizeof(line));
		param_init(line);
		if (param_is("cmd", "end"))
			break;
		why = nic_command();
		if (why)
			say("FAIL %s", why);
		else
			say("OK");
	}
	say("DONE");
}
