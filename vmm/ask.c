/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Answers come on vCPU threads as bits; the main loop turns them into calls, in
 * the order of the questions.
 */
#include "vmm/hotplug.h"

#include "vmm/util.h"

/* ---- answers ---- */

/* Take one answer, if it was given. */
static bool ask_take(_Atomic uint64_t *bits, unsigned int index)
{
	uint64_t bit = 1ull << index % 64;

	return atomic_fetch_and(&bits[index / 64], ~bit) & bit;
}

static void ask_end(struct ask *ask, enum ask_answer answer)
{
	ask_drop(ask);
	ask->done(ask, answer);
}

/* Has it been answered? Then that is its end. */
static bool ask_take_answer(struct ask *ask)
{
	struct board *board = ask->hp->board;

	if (ask_take(board->ejected[ask->kind], ask->index))
		ask_end(ask, ASK_EJECTED);
	else if (ask_take(board->refused[ask->kind], ask->index))
		ask_end(ask, ASK_REFUSED);
	else
		return false;
	return true;
}

/* done() may ask and drop anything: look from the start after each. */
static bool asks_answer_one(struct hotplug *hp)
{
	list_for_each_entry (struct ask, ask, &hp->asks, node)
		if (ask_take_answer(ask))
			return true;
	return false;
}

static void asks_on_mail(struct loop_call *lc)
{
	while (asks_answer_one(container_of(lc, struct hotplug, mail)))
		;
}

bool ask_tell(const struct ask *ask, bool on)
{
	const struct board_hotplug *by = &ask->hp->board->hotplug[ask->kind];

	return !by->ops || by->ops->ask(by->opaque, ask->kind, ask->index, on);
}

static void ask_on_deadline(struct loop_timer *lt)
{
	struct ask *ask = container_of(lt, struct ask, deadline);

	if (!ask_take_answer(ask) && ask_tell(ask, false))
		ask_end(ask, ASK_LATE);
}

static void ask_set_timer(struct ask *ask)
{
	struct board *board = ask->hp->board;

	if (board->run == BOARD_RUNNING)
		loop_timer_set(board->main_loop, &ask->deadline,
			       loop_now_ns() + ask->hp->ask_ns);
	else
		loop_timer_cancel(&ask->deadline);
}

const char *ask_answer_text(enum ask_answer answer)
{
	static const char *const texts[] = {
		[ASK_EJECTED] = "the guest let go",
		[ASK_REFUSED] = "the guest refuses",
		[ASK_LATE] = "the guest did not answer in time",
	};

	return texts[answer];
}

/* ---- questions ---- */

void ask_put(struct ask *ask)
{
	struct board *board = ask->hp->board;

	/* What the guest said about an earlier question counts no more. */
	ask_take(board->ejected[ask->kind], ask->index);
	ask_take(board->refused[ask->kind], ask->index);
	ask->pending = true;
	ask->deadline.on_expire = ask_on_deadline;
	ask_set_timer(ask);
	list_insert(&ask->hp->asks, &ask->node);
	ask_tell(ask, true);
}

void ask_drop(struct ask *ask)
{
	if (!ask->pending)
		return;
	ask->pending = false;
	loop_timer_cancel(&ask->deadline);
	list_remove(&ask->node);
	ask_tell(ask, false);
}

/* ---- life ---- */

void asks_on_run(struct hotplug *hp)
{
	list_for_each_entry (struct ask, ask, &hp->asks, node)
		ask_set_timer(ask);
}

void asks_eject_all(struct hotplug *hp)
{
	struct ask *ask;

	while ((ask = list_first(struct ask, &hp->asks, node)))
		ask_end(ask, ASK_EJECTED);
}

void asks_init(struct hotplug *hp)
{
	hp->mail.fn = asks_on_mail;
	hp->ask_ns = ASK_DEADLINE_NS;
	list_init(&hp->asks);
	hp->board->on_answer = &hp->mail;
}
