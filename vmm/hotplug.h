/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_HOTPLUG_H
#define VMM_HOTPLUG_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/board.h"
#include "vmm/config.h"
#include "vmm/error.h"
#include "vmm/kvm.h"
#include "vmm/list.h"
#include "vmm/loop.h"
#include "vmm/pages.h"

/*
 * Hot-plug of devices, vCPUs and memory. What comes is there before the guest
 * is told. What goes is asked for, and is taken only when the guest has let go
 * of it. Main thread.
 */
struct hotplug;

/* A device in its place. */
struct hotplug_place {
	char id[64];
	char bdf[16]; /* "0000:00:SS.0" */
};

/* How a request for another size came out. */
struct hotplug_size {
	bool memory; /* else vCPUs */
	uint64_t wanted; /* bytes, or vCPUs */
	uint64_t actual;
};

/*
 * What hot-plug reports to the machine. All members are set; all are called on
 * the main thread, with texts that are good for the call. They may call any
 * verb from below, but not end or reset the machine.
 */
struct hotplug_listener {
	/* How a hotplug_add() (add), or a hotplug_remove() that returned 0,
	 * ended. why NULL: the device is there, and if the guest listens, a
	 * driver has bound; or it is gone. Else it did not come, or it stays.
	 * Each has one end, unless the machine ends first. ticket: the
	 * caller's of that, or 0. */
	void (*plugged)(void *opaque, bool add, const struct hotplug_place *at,
			const char *why, uint64_t ticket);
	/* A driver took the device, or gave it up. nr_untold: how often it did
	 * since the last call, when that was too often to tell. */
	void (*driver)(void *opaque, const char *id, bool active,
		       unsigned int nr_untold);
	/* The link of a network went down or came back; the last of many in a
	 * short time. */
	void (*link)(void *opaque, const char *id, bool up);
	/* Each resize verb that returned 0 ends here. why NULL: as wanted. */
	void (*resized)(void *opaque, const struct hotplug_size *size,
			const char *why);
};

/* ---- questions to the guest: ask.c ---- */

#define ASK_DEADLINE_NS 30000000000ull

enum ask_answer {
	ASK_EJECTED, /* the guest let go */
	ASK_REFUSED,
	ASK_LATE, /* no answer in time */
};

/* One question; the caller's storage until done() or ask_drop(). The caller
 * fills the first fields. */
struct ask {
	struct hotplug *hp;
	enum hotplug_kind kind;
	unsigned int index;
	void (*done)(struct ask *ask, enum ask_answer answer);
	/* ask.c's own */
	struct loop_timer deadline;
	struct list_node node;
	bool pending;
};

/* Ask. done() follows from the main loop, at the latest after ask_ns of the
 * guest's time, or from asks_eject_all(). */
void ask_put(struct ask *ask);
/* Tell the guest that it is asked for this (on), again as well, or is no more.
 * False: it has answered meanwhile, and board_eject_answer() is called, or about to
 * be. */
bool ask_tell(const struct ask *ask, bool on);
/* Forget the question, if it is pending: done() will not be called. */
void ask_drop(struct ask *ask);
/* "the guest did not answer in time", ...; for messages. */
const char *ask_answer_text(enum ask_answer answer);

/* The guest runs, or does no more (board->run says so): questions are due only
 * while it runs, and have all their time when it goes on. */
void asks_on_run(struct hotplug *hp);
/* The guest is gone: it has let go of all that it was asked for. */
void asks_eject_all(struct hotplug *hp);
/* Start with no question, in a hp that is zeroed but for what it borrows. */
void asks_init(struct hotplug *hp);

/* ---- devices: plug.c ---- */

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
/* The end of a removal waits for the last requests of a device, but not longer. */
#define PLUG_GONE_NS 1000000000ull

/* ---- vCPUs and memory: resize.c ---- */

struct resizer_ops;

/* Requests between two turns of the main loop, which leaves one under way and
 * one waiting. */
#define RESIZE_QUEUE_MAX 64u

/* Equal requests for one size, one after the other. */
struct resize_request {
	uint64_t wanted;
	unsigned int nr;
};

/* What is asked for, of vCPUs or of memory, the oldest one first. */
struct resizer {
	struct hotplug *hp;
	const struct resizer_ops *ops;
	struct resize_request queue[RESIZE_QUEUE_MAX];
	unsigned int nr;
	bool begun; /* the first one is under way */
	bool growing; /* its growth goes on, on other threads */
	uint64_t began; /* size when it began */
	uint32_t refused; /* DIMMs, for this request */
	struct ask ask;
	struct loop_call call;
};

/* Start with nothing asked for. */
void resize_init(struct hotplug *hp);
/* Forget what is under way. */
void resize_fini(struct hotplug *hp);
/* The guest is gone: it has let go of what it was asked for, so that what is
 * under way comes to its end; what waits fails. No vCPU runs. */
void resize_on_stop(struct hotplug *hp);

/* ---- all of it ---- */

struct hotplug {
	/* set by hotplug_init(), borrowed */
	struct board *board;
	struct kvm *kvm;
	const struct hotplug_listener *listener;
	void *opaque;

	struct list_node asks; /* that are pending, in order */
	uint64_t ask_ns; /* of later questions */
	struct loop_call mail; /* the guest has answered */

	struct list_node coming; /* struct plug_comer */
	uint64_t plug_ns; /* deadline of later plugs */
	struct loop_timer reaper; /* of the board's devices that are gone */
	struct loop_timer untold; /* some device has nr_untold */
	struct loop_call news;

	struct resizer cpus;
	struct resizer memory;
	/* DIMMs on their way: a bit each, and what populates them */
	uint32_t dimms_coming;
	struct pages_job pages;
};

/* hp: the caller's storage; board and kvm are borrowed, and the board's memory
 * is there; listener and opaque are borrowed as well. */
void hotplug_init(struct hotplug *hp, struct board *board, struct kvm *kvm,
		  const struct hotplug_listener *listener, void *opaque);
/* -ENOTSUP with a message: this machine has no hot-plug of that kind. */
int hotplug_check_kind(const struct hotplug *hp, enum hotplug_kind kind,
		       struct error *err);
/* Forget what is under way, and tell of nothing any more. */
void hotplug_fini(struct hotplug *hp);
/* After that, when no thread of a device is left. */
void hotplug_free(struct hotplug *hp);

/* board->run has changed: the guest runs, is paused, or is gone; then it has
 * let go of all that it was asked for. */
void hotplug_on_run(struct hotplug *hp);
/* Devices are as at power-on. No vCPU runs. */
void hotplug_on_reset(struct hotplug *hp);

/*
 * Add a device to a machine that runs or is paused, when the host has opened
 * its files (dc is copied), and tell the guest. The listener's plugged() tells
 * how that ended: a guest that listens gets time to bind a driver; one that
 * does not yet, or stands still, finds the device later.
 * -errno with a message; -ENOTSUP: no hot-plug here.
 */
int hotplug_add(struct hotplug *hp, const struct device_config *dc,
		uint64_t ticket, struct error *err);
/* The ticket of a device that is on its way; 0: none is. */
uint64_t hotplug_coming(struct hotplug *hp, const char *id);

/*
 * Ask the guest to let go of a device. It and its id stay until the guest
 * ejects it: then the device is destroyed, its files are closed, and plugged()
 * is called. When the host has not finished its requests in PLUG_GONE_NS,
 * plugged() is called even so, and its files are closed later. A guest that
 * does not eject it in ASK_DEADLINE_NS keeps it; asking again later is fine.
 * While a request is pending, another one only reminds the guest: there is one
 * answer to both.
 * force: take it away at once, without asking; ticket is of that.
 * -ENOENT: no such device; -EBUSY: it is still being added; -ENOTSUP.
 */
int hotplug_remove(struct hotplug *hp, const char *id, bool force,
		   uint64_t ticket, struct error *err);

/* Where the device of this id is; false when there is none, or it is still on
 * its way. */
bool hotplug_where(struct hotplug *hp, const char *id,
		   struct hotplug_place *at);
/* The device of this id, if it is one that can be unplugged, or NULL. */
struct device *hotplug_find(struct hotplug *hp, const char *id);

/* A device may have come to rest: destroy those that are gone. */
void hotplug_reap(struct hotplug *hp);

/*
 * Have nr vCPUs, 1 to the most there may be. 0: resized() will follow, also
 * when there was nothing to do. More are there at once, and the guest may bring
 * them up; fewer need its help, and wait ASK_DEADLINE_NS for each. A request
 * waits for the one under way, until a later one takes its place. -errno with a
 * message.
 */
int hotplug_resize_vcpus(struct hotplug *hp, unsigned int nr,
			 struct error *err);

/*
 * Have `bytes` of memory: the size at start and a multiple of GMEM_BLOCK, up to
 * hotplug_size more. Otherwise as hotplug_resize_vcpus(); with prefault, the
 * guest hears of more when all pages are there. Pages that it gives back are the
 * host's as soon as no I/O uses them.
 */
int hotplug_resize_memory(struct hotplug *hp, uint64_t bytes,
			  struct error *err);

#endif
