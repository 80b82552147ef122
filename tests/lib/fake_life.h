/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_LIB_FAKE_LIFE_H
#define TESTS_LIB_FAKE_LIFE_H

#include <stdbool.h>

#include "vmm/config.h"
#include "vmm/vm.h"

/*
 * Doubles of the verbs of vmm/vm.h and vmm/hotplug.h, for tests of who calls
 * them: a machine that does nothing, and refuses when it is told to. They take
 * the place of the real ones at link time. What the caller must not do asserts.
 */
enum fake_operation {
	FAKE_IDLE,
	FAKE_BOOT,
	FAKE_PAUSE,
	FAKE_RESET,
	FAKE_QUIESCE,
};

struct fake_life {
	struct vm vm;
	bool exists;
	enum fake_operation busy;
	bool start_paused; /* of FAKE_RESET */
	bool holds; /* the host has some of what is destroyed */
	bool refuse; /* every verb that can fail does, now or at its end */
	/* devices that are being added, in order */
	struct fake_comer {
		struct hotplug_place at;
		uint64_t ticket;
	} coming[CONFIG_MAX_DEVICES];
	unsigned int nr_coming;
	char leaving[64]; /* is being taken away by force; "": none */
	char resizing[64]; /* a disk that is being resized; "": none */
	uint64_t leaving_ticket, resizing_ticket;
	/* what was asked for last; 0: nothing */
	unsigned int vcpus;
	uint64_t memory; /* bytes */
	unsigned int nr_set; /* times that a device was changed */
};

/* There is one, as there is one machine; tests set it to zeroes first. */
extern struct fake_life fake_life;

/* End what takes time: the operation under way, with an error when it is to be
 * refused, and what was asked of devices, but not what comes. */
void fake_life_turn(void);
/* The first device that comes is there; why: it is not. */
void fake_life_came(const char *why);
/* The device of that id is still coming. */
bool fake_life_is_coming(const char *id);
/* The guest stops or resets by itself; the machine has not heard of it yet. */
void fake_life_raise(enum vm_event event);
/* The host lets go of what was destroyed last. */
void fake_life_let_go(void);
/* No vCPU runs: what was coming is gone. */
void fake_life_stop(void);

#endif
