/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_NOWAIT_H
#define VMM_NOWAIT_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Output that never waits for its reader, to a descriptor that others hold as
 * well: standard output and standard error. O_NONBLOCK belongs to the open file
 * description, which is shared with the shell, so terminals and pipes are
 * opened once more. Plain files know no O_NONBLOCK: for those that may be slow,
 * see vmm/slow_file.h.
 */
struct nowait {
	int fd; /* borrowed; -1: none */
	int own; /* the same file opened by us, with O_NONBLOCK; -1: it cannot be */
};

/*
 * Open the terminal or pipe behind fd once more, with O_NONBLOCK and without
 * making it the controlling terminal. access: O_RDONLY or O_WRONLY. Returns the
 * caller's new descriptor; -1 for all other files, and where the host refuses.
 * Any thread.
 */
int nowait_reopen(int fd, int access);

/* Is fd's file on a file system of this host's own disks or memory, which
 * answers? False where that is not known. Asks it. Any thread. */
bool nowait_is_local(int fd);

/* Is fd a plain file that is not? Asks it, but for standard ones that are kept.
 * Any thread. */
bool nowait_is_slow(int fd);

/* Open those of standard input, output and error, and none later: from now on
 * nowait_reopen() gives copies, and nowait_is_slow() says what these were.
 * Before there are other threads. */
void nowait_keep(void);

/* open(2) a file or pipe to write to, made when it is not there; flags: O_TRUNC
 * or O_APPEND. A pipe that nobody reads is ENXIO. Any thread. */
int nowait_create(const char *path, int flags);

/* nw will write to fd, which outlives it; -1: to nothing. Any thread. */
void nowait_open(struct nowait *nw, int fd);
/* Leaves fd open. Any thread, nobody else uses nw. */
void nowait_close(struct nowait *nw);

/* Is the terminal fd that of this process's job, which may then read and set it up?
 * 1, 0, or -errno: it hung up, or is no terminal that controls us. Any thread. */
int nowait_has_terminal(int fd);

/* What poll(2) and epoll(7) can watch for nw; -1: none. Any thread. */
int nowait_fd(const struct nowait *nw);

/*
 * write(2) of len bytes that does not wait: fewer than len are written, or none
 * with EAGAIN, where the reader is slow. Any thread.
 */
ssize_t nowait_write(const struct nowait *nw, const void *data, size_t len);

#endif
