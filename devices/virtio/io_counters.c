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

static const char *const io_names[] = { "read", "write" };

static void io_time(struct io_direction *d, uint64_t ns)
{
	unsigned int step = 0;

	while (step < IO_LATENCY_STEPS && ns >= (uint64_t)NS_PER_US << step)
		step++;
	io_count(&d->steps[step], 1);
	io_count(&d->sum_ns, ns);
	if (!d->nr || ns < d->min_ns)
		__atomic_store_n(&d->min_ns, ns, __ATOMIC_RELAXED);
	if (ns > d->max_ns)
		__atomic_store_n(&d->max_ns, ns, __ATOMIC_RELAXED);
	io_count(&d->nr, 1);
}

void io_counters_end(struct io_counters *c, bool write, uint64_t len,
		     uint64_t begun)
{
	struct io_direction *d = &c->directions[write];

	io_count(&d->ops, 1);
	io_count(&d->bytes, len);
	if (begun)
		io_time(d, loop_now_ns() - begun);
}

/* Nearly all of them add up. */
static void io_direction_sum(struct io_direction *to,
			     const struct io_direction *from)
{
	uint64_t min_ns = io_load(&from->min_ns), nr = io_load(&from->nr);
	uint64_t max_ns = MAX(to->max_ns, io_load(&from->max_ns));
	const uint64_t *in = (const uint64_t *)from;
	uint64_t *out = (uint64_t *)to;

	min_ns = !to->nr || (nr && min_ns < to->min_ns) ? min_ns : to->min_ns;
	for (size_t i = 0; i < sizeof(*to) / sizeof(*out); i++)
		out[i] += io_load(&in[i]);
	to->min_ns = min_ns;
	to->max_ns = max_ns;
}

void io_counters_sum(struct io_counters *to, const struct io_counters *from)
{
	io_direction_sum(&to->directions[0], &from->directions[0]);
	io_direction_sum(&to->directions[1], &from->directions[1]);
	to->errors += io_load(&from->errors);
	to->throttled_ns += io_load(&from->throttled_ns);
}

/* first and second: parts of the name. */
static void io_emit(device_emit_fn emit, void *arg, const char *first,
		    const char *second, uint64_t value)
{
	char name[48];

	snprintf(name, sizeof(name), "%s_%s", first, second);
	emit(arg, name, value);
}

static void io_emit_direction(const struct io_direction *d, const char *what,
			      device_emit_fn emit, void *arg)
{
	char step[32];

	io_emit(emit, arg, what, "ops", d->ops);
	io_emit(emit, arg, what, "bytes", d->bytes);
	io_emit(emit, arg, what, "latency_min", d->min_ns / NS_PER_US);
	io_emit(emit, arg, what, "latency_max", d->max_ns / NS_PER_US);
	io_emit(emit, arg, what, "latency_avg",
		d->nr ? d->sum_ns / d->nr / NS_PER_US : 0);
	for (unsigned int i = 0; i < IO_LATENCY_STEPS; i++) {
		snprintf(step, sizeof(step), "latency_under_%uus", 1u << i);
		io_emit(emit, arg, what, step, d->steps[i]);
	}
	io_emit(emit, arg, what, "latency_above", d->steps[IO_LATENCY_STEPS]);
}

void io_counters_emit(const struct io_counters *c, device_emit_fn emit,
		      void *arg)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(io_names); i++)
		io_emit_direction(&c->directions[i], io_names[i], emit, arg);
	emit(arg, "errors", c->errors);
	emit(arg, "throttled_ns", c->throttled_ns);
}

void io_counters_emit_queue(const struct io_counters *c, unsigned int qidx,
			    device_emit_fn emit, void *arg)
{
	char queue[32];

	for (unsigned int i = 0; i < ARRAY_SIZE(io_names); i++) {
		snprintf(queue, sizeof(queue), "queue%u_%s", qidx, io_names[i]);
		io_emit(emit, arg, queue, "ops",
			io_load(&c->directions[i].ops));
		io_emit(emit, arg, queue, "bytes",
			io_load(&c->directions[i].bytes));
	}
}
