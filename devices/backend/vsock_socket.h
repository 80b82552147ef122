/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_VSOCK_SOCKET_H
#define DEVICES_BACKEND_VSOCK_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/error.h"
#include "vmm/listener.h"

/*
 * The host's end of a guest's stream sockets, as Unix sockets. A program of the
 * host reaches port N of the guest by a listening socket: it says "CONNECT N"
 * and a line feed, and hears "OK M" when the guest has accepted, M being the
 * host's port; then bytes follow. What the guest starts to port N ends at the
 * socket "path_N", whoever listens there.
 *
 * Nothing here waits for the other side; one thread, unless it says otherwise.
 */
struct vsock_host {
	struct listener listener; /* but for fd, of a process without opener */
	int session; /* of the opener, which listens there; -1: none */
	char *path; /* NULL: of an inherited socket without a file */
};

/* Listen on path, or on a copy of fd when path is NULL; whatever vh was, it is
 * overwritten. Any thread; -errno with a message, nothing is left behind. */
int vsock_host_open(struct vsock_host *vh, const char *path, int fd,
		    struct error *err);
/* Remove the socket's files, which takes as long as the host likes. Who listens
 * already may go on. Any thread. */
void vsock_host_remove(struct vsock_host *vh);
/* Do that, and listen no more. Any thread. */
void vsock_host_close(struct vsock_host *vh);

/* The next client, the caller's from now on. -EAGAIN: there is none; -errno. */
int vsock_host_accept(const struct vsock_host *vh);
/* Connect to what listens for the guest's connections to port. A descriptor, the
 * caller's; -EAGAIN when the listener has too many clients waiting; -errno. */
int vsock_host_connect(const struct vsock_host *vh, uint32_t port);

/* Read a client's "CONNECT port", in upper or lower case, and nothing behind its
 * line feed. -EAGAIN: it is not there yet; -EPROTO: it is something else, or too
 * long; -EPIPE: the client is gone; -errno. */
int vsock_socket_read_connect(int fd, uint32_t *port);
/* Answer it: "OK port". -errno: the client is gone. */
int vsock_socket_say_ok(int fd, uint32_t port);

/* Bytes that were sent or received, fewer than iov has when the socket is full or
 * empty; 0 received: the other side sends no more. -EAGAIN, -errno. */
ssize_t vsock_socket_send(int fd, struct iovec *iov, unsigned int nr);
/* As above. *all: there is no more to read now. */
ssize_t vsock_socket_receive(int fd, struct iovec *iov, unsigned int nr,
			     bool *all);
/* Send no more, or receive no more. */
void vsock_socket_shutdown(int fd, bool send, bool receive);

/* Copy len bytes of iov, which may lie in memory that is not there any more:
 * -errno then. */
int vsock_copy(void *to, const struct iovec *iov, unsigned int nr, size_t len);

#endif
