/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/http.h"
#include "vmm/util.h"

/*
 * Input: one byte, the size of pieces, then what a client sends. Checked: up
 * to the first refusal the same requests come out of the whole and of the
 * pieces; and requests are what they promise to be.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	uint64_t digest; /* of all events up to the first refusal */
	unsigned int nr;
	bool bad;
};

static void mix(struct outcome *o, const void *data, size_t len)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < len; i++)
		o->digest = (o->digest ^ bytes[i]) * 0x100000001b3ull;
}

static void check_request(struct outcome *o, struct http_request *req)
{
	assert(req->target);
	assert(strlen(req->target) <= HTTP_LINE_MAX);
	assert(!req->body == !req->body_len);
	assert(req->body_len <= HTTP_BODY_MAX);
	assert(!req->body || req->body[req->body_len] == '\0');
	mix(o, &req->verb, sizeof(req->verb));
	mix(o, req->target, strlen(req->target) + 1);
	mix(o, req->body, req->body_len);
	http_request_fini(req);
}

static void feed(struct http *h, struct outcome *o, const char *data,
		 size_t len)
{
	struct http_request req;
	enum http_event event;
	char *copy, *at;
	size_t n;

	/* On the heap, so that a sanitizer sees the end. */
	copy = at = malloc(len);
	assert(copy);
	memcpy(copy, data, len);
	for (; len && !o->bad; at += n, len -= n) {
		n = http_feed(h, at, len, &event, &req);
		assert(n > 0 && n <= len);
		assert(event != HTTP_EVENT_NONE || n == len);
		o->nr += event != HTTP_EVENT_NONE;
		if (event == HTTP_EVENT_REQUEST)
			check_request(o, &req);
		else if (event == HTTP_EVENT_CONTINUE)
			mix(o, "100", 3);
		o->bad = event == HTTP_EVENT_BAD;
		assert(!o->bad || *h->error);
	}
	free(copy);
}

static struct outcome parse(const char *data, size_t len, size_t piece)
{
	struct outcome o = { .digest = 0xcbf29ce484222325ull };
	struct http h = { .line_len = 0 };

	for (size_t i = 0; i < len && !o.bad; i += piece)
		feed(&h, &o, data + i, MIN(piece, len - i));
	http_request_fini(&h.req);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	struct outcome whole, pieces;

	if (size < 2)
		return 0;
	whole = parse(text, size - 1, size);
	pieces = parse(text, size - 1, 1 + data[0]);
	assert(whole.bad == pieces.bad);
	assert(whole.nr == pieces.nr);
	assert(whole.digest == pieces.digest);
	return 0;
}
