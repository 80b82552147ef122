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
	/* Not 0: the reply comes later, in on_reply(), and the rest of this
	 * says nothing yet. */
	uint64_t ticket;
};

struct api {
	struct machine *machine; /* borrowed */
	const char *version; /* of this program */
	/* The reply to the request that got this ticket; its body is the
	 * callee's to free. No api_handle() from in here. */
	void (*on_reply)(void *opaque, uint64_t ticket,
			 struct api_reply *reply);
	void *opaque;

	/* vmm.shutdown was asked for; its reply is still to be sent. */
	bool quit;
	struct list_node waiting; /* struct api_waiter */
	uint64_t last_ticket;
};

/* api: caller's storage; on_reply is set afterwards. The machine's on_added is
 * taken. */
void api_init(struct api *api, struct machine *machine, const char *version);

/* Do what req asks for and fill *reply, whose body is then the caller's to
 * free. What is kept of fds is taken over. */
void api_handle(struct api *api, const struct http_request *req,
		const struct json_fds *fds, struct api_reply *reply);

/* The body of a refusal that is not a request's own: {"error": text}. NULL: no
 * memory. */
char *api_error_body(const char *text);

/* Requests that wait get no reply any more. */
void api_fini(struct api *api);

#endif
