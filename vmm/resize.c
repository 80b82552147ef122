/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * vCPUs and memory that come and go. Of each, one request is under way, and the
 * latest one waits behind it; those between are replaced. What grows is there,
 * populated by threads when it has to be, before the guest is told; shrinking
 * asks the guest for one vCPU or DIMM after the other.
 *
 * Memory comes in DIMMs of as few blocks as the number of places allows, for
 * the guest gives back whole DIMMs only, and those that it can empty.
 */
#include "vmm/hotplug.h"

#include <errno.h>
#include <stdio.h>

#include "vmm/log.h"
#include "vmm/util.h"

/* Linux' memory block on machines with that much RAM (and more). */
#define BIG_GUEST (64 * GIB)
#define BIG_BLOCK (2 * GIB)

struct resizer_ops {
	uint64_t (*size)(const struct hotplug *hp);
	/* 0: it is that large; 1: it will be, resizer_finish() follows; -errno
	 * with a message. */
	int (*grow)(struct hotplug *hp, uint64_t wanted, struct error *err);
	/* What to ask for on the way down; false: there is nothing. */
	bool (*choose)(struct resizer *rz, uint64_t wanted,
		       unsigned int *index);
	void (*remove)(struct hotplug *hp, unsigned int index);
	enum hotplug_kind kind;
};

/* ---- the queue ---- */

static void resizer_step(struct resizer *rz);

/* Take a request out of the queue and tell how it ended. why: NULL when it came
 * out as wanted. */
static void resizer_report(struct resizer *rz, unsigned int i, const char *why)
{
	struct hotplug *hp = rz->hp;
	const struct hotplug_size report = {
		.memory = rz->ops->kind == HOTPLUG_MEMORY,
		.wanted = rz->queue[i].wanted,
		.actual = rz->ops->size(hp),
	};
	unsigned int times = rz->queue[i].nr;

	for (rz->nr--; i < rz->nr; i++)
		rz->queue[i] = rz->queue[i + 1];
	while (times--)
		hp->listener->resized(hp->opaque, &report, why);
}

/* The request under way is over. */
static void resizer_finish(struct resizer *rz, const char *why)
{
	rz->begun = rz->growing = false;
	rz->refused = 0;
	loop_post(rz->hp->board->main_loop, &rz->call);
	resizer_report(rz, 0, why);
}

static void resizer_give_up(struct resizer *rz, const char *why)
{
	bool memory = rz->ops->kind == HOTPLUG_MEMORY;
	uint64_t now = rz->ops->size(rz->hp);
	unsigned int shift = memory ? 20 : 0;
	char text[160];

	snprintf(text, sizeof(text), "%s; it gave %llu of %llu %s", why,
		 llu(rz->began - now) >> shift,
		 llu(rz->began - rz->queue[0].wanted) >> shift,
		 memory ? "MiB" : "vCPUs");
	log_warn("%s: %s", memory ? "memory" : "vCPUs", text);
	resizer_finish(rz, text);
}

static void resizer_on_answer(struct ask *ask, enum ask_answer answer)
{
	struct resizer *rz = container_of(ask, struct resizer, ask);

	if (answer == ASK_EJECTED) {
		rz->ops->remove(rz->hp, ask->index);
		resizer_step(rz);
	} else if (answer == ASK_REFUSED && ask->kind == HOTPLUG_MEMORY) {
		rz->refused |= 1u << ask->index;
		resizer_step(rz);
	} else {
		resizer_give_up(rz, ask_answer_text(answer));
	}
}

/* Go on with the request under way. */
static void resizer_step(struct resizer *rz)
{
	uint64_t now = rz->ops->size(rz->hp), wanted = rz->queue[0].wanted;
	struct error err;
	int r = 0;

	if (now > wanted && rz->ops->choose(rz, wanted, &rz->ask.index)) {
		ask_put(&rz->ask);
	} else if (now > wanted) {
		resizer_give_up(rz, "the guest cannot free what is asked");
	} else {
		if (now < wanted)
			r = rz->ops->grow(rz->hp, wanted, &err);
		rz->growing = r > 0;
		if (r <= 0)
			resizer_finish(rz, r ? err.msg : NULL);
	}
}

/* Begin with the first request. */
static void resizer_begin(struct resizer *rz)
{
	rz->begun = true;
	rz->began = rz->ops->size(rz->hp);
}

static void resizer_on_call(struct loop_call *lc)
{
	struct resizer *rz = container_of(lc, struct resizer, call);

	while (rz->nr > 1u + rz->begun)
		resizer_report(rz, rz->begun, "a later request replaced it");
	if (!rz->nr || rz->ask.pending || rz->growing)
		return;
	if (!rz->begun)
		resizer_begin(rz);
	resizer_step(rz);
}

static int resizer_request(struct resizer *rz, uint64_t wanted,
			   struct error *err)
{
	struct hotplug *hp = rz->hp;
	int r = hotplug_check_kind(hp, rz->ops->kind, err);

	if (r)
		return r;
	if (rz->nr == RESIZE_QUEUE_MAX)
		return error_set(err, EBUSY,
				 "%u resize requests came at once already",
				 rz->nr);
	if (rz->nr && rz->queue[rz->nr - 1].wanted == wanted) {
		rz->queue[rz->nr - 1].nr++;
		return 0;
	}
	if (!rz->nr) {
		resizer_begin(rz);
		/* Who asks hears at once what the host refuses. */
		if (wanted > rz->began)
			r = rz->ops->grow(hp, wanted, err);
		rz->growing = r > 0;
		rz->begun = r >= 0;
		if (r < 0)
			return r;
	}
	rz->queue[rz->nr++] = (struct resize_request){ wanted, 1 };
	/* Callbacks come from the loop, not from in here. */
	loop_post(hp->board->main_loop, &rz->call);
	return 0;
}

static void resizer_init(struct resizer *rz, struct hotplug *hp,
			 const struct resizer_ops *ops)
{
	rz->hp = hp;
	rz->ops = ops;
	rz->call.fn = resizer_on_call;
	rz->ask.hp = hp;
	rz->ask.kind = ops->kind;
	rz->ask.done = resizer_on_answer;
}

static void resizer_fini(struct resizer *rz)
{
	ask_drop(&rz->ask);
	loop_cancel(rz->hp->board->main_loop, &rz->call);
}

/* ---- vCPUs ---- */

static uint64_t cpus_size(const struct hotplug *hp)
{
	return hp->board->nr_cpus;
}

static int cpus_grow(struct hotplug *hp, uint64_t wanted, struct error *err)
{
	const struct board_hotplug *by = &hp->board->hotplug[HOTPLUG_CPU];
	unsigned int i, from = hp->board->nr_cpus;
	int r = 0;

	for (i = from; i < wanted && !r; i++)
		r = kvm_start_vcpu(hp->kvm, i, err);
	if (r) {
		while (i-- > from)
			kvm_stop_vcpu(hp->kvm, i);
		return r;
	}
	hp->board->nr_cpus = (unsigned int)wanted;
	for (i = from; i < wanted; i++)
		by->ops->came(by->opaque, HOTPLUG_CPU, i, 0, 0);
	return 0;
}

/* From the top, so that what is left is always 0 to n. */
static bool cpus_choose(struct resizer *rz, uint64_t wanted unused_param,
			unsigned int *index)
{
	*index = rz->hp->board->nr_cpus - 1;
	return true;
}

static void cpus_remove(struct hotplug *hp, unsigned int index)
{
	kvm_stop_vcpu(hp->kvm, index);
	hp->board->nr_cpus = index;
}

static const struct resizer_ops cpus_ops = {
	.size = cpus_size,
	.grow = cpus_grow,
	.choose = cpus_choose,
	.remove = cpus_remove,
	.kind = HOTPLUG_CPU,
};

int hotplug_resize_vcpus(struct hotplug *hp, unsigned int nr, struct error *err)
{
	if (nr < 1 || nr > hp->kvm->max_vcpus)
		return error_set(err, EINVAL,
				 "%u vCPUs: must be between 1 and %u", nr,
				 hp->kvm->max_vcpus);
	return resizer_request(&hp->cpus, nr, err);
}

/* ---- memory ---- */

static uint64_t memory_size(const struct hotplug *hp)
{
	return gmem_size(&hp->board->gmem);
}

/* The first free range at a multiple of unit, up to max bytes; 0: none. */
static uint64_t memory_find(const struct gmem *gm, uint64_t unit, uint64_t max,
			    gpa_t *gpa)
{
	gpa_t start = gm->reserved.gpa, end = start + gm->reserved.len;
	uint64_t len = 0;

	for (; start + unit <= end && !len; start += unit) {
		len = MIN(max, end - start);
		for (unsigned int i = 0; i < gmem_max_dimms(gm); i++) {
			const struct gmem_range *d = gmem_dimm(gm, i);

			if (d->len && d->gpa + d->len > start)
				len = d->gpa > start ? MIN(len, d->gpa - start)
						     : 0;
		}
		len = ALIGN_DOWN(len, unit);
		*gpa = start;
	}
	return len;
}

static void memory_remove(struct hotplug *hp, unsigned int index)
{
	gmem_unplug(&hp->board->gmem, index);
}

/* How large a DIMM is to be, so that later requests find places too. */
static uint64_t memory_piece(const struct gmem *gm, uint64_t missing,
			     uint64_t unit)
{
	uint64_t room = gm->reserved.len, places = 0;

	for (unsigned int i = 0; i < gmem_max_dimms(gm); i++) {
		places += !gmem_dimm(gm, i)->len;
		room -= gmem_dimm(gm, i)->len;
	}
	if (!places || room / unit <= places)
		return unit;
	places = MAX(places / 4, 1ull);
	return ALIGN_UP((missing + places - 1) / places, unit);
}

/* Bytes of DIMMs that went, whose places are not free yet. */
static uint64_t memory_held(const struct gmem *gm, uint32_t coming)
{
	uint64_t held = 0;

	for (unsigned int i = 0; i < gmem_max_dimms(gm); i++)
		if (gmem_dimm(gm, i)->flags & GMEM_ABSENT && !(coming >> i & 1))
			held += gmem_dimm(gm, i)->len;
	return held;
}

/* DIMMs for all that is missing; *added: bit per DIMM. */
static int memory_fill(struct gmem *gm, uint64_t missing, uint32_t *added,
		       struct pages_job *job, struct error *err)
{
	bool big = gm->config.size >= BIG_GUEST && missing % BIG_BLOCK == 0;
	uint64_t unit = big ? BIG_BLOCK : GMEM_BLOCK, len, held;
	uint64_t piece = memory_piece(gm, missing, unit);
	unsigned int i, nr = gmem_max_dimms(gm);
	gpa_t gpa;
	int r;

	for (i = 0; i < nr && missing; i++) {
		if (gmem_dimm(gm, i)->len)
			continue;
		len = memory_find(gm, unit, MIN(piece, missing), &gpa);
		if (!len)
			break;
		r = gmem_plug_begin(gm, i, gpa, len, job, err);
		if (r)
			return r;
		*added |= 1u << i;
		missing -= len;
	}
	if (!missing)
		return 0;
	held = memory_held(gm, *added);
	if (held)
		return error_set(
			err, EBUSY,
			"memory: I/O that began before %llu MiB went still uses their addresses; try again when it has ended",
			mib(held));
	return error_set(
		err, ENOSPC,
		"memory: no place for another DIMM of %llu MiB; %u are there",
		mib(missing), nr);
}

/* All that was on its way is there: tell the guest; or, when it cannot be (r),
 * none is. Returns r, or what else went wrong. */
static int memory_arrive(struct hotplug *hp, int r, struct error *err)
{
	const struct board_hotplug *by = &hp->board->hotplug[HOTPLUG_MEMORY];
	struct gmem *gm = &hp->board->gmem;
	uint32_t coming = hp->dimms_coming;

	hp->dimms_coming = 0;
	for (unsigned int i = 0; i < GMEM_MAX_DIMMS && !r; i++)
		if (coming >> i & 1)
			r = gmem_plug_end(gm, i, err);
	for (unsigned int i = 0; i < GMEM_MAX_DIMMS; i++) {
		const struct gmem_range *d = gmem_dimm(gm, i);

		if (!(coming >> i & 1) || !d->len)
			continue;
		if (r)
			gmem_unplug(gm, i);
		else
			by->ops->came(by->opaque, HOTPLUG_MEMORY, i, d->gpa,
				      d->len);
	}
	return r;
}

static void memory_on_populated(struct loop_call *lc)
{
	struct hotplug *hp = container_of(lc, struct hotplug, pages.ended);
	struct error err;
	int r = pages_end(&hp->pages, &err);

	r = memory_arrive(hp, r, &err);
	resizer_finish(&hp->memory, r ? err.msg : NULL);
}

static int memory_grow(struct hotplug *hp, uint64_t wanted, struct error *err)
{
	struct gmem *gm = &hp->board->gmem;
	int r = memory_fill(gm, wanted - gmem_size(gm), &hp->dimms_coming,
			    &hp->pages, err);

	if (!r && hp->pages.nr_pieces) {
		pages_start(&hp->pages);
		return 1;
	}
	hp->pages.nr_pieces = 0;
	return memory_arrive(hp, r, err);
}

/* The last one that is not too large and was not refused. */
static bool memory_choose(struct resizer *rz, uint64_t wanted,
			  unsigned int *index)
{
	const struct gmem *gm = &rz->hp->board->gmem;
	uint64_t excess = gmem_size(gm) - wanted;

	for (unsigned int i = gmem_max_dimms(gm); i-- > 0;) {
		const struct gmem_range *d = gmem_dimm(gm, i);

		if (!d->len || d->flags & GMEM_ABSENT || d->len > excess ||
		    rz->refused >> i & 1)
			continue;
		*index = i;
		return true;
	}
	return false;
}

static const struct resizer_ops memory_ops = {
	.size = memory_size,
	.grow = memory_grow,
	.choose = memory_choose,
	.remove = memory_remove,
	.kind = HOTPLUG_MEMORY,
};

int hotplug_resize_memory(struct hotplug *hp, uint64_t bytes, struct error *err)
{
	uint64_t boot = hp->board->gmem.config.size;
	uint64_t max = boot + hp->board->gmem.reserved.len;

	if (bytes < boot || bytes > max)
		return error_set(
			err, ERANGE,
			"memory must be between %llu MiB, the size at start, and %llu MiB, which hotplug_size allows",
			mib(boot), mib(max));
	if ((bytes - boot) % GMEM_BLOCK)
		return error_set(
			err, EINVAL,
			"memory must be %llu MiB, the size at start, and a multiple of 128 MiB",
			mib(boot));
	return resizer_request(&hp->memory, bytes, err);
}

/* ---- life ---- */

static void resizer_stop(struct resizer *rz)
{
	while (rz->begun) {
		if (!rz->ask.pending)
			resizer_step(rz);
		asks_eject_all(rz->hp);
	}
	while (rz->nr)
		resizer_report(rz, 0, "the guest stopped before its turn");
}

/* Memory that is on its way comes no more. */
static void memory_stop(struct hotplug *hp)
{
	if (!hp->memory.growing)
		return;
	pages_stop(&hp->pages);
	pages_end(&hp->pages, NULL);
	loop_cancel(hp->board->main_loop, &hp->pages.ended);
	memory_arrive(hp, -ECANCELED, NULL);
}

void resize_on_stop(struct hotplug *hp)
{
	if (hp->memory.growing) {
		memory_stop(hp);
		resizer_finish(&hp->memory, "the guest stopped");
	}
	resizer_stop(&hp->cpus);
	resizer_stop(&hp->memory);
}

void resize_init(struct hotplug *hp)
{
	resizer_init(&hp->cpus, hp, &cpus_ops);
	resizer_init(&hp->memory, hp, &memory_ops);
	hp->pages.loop = hp->board->main_loop;
	hp->pages.ended.fn = memory_on_populated;
}

void resize_fini(struct hotplug *hp)
{
	memory_stop(hp);
	resizer_fini(&hp->cpus);
	resizer_fini(&hp->memory);
}
