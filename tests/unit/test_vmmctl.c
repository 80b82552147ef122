/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/vmmctl/follow.h"
#include "tools/vmmctl/table.h"
#include "tools/vmmctl/top.h"
#include "tools/vmmctl/verbs.h"
#include "vmm/api/json.h"
#include "vmm/util.h"

/* The words of a verb, and the body they make. */
static int make_body(struct body *b, struct error *err, int argc, char **argv)
{
	struct nearest near;
	const struct verb *v = verbs_find(argv[0], &near);

	assert_non_null(v);
	assert_int_equal(body_init(b, err), 0);
	return verbs_body(v, b, argc, argv, err);
}

#define WORDS(...)                                          \
	(int)ARRAY_SIZE(((const char *[]){ __VA_ARGS__ })), \
		(char **)(uintptr_t)(const char *[])        \
	{                                                   \
		__VA_ARGS__, NULL                           \
	}

static void expect_json(const struct body *b, const char *text)
{
	char *made = json_write_text(b->json);

	assert_string_equal(made, text);
	free(made);
}

static void test_bodies(void **state)
{
	struct error err = { "" };
	struct body b;

	(void)state;
	assert_int_equal(
		make_body(&b, &err,
			  WORDS("resize", "--cpus", "2", "--memory=1G")),
		0);
	expect_json(&b, "{\"desired_vcpus\":2,\"desired_ram\":1073741824}");
	body_fini(&b);
	assert_int_equal(
		make_body(&b, &err, WORDS("remove-device", "data", "--force")),
		0);
	expect_json(&b, "{\"id\":\"data\",\"force\":true}");
	body_fini(&b);
	assert_int_equal(
		make_body(&b, &err,
			  WORDS("resize-disk", "--disk", "a", "--size", "2M")),
		0);
	expect_json(&b, "{\"id\":\"a\",\"desired_size\":2097152}");
	body_fini(&b);
	assert_int_equal(make_body(&b, &err,
				   WORDS("set-rate-limit", "a", "--bw_size",
					 "0", "--rx_ops_size=2")),
			 0);
	expect_json(&b, "{\"id\":\"a\",\"rate_limiter_config\":{"
			"\"bandwidth\":{\"size\":0}},\"rx\":{\"ops\":{"
			"\"size\":2}}}");
	body_fini(&b);
	assert_int_equal(
		make_body(&b, &err, WORDS("set-rate-limit", "--bw_size", "0")),
		-EINVAL);
	assert_non_null(strstr(err.msg, "which device"));
	body_fini(&b);
	assert_int_equal(make_body(&b, &err, WORDS("set-rate-limit", "a")),
			 -EINVAL);
	assert_non_null(strstr(err.msg, "--rx_bw_size"));
	body_fini(&b);
}

static void test_device(void **state)
{
	struct error err = { "" };
	struct body b;

	(void)state;
	assert_int_equal(
		make_body(&b, &err,
			  WORDS("add-disk", "path=/x,readonly=on,id=y")),
		0);
	expect_json(&b, "{\"path\":\"/x\",\"readonly\":true,\"id\":\"y\"}");
	body_fini(&b);
	assert_int_equal(make_body(&b, &err, WORDS("add-disk", "fd=9")), 0);
	expect_json(&b, "{\"fd\":0}");
	assert_int_equal(b.nr_fds, 1);
	assert_int_equal(b.fds[0], 9);
	body_fini(&b);
	/* So is a path that stands for one. */
	assert_int_equal(make_body(&b, &err, WORDS("add-disk", "/dev/fd/9")),
			 0);
	expect_json(&b, "{\"fd\":0}");
	assert_int_equal(b.fds[0], 9);
	body_fini(&b);
	assert_int_equal(
		make_body(&b, &err, WORDS("add-disk", "path=/x,id=\xff")),
		-EINVAL);
	assert_non_null(strstr(err.msg, "UTF-8"));
	body_fini(&b);
	/* A relative name is this process's. */
	assert_int_equal(make_body(&b, &err, WORDS("add-disk", "x.img")), 0);
	assert_int_equal(json_string_value(json_object_get(b.json, "path"))[0],
			 '/');
	body_fini(&b);
}

static void test_machine(void **state)
{
	struct error err = { "" };
	struct body b;

	(void)state;
	assert_int_equal(make_body(&b, &err,
				   WORDS("create", "--kernel", "/proc/self/exe",
					 "--cpus", "2", "--serial", "tty")),
			 0);
	expect_json(&b, "{\"payload\":{\"kernel\":\"/proc/self/exe\"},"
			"\"cpus\":{\"boot_vcpus\":2},"
			"\"serial\":{\"mode\":\"Tty\"}}");
	body_fini(&b);
}

static void expect_refusal(const char *text, int argc, char **argv)
{
	struct error err = { "" };
	struct body b;

	assert_true(make_body(&b, &err, argc, argv) < 0);
	assert_non_null(strstr(err.msg, text));
	body_fini(&b);
}

static void test_refusals(void **state)
{
	struct nearest near;

	(void)state;
	expect_refusal("takes no words", WORDS("boot", "now"));
	expect_refusal("--cpus", WORDS("resize"));
	expect_refusal("--cpus abc", WORDS("resize", "--cpus", "abc"));
	expect_refusal("has no value", WORDS("resize", "--cpus"));
	expect_refusal("--id", WORDS("remove-device", "--now"));
	expect_refusal("give --id", WORDS("remove-device"));
	expect_refusal("--disk", WORDS("add-disk", "pth=x"));
	expect_refusal("takes one word", WORDS("add-disk"));
	expect_refusal("kernel", WORDS("create", "--cpus", "2"));
	expect_refusal("vmm's options", WORDS("create", "--version"));
	expect_refusal("No such file", WORDS("create", "/nonexistent"));
	assert_null(verbs_find("bot", &near));
	assert_string_equal(near.best, "boot");
}

/* What put() writes, malloc'd. */
static char *event_line(const char *event, bool json, int expected)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(follow_put_event(event, strlen(event), json, out),
			 expected);
	fclose(out);
	return text;
}

static void test_events(void **state)
{
	char *text;

	(void)state;
	text = event_line("{\"timestamp\":{\"secs\":1,\"nanos\":2000},"
			  "\"source\":\"vm\",\"event\":\"device-added\","
			  "\"properties\":{\"id\":\"a\\u001b\"}}",
			  false, 0);
	assert_string_equal(text, "     1.000002  vm device-added id=a?\n");
	free(text);
	text = event_line("{\"source\":\"vmm\",\n\"event\":\"shutdown\"}", true,
			  1);
	assert_string_equal(text,
			    "{\"source\":\"vmm\",\"event\":\"shutdown\"}\n");
	free(text);
	free(event_line("[1]", false, -EINVAL));
	free(event_line("{", false, -EINVAL));
}

/* Neither a byte nor a character from U+0080 to U+009F reaches a terminal, where
 * some are commands; letters that have such bytes do. */
static void test_controls(void **state)
{
	char body[] = "{\"id\": \"\xc3\x80\xc2\x9b\x9b\x1b\x7f\"}\n\tx";
	json_t *reply = json_pack("{s:s}", "\xc2\x9bkey", "\xc2\x85\xc3\x80");
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	table_put_text(out, "\xc3\x80\xc2\x9b\x9b\x1b\n");
	fputc('\n', out);
	table_show_tree(reply, out);
	table_put_lines(out, body);
	fclose(out);
	assert_string_equal(text, "\xc3\x80?????\n"
				  "??key                       ??\xc3\x80\n"
				  "{\"id\": \"\xc3\x80?????\"}\n?x\n");
	free(text);
	json_decref(reply);
	text = event_line("{\"source\":\"\xc2\x9b\",\"event\":\"e\"}", true, 0);
	assert_string_equal(text, "{\"source\":\"\\u009B\",\"event\":\"e\"}\n");
	free(text);
}

static json_t *stats(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

/* A line of text begins with name, and has this behind it but for spaces. */
static void expect_row(const char *text, const char *name, const char *rest)
{
	const char *s = strstr(text, name);

	assert_non_null(s);
	for (s += strlen(name); *rest; s++, rest++) {
		while (*s == ' ' && (*rest != ' ' || s[1] == ' '))
			s++;
		assert_int_equal(*s, *rest);
	}
	assert_int_equal(*s, '\n');
}

static void test_top(void **state)
{
	json_t *a =
		stats("{\"threads\":{\"vcpu0\":{\"cpu_ns\":0}},\"devices\":{"
		      "\"_disk0\":{\"read_ops\":0,\"read_bytes\":1024},"
		      "\"_net1\":{\"rx_frames\":10,\"tx_bytes\":0},"
		      "\"_vsock2\":{\"rx_packets\":0}}}");
	json_t *b = stats("{\"threads\":{\"vcpu0\":{\"cpu_ns\":500000000}},"
			  "\"devices\":{"
			  "\"_disk0\":{\"read_ops\":4,\"read_bytes\":3072},"
			  "\"_net1\":{\"rx_frames\":30,\"tx_bytes\":4096,"
			  "\"rx_drop_full\":3,\"rx_drop_vlan\":4},"
			  "\"_vsock2\":{\"rx_packets\":2,\"connections\":5,"
			  "\"resets_sent\":1,\"resets_received\":6}}}");
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	top_show(out, NULL, a, b, 2000000000ull);
	fclose(out);
	assert_non_null(strstr(text, "machine none"));
	assert_non_null(strstr(text, "vcpu0                   25.0"));
	expect_row(text, "DISK",
		   "READS/s B/s WRITES/s B/s READ us WRITE us "
		   "ERRORS");
	expect_row(text, "_disk0", "2 1K 0 0 0 0 0");
	expect_row(text, "_net1", "10 0 0 2K 7 0 0");
	expect_row(text, "_vsock2", "1 0 0 0 5 0 7");
	free(text);
	json_decref(a);
	json_decref(b);
}

static void test_connection(void **state)
{
	struct error err = { "" };
	const struct client_request req = { .socket = "/nonexistent/s",
					    .verb = "vm.boot" };
	struct client_reply reply;

	(void)state;
	assert_int_equal(client_ask(&req, &reply, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "vmm --api-socket /nonexistent/s"));
	free(reply.text);
}

/* A monitor that says `pieces` to who connects, and what vmmctl makes of it. */
static int ask(const char *const *pieces, struct client_reply *reply,
	       struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct client_request req = { .socket = addr.sun_path,
					    .get = true,
					    .verb = "vmm.ping" };
	int r, fd, s = socket(AF_UNIX, SOCK_STREAM, 0);
	pid_t child;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/vmmctl-%d.sock",
		 (int)getpid());
	assert_int_equal(bind(s, (const void *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(s, 1), 0);
	child = fork();
	if (!child) {
		char buf[512];

		fd = accept(s, NULL, NULL);
		if (read(fd, buf, sizeof(buf)) <= 0)
			_exit(1);
		for (; *pieces; pieces++) {
			send(fd, *pieces, strlen(*pieces), MSG_NOSIGNAL);
			usleep(2000);
		}
		_exit(0);
	}
	r = client_ask(&req, reply, err);
	close(s);
	unlink(addr.sun_path);
	assert_int_equal(waitpid(child, NULL, 0), child);
	return r;
}

static void test_answers(void **state)
{
	const char *whole[] = { "HTT",		 "P/1.1 200 OK\r\ncontent-le",
				"ngth: 4\r\n\r", "\n{}",
				"\n\n",		 NULL };
	const char *empty[] = { "HTTP/1.1 204 \r\n\r\n", NULL };
	const char *early[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{}", NULL
	};
	const char *other[] = { "SSH-2.0-x\r\n", NULL };
	struct client_reply reply;
	struct error err = { "" };

	(void)state;
	assert_int_equal(ask(whole, &reply, &err), 0);
	assert_int_equal(reply.status, 200);
	assert_int_equal(reply.len, 4);
	assert_string_equal(reply.body, "{}\n\n");
	free(reply.text);
	assert_int_equal(ask(empty, &reply, &err), 0);
	assert_int_equal(reply.status, 204);
	assert_int_equal(reply.len, 0);
	free(reply.text);
	assert_int_equal(ask(early, &reply, &err), -EPIPE);
	free(reply.text);
	assert_int_equal(ask(other, &reply, &err), -EPROTO);
	free(reply.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_controls),
		cmocka_unit_test(test_top),
		cmocka_unit_test(test_connection),
		cmocka_unit_test(test_answers),
	};

	/* The descriptor that tests name. */
	dup2(STDERR_FILENO, 9);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
