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
struct api_reply {
	unsigned int status;
	const char *type; /* Content-Type; NULL: JSON */
	char *body; /* malloc'd; NULL: none */
	size_t body_len;
	/* Not 0: the reply comes later, by on_reply(); the other fields are not
	 * filled yet. */
	uint64_t ticket;
};

struct api {
	struct machine *machine; /* borrowed */
	const char *version; /* of this program */
	/* The reply to the request that got this ticket; the callee frees its
	 * body, and does not call api_handle(). NULL: replies are dropped. */
	void (*on_reply)(void *opaque, uint64_t ticket,
			 struct api_reply *reply);
	/* A request for which api_must_wait() said yes may have its turn now. */
	void (*on_ready)(void *opaque);
	void *opaque;

	/* vmm.shutdown was asked for; its reply is still to be sent. */
	bool quit;
	struct list_node waiting; /* struct api_waiter */
};

/* Start with no request waiting. api: caller's storage; machine and version are
 * borrowed. The caller sets on_reply and on_ready afterwards; the machine's
 * on_done and on_idle are set here. */
void api_init(struct api *api, struct machine *machine, const char *version);

/* Do what req asks for and fill *reply, whose body is then the caller's to
 * free. What is kept of fds is taken over. */
void api_handle(struct api *api, const struct http_request *req,
		const struct json_fds *fds, struct api_reply *reply);

/* The machine is busy, and req is for a verb that has to wait for that. */
bool api_must_wait(const struct api *api, const struct http_request *req);

/* The body of a reply to what is not even a request: {"error": text}; malloc'd.
 * NULL: no memory. */
char *api_error_body(const char *text);

/* To a request that has no chance any more: the process ends. */
void api_reply_ending(struct api_reply *reply);

/* The process ends: whoever waits for a reply gets that one, and the machine's
 * on_done and on_idle are not used any more. */
void api_fini(struct api *api);

#endif
