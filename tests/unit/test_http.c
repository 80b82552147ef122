/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/api/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/util.h"

/* Requests in pieces of any size, and the heads of replies. */

/* What came of some bytes, one line an event: "GET /x 3:abc", "100", "BAD". */
struct outcome {
	char text[2048];
	size_t len;
	char error[128];
};

static void note(struct outcome *o, const char *text)
{
	o->len += (size_t)snprintf(o->text + o->len, sizeof(o->text) - o->len,
				   "%s|", text);
	assert_true(o->len < sizeof(o->text));
}

static void note_request(struct outcome *o, struct http_request *req)
{
	static const char *const verbs[] = { "GET", "PUT", "OTHER" };
	char text[512];

	snprintf(text, sizeof(text), "%s %s %zu:%.20s", verbs[req->verb],
		 req->target, req->body_len, req->body ? req->body : "-");
	note(o, text);
	http_request_fini(req);
}

static void feed(struct http *h, struct outcome *o, const char *data,
		 size_t len)
{
	struct http_request req;
	enum http_event event;

	while (len) {
		/* On the heap, so that a sanitizer sees each end. */
		char *copy = malloc(len);
		size_t n;

		assert_non_null(copy);
		memcpy(copy, data, len);
		n = http_feed(h, copy, len, &event, &req);
		free(copy);
		assert_in_range(n, 1, len);
		data += n;
		len -= n;
		if (event == HTTP_EVENT_REQUEST)
			note_request(o, &req);
		else if (event == HTTP_EVENT_CONTINUE)
			note(o, "100");
		else if (event == HTTP_EVENT_BAD)
			note(o, "BAD");
		else
			assert_int_equal(len, 0);
		if (event == HTTP_EVENT_BAD)
			snprintf(o->error, sizeof(o->error), "%s", h->error);
	}
}

/* All bytes in pieces of `piece`; partial: whether the end is one. */
static struct outcome parse(const char *data, size_t piece, bool *partial)
{
	struct http h = { .line_len = 0 };
	size_t len = strlen(data);
	struct outcome o = { .len = 0 };

	for (size_t i = 0; i < len; i += piece)
		feed(&h, &o, data + i, MIN(piece, len - i));
	*partial = http_is_partial(&h);
	http_request_fini(&h.req);
	return o;
}

/* The outcome is the same for all sizes of pieces. */
static void check(const char *data, const char *expected)
{
	bool partial;

	for (size_t piece = 1; piece < 64; piece++)
		assert_string_equal(parse(data, piece, &partial).text,
				    expected);
	assert_string_equal(parse(data, 1 << 20, &partial).text, expected);
	assert_false(partial);
}

/* The first event is a refusal, which says so. */
static void check_bad(const char *data, const char *why)
{
	bool partial;
	struct outcome o = parse(data, 1 << 20, &partial);

	assert_string_equal(o.text, "BAD|");
	if (!strstr(o.error, why))
		fail_msg("'%s' is not in: %s", why, o.error);
	assert_memory_equal(parse(data, 1, &partial).text, "BAD|", 4);
}

#define HOST "Host: localhost\r\n"

static void test_plain(void **state unused_param)
{
	check("GET /api/v1/vmm.ping HTTP/1.1\r\n" HOST "\r\n",
	      "GET /api/v1/vmm.ping 0:-|");
	check("PUT /x HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
	      "PUT /x 0:-|");
	check("PUT /x HTTP/1.1\r\ncontent-length:   3\r\n\r\nabc",
	      "PUT /x 3:abc|");
	check("GET /x HTTP/1.0\r\n\r\n", "GET /x 0:-|");
	check("\r\n\r\nGET /x HTTP/1.1\r\n\r\n\r\n", "GET /x 0:-|");
	check("PATCH /x HTTP/1.1\r\n\r\n", "OTHER /x 0:-|");
	check("DELETE /x HTTP/1.1\r\n\r\n", "OTHER /x 0:-|");
}

static void test_targets(void **state unused_param)
{
	check("GET http://localhost/a/b?c=d HTTP/1.1\r\n\r\n",
	      "GET /a/b?c=d 0:-|");
	check("GET /a?b HTTP/1.1\r\n\r\n", "GET /a?b 0:-|");
	check_bad("GET http://localhost HTTP/1.1\r\n\r\n", "no path");
	check_bad("GET * HTTP/1.1\r\n\r\n", "no path");
	check_bad("GET a/b HTTP/1.1\r\n\r\n", "no path");
}

static void test_pipeline(void **state unused_param)
{
	check("PUT /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nxy"
	      "GET /b HTTP/1.1\r\nConnection: close\r\n\r\n"
	      "PUT /c HTTP/1.1\r\nContent-Length: 1\r\n\r\nz",
	      "PUT /a 2:xy|GET /b 0:-|PUT /c 1:z|");
	/* What we do not speak changes nothing. */
	check("GET /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
	      "GET /b HTTP/1.1\r\n\r\n",
	      "GET /a 0:-|GET /b 0:-|");
}

static void test_continue(void **state unused_param)
{
	check("PUT /a HTTP/1.1\r\nExpect: 100-continue\r\n"
	      "Content-Length: 2\r\n\r\nxy",
	      "100|PUT /a 2:xy|");
	check("PUT /a HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", "PUT /a 0:-|");
	check("PUT /a HTTP/1.1\r\nExpect: nothing\r\n"
	      "Content-Length: 2\r\n\r\nxy",
	      "PUT /a 2:xy|");
}

static void test_refusals(void **state unused_param)
{
	check_bad("POST /a HTTP/1.1\r\n\r\n", "GET or PUT");
	check_bad("CONNECT a:1 HTTP/1.1\r\n\r\n", "GET or PUT");
	check_bad("FROB /a HTTP/1.1\r\n\r\n", "method");
	check_bad("GET /a HTTP/2.0\r\n\r\n", "HTTP/1.");
	check_bad("GET /a\r\n\r\n", "HTTP/1.");
	check_bad("GET /a HTTP/1.1\r\nHost localhost\r\n\r\n", "header");
	check_bad("PUT /a HTTP/1.1\r\nContent-Length: 2\r\n\rab\n", "CR");
	check_bad("PUT /a HTTP/1.1\r\nContent-Length: x\r\n\r\n",
		  "Content-Length");
	check_bad("PUT /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		  "Content-Length");
	check_bad("PUT /a HTTP/1.1\r\nContent-Length: 1\r\n"
		  "Content-Length: 2\r\n\r\n",
		  "Content-Length");
	check_bad("PUT /a HTTP/1.1\r\n"
		  "Content-Length: 99999999999999999999999\r\n\r\n",
		  "Content-Length");
	check_bad("PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "0\r\n\r\n",
		  "chunks");
	check_bad("PUT /a HTTP/1.1\r\nTransfer-Encoding :chunked\r\n\r\n"
		  "0\r\n\r\n",
		  "white space");
	check_bad("PUT /a HTTP/1.1\r\nContent-Length: 4194305\r\n\r\n",
		  "4 MiB");
	check_bad("PUT /a HTTP/1.1\r\nContent-Length:\r\n\r\n",
		  "Content-Length");
	check_bad("PUT /a HTTP/1.1\r\nContent-Length: 1\r\n"
		  "Content-Length: 1\r\n\r\n",
		  "Content-Length");
	check_bad("GET /a HTTP/1.1\r\nX: a\r\n b\r\n\r\n", "colon");
	check_bad("GET /a HTTP/1.1\r\nX: a\r\n b: c\r\n\r\n", "white space");
	check_bad("GET /a HTTP/1.1\n\n", "CR");
	check_bad("GET /a HTTP/1.1\r\nX: a\001b\r\n\r\n", "control");
	check_bad("\x16\x03\x01\x02\r\n", "control");
}

static void test_encodings(void **state unused_param)
{
	static const char *const good[] = {
		"gzip", "identity", "*;q=0.5", "gzip;q=0, identity;q=0.5", "",
	};
	static const char *const bad[] = {
		"identity;q=0",
		"gzip, identity; q=0.0",
		"IDENTITY;Q=0",
	};
	char text[256];

	for (unsigned int i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(text, sizeof(text),
			 "GET /a HTTP/1.1\r\nAccept-Encoding: %s\r\n\r\n",
			 good[i]);
		check(text, "GET /a 0:-|");
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text),
			 "GET /a HTTP/1.1\r\nAccept-Encoding: %s\r\n\r\n",
			 bad[i]);
		check_bad(text, "identity");
	}
}

/* A header line of len bytes. */
static char *with_line(size_t len, const char *fill)
{
	char *text = malloc(len + 256);
	size_t n;

	assert_non_null(text);
	n = (size_t)sprintf(text, "GET /a HTTP/1.1\r\n");
	memcpy(text + n, "X: ", 3);
	memset(text + n + 3, *fill, len - 3);
	strcpy(text + n + len, "\r\n\r\n");
	return text;
}

static void test_line_limit(void **state unused_param)
{
	char *text = with_line(HTTP_LINE_MAX, "a");

	check(text, "GET /a 0:-|");
	free(text);
	text = with_line(HTTP_LINE_MAX + 1, "a");
	check_bad(text, "1024");
	free(text);
	/* White space counts as well. */
	text = with_line(HTTP_LINE_MAX + 1, " ");
	check_bad(text, "1024");
	free(text);
}

static void test_big_body(void **state unused_param)
{
	static const char head[] =
		"PUT /a HTTP/1.1\r\nContent-Length: 4194304\r\n\r\n";
	struct http h = { .line_len = 0 };
	char *body = calloc(1, HTTP_BODY_MAX);
	struct http_request req;
	enum http_event event;
	size_t n;

	assert_non_null(body);
	n = http_feed(&h, head, strlen(head), &event, &req);
	assert_int_equal(n, strlen(head));
	assert_int_equal(event, HTTP_EVENT_NONE);
	assert_true(http_is_partial(&h));
	n = http_feed(&h, body, HTTP_BODY_MAX, &event, &req);
	assert_int_equal(n, HTTP_BODY_MAX);
	assert_int_equal(event, HTTP_EVENT_REQUEST);
	assert_int_equal(req.body_len, HTTP_BODY_MAX);
	assert_int_equal(req.body[HTTP_BODY_MAX], 0);
	http_request_fini(&req);
	free(body);
	http_request_fini(&h.req);
}

/* A refused head, then as its body what could be a request, then a request. */
static void check_body_is_skipped(const char *head)
{
	static const char body[] = "PUT /evil HTTP/1.1\r\n\r\n";
	struct http h = { .line_len = 0 };
	struct outcome o = { .len = 0 };
	char text[256];

	snprintf(text, sizeof(text), "%sContent-Length: %zu\r\n\r\n", head,
		 strlen(body));
	feed(&h, &o, text, strlen(text));
	feed(&h, &o, body, strlen(body));
	feed(&h, &o, "GET /b HTTP/1.1\r\n\r\n", 19);
	assert_string_equal(o.text, "BAD|GET /b 0:-|");
	http_request_fini(&h.req);
}

static void test_refused_bodies(void **state unused_param)
{
	check_body_is_skipped("POST /a HTTP/1.1\r\n");
	check_body_is_skipped("PUT http://host HTTP/1.1\r\n");
	check_body_is_skipped("PUT /a HTTP/1.1\r\n"
			      "Accept-Encoding: identity;q=0\r\n");
}

/* The body of a refused request is not taken for the next request. */
static void test_after_refusal(void **state unused_param)
{
	struct http h = { .line_len = 0 };
	struct outcome o = { .len = 0 };
	char *junk = malloc(4194305);

	assert_non_null(junk);
	memset(junk, 'x', 4194305);
	feed(&h, &o, "PUT /a HTTP/1.1\r\nContent-Length: 4194305\r\n\r\n", 44);
	assert_true(http_is_partial(&h));
	feed(&h, &o, junk, 4194305);
	assert_false(http_is_partial(&h));
	feed(&h, &o, "GET /b HTTP/1.1\r\n\r\n", 19);
	assert_string_equal(o.text, "BAD|GET /b 0:-|");
	free(junk);
	http_request_fini(&h.req);
}

static void check_head(struct http_reply reply, const char *expected)
{
	char buf[HTTP_HEAD_MAX];
	size_t len = http_head(buf, &reply);

	assert_int_equal(len, strlen(expected));
	assert_memory_equal(buf, expected, len);
}

static void test_heads(void **state unused_param)
{
	check_head((struct http_reply){ .status = 200, .body_len = 12 },
		   "HTTP/1.1 200 \r\n"
		   "Server: Cloud Hypervisor API\r\n"
		   "Connection: keep-alive\r\n"
		   "Content-Type: application/json\r\n"
		   "Content-Length: 12\r\n\r\n");
	check_head((struct http_reply){ .status = 204, .body_len = 12 },
		   "HTTP/1.1 204 \r\n"
		   "Server: Cloud Hypervisor API\r\n"
		   "Connection: keep-alive\r\n\r\n");
	check_head((struct http_reply){ .status = 503, .close = true },
		   "HTTP/1.1 503 \r\n"
		   "Server: Cloud Hypervisor API\r\n"
		   "Connection: close\r\n"
		   "Content-Type: application/json\r\n"
		   "Content-Length: 0\r\n\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_pipeline),
		cmocka_unit_test(test_continue),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_line_limit),
		cmocka_unit_test(test_big_body),
		cmocka_unit_test(test_refused_bodies),
		cmocka_unit_test(test_after_refusal),
		cmocka_unit_test(test_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
