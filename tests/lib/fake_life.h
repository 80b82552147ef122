/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_LIB_FAKE_LIFE_H
#define TESTS_LIB_FAKE_LIFE_H

#include <stdbool.h>

#include "vmm/config.h"
#include "vmm/vm.h"

/*
 * Doubles of the verbs of vmm/vm.h, for tests of who calls them: a machine
 * that does nothing, and refuses when it is told to. They take the place of
 * the real ones at link time. What the caller must not do asserts.
 */
struct fake_life {
	struct vm vm;
	bool exists, paused;
	bool refuse; /* every verb that can fail does */
	bool listens; /* plugs wait for a driver: fake_life_came() */
	/* devices that no driver has bound to yet, in order */
	struct hotplug_place coming[CONFIG_MAX_DEVICES];
	unsigned int nr_coming;
	/* what was asked for last; 0: nothing */
	unsigned int vcpus;
	uint64_t memory; /* bytes */
};

/* There is one, as there is one machine; tests set it to zeroes first. */
extern struct fake_life fake_life;

/* A driver binds to the first device that comes; why: it does not. */
void fake_life_came(const char *why);
/* The device of that id has no driver yet. */
bool fake_life_is_coming(const char *id);
/* No vCPU runs: what was coming is gone. */
void fake_life_stop(void);

#endif
