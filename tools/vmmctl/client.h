/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TOOLS_VMMCTL_CLIENT_H
#define TOOLS_VMMCTL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/error.h"

/* The other end of the control socket. Waits as long as the monitor takes. */

#define CLIENT_MAX_FDS 64u

struct client_request {
	const char *socket; /* path */
	bool get; /* else PUT */
	const char *verb; /* "vm.boot" */
	const char *body; /* NULL: none */
	const int *fds; /* sent along; borrowed */
	unsigned int nr_fds;
};

struct client_reply {
	unsigned int status;
	char *text; /* all of it; malloc'd, the caller's to free in every case */
	char *body; /* in text, NUL behind it */
	size_t len; /* of body */
};

/* Connect, ask, hang up. 0 when there is an answer, whatever its status. -errno
 * when there is none, with a message that names the socket and what to do. */
int client_ask(const struct client_request *req, struct client_reply *reply,
	       struct error *err);

#endif
