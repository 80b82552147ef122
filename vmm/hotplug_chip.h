/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_HOTPLUG_CHIP_H
#define VMM_HOTPLUG_CHIP_H

#include <stdbool.h>

#include "vmm/gmem.h"

/*
 * What the machine and its hot-plug chips, which carry messages to the guest
 * and back, say to each other.
 */

/* Kinds of things that come and go. The numbers are known to the hot-plug chip
 * and to the guest's byte code. */
enum hotplug_kind {
	HOTPLUG_PCI, /* index: of the place, hotplug_pci_index() */
	HOTPLUG_CPU, /* index: of the vCPU */
	HOTPLUG_MEMORY, /* index: of the DIMM */
	HOTPLUG_KINDS,
};

/* Indices are below it; of vCPUs there are most: arch_max_vcpus. */
#define HOTPLUG_MAX_INDEX 512u

/* On bus 0 a place is a slot; the other buses have one place each. */
static inline unsigned int hotplug_pci_index(unsigned int bus,
					     unsigned int slot)
{
	return bus ? 31 + bus : slot;
}

/* What a chip does for the kinds that it was set for (board_set_hotplug()). Main thread. */
struct hotplug_chip_ops {
	/* Tell the guest to look at what came; of memory, where it is. */
	void (*came)(void *opaque, enum hotplug_kind kind, unsigned int index,
		     gpa_t gpa, uint64_t len);
	/* on: ask it to let go, and permit it one answer. Else take that back:
	 * what it answers from now on counts no more. Returns whether it had
	 * the permission before; an answer that has used it is given to
	 * board_eject_answer() by a vCPU thread, now or soon. */
	bool (*ask)(void *opaque, enum hotplug_kind kind, unsigned int index,
		    bool on);
	/* Has the guest looked since its start, so that it will again? */
	bool (*is_heard)(void *opaque);
	/* Has the guest yet to read that it is to look at, or to let go of, this
	 * one? */
	bool (*is_unread)(void *opaque, enum hotplug_kind kind,
			  unsigned int index);
};

#endif
