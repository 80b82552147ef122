/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/api/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/fake_life.h"
#include "vmm/util.h"

/* Requests to replies, as far as no machine has to run. */

struct fixture {
	struct machine m;
	struct api api;
	struct api_reply reply;
};

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	if (!fx)
		return -1;
	fx->api = (struct api){ .machine = &fx->m, .version = "1.2.3" };
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	free(fx->reply.body);
	machine_fini(&fx->m);
	free(fx);
	return 0;
}

static void request(struct fixture *fx, enum http_verb verb, const char *path,
		    const char *body)
{
	const struct json_fds fds = { .nr = 0 };
	struct http_request req = {
		.verb = verb,
		.target = strdup(path),
		.body = body ? strdup(body) : NULL,
		.body_len = body ? strlen(body) : 0,
	};

	free(fx->reply.body);
	api_handle(&fx->api, &req, &fds, &fx->reply);
	http_request_fini(&req);
}

static void check_put(struct fixture *fx, const char *verb, const char *body,
		      unsigned int status, const char *reply)
{
	char path[64];

	snprintf(path, sizeof(path), "/api/v1/%s", verb);
	request(fx, HTTP_VERB_PUT, path, body);
	assert_int_equal(fx->reply.head.status, status);
	if (!reply)
		assert_null(fx->reply.body);
	else
		assert_string_equal(fx->reply.body, reply);
}

static void test_dispatch(void **state)
{
	struct fixture *fx = *state;

	request(fx, HTTP_VERB_GET, "/api/v1/vmm.ping", NULL);
	assert_int_equal(fx->reply.head.status, 200);
	assert_non_null(strstr(fx->reply.body, "\"version\":\"1.2.3\""));
	request(fx, HTTP_VERB_GET, "/api/v1/vmm.pin", NULL);
	assert_int_equal(fx->reply.head.status, 404);
	assert_string_equal(fx->reply.body, "[\"Not Found\"]");
	request(fx, HTTP_VERB_GET, "/api/v1/", NULL);
	assert_int_equal(fx->reply.head.status, 404);
	request(fx, HTTP_VERB_GET, "/vmm.ping", NULL);
	assert_int_equal(fx->reply.head.status, 404);
	request(fx, HTTP_VERB_GET, "/api/v1/vm.boot", NULL);
	assert_int_equal(fx->reply.head.status, 400);
	assert_string_equal(fx->reply.body, "[\"Bad Request\"]");
	request(fx, HTTP_VERB_OTHER, "/api/v1/vm.boot", NULL);
	assert_int_equal(fx->reply.head.status, 400);
	assert_null(fx->reply.body);
	check_put(fx, "vm.boot", "{}", 400, "[\"Bad Request\"]");
	check_put(fx, "vm.resize", NULL, 400, "[\"Bad Request\"]");
	check_put(fx, "vm.create", NULL, 400, NULL);
}

static void test_errors(void **state)
{
	struct fixture *fx = *state;

	check_put(fx, "vm.pause", NULL, 500,
		  "[\"Error from API\",\"The VM could not be paused\","
		  "\"VM is not running\"]");
	check_put(fx, "vm.boot", NULL, 500,
		  "[\"Error from API\",\"The VM could not boot\","
		  "\"VM config is missing\"]");
	check_put(fx, "vm.resize", "{}", 404,
		  "[\"Error from API\",\"The VM could not be resized\","
		  "\"VM is not created\"]");
	check_put(fx, "vm.delete", NULL, 204, NULL);
	check_put(fx, "vm.remove-device", "{}", 400,
		  "[\"Failed to deserialize JSON\",\"id: is missing\"]");
	check_put(
		fx, "vm.remove-device", "{\"id\":3}", 400,
		"[\"Failed to deserialize JSON\",\"id: must be a string, not 3\"]");
	check_put(fx, "vm.resize", "[]", 400,
		  "[\"Failed to deserialize JSON\",\"the body must be an "
		  "object\"]");
	check_put(fx, "vm.add-device", "{}", 501,
		  "[\"Error from API\",\"The device could not be added to the "
		  "VM\",\"VFIO is not supported by this monitor\"]");
	check_put(fx, "vm.add-fs", "{}", 400,
		  "[\"Error from API\",\"The fs could not be added to the VM\","
		  "\"tag is missing; add tag=TEXT\"]");
	check_put(fx, "vm.add-", "{}", 404, "[\"Not Found\"]");
}

static void test_configure(void **state)
{
	struct fixture *fx = *state;

	check_put(fx, "vm.create",
		  "{\"payload\":{\"kernel\":\"/k\"},"
		  "\"disks\":[{\"path\":\"/a\",\"image_type\":\"Raw\"}]}",
		  204, NULL);
	check_put(fx, "vm.add-disk",
		  "{\"path\":\"/b\",\"pci_segment\":0,\"id\":\"b\"}", 204,
		  NULL);
	request(fx, HTTP_VERB_PUT, "/api/v1/vm.add-disk",
		"{\"path\":\"/b\",\"id\":\"b\"}");
	assert_int_equal(fx->reply.head.status, 409);
	request(fx, HTTP_VERB_PUT, "/api/v1/vm.add-disk",
		"{\"path\":\"/c\",\"iommu\":true}");
	assert_int_equal(fx->reply.head.status, 400);
	check_put(fx, "vm.resize", "{\"desired_ram\":67108864}", 204, NULL);
	request(fx, HTTP_VERB_GET, "/api/v1/vm.info", NULL);
	assert_int_equal(fx->reply.head.status, 200);
	assert_non_null(strstr(fx->reply.body, "\"state\":\"Created\""));
	assert_non_null(strstr(fx->reply.body, "\"memory_actual_size\":"
					       "67108864"));
	assert_non_null(strstr(fx->reply.body,
			       "{\"image_type\":\"Raw\",\"path\":\"/a\""));
	assert_non_null(
		strstr(fx->reply.body, "{\"pci_segment\":0,\"path\":\"/b\""));
	assert_non_null(strstr(fx->reply.body, "\"id\":\"_disk0\""));
	check_put(fx, "vm.remove-device", "{\"id\":\"_disk0\"}", 204, NULL);
	request(fx, HTTP_VERB_GET, "/api/v1/vm.info", NULL);
	assert_null(strstr(fx->reply.body, "_disk0"));
	check_put(fx, "vm.delete", NULL, 204, NULL);
	request(fx, HTTP_VERB_GET, "/api/v1/vm.info", NULL);
	assert_int_equal(fx->reply.head.status, 404);
}

static void expect_info(struct fixture *fx, const char *text)
{
	request(fx, HTTP_VERB_GET, "/api/v1/vm.info", NULL);
	assert_int_equal(fx->reply.head.status, 200);
	assert_non_null(strstr(fx->reply.body, text));
}

static void test_rate_limit(void **state)
{
	struct fixture *fx = *state;
	static const struct {
		const char *body;
		unsigned int status;
		const char *why;
	} bad[] = {
		{ "{}", 400, "id: is missing" },
		{ "{\"id\":\"b\",\"rx\":{}}", 404, "no such device" },
		{ "{\"id\":\"a\"}", 400, "give rx, tx or rate_limiter" },
		{ "{\"id\":\"a\",\"rx\":null}", 400, "give rx, tx" },
		{ "{\"id\":\"a\",\"rx\":5}", 400, "rate_limiter_config" },
		{ "{\"id\":\"a\",\"rx\":{\"ops\":{\"size\":5}},\"tx\":{}}", 400,
		  "one limit" },
		{ "{\"id\":\"a\",\"tx\":{\"ops\":{\"refill_time\":0}}}", 400,
		  "refill_time 0" },
	};

	request(fx, HTTP_VERB_PUT, "/api/v1/vm.set-rate-limit",
		"{\"id\":\"a\",\"rx\":{}}");
	assert_int_equal(fx->reply.head.status, 404);
	check_put(fx, "vm.create",
		  "{\"payload\":{\"kernel\":\"/k\"},"
		  "\"disks\":[{\"path\":\"/a\",\"id\":\"a\"}]}",
		  204, NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		request(fx, HTTP_VERB_PUT, "/api/v1/vm.set-rate-limit",
			bad[i].body);
		assert_int_equal(fx->reply.head.status, bad[i].status);
		assert_non_null(strstr(fx->reply.body, bad[i].why));
	}
	expect_info(fx, "\"disks\":[{\"path\":\"/a\",\"readonly\"");
	check_put(fx, "vm.set-rate-limit",
		  "{\"id\":\"a\",\"rx\":{\"ops\":{\"size\":5}}}", 204, NULL);
	expect_info(fx, "\"ops\":{\"size\":5,\"one_time_burst\":0,"
			"\"refill_time\":1000}");
	/* What is not said of the limit is no limit. */
	check_put(fx, "vm.set-rate-limit",
		  "{\"id\":\"a\",\"rate_limiter_config\":{\"bandwidth\":{"
		  "\"size\":4096,\"one_time_burst\":9,\"refill_time\":10}},"
		  "\"tx\":null}",
		  204, NULL);
	expect_info(fx, "\"rate_limiter_config\":{\"bandwidth\":{\"size\":4096,"
			"\"one_time_burst\":9,\"refill_time\":10}}");
	check_put(fx, "vm.set-disk",
		  "{\"id\":\"a\",\"rate_limiter_config\":{},\"readonly\":true}",
		  204, NULL);
	expect_info(fx, "\"readonly\":false");
	check_put(fx, "vm.set-", "{}", 404, "[\"Not Found\"]");
}

static void on_done(void *opaque, uint64_t ticket, int r, struct error *err,
		    const struct hotplug_place *at)
{
	struct fixture *fx = opaque;

	assert_int_equal(ticket, fx->reply.ticket);
	api_reply_done(&fx->reply, r, err, at);
}

/* The reply to what takes time is filled when it is done. */
static void test_later(void **state)
{
	struct fixture *fx = *state;

	fx->m.on_done = on_done;
	fx->m.watcher = fx;
	check_put(fx, "vm.create", "{\"payload\":{\"kernel\":\"/k\"}}", 204,
		  NULL);
	request(fx, HTTP_VERB_PUT, "/api/v1/vm.boot", NULL);
	assert_true(fx->reply.ticket);
	fake_life_turn();
	assert_int_equal(fx->reply.ticket, 0);
	assert_int_equal(fx->reply.head.status, 204);
	fake_life.refuse = true;
	request(fx, HTTP_VERB_PUT, "/api/v1/vm.pause", NULL);
	assert_true(fx->reply.ticket);
	fake_life_turn();
	assert_int_equal(fx->reply.head.status, 500);
	assert_string_equal(fx->reply.body,
			    "[\"Error from API\",\"The VM could not be "
			    "paused\",\"the host refuses\"]");
}

/* Who waits at the end of the process is told. */
static void test_end(void **state)
{
	struct fixture *fx = *state;

	api_reply_ending(&fx->reply);
	assert_int_equal(fx->reply.head.status, 500);
	assert_string_equal(fx->reply.body, "[\"Error from API\",\"The monitor "
					    "is ending\"]");
}

static void test_quit(void **state)
{
	struct fixture *fx = *state;

	check_put(fx, "vmm.shutdown", NULL, 200, NULL);
	assert_true(fx->api.quit);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_dispatch),   TEST(test_errors), TEST(test_configure),
		TEST(test_rate_limit), TEST(test_quit),	  TEST(test_later),
		TEST(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
