/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_LISTENER_H
#define VMM_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/error.h"

/*
 * A listening Unix socket of streams, which a path of the host names. Only one
 * process at a time has one of that name. One thread at a time.
 */
struct listener {
	int fd; /* non-blocking */
	int lock_fd; /* of lock_path; -1: none, the socket was inherited */
	char *path; /* NULL: inherited */
	char *lock_path; /* "path.lock" */
	/* The file of that name that is ours; ino 0: none. */
	dev_t dev;
	ino_t ino;
};

/* Listen on path, which is borrowed for the call; others have no access to the
 * file from the moment it is there. A socket there that nobody listens on is
 * removed first. l: caller's storage. -errno with a message, and nothing is left
 * behind. */
int listener_open(struct listener *l, const char *path, struct error *err);
/* Take over fd, a socket of that kind that listens already; its file is somebody
 * else's. It stays the caller's on failure: -errno with a message. */
int listener_adopt(struct listener *l, int fd, struct error *err);
/*
 * Connect to who listens at "prefix_port", without waiting. nofollow:
 * the name is no symbolic link. A descriptor, the
 * caller's, which does not wait either; -EAGAIN: too many clients wait there
 * already; -errno. Any thread.
 */
int listener_connect(const char *prefix, uint32_t port, bool nofollow);
/* Where an inherited socket listens, to be freed; NULL: it has no path. */
char *listener_path_of(int fd);
/* Remove the files that listener_open() made, unless others are there now. Who
 * listens already may go on: another thread. */
void listener_remove(struct listener *l);
/* Do that, and close the socket. */
void listener_close(struct listener *l);

#endif
