/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/io_counters.h"

#include <stdio.h>

#include "vmm/util.h"

#define NS_PER_US 1000u

static uint64_t io_load(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void io_time(struct io_latency *l, uint64_t ns)
{
	unsigned int step = 0;

	while (step < IO_LATENCY_STEPS && ns >= (uint64_t)NS_PER_US << step)
		step++;
	io_count(&l->steps[step], 1);
	io_count(&l->sum_ns, ns);
	if (!l->nr || ns < l->min_ns)
		__atomic_store_n(&l->min_ns, ns, __ATOMIC_RELAXED);
	if (ns > l->max_ns)
		__atomic_store_n(&l->max_ns, ns, __ATOMIC_RELAXED);
	io_count(&l->nr, 1);
}

void io_counters_end(struct io_counters *c, bool write, uint64_t len,
		     uint64_t begun)
{
	struct io_direction *d = write ? &c->write : &c->read;

	io_count(&d->ops, 1);
	io_count(&d->bytes, len);
	if (begun)
		io_time(&d->latency, loop_now_ns() - begun);
}

static void io_latency_sum(struct io_latency *to, const struct io_latency *from)
{
	uint64_t nr = io_load(&from->nr), min_ns = io_load(&from->min_ns);

	if (nr && (!to->nr || min_ns < to->min_ns))
		to->min_ns = min_ns;
	to->max_ns = MAX(to->max_ns, io_load(&from->max_ns));
	to->nr += nr;
	to->sum_ns += io_load(&from->sum_ns);
	for (unsigned int i = 0; i <= IO_LATENCY_STEPS; i++)
		to->steps[i] += io_load(&from->steps[i]);
}

static void io_direction_sum(struct io_direction *to,
			     const struct io_direction *from)
{
	to->ops += io_load(&from->ops);
	to->bytes += io_load(&from->bytes);
	io_latency_sum(&to->latency, &from->latency);
}

void io_counters_sum(struct io_counters *to, const struct io_counters *from)
{
	io_direction_sum(&to->read, &from->read);
	io_direction_sum(&to->write, &from->write);
	to->errors += io_load(&from->errors);
	to->throttled_ns += io_load(&from->throttled_ns);
}

static void io_emit_direction(const struct io_direction *d, const char *what,
			      device_emit_fn emit, void *arg)
{
	const struct io_latency *l = &d->latency;
	const struct {
		const char *name;
		uint64_t value;
	} all[] = {
		{ "ops", d->ops },
		{ "bytes", d->bytes },
		{ "latency_min", l->min_ns / NS_PER_US },
		{ "latency_max", l->max_ns / NS_PER_US },
		{ "latency_avg", l->nr ? l->sum_ns / l->nr / NS_PER_US : 0 },
	};
	char name[48];

	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		snprintf(name, sizeof(name), "%s_%s", what, all[i].name);
		emit(arg, name, all[i].value);
	}
	for (unsigned int i = 0; i < IO_LATENCY_STEPS; i++) {
		snprintf(name, sizeof(name), "%s_latency_under_%uus", what,
			 1u << i);
		emit(arg, name, l->steps[i]);
	}
	snprintf(name, sizeof(name), "%s_latency_above", what);
	emit(arg, name, l->steps[IO_LATENCY_STEPS]);
}

void io_counters_emit(const struct io_counters *c, device_emit_fn emit,
		      void *arg)
{
	io_emit_direction(&c->read, "read", emit, arg);
	io_emit_direction(&c->write, "write", emit, arg);
	emit(arg, "errors", c->errors);
	emit(arg, "throttled_ns", c->throttled_ns);
}

void io_counters_emit_queue(const struct io_counters *c, unsigned int qidx,
			    device_emit_fn emit, void *arg)
{
	const struct {
		const char *name;
		const uint64_t *value;
	} all[] = {
		{ "read_ops", &c->read.ops },
		{ "read_bytes", &c->read.bytes },
		{ "write_ops", &c->write.ops },
		{ "write_bytes", &c->write.bytes },
	};
	char name[48];

	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		snprintf(name, sizeof(name), "queue%u_%s", qidx, all[i].name);
		emit(arg, name, io_load(all[i].value));
	}
}
