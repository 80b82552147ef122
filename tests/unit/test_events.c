/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/events.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/util.h"

/* The event stream, as a reader sees it. */

static void test_stream(void **state unused_param)
{
	struct loop *loop = loop_create("main", NULL);
	struct events *ev = NULL;
	char buf[4096], *second;
	int fds[2];
	ssize_t n;
	json_t *event;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(events_open(&ev, loop, NULL, fds[1], NULL), 0);
	events_emit(ev, "vmm", "starting", NULL);
	events_emit(ev, "vm", "device-removed", "id", "a\n\n\xc3\xa4", "bdf",
		    "0000:00:01.0", NULL);
	n = read(fds[0], buf, sizeof(buf) - 1);
	assert_in_range(n, 1, sizeof(buf) - 1);
	buf[n] = '\0';
	second = strstr(buf, "\n\n");
	assert_non_null(second);
	second[1] = '\0';
	event = json_loads(buf, 0, NULL);
	assert_non_null(event);
	assert_string_equal(json_string_value(json_object_get(event, "source")),
			    "vmm");
	assert_true(json_is_null(json_object_get(event, "properties")));
	json_decref(event);
	/* No empty line inside; one at the end. */
	second += 2;
	assert_ptr_equal(strstr(second, "\n\n"), second + strlen(second) - 2);
	event = json_loads(second, 0, NULL);
	assert_non_null(event);
	assert_string_equal(
		json_string_value(json_object_get(
			json_object_get(event, "properties"), "bdf")),
		"0000:00:01.0");
	json_decref(event);
	events_close(ev);
	close(fds[0]);
	loop_destroy(loop);
}

/* A reader that does not read loses whole events, and holds nobody up. */
static void test_slow_reader(void **state unused_param)
{
	struct loop *loop = loop_create("main", NULL);
	struct events *ev = NULL;
	static char buf[1 << 20];
	size_t len = 0, objects = 0;
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(events_open(&ev, loop, NULL, fds[1], NULL), 0);
	for (int i = 0; i < 5000; i++)
		events_emit(ev, "vm", "resized", NULL);
	for (int i = 0; i < 10; i++) {
		while ((n = read(fds[0], buf + len, sizeof(buf) - 1 - len)) > 0)
			len += (size_t)n;
		events_emit(ev, "vm", "last", NULL);
	}
	events_close(ev);
	while ((n = read(fds[0], buf + len, sizeof(buf) - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	for (char *s = buf, *end; *s; s = end + 2, objects++) {
		json_t *event;

		end = strstr(s, "\n\n");
		assert_non_null(end);
		*end = '\0';
		event = json_loads(s, 0, NULL);
		assert_non_null(event);
		json_decref(event);
	}
	assert_in_range(objects, 100, 4999);
	close(fds[0]);
	loop_destroy(loop);
}

static void test_gone_reader(void **state unused_param)
{
	struct loop *loop = loop_create("main", NULL);
	struct events *ev = NULL;
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(events_open(&ev, loop, NULL, fds[1], NULL), 0);
	close(fds[0]);
	for (int i = 0; i < 2000; i++)
		events_emit(ev, "vm", "resized", NULL);
	events_close(ev);
	loop_destroy(loop);
}

/* A FIFO in a directory of its own. */
static void make_fifo(char *dir, char *path, size_t len)
{
	assert_non_null(mkdtemp(dir));
	snprintf(path, len, "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
}

/* The reader may come later. */
static void test_fifo(void **state unused_param)
{
	struct loop *loop = loop_create("main", NULL);
	char dir[] = "/tmp/test_events.XXXXXX", path[64], buf[4096];
	struct events *ev = NULL;
	int fd;

	make_fifo(dir, path, sizeof(path));
	assert_int_equal(events_open(&ev, loop, path, -1, NULL), 0);
	events_emit(ev, "vmm", "starting", NULL);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, buf, sizeof(buf)) > 0);
	events_close(ev);
	/* We are gone, and the reader is told. */
	assert_int_equal(read(fd, buf, sizeof(buf)), 0);
	close(fd);
	unlink(path);
	rmdir(dir);
	loop_destroy(loop);
}

/* One that leaves, and one that comes when all room is used up. */
static void test_next_reader(void **state unused_param)
{
	struct loop *loop = loop_create("main", NULL);
	char dir[] = "/tmp/test_events.XXXXXX", path[64], buf[4096];
	struct events *ev = NULL;
	int fd;

	make_fifo(dir, path, sizeof(path));
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(events_open(&ev, loop, path, -1, NULL), 0);
	close(fd);
	for (int i = 0; i < 2000; i++)
		events_emit(ev, "vm", "resized", NULL);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	events_emit(ev, "vm", "booted", NULL);
	assert_true(read(fd, buf, sizeof(buf)) > 0);
	events_close(ev);
	close(fd);
	unlink(path);
	rmdir(dir);
	loop_destroy(loop);
}

static void test_bad_path(void **state unused_param)
{
	struct events *ev = NULL;
	struct error err = { "" };

	assert_true(events_open(&ev, NULL, "/nonexistent/x", -1, &err) < 0);
	assert_non_null(strstr(err.msg, "--event-monitor /nonexistent/x"));
	assert_true(events_open(&ev, NULL, NULL, 1000, &err) < 0);
	events_emit(NULL, "vm", "nobody", NULL);
	events_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_gone_reader),
		cmocka_unit_test(test_fifo),
		cmocka_unit_test(test_next_reader),
		cmocka_unit_test(test_bad_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
