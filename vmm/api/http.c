/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Requests by RFC 9112, as far as clients of the control socket need it, and
 * nothing that could be read in two ways. A head is taken line by line; a
 * fault after which its end can still be found is said there, so that the body
 * that follows is not taken for another request.
 */
#include "vmm/api/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "vmm/util.h"

#define HTTP_DIGITS_MAX 18u /* of a Content-Length: less than 2^63 */

/* ---- lines of a head ---- */

/* A fault to say at the head's end. The first one counts. */
static void http_refuse(struct http *h, const char *why)
{
	if (!h->refused)
		h->refused = why;
}

/* What follows returns NULL, or why this is no request: what comes after it
 * cannot be told from its rest. */

static const char *http_take_request_line(struct http *h, char *line)
{
	char *target = strchr(line, ' ');
	char *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version)
		return "the first line is not METHOD TARGET HTTP/1.1";
	*target++ = '\0';
	*version++ = '\0';
	if (strcmp(line, "GET") == 0)
		h->req.verb = HTTP_VERB_GET;
	else if (strcmp(line, "PUT") == 0)
		h->req.verb = HTTP_VERB_PUT;
	else if (strcmp(line, "PATCH") == 0 || strcmp(line, "DELETE") == 0)
		h->req.verb = HTTP_VERB_OTHER;
	else
		http_refuse(h, "the method is not served; use GET or PUT");
	if (strcmp(version, "HTTP/1.0") != 0 &&
	    strcmp(version, "HTTP/1.1") != 0)
		http_refuse(h, "only HTTP/1.0 and HTTP/1.1 are served");
	/* "http://host/path" counts as "/path". */
	if (*target != '/') {
		target = strstr(target, "://");
		target = target ? strchr(target + 3, '/') : NULL;
	}
	if (!target)
		http_refuse(h, "the target has no path");
	else
		h->req.target = strdup(target);
	h->part = HTTP_PART_HEADERS;
	return NULL;
}

/* "Accept-Encoding: gzip;q=1, identity;q=0": we have nothing but identity. */
static bool http_refuses_identity(const char *value)
{
	const char *identity = strcasestr(value, "identity");
	double q;

	return identity && sscanf(identity, "%*8c ; %*1[qQ]=%lf", &q) == 1 &&
	       q <= 0;
}

static const char *http_take_length(struct http *h, const char *value)
{
	size_t digits = strspn(value, "0123456789");

	if (h->has_len || !digits || value[digits] || digits > HTTP_DIGITS_MAX)
		return "the Content-Length is not one number";
	h->has_len = true;
	h->len = strtoull(value, NULL, 10);
	return NULL;
}

static const char *http_take_header(struct http *h, char *line)
{
	char *value = strchr(line, ':'), *end;

	if (!value)
		return "a header has no colon";
	/* RFC 9112 section 5.1; the next line of a folded value, too. */
	if (strcspn(line, " \t") < (size_t)(value - line))
		return "there is white space in the name of a header";
	*value++ = '\0';
	value += strspn(value, " \t");
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	if (strcasecmp(line, "Content-Length") == 0)
		return http_take_length(h, value);
	if (strcasecmp(line, "Transfer-Encoding") == 0)
		return "a body in chunks is not accepted; send Content-Length";
	if (strcasecmp(line, "Expect") == 0 &&
	    strcasecmp(value, "100-continue") == 0)
		h->expects = true;
	if (strcasecmp(line, "Accept-Encoding") == 0 &&
	    http_refuses_identity(value))
		http_refuse(h, "Accept-Encoding: identity must be acceptable");
	return NULL;
}

/* ---- the end of a head ---- */

static void http_restart(struct http *h)
{
	http_request_fini(&h->req);
	h->part = HTTP_PART_REQUEST_LINE;
	h->expects = h->has_len = false;
	h->len = h->line_len = 0;
	h->refused = NULL;
}

static enum http_event http_fail(struct http *h, const char *why)
{
	h->error = why;
	http_restart(h);
	return HTTP_EVENT_BAD;
}

static enum http_event http_finish(struct http *h, struct http_request *req)
{
	*req = h->req;
	memset(&h->req, 0, sizeof(h->req));
	http_restart(h);
	return HTTP_EVENT_REQUEST;
}

static enum http_event http_end_head(struct http *h, struct http_request *req)
{
	if (h->len > HTTP_BODY_MAX)
		http_refuse(h, "the body is longer than 4 MiB");
	if (!h->refused && h->len)
		h->req.body = malloc(h->len + 1);
	if (!h->req.target || (h->len && !h->req.body))
		http_refuse(h, "out of memory");
	if (h->refused) {
		/* Who asked with Expect is told not to send it. */
		h->skip = h->expects ? 0 : h->len;
		return http_fail(h, h->refused);
	}
	if (!h->len)
		return http_finish(h, req);
	h->part = HTTP_PART_BODY;
	return h->expects ? HTTP_EVENT_CONTINUE : HTTP_EVENT_NONE;
}

/* A line is complete. */
static enum http_event http_take_line(struct http *h, struct http_request *req)
{
	const char *why = NULL;

	h->line[h->line_len - 2] = '\0';
	h->line_len = 0;
	if (h->part == HTTP_PART_HEADERS && !*h->line)
		return http_end_head(h, req);
	if (h->part == HTTP_PART_HEADERS)
		why = http_take_header(h, h->line);
	else if (*h->line) /* empty lines before a request mean nothing */
		why = http_take_request_line(h, h->line);
	return why ? http_fail(h, why) : HTTP_EVENT_NONE;
}

/* ---- bytes ---- */

/* One byte of a head. */
static enum http_event http_take_byte(struct http *h, char c,
				      struct http_request *req)
{
	bool after_cr = h->line_len && h->line[h->line_len - 1] == '\r';
	unsigned char u = (unsigned char)c;

	if (after_cr != (c == '\n'))
		return http_fail(h, after_cr ? "a CR comes without its LF"
					     : "a LF comes without its CR");
	if ((u < 0x20 && c != '\t' && c != '\r' && c != '\n') || u == 0x7f)
		return http_fail(h, "there is a control character in the head");
	if (h->line_len == HTTP_LINE_MAX && c != '\r')
		return http_fail(h, "a line is longer than 1024 bytes");
	h->line[h->line_len++] = c;
	return c == '\n' ? http_take_line(h, req) : HTTP_EVENT_NONE;
}

size_t http_feed(struct http *h, const char *data, size_t len,
		 enum http_event *event, struct http_request *req)
{
	size_t used = MIN(h->skip, len), n;

	*event = HTTP_EVENT_NONE;
	h->skip -= used;
	while (used < len && *event == HTTP_EVENT_NONE) {
		if (h->part != HTTP_PART_BODY) {
			*event = http_take_byte(h, data[used++], req);
			continue;
		}
		n = MIN(h->len - h->req.body_len, len - used);
		memcpy(h->req.body + h->req.body_len, data + used, n);
		h->req.body_len += n;
		used += n;
		h->req.body[h->req.body_len] = '\0';
		if (h->req.body_len == h->len)
			*event = http_finish(h, req);
	}
	if (*event != HTTP_EVENT_BAD)
		return used;
	h->skip -= MIN(h->skip, len - used);
	return len;
}

/* ---- life ---- */

void http_request_fini(struct http_request *req)
{
	free(req->target);
	free(req->body);
	memset(req, 0, sizeof(*req));
}

bool http_is_partial(const struct http *h)
{
	return h->line_len || h->part != HTTP_PART_REQUEST_LINE || h->skip;
}

/* ---- replies ---- */

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
