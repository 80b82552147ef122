/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_API_ROUTES_H
#define VMM_API_ROUTES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/api/http.h"
#include "vmm/api/json.h"
#include "vmm/machine.h"

/*
 * What each request does: one table from method and path to a verb of the
 * machine. No sockets in here. Main thread.
 */
struct api_route;

struct api_reply {
	struct http_reply head;
	char *body; /* malloc'd; NULL: none */
	/* Not 0: it comes when the machine says that it has done this
	 * (machine.on_done), by api_reply_done(). */
	uint64_t ticket;
	const struct api_route *route; /* routes.c's own */
};

struct api {
	struct machine *machine; /* borrowed */
	const char *version; /* of this program */
	/* vmm.shutdown was asked for; its reply is still to be sent. */
	bool quit;
};

/* Do what req asks for and fill *reply, whose body is then the caller's to
 * free. What is kept of fds is taken over. */
void api_handle(struct api *api, const struct http_request *req,
		const struct json_fds *fds, struct api_reply *reply);

/* The machine is busy, and req is for a verb that has to wait for that. */
bool api_must_wait(const struct api *api, const struct http_request *req);

/* Fill the reply to what is not even a request: {"error": text}. */
void api_reply_error(struct api_reply *reply, unsigned int status,
		     const char *text);

/* Fill a reply that had a ticket: the arguments are those of on_done. */
void api_reply_done(struct api_reply *reply, int r, const struct error *err,
		    const struct hotplug_place *at);
/* Fill the reply to a request that has no chance any more: the process ends. */
void api_reply_ending(struct api_reply *reply);

#endif
