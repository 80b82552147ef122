/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_API_SERVER_H
#define VMM_API_SERVER_H

#include "vmm/api/routes.h"
#include "vmm/error.h"
#include "vmm/loop.h"

/*
 * The control socket, on the main loop. Each connection is served one request
 * at a time and in order; no client is ever waited for. A client can be
 * HTTP_BODY_MAX and a read ahead of its replies; it has to take them before
 * more is read from it. Ten clients are served at once.
 */
struct server;

struct server_config {
	struct loop *loop;
	struct api *api;
	const char *path; /* of the socket to make, or NULL: */
	int fd; /* a listening socket, taken over on success */
	/* vmm.shutdown was asked for, and all replies are on their way. */
	void (*on_quit)(void *opaque);
	void *opaque; /* the caller's */
};

/*
 * Listen, and answer what comes. Main thread. A socket that no process listens
 * on any more is replaced; "PATH.lock" keeps two processes off the same path.
 * config->path is borrowed for the call, loop and api until server_close();
 * on_done and on_idle of the machine are set. -errno with a message that names --api-socket.
 */
int server_open(struct server **out, const struct server_config *config,
		struct error *err);
/* Answer what has not been done with an error, send what replies there are
 * without waiting, drop all connections, and remove the socket. After
 * api_fini(). NULL is accepted. */
void server_close(struct server *s);

#endif
