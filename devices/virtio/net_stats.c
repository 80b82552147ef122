/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The counters of a network: of the device, and of each of its queues. */
#include "devices/virtio/net_stats.h"

#include <stdio.h>

static const char *const net_drop_names[NET_DROPS] = {
	[NET_DROP_LENGTH] = "length",	[NET_DROP_HEADER] = "header",
	[NET_DROP_VLAN] = "vlan",	[NET_DROP_SPOOF] = "spoof",
	[NET_DROP_TOO_LARGE] = "large", [NET_DROP_LINK] = "link",
	[NET_DROP_HOST] = "host",
};

void net_stats_add(struct net_stats *stats, const struct net_tally *tally)
{
	unsigned int step;

	if (!tally->frames)
		return;
	step = 31u - (unsigned int)__builtin_clz(tally->frames);
	io_count(&stats->batches[MIN(step, NET_BATCH_STEPS - 1)], 1);
	io_count(&stats->frames, tally->frames);
	io_count(&stats->bytes, tally->bytes);
}

static uint64_t net_load(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Where counters go, and what their names begin with. */
struct net_emit {
	device_emit_fn emit;
	void *arg;
	char prefix[16];
};

static void net_emit(const struct net_emit *e, const char *name, uint64_t value)
{
	char all[64];

	snprintf(all, sizeof(all), "%s_%s", e->prefix, name);
	e->emit(e->arg, all, value);
}

/* Of all queues of a direction: queue `first` of each pair. */
static void net_emit_direction(struct net *net, unsigned int first,
			       device_emit_fn emit, void *arg)
{
	struct net_emit e = { emit, arg, "" };
	uint64_t frames = 0, bytes = 0, throttled = 0, drops[NET_DROPS] = { 0 };
	char name[32];
	unsigned int i, k;

	snprintf(e.prefix, sizeof(e.prefix), "%s", first ? "tx" : "rx");
	for (i = 0; i < net->nr_pairs; i++) {
		const struct net_pair *p = &net->pairs[i];
		const struct net_stats *s = first ? &p->tx.stats : &p->rx.stats;

		frames += net_load(&s->frames);
		bytes += net_load(&s->bytes);
		throttled += net_load(
			&net->dev.queues[2 * i + first].counters.throttled_ns);
		for (k = 1; k < NET_DROPS; k++)
			drops[k] += net_load(&s->drops[k]);
	}
	net_emit(&e, "bytes", bytes);
	net_emit(&e, "frames", frames);
	net_emit(&e, "throttled_ns", throttled);
	for (k = 1; k < NET_DROPS; k++) {
		snprintf(name, sizeof(name), "dropped_%s", net_drop_names[k]);
		net_emit(&e, name, drops[k]);
	}
}

static void net_emit_queue(const struct virtio_queue *q,
			   const struct net_stats *s, device_emit_fn emit,
			   void *arg)
{
	const struct {
		const char *name;
		const uint64_t *value;
	} all[] = {
		{ "frames", &s->frames },
		{ "bytes", &s->bytes },
		{ "wakeups", &s->wakeups },
		{ "kicks", &q->counters.kicks },
		{ "interrupts", &q->counters.interrupts },
		{ "throttled_ns", &q->counters.throttled_ns },
	};
	struct net_emit e = { emit, arg, "" };
	char name[32];
	unsigned int i;

	snprintf(e.prefix, sizeof(e.prefix), "queue%u", q->index);
	for (i = 0; i < ARRAY_SIZE(all); i++)
		net_emit(&e, all[i].name, net_load(all[i].value));
	for (i = 1; i < NET_DROPS; i++) {
		snprintf(name, sizeof(name), "dropped_%s", net_drop_names[i]);
		net_emit(&e, name, net_load(&s->drops[i]));
	}
	for (i = 0; i < NET_BATCH_STEPS; i++) {
		snprintf(name, sizeof(name), "batches_from_%u", 1u << i);
		net_emit(&e, name, net_load(&s->batches[i]));
	}
}

void net_counters(struct virtio_dev *dev, device_emit_fn emit, void *arg)
{
	struct net *net = net_of(dev);
	unsigned int i;

	net_emit_direction(net, 0, emit, arg);
	net_emit_direction(net, 1, emit, arg);
	for (i = 0; i < net->nr_pairs; i++) {
		struct net_pair *p = &net->pairs[i];

		net_emit_queue(p->rx.q, &p->rx.stats, emit, arg);
		net_emit_queue(p->tx.q, &p->tx.stats, emit, arg);
	}
}
