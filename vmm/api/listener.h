/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_API_LISTENER_H
#define VMM_API_LISTENER_H

#include <stdbool.h>

#include "vmm/error.h"

/*
 * A listening Unix socket with a name, of which there is one at a time. The
 * caller's storage; main thread.
 */
struct listener {
	int fd; /* non-blocking */
	int lock_fd; /* "path.lock", -1: the socket was inherited */
	char *path; /* NULL: inherited */
	bool bound; /* there is a file of that name, and it is ours */
};

/* Listen on path; it is made with no access for others. A socket that nobody
 * listens on is removed first. -errno with a message. */
int listener_open(struct listener *l, const char *path, struct error *err);
/* Take over a socket that listens already. -errno with a message. */
int listener_adopt(struct listener *l, int fd, struct error *err);
/* Close, and remove what listener_open() made. */
void listener_close(struct listener *l);

#endif
