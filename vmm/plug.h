/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_PLUG_H
#define VMM_PLUG_H

#include <stdint.h>

#include "devices/device.h"
#include "vmm/ask.h"
#include "vmm/board.h"
#include "vmm/config.h"
#include "vmm/error.h"
#include "vmm/hotplug_listener.h"
#include "vmm/kvm.h"
#include "vmm/list.h"
#include "vmm/loop.h"
#include "vmm/opening.h"

/*
 * Devices that come and go while the guest runs, and what drivers do with
 * them. Main thread, unless it says otherwise.
 */

/*
 * A driver has to bind to what was plugged this soon after the guest was last
 * seen to get on with it. It is part of what a shim waits for (5 s), so the
 * answer has to come before that. A guest that is slow is given
 * PLUG_DEADLINE_MAX_NS in all.
 */
#define PLUG_DEADLINE_NS 4500000000ull
#define PLUG_DEADLINE_MAX_NS 30000000000ull

/* The host has so much time to open a device's files. */
#define PLUG_OPEN_NS 30000000000ull
/* removed() waits for the last requests of a device, but not longer. */
#define PLUG_GONE_NS 1000000000ull

struct plug {
	/* set by plug_init(), borrowed */
	struct board *board;
	struct kvm *kvm;
	struct asks *asks;
	const struct hotplug_listener *listener;
	void *opaque;

	/* main thread */
	struct list_node coming; /* struct plug_comer */
	struct list_node leaving; /* struct plug_leaver */
	uint64_t deadline_ns; /* of later plugs */
	struct loop_timer reaper; /* of the board's devices that are gone */
	struct loop_timer untold; /* some device has nr_untold */

	/* any thread */
	struct loop_call news;
};

/* plug: the caller's storage, with the borrowed fields set. Main thread, as
 * all here but the news. */
void plug_init(struct plug *plug);
/* Forget what is under way; devices stay the board's. */
void plug_fini(struct plug *plug);

/* The guest was paused: it will find what was coming when it goes on. */
void plug_on_pause(struct plug *plug);
/* No vCPU runs any more: no driver binds now, so what was still coming is taken
 * back. */
void plug_on_stop(struct plug *plug);
/* Devices are as at power-on. No vCPU runs. */
void plug_on_reset(struct plug *plug);

/* As hotplug_add(). */
int plug_add(struct plug *plug, const struct device_config *dc,
	     struct error *err);
/* As hotplug_remove(). */
int plug_remove(struct plug *plug, const char *id, bool force,
		struct error *err);

/* A device may have come to rest: destroy those that are gone. */
void plug_reap(struct plug *plug);

/* The device of this id, if it is one that can be unplugged, or NULL. */
struct device *plug_find(struct plug *plug, const char *id);

/* As board_driver_news(). Any thread. */
void plug_driver_news(struct plug *plug, struct device *dev,
		      enum device_news news);

#endif
