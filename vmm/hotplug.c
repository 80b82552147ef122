/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Questions to the guest and its answers. Answers come on vCPU threads as bits;
 * the main loop turns them into calls, in the order of the questions.
 */
#include "vmm/hotplug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/vm.h"

#define WORD_BITS 64u

struct hotplug {
	/* main thread */
	struct vm *vm;
	struct list_node asks; /* struct hotplug_ask, pending */
	uint64_t deadline_ns; /* of a question */

	/* any thread: answers that the main loop has not seen, by index */
	_Atomic uint64_t ejected[HOTPLUG_KINDS][HOTPLUG_MAX_INDEX / WORD_BITS];
	_Atomic uint64_t refused[HOTPLUG_KINDS][HOTPLUG_MAX_INDEX / WORD_BITS];
	struct loop_call mail;
};

/* ---- answers ---- */

void hotplug_answer(struct vm *vm, enum hotplug_kind kind, unsigned int index,
		    bool ejected)
{
	struct hotplug *hp = vm->hotplug;
	_Atomic uint64_t *bits = ejected ? hp->ejected[kind]
					 : hp->refused[kind];

	atomic_fetch_or(&bits[index / WORD_BITS], 1ull << index % WORD_BITS);
	loop_post(vm->board.main_loop, &hp->mail);
}

static bool hotplug_take(_Atomic uint64_t *bits, unsigned int index)
{
	uint64_t bit = 1ull << index % WORD_BITS;

	return atomic_fetch_and(&bits[index / WORD_BITS], ~bit) & bit;
}

static void hotplug_end(struct hotplug_ask *ask, enum hotplug_answer answer)
{
	hotplug_drop(ask);
	ask->done(ask, answer);
}

/* Has it been answered? Then that is its end. */
static bool hotplug_take_answer(struct hotplug_ask *ask)
{
	struct hotplug *hp = ask->vm->hotplug;

	if (hotplug_take(hp->ejected[ask->kind], ask->index))
		hotplug_end(ask, HOTPLUG_EJECTED);
	else if (hotplug_take(hp->refused[ask->kind], ask->index))
		hotplug_end(ask, HOTPLUG_REFUSED);
	else
		return false;
	return true;
}

/* done() may ask and drop anything: look from the start after each. */
static bool hotplug_answer_one(struct hotplug *hp)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &hp->asks)
		if (hotplug_take_answer(
			    container_of(pos, struct hotplug_ask, node)))
			return true;
	return false;
}

static void hotplug_on_mail(struct loop_call *lc)
{
	struct hotplug *hp = container_of(lc, struct hotplug, mail);

	while (hotplug_answer_one(hp))
		;
}

static void hotplug_on_deadline(struct loop_timer *lt)
{
	struct hotplug_ask *ask =
		container_of(lt, struct hotplug_ask, deadline);

	if (!hotplug_take_answer(ask))
		hotplug_end(ask, HOTPLUG_LATE);
}

/* A guest that is paused cannot answer: its time begins when it runs. */
static void hotplug_set_timer(struct hotplug_ask *ask)
{
	if (!ask->vm->paused)
		loop_timer_set(ask->vm->board.main_loop, &ask->deadline,
			       loop_now_ns() + ask->vm->hotplug->deadline_ns);
}

const char *hotplug_answer_text(enum hotplug_answer answer)
{
	static const char *const texts[] = {
		[HOTPLUG_EJECTED] = "the guest let go",
		[HOTPLUG_REFUSED] = "the guest refuses",
		[HOTPLUG_LATE] = "the guest did not answer in time",
	};

	return texts[answer];
}

/* ---- questions ---- */

int hotplug_check_guest(struct vm *vm, struct error *err)
{
	if (!vm->board.hotplug_chip)
		return error_set(err, ENOTSUP, "this machine has no hot-plug");
	return 0;
}

bool hotplug_is_heard(struct vm *vm)
{
	const struct board *b = &vm->board;

	return b->hotplug_chip && b->hotplug_chip->is_heard(b->hotplug_opaque);
}

void hotplug_set_deadline(struct vm *vm, uint64_t ns)
{
	vm->hotplug->deadline_ns = ns;
}

void hotplug_check(struct vm *vm, enum hotplug_kind kind, unsigned int index)
{
	const struct board *b = &vm->board;

	b->hotplug_chip->check(b->hotplug_opaque, kind, index);
}

void hotplug_set_cpu(struct vm *vm, unsigned int index, bool present)
{
	const struct board *b = &vm->board;

	b->hotplug_chip->set_cpu(b->hotplug_opaque, index, present);
}

void hotplug_set_memory(struct vm *vm, unsigned int index, gpa_t gpa,
			uint64_t len)
{
	const struct board *b = &vm->board;

	b->hotplug_chip->set_memory(b->hotplug_opaque, index, gpa, len);
}

void hotplug_ask(struct hotplug_ask *ask)
{
	struct hotplug *hp = ask->vm->hotplug;

	/* What the guest said about an earlier question counts no more. */
	hotplug_take(hp->ejected[ask->kind], ask->index);
	hotplug_take(hp->refused[ask->kind], ask->index);
	ask->pending = true;
	ask->deadline.on_expire = hotplug_on_deadline;
	hotplug_set_timer(ask);
	list_insert(&hp->asks, &ask->node);
	hotplug_ask_again(ask);
}

void hotplug_ask_again(struct hotplug_ask *ask)
{
	const struct board *b = &ask->vm->board;

	b->hotplug_chip->ask(b->hotplug_opaque, ask->kind, ask->index, true);
}

void hotplug_tell_gone(struct vm *vm, enum hotplug_kind kind,
		       unsigned int index)
{
	const struct board *b = &vm->board;

	b->hotplug_chip->ask(b->hotplug_opaque, kind, index, true);
}

void hotplug_drop(struct hotplug_ask *ask)
{
	const struct board *b = &ask->vm->board;

	if (!ask->pending)
		return;
	ask->pending = false;
	loop_timer_cancel(&ask->deadline);
	list_remove(&ask->node);
	if (b->hotplug_chip)
		b->hotplug_chip->ask(b->hotplug_opaque, ask->kind, ask->index,
				     false);
}

/* ---- life ---- */

int hotplug_create(struct vm *vm, struct error *err)
{
	struct hotplug *hp = calloc(1, sizeof(*hp));

	if (!hp)
		return error_set(err, ENOMEM, "out of memory");
	hp->vm = vm;
	hp->mail.fn = hotplug_on_mail;
	list_init(&hp->asks);
	hp->deadline_ns = HOTPLUG_DEADLINE_NS;
	vm->hotplug = hp;
	return 0;
}

void hotplug_pause(struct vm *vm)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->hotplug->asks)
		loop_timer_cancel(
			&container_of(pos, struct hotplug_ask, node)->deadline);
}

void hotplug_resume(struct vm *vm)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->hotplug->asks)
		hotplug_set_timer(container_of(pos, struct hotplug_ask, node));
}

void hotplug_reset(struct vm *vm)
{
	struct hotplug *hp = vm->hotplug;

	while (!list_is_empty(&hp->asks))
		hotplug_end(
			container_of(hp->asks.next, struct hotplug_ask, node),
			HOTPLUG_EJECTED);
}

void hotplug_destroy(struct vm *vm)
{
	struct hotplug *hp = vm->hotplug;

	if (!hp)
		return;
	loop_cancel(vm->board.main_loop, &hp->mail);
	free(hp);
	vm->hotplug = NULL;
}
