/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_API_HTTP_H
#define VMM_API_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * HTTP/1.1 as the control socket speaks it: bytes in, whole requests out, and
 * the head of a response. No sockets in here. One parser belongs to one
 * connection and one thread.
 */

#define HTTP_LINE_MAX 1024u /* bytes of a request or header line, no CRLF */
#define HTTP_BODY_MAX (4u << 20) /* bytes */
#define HTTP_HEAD_MAX 256u /* bytes of a response's head */

enum http_verb {
	HTTP_VERB_GET,
	HTTP_VERB_PUT,
	HTTP_VERB_OTHER, /* PATCH, DELETE: known, and never served */
};

struct http_request {
	enum http_verb verb;
	char *target; /* path with query, as sent; owned */
	char *body; /* owned, NUL behind it; NULL: none */
	size_t body_len; /* bytes */
};

enum http_event {
	HTTP_EVENT_NONE, /* all bytes are taken, more are needed */
	HTTP_EVENT_REQUEST, /* *req was filled */
	HTTP_EVENT_CONTINUE, /* the client waits for "100" */
	HTTP_EVENT_BAD, /* not a request; http.error says why */
};

/* A parser, the caller's storage; zeroed before its first request. At its end,
 * http_request_fini() frees what it has of one. */
struct http {
	struct http_request req; /* being read */
	const char *error; /* of the last HTTP_EVENT_BAD; lives for ever */

	/* http.c's own */
	enum {
		HTTP_PART_REQUEST_LINE,
		HTTP_PART_HEADERS,
		HTTP_PART_BODY,
	} part;
	bool expects; /* Expect: 100-continue */
	bool has_len; /* a Content-Length came */
	uint64_t len; /* of the body, bytes */
	const char *refused; /* said at the head's end; NULL: nothing */
	char line[HTTP_LINE_MAX + sizeof("\r\n")]; /* being read */
	size_t line_len;
	uint64_t skip; /* bytes of a refused body still to come */
};

/*
 * Take bytes until something happens or len are used up. Returns how many
 * were taken (all of them after HTTP_EVENT_BAD: what follows a broken request
 * cannot be told from its rest). A request is the caller's, for
 * http_request_fini(). The parser is ready for the next request after each
 * HTTP_EVENT_REQUEST and HTTP_EVENT_BAD.
 */
size_t http_feed(struct http *h, const char *data, size_t len,
		 enum http_event *event, struct http_request *req);

/* Part of a request, or of a body to skip, is there, the rest is not. */
bool http_is_partial(const struct http *h);

/* Free what a request has; it is all zeroes afterwards. */
void http_request_fini(struct http_request *req);

/* What the head of a response says. */
struct http_reply {
	unsigned int status;
	const char *type; /* Content-Type; NULL: application/json */
	size_t body_len; /* ignored for 100 and 204, which have no body */
	bool close; /* "Connection: close", else keep-alive */
};

/* Write a response's head, with no NUL behind it. Returns its length, less than
 * HTTP_HEAD_MAX. */
size_t http_head(char buf[HTTP_HEAD_MAX], const struct http_reply *reply);

#endif
