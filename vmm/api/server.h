/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_API_SERVER_H
#define VMM_API_SERVER_H

#include "vmm/api/routes.h"
#include "vmm/error.h"
#include "vmm/loop.h"

/*
 * The control socket. Connections are served on the main loop, one request at
 * a time and in order; none of them is ever waited for. A client is at most
 * HTTP_BODY_MAX and a read ahead of us, and then has to take its replies
 * before it can send more.
 */
struct server;

struct server_config {
	struct loop *loop;
	struct api *api;
	const char *path; /* of the socket to make, or NULL: */
	int fd; /* a listening socket, taken over on success */
	/* vmm.shutdown was asked for, and all replies are on their way. */
	void (*on_quit)(void *opaque);
	void *opaque;
};

/*
 * Listen. A socket that no process listens on any more is replaced; "PATH.lock"
 * keeps two processes off the same path. -errno with a message that names
 * --api-socket.
 */
int server_open(struct server **out, const struct server_config *config,
		struct error *err);
/* Drops all connections and removes the socket. NULL is accepted. */
void server_close(struct server *s);

#endif
