/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_HOTPLUG_H
#define VMM_HOTPLUG_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/device.h"
#include "vmm/ask.h"
#include "vmm/board.h"
#include "vmm/error.h"
#include "vmm/hotplug_listener.h"
#include "vmm/kvm.h"
#include "vmm/plug.h"
#include "vmm/resize.h"

/*
 * Hot-plug of devices, vCPUs and memory. What comes is there before the guest
 * is told. What goes is asked for, and is taken only when the guest has let go
 * of it. Main thread, unless it says otherwise.
 */
struct hotplug {
	struct asks asks;
	struct plug plug;
	struct resize resize;
};

/* hp: the caller's storage; board and kvm are borrowed, and the board's memory
 * is there; listener and opaque are borrowed as well. Main thread. */
void hotplug_init(struct hotplug *hp, struct board *board, struct kvm *kvm,
		  const struct hotplug_listener *listener, void *opaque);
/* Forget what is under way. Accepts a zeroed one. Main thread. */
void hotplug_fini(struct hotplug *hp);

/* board->run has changed: the guest runs, is paused, or is gone; then it has
 * let go of all that it was asked for. */
void hotplug_on_run(struct hotplug *hp);
/* The machine is as at power-on. No vCPU runs. */
void hotplug_on_reset(struct hotplug *hp);

/*
 * Add a device to a machine that runs or is paused, when the host has opened
 * its files (dc is copied), and tell the guest. The listener's plugged() tells
 * how that ended: a guest that listens gets time to bind a driver; one that
 * does not yet, or stands still, finds the device later.
 * -errno with a message; -ENOTSUP: no hot-plug here.
 */
int hotplug_add(struct hotplug *hp, const struct device_config *dc,
		struct error *err);

/*
 * Ask the guest to let go of a device. It and its id stay until the guest
 * ejects it: then the device is destroyed, its files are closed, and removed()
 * is called. When the host has not finished its requests in PLUG_GONE_NS,
 * removed() is called even so, and its files are closed later. A guest that
 * does not eject it in ASK_DEADLINE_NS keeps it: remove_failed(); asking again
 * later is fine. While a request is pending, another one only reminds the guest:
 * there is one answer to both.
 * force: take it away at once, without asking.
 * -ENOENT: no such device; -EBUSY: it is still being added; -ENOTSUP.
 */
int hotplug_remove(struct hotplug *hp, const char *id, bool force,
		   struct error *err);

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
