/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Requests by http-parser, with limits and refusals of our own on top.
 *
 * While a head is read, the library gets one line at a time, so that a line's
 * length is known exactly, white space included. It is stopped at the end of
 * every request and starts anew with the next: what it makes of "Connection:"
 * has no effect here.
 */
#include "vmm/api/http.h"

#include <http_parser.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "vmm/util.h"

struct http {
	http_parser parser;
	struct http_request req; /* being read */
	bool begun; /* a byte of a request came */
	bool in_value; /* of a header; its name is complete */
	bool in_body; /* the head is complete */
	bool after_cr; /* the last byte of the head was one */
	bool complete;
	bool expects; /* Expect: 100-continue, not yet answered */
	const char *refused; /* a header's fault, said at the head's end */
	size_t line_len; /* of the line being read, without its end */
	uint64_t skip; /* bytes of a refused body still to come */
	const char *why; /* a refusal of ours; NULL: the library's */
	char error[128];

	char name[32]; /* of the header being read, cut when longer */
	size_t name_len;
	char value[HTTP_LINE_MAX + 1];
	size_t value_len;
	char target[HTTP_LINE_MAX + 1];
	size_t target_len;
};

static struct http *http_of(http_parser *parser)
{
	return parser->data;
}

static int http_refuse(struct http *h, const char *why)
{
	h->why = why;
	return -1;
}

/* ---- headers ---- */

/* "Accept-Encoding: gzip;q=1, identity;q=0": we have nothing but identity. */
static bool http_refuses_identity(char *value)
{
	char *item, *param, *save;

	for (item = strtok_r(value, ",", &save); item;
	     item = strtok_r(NULL, ",", &save)) {
		item += strspn(item, " \t");
		if (strncasecmp(item, "identity", 8) != 0)
			continue;
		item += 8 + strspn(item + 8, " \t");
		if (*item != ';')
			continue;
		param = item + 1 + strspn(item + 1, " \t");
		if (strncasecmp(param, "q=", 2) == 0 &&
		    strspn(param + 2, "0.") == strcspn(param + 2, " \t") &&
		    param[2] == '0')
			return true;
	}
	return false;
}

/* One header is complete: name and value. */
static int http_on_header(struct http *h)
{
	h->name[MIN(h->name_len, sizeof(h->name) - 1)] = '\0';
	h->value[h->value_len] = '\0';
	if (strcasecmp(h->name, "Transfer-Encoding") == 0)
		return http_refuse(
			h,
			"a body in chunks is not accepted; send Content-Length");
	if (strcasecmp(h->name, "Expect") == 0 &&
	    strcasecmp(h->value, "100-continue") == 0)
		h->expects = true;
	if (strcasecmp(h->name, "Accept-Encoding") == 0 &&
	    http_refuses_identity(h->value))
		h->refused = "Accept-Encoding: identity must be acceptable";
	h->name_len = h->value_len = 0;
	h->in_value = false;
	return 0;
}

static int http_on_field(http_parser *parser, const char *at, size_t len)
{
	struct http *h = http_of(parser);
	size_t room;

	if (h->in_value && http_on_header(h))
		return -1;
	/* RFC 9112 section 5.1; the library takes some for the bare name. */
	if (memchr(at, ' ', len))
		return http_refuse(h, "white space in the name of a header");
	room = sizeof(h->name) - 1 - h->name_len;
	memcpy(h->name + h->name_len, at, MIN(len, room));
	h->name_len += MIN(len, room);
	return 0;
}

static int http_on_value(http_parser *parser, const char *at, size_t len)
{
	struct http *h = http_of(parser);

	h->in_value = true;
	/* Lines are bounded, but a folded value is made of many. */
	if (len > HTTP_LINE_MAX - h->value_len)
		return http_refuse(h, "a header is longer than 1024 bytes");
	memcpy(h->value + h->value_len, at, len);
	h->value_len += len;
	return 0;
}

static int http_on_url(http_parser *parser, const char *at, size_t len)
{
	struct http *h = http_of(parser);

	if (len > HTTP_LINE_MAX - h->target_len)
		return http_refuse(h, "the target is longer than 1024 bytes");
	memcpy(h->target + h->target_len, at, len);
	h->target_len += len;
	return 0;
}

/* ---- the end of a head ---- */

/* Keep the path with its query; "http://host/path" counts as "/path". */
static int http_take_target(struct http *h)
{
	struct http_parser_url url;
	const char *path = h->target;
	size_t len = h->target_len;

	if (len == 0 || *path != '/') {
		http_parser_url_init(&url);
		if (http_parser_parse_url(path, len, 0, &url))
			return http_refuse(h, "the target is not a URL");
		if (!(url.field_set & (1 << UF_PATH)))
			return http_refuse(h, "the target has no path");
		path += url.field_data[UF_PATH].off;
		len -= url.field_data[UF_PATH].off;
	}
	h->req.target = strndup(path, len);
	return h->req.target ? 0 : http_refuse(h, "out of memory");
}

static int http_take_verb(struct http *h)
{
	switch (h->parser.method) {
	case HTTP_GET:
		h->req.verb = HTTP_VERB_GET;
		return 0;
	case HTTP_PUT:
		h->req.verb = HTTP_VERB_PUT;
		return 0;
	case HTTP_PATCH:
	case HTTP_DELETE:
		h->req.verb = HTTP_VERB_OTHER;
		return 0;
	default:
		return http_refuse(h, "only GET and PUT are served");
	}
}

static int http_on_head(http_parser *parser)
{
	struct http *h = http_of(parser);
	uint64_t len = parser->flags & F_CONTENTLENGTH ? parser->content_length
						       : 0;

	if (h->in_value && http_on_header(h))
		return -1;
	/* The body of what is refused here is not another request. Who asked
	 * with Expect is told not to send it. */
	h->skip = h->expects ? 0 : len;
	if (parser->http_major != 1 || parser->http_minor > 1)
		return http_refuse(h, "only HTTP/1.0 and HTTP/1.1 are served");
	if (h->refused)
		return http_refuse(h, h->refused);
	if (http_take_verb(h) || http_take_target(h))
		return -1;
	if (len > HTTP_BODY_MAX)
		return http_refuse(h, "the body is longer than 4 MiB");
	if (len) {
		h->req.body = malloc(len + 1);
		if (!h->req.body)
			return http_refuse(h, "out of memory");
	} else {
		h->expects = false;
	}
	h->skip = 0;
	h->in_body = true;
	return 0;
}

static int http_on_body(http_parser *parser, const char *at, size_t len)
{
	struct http *h = http_of(parser);

	h->expects = false;
	memcpy(h->req.body + h->req.body_len, at, len);
	h->req.body_len += len;
	return 0;
}

static int http_on_complete(http_parser *parser)
{
	struct http *h = http_of(parser);

	if (h->req.body)
		h->req.body[h->req.body_len] = '\0';
	h->complete = true;
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings http_settings = {
	.on_url = http_on_url,
	.on_header_field = http_on_field,
	.on_header_value = http_on_value,
	.on_headers_complete = http_on_head,
	.on_body = http_on_body,
	.on_message_complete = http_on_complete,
};

/* ---- life ---- */

static void http_restart(struct http *h)
{
	http_parser_init(&h->parser, HTTP_REQUEST);
	h->parser.data = h;
	memset(&h->req, 0, sizeof(h->req));
	h->begun = h->in_value = h->in_body = h->complete = false;
	h->expects = h->after_cr = false;
	h->line_len = h->name_len = h->value_len = h->target_len = 0;
	h->why = h->refused = NULL;
}

struct http *http_create(void)
{
	struct http *h = calloc(1, sizeof(*h));

	if (h)
		http_restart(h);
	return h;
}

void http_destroy(struct http *h)
{
	if (h)
		http_request_fini(&h->req);
	free(h);
}

void http_request_fini(struct http_request *req)
{
	free(req->target);
	free(req->body);
	memset(req, 0, sizeof(*req));
}

bool http_is_partial(const struct http *h)
{
	return h->begun || h->skip;
}

const char *http_error(const struct http *h)
{
	return h->error;
}

/* ---- bytes ---- */

/* How much the library may have at once: in a head, up to a line's end. 0: the
 * line is too long. */
static size_t http_portion(struct http *h, const char *data, size_t len)
{
	const char *end;
	size_t n;

	if (h->in_body)
		return len;
	end = memchr(data, '\n', len);
	n = end ? (size_t)(end - data) + 1 : len;
	/* CR and LF do not count. */
	if (h->line_len + n > HTTP_LINE_MAX + (end ? 2 : 1))
		return 0;
	return n;
}

/* Start anew; `rest` bytes that came along are lost. */
static void http_fail(struct http *h, size_t rest)
{
	uint64_t skip = h->skip;
	const char *why = h->why;

	if (!why)
		why = http_errno_description(HTTP_PARSER_ERRNO(&h->parser));
	snprintf(h->error, sizeof(h->error), "%s", why);
	http_request_fini(&h->req);
	http_restart(h);
	h->skip = skip - MIN(skip, rest);
}

/* Give one portion to the library. False: it is no request. */
static bool http_parse(struct http *h, const char *data, size_t n)
{
	size_t done = http_parser_execute(&h->parser, &http_settings, data, n);
	enum http_errno code = HTTP_PARSER_ERRNO(&h->parser);

	if (code != HPE_OK && code != HPE_PAUSED)
		return false;
	/* Upgrade and CONNECT end early; no such thing is served. */
	if (done != n)
		return false;
	return true;
}

/* In a head, CR comes before LF only; the library takes any byte for LF. */
static bool http_has_stray_cr(struct http *h, const char *data, size_t n)
{
	bool after_cr = h->after_cr;

	for (size_t i = 0; i < n; i++) {
		if (after_cr && data[i] != '\n')
			return true;
		after_cr = data[i] == '\r';
	}
	h->after_cr = after_cr;
	return false;
}

static bool http_take(struct http *h, const char *data, size_t n)
{
	bool ok;

	if (!h->in_body && http_has_stray_cr(h, data, n)) {
		http_refuse(h, "a CR without its LF");
		return false;
	}
	ok = http_parse(h, data, n);

	if (data[n - 1] == '\n')
		h->line_len = 0;
	else
		h->line_len += n;
	/* Empty lines before a request are no part of it. */
	for (size_t i = 0; !h->begun && i < n; i++)
		h->begun = data[i] != '\r' && data[i] != '\n';
	return ok;
}

size_t http_feed(struct http *h, const char *data, size_t len,
		 enum http_event *event, struct http_request *req)
{
	size_t used = 0, n;

	*event = HTTP_EVENT_NONE;
	n = MIN(h->skip, len);
	h->skip -= n;
	used += n;
	while (used < len) {
		n = http_portion(h, data + used, len - used);
		if (h->in_body)
			n = MIN(n, h->parser.content_length);
		if (n == 0)
			http_refuse(h, "a line is longer than 1024 bytes");
		if (n == 0 || !http_take(h, data + used, n)) {
			http_fail(h, len - used - n);
			*event = HTTP_EVENT_BAD;
			return len;
		}
		used += n;
		if (h->complete) {
			*req = h->req;
			http_restart(h);
			*event = HTTP_EVENT_REQUEST;
			return used;
		}
		if (h->in_body && h->expects) {
			h->expects = false;
			*event = HTTP_EVENT_CONTINUE;
			return used;
		}
	}
	return used;
}

size_t http_head(char buf[HTTP_HEAD_MAX], const struct http_reply *reply)
{
	int n;

	/* No reason phrase: clients read all that follows as a number. */
	n = snprintf(buf, HTTP_HEAD_MAX,
		     "HTTP/1.1 %u \r\n"
		     "Server: Cloud Hypervisor API\r\n"
		     "Connection: %s\r\n",
		     reply->status, reply->close ? "close" : "keep-alive");
	if (reply->status != 100 && reply->status != 204)
		n += snprintf(buf + n, HTTP_HEAD_MAX - (size_t)n,
			      "Content-Type: %s\r\n"
			      "Content-Length: %zu\r\n",
			      reply->type ? reply->type : "application/json",
			      reply->body_len);
	n += snprintf(buf + n, HTTP_HEAD_MAX - (size_t)n, "\r\n");
	return (size_t)n;
}
