/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_HOTPLUG_LISTENER_H
#define VMM_HOTPLUG_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

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
 * verb of vmm/hotplug.h, but not end or reset the machine.
 */
struct hotplug_listener {
	/* How a hotplug_add() ended. why NULL: the device is there, and if the
	 * guest listens, a driver has bound; else it is not, or not any more. */
	void (*plugged)(void *opaque, const struct hotplug_place *at,
			const char *why);
	/* A driver took the device, or gave it up. nr_untold: how often it did
	 * since the last call, when that was too often to tell. */
	void (*driver)(void *opaque, const char *id, bool active,
		       unsigned int nr_untold);
	/* Each hotplug_remove() that returned 0 ends in one of these, unless
	 * the machine ends first. */
	void (*removed)(void *opaque, const struct hotplug_place *was);
	void (*remove_failed)(void *opaque, const char *id, const char *why);
	/* Each resize verb that returned 0 ends here. why NULL: as wanted. */
	void (*resized)(void *opaque, const struct hotplug_size *size,
			const char *why);
};

#endif
