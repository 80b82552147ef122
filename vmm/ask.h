/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_ASK_H
#define VMM_ASK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/board.h"
#include "vmm/error.h"
#include "vmm/list.h"
#include "vmm/loop.h"

/*
 * Questions to the guest: what goes is asked for, and the guest lets go (it
 * ejects), says no, or does not answer in time. A hot-plug chip of the port
 * carries question and answer. Main thread, unless it says otherwise.
 */
#define ASK_DEADLINE_NS 30000000000ull
#define ASK_WORDS (HOTPLUG_MAX_INDEX / 64u)

enum ask_answer {
	ASK_EJECTED,
	ASK_REFUSED,
	ASK_LATE, /* no answer in time */
};

struct asks {
	/* set by asks_init() */
	struct board *board;
	/* main thread */
	struct list_node pending; /* struct ask, in order */
	uint64_t deadline_ns; /* of later questions */
	/* any thread: answers that the main loop has not seen, by index */
	_Atomic uint64_t ejected[HOTPLUG_KINDS][ASK_WORDS];
	_Atomic uint64_t refused[HOTPLUG_KINDS][ASK_WORDS];
	struct loop_call mail;
};

/* One question; the caller's storage until done() or ask_drop(). The caller
 * fills asks, kind, index and done. */
struct ask {
	struct asks *asks;
	enum hotplug_kind kind;
	unsigned int index;
	void (*done)(struct ask *ask, enum ask_answer answer);
	/* ask.c's own */
	struct loop_timer deadline;
	struct list_node node;
	bool pending;
};

/* Start with no question. asks: the caller's storage. Main thread. */
void asks_init(struct asks *asks, struct board *board);
/* No question is pending. Main thread. */
void asks_fini(struct asks *asks);

/* The guest runs, or does no more (board->run says so): questions are due only
 * while it runs, and have all their time when it goes on. */
void asks_on_run(struct asks *asks);
/* The guest is gone: it has let go of all that it was asked for. */
void asks_eject_all(struct asks *asks);
/* As board_eject_answer(). Any thread. */
void asks_answer(struct asks *asks, enum hotplug_kind kind, unsigned int index,
		 bool ejected);

/* Ask. done() follows from the main loop, at the latest after deadline_ns of
 * the guest's time, or from asks_eject_all(). */
void ask_put(struct ask *ask);
/* Remind the guest; the deadline stays. */
void ask_again(struct ask *ask);
/* Forget the question, if it is pending: done() will not be called. */
void ask_drop(struct ask *ask);

/* "the guest did not answer in time", ...; for messages. */
const char *ask_answer_text(enum ask_answer answer);

#endif
