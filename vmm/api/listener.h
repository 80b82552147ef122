/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_API_LISTENER_H
#define VMM_API_LISTENER_H

#include <stdbool.h>

#include "vmm/error.h"

/*
 * A listening Unix socket. Only one process at a time has one of that name. Main
 * thread.
 */
struct listener {
	int fd; /* non-blocking */
	int lock_fd; /* of lock_path; -1: none, the socket was inherited */
	char *path; /* NULL: inherited */
	char *lock_path; /* "path.lock" */
	bool bound; /* there is a file of that name, and it is ours */
};

/* Listen on path, which is borrowed for the call; the file is made with no
 * access for others. A socket there that nobody listens on is removed first.
 * l: caller's storage. -errno with a message, and nothing is left behind. */
int listener_open(struct listener *l, const char *path, struct error *err);
/* Take over fd, a socket that listens already; its file is somebody else's. It
 * stays the caller's on failure: -errno with a message. */
int listener_adopt(struct listener *l, int fd, struct error *err);
/* Close the socket, and remove the files that listener_open() made. */
void listener_close(struct listener *l);

#endif
