/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_OPENER_H
#define VMM_OPENER_H

#include <stdbool.h>

#include "vmm/confine.h"
#include "vmm/error.h"
#include "vmm/opener_protocol.h"

/*
 * Opening files of the host in another process, the *opener*, so that the
 * monitor's threads need no system call for it. It is forked first of all, has
 * neither guest memory nor descriptors of the monitor, and ends with it. What it
 * is asked for, it forks a child for, one a session; a file that hangs holds up
 * nobody else.
 *
 * The monitor may be in a guest's hands: what can be asked for is bounded, as
 * enum opener_kind says, and by directories where opener_start() gets some.
 * Nothing is opened in /proc or /sys but network namespaces, which are entered and
 * not handed out, and no device file but block devices, TAPs and vhost-net.
 */

enum opener_mode {
	OPENER_ON,
	/* Until opener_end(); what the guest starts is not connected. */
	OPENER_AT_FIRST,
	OPENER_OFF, /* nothing is opened by its path */
};

struct opener_config {
	enum opener_mode mode;
	/* Nothing is opened but beneath these; borrowed for good. */
	const char *const *allow;
	unsigned int nr_allow; /* at most OPENER_ALLOW_MAX; 0: anything */
	const struct confine_table *filters;
	enum confine_mode confine; /* of its own system calls */
	/* In the new process, before anything else: be whom it opens for.
	 * Fails: -errno, and the opener ends. NULL: it stays who it is. */
	int (*become)(const void *arg);
	const void *arg;
};

/*
 * Until this is called, the calling process opens by itself. Main thread, before
 * there are others. -errno with a message.
 */
int opener_start(const struct opener_config *oc, struct error *err);
/* What hangs up when the opener has ended early; opener_end() is to be called
 * then. -1: there is none. */
int opener_fd(void);
/* End it, if it is there; all that is asked for after that is refused. Main
 * thread. */
void opener_end(void);

/*
 * Open path. found: may be NULL. Returns the descriptor, the caller's, closed on
 * exec; -errno: -ENOLINK where the opener is gone, -ENOANO where there was to be
 * none, -EXDEV: the path is not beneath an allowed directory; -EINVAL with
 * found->mode: it is of another kind. Takes as long as the host likes. Any
 * thread.
 */
int opener_open(enum opener_kind kind, const char *path, unsigned int flags,
		struct opener_found *found);
/* As opener_open() of the file or block device that fd is open on: its own open
 * file description. fd stays. */
int opener_open_again(int fd, unsigned int flags, struct opener_found *found);
/* The main side of a new pseudo-terminal, which does not wait, as opener_open();
 * *other: its other side, the caller's. */
int opener_open_pty(int *other);
/* The calling thread will not ask soon: its session ends. */
void opener_leave(void);

/* ---- bounds ---- */

/*
 * The place is to stay open when the opener is bounded: flags as of OPENER_PLACE.
 * By the calling thread, whose session has the others of the same bound. 0, or as
 * opener_open(); -E2BIG: these are OPENER_PLACES_MAX; -ENOSYS and -EOPNOTSUPP: the
 * host's kernel has no Landlock.
 */
int opener_place(const char *path, unsigned int flags);
/* From now on nothing is opened but what is at these places, for good; those who have
 * a session keep what they have. 0, -EPERM: threads of the monitor may open files
 * by themselves, as nothing filters their system calls; -errno. */
int opener_bound(void);

/* ---- networks ---- */

/*
 * Open nr_queues of the TAP of that name, which is made and goes with its
 * descriptors when it is not there; NULL: the kernel names one. netns: a file of
 * its network namespace, or /dev/fd/N; NULL: the opener's. fds: the caller's. The
 * thread's session is in that namespace then. -errno with a message that starts
 * with the parameter. Any thread.
 */
int opener_tap(const char *name, const char *netns, unsigned int nr_queues,
	       int *fds, struct opener_found_tap *found, struct error *err);
/*
 * Set up the interface of a TAP, of which tap is a queue: one that opener_tap()
 * has opened in this session, or any, which stays up or down, and whose
 * namespace the session goes to where it may. *link: a socket that hears of it, the
 * caller's; -1: none. As above.
 */
int opener_interface(int tap, const struct opener_interface *ask, int *link,
		     struct opener_found_interface *found, struct error *err);
/* /dev/vhost-net, as opener_open(). */
int opener_vhost(void);

/* ---- sockets ---- */

/* Was opener_start() called? If not, this process makes sockets by itself. */
bool opener_is_used(void);
/* Listen at path as listener_open(). *session: for what follows, and to be closed
 * in the end. Returns the socket, the caller's; -errno with a message. Any
 * thread. */
int opener_listen(const char *path, int *session, struct error *err);
/* A session for connections next to where the inherited socket fd listens; -1:
 * there will be none. Any thread. */
int opener_connects(int fd);
/* Connect to "path_PORT" of the session, as listener_connect(). One thread. */
int opener_connect(int session, uint32_t port);
/* Have the files of what listens removed, as long as that may take; -1: there
 * are none. Nothing is connected after that. Any thread. */
void opener_unlisten(int session);

#endif
