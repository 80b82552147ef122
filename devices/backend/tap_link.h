/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_TAP_LINK_H
#define DEVICES_BACKEND_TAP_LINK_H

#include <stdbool.h>

#include "vmm/loop.h"

/*
 * Whether an interface is up and has a carrier, as the host's kernel tells. It
 * is asked once, and says by itself what changes.
 */
struct tap_link {
	int fd; /* netlink; -1: nothing is known, it counts as up */
	int ifindex;
	bool up; /* as last heard; set before tap_link_watch(), then its loop's */
	bool lost; /* there were more messages than room; ask what is */
	/* set by tap_link_watch() */
	struct loop_fd events;
	void (*changed)(void *opaque, bool up);
	void *opaque;
};

/* Look at the interface of that number; fd: a socket that hears of it
 * (opener_interface()), whose owner link is now, or -1. Any thread. */
void tap_link_open(struct tap_link *link, int fd, int ifindex);
/* Nobody watches it. Accepts one whose fd is -1. Any thread. */
void tap_link_close(struct tap_link *link);

/* Call changed() when link->up does; an interface that is gone is down. What
 * changed before is told, too. On the loop's thread. -errno. */
int tap_link_watch(struct tap_link *link, struct loop *loop,
		   void (*changed)(void *opaque, bool up), void *opaque);
/* changed() is called no more. One that is not watched is accepted. */
void tap_link_unwatch(struct tap_link *link);

#endif
