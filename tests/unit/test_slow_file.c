/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/slow_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/hung_file.h"
#include "vmm/pool.h"
#include "vmm/util.h"

#define SIZE 4096u
#define LONG_NS 20000000000ull
/* Not what hangs, which does so for good, but a machine that is busy otherwise. */
#define AT_ONCE_NS 5000000000ull

static struct loop *loop;
static struct slow_file *sf;
static unsigned int nr_sleeps;
static char data[65536];

static void on_turn(struct loop_call *lc unused_param)
{
	loop_quit(loop);
}

static void turn(void)
{
	struct loop_call call = { .fn = on_turn };

	loop_post(loop, &call);
	loop_run(loop);
}

static void open_file(int fd)
{
	assert_true(fd >= 0);
	sf = slow_file_open(loop, fd, SIZE, "file", NULL);
	assert_non_null(sf);
	close(fd);
}

/* When there is room. */
static void put(const char *text)
{
	uint64_t end = loop_now_ns() + LONG_NS;

	while (!slow_file_put(sf, text, strlen(text))) {
		assert_true(loop_now_ns() < end);
		turn();
	}
}

/* True: the host has let go. */
static bool close_file(size_t lost)
{
	uint64_t start = loop_now_ns();
	size_t found = SIZE;
	bool answered = slow_file_close(sf, &found);

	assert_true(loop_now_ns() - start < AT_ONCE_NS);
	assert_int_equal(found, lost);
	return answered;
}

/* ---- where the host answers ---- */

/* All comes, as it was put, from wherever in the buffer. */
static void test_order(void **state unused_param)
{
	int fd = memfd_create("slow", MFD_CLOEXEC), i;
	char line[32], want[sizeof(data)] = "";

	open_file(dup(fd));
	for (i = 0; i < 2000; i++) {
		snprintf(line, sizeof(line), "%d lines\n", i);
		strcat(want, line);
		put(line);
	}
	assert_true(close_file(0));
	assert_int_equal(pread(fd, data, sizeof(data), 0), strlen(want));
	assert_memory_equal(data, want, strlen(want));
	close(fd);
}

static bool on_poll(struct loop_poller *lp unused_param)
{
	return false;
}

static bool on_sleep(struct loop_poller *lp unused_param)
{
	nr_sleeps++;
	return false;
}

static void on_wake(struct loop_poller *lp unused_param)
{
}

static void on_time(struct loop_timer *lt unused_param)
{
	loop_quit(loop);
}

/* A full disk is tried again when there is more, and not all the time. */
static void test_full(void **state unused_param)
{
	struct loop_poller lp = { .poll = on_poll,
				  .sleep = on_sleep,
				  .wake = on_wake };
	struct loop_timer lt = { .on_expire = on_time };
	size_t len = 0;

	open_file(open("/dev/full", O_WRONLY | O_CLOEXEC));
	put("text");
	nr_sleeps = 0;
	loop_poller_add(loop, &lp);
	loop_timer_set(loop, &lt, loop_now_ns() + 100000000);
	loop_run(loop);
	loop_poller_del(loop, &lp);
	assert_in_range(nr_sleeps, 1, 20);
	for (len = 4; slow_file_put(sf, "text", 4); len += 4)
		turn();
	assert_int_equal(len, SIZE);
	assert_true(close_file(SIZE));
}

static void test_bad_fd(void **state unused_param)
{
	struct error err = { "" };

	assert_null(slow_file_open(loop, -1, SIZE, "file", &err));
	assert_non_null(strstr(err.msg, "file: "));
}

/* The pool is gone: the last words are written all the same. */
static void test_no_thread(void **state unused_param)
{
	int fd = memfd_create("slow", MFD_CLOEXEC);

	assert_int_equal(pool_end(LONG_NS), 0);
	open_file(dup(fd));
	put("one ");
	turn();
	put("two");
	assert_true(close_file(0));
	assert_int_equal(pread(fd, data, sizeof(data), 0), 7);
	assert_memory_equal(data, "one two", 7);
	close(fd);
}

/* ---- a file system that stops answering ---- */

static struct hung_file hung;
static pid_t watchdog;

static int setup_hung(void **state unused_param)
{
	if (!hung_file_start(&hung, 4))
		return 0;
	/* Who hangs in it cannot be killed, but by its end. */
	watchdog = fork();
	if (!watchdog) {
		sleep(20);
		kill(hung.pid, SIGKILL);
		_exit(0);
	}
	return 0;
}

static int teardown_hung(void **state unused_param)
{
	if (watchdog > 0) {
		kill(watchdog, SIGKILL);
		waitpid(watchdog, NULL, 0);
	}
	watchdog = 0;
	hung_file_stop(&hung);
	return 0;
}

static void open_hung(void)
{
	if (!watchdog)
		skip();
	open_file(open(hung.path, O_WRONLY | O_CLOEXEC));
}

static void wait_held(void)
{
	uint64_t end = loop_now_ns() + LONG_NS;

	while (!hung_file_held(&hung)) {
		assert_true(loop_now_ns() < end);
		turn();
	}
}

/* Until that is in the file, which answers. */
static void wait_text(const char *text)
{
	int fd = open(hung.path, O_RDONLY | O_CLOEXEC);
	uint64_t end = loop_now_ns() + LONG_NS;

	assert_true(fd >= 0);
	do {
		assert_true(loop_now_ns() < end);
		turn();
		assert_true(pread(fd, data, sizeof(data), 0) > 0);
	} while (strncmp(data, text, strlen(text)) != 0);
	close(fd);
}

static bool is_open(void)
{
	char link[32], target[128];

	for (int fd = 0; fd < 256; fd++) {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		target[MAX(n, 0)] = '\0';
		if (strcmp(target, hung.path) == 0)
			return true;
	}
	return false;
}

static void wait_closed(void)
{
	uint64_t end = loop_now_ns() + LONG_NS;

	while (is_open()) {
		assert_true(loop_now_ns() < end);
		turn();
	}
}

/* The loop turns, what does not fit is lost as a whole, and the rest is written
 * later. */
static void test_hung_write(void **state unused_param)
{
	char want[2 * SIZE] = "one\ntwo\n";
	uint64_t start;
	size_t len;

	open_hung();
	put("one\n");
	wait_text("one\n");
	hung_file_say(&hung, "hang");
	start = loop_now_ns();
	put("two\n");
	wait_held();
	for (len = 4; len + 6 <= SIZE; len += 6) {
		put("three\n");
		strcat(want, "three\n");
	}
	assert_false(slow_file_put(sf, "three\n", 6));
	turn();
	assert_true(loop_now_ns() - start < AT_ONCE_NS);
	hung_file_say(&hung, "go");
	put("four\n");
	wait_text(strcat(want, "four\n"));
	assert_true(close_file(0));
}

/* Its end waits neither for a write nor for the closing. */
static void test_hung_close(void **state unused_param)
{
	for (int words = 0; words < 2; words++) {
		open_hung();
		hung_file_say(&hung, "hang");
		if (words) {
			put("one\n");
			wait_held();
			put("two\n");
		}
		assert_false(close_file(words ? 8 : 0));
		wait_held();
		hung_file_say(&hung, "go");
		wait_closed();
	}
}

#define HUNG(t) cmocka_unit_test_setup_teardown(t, setup_hung, teardown_hung)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* Mounts come before threads. */
		HUNG(test_hung_write),	       HUNG(test_hung_close),
		cmocka_unit_test(test_order),  cmocka_unit_test(test_full),
		cmocka_unit_test(test_bad_fd), cmocka_unit_test(test_no_thread),
	};
	int r;

	loop = loop_create("main", NULL);
	if (!loop)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	turn();
	loop_destroy(loop);
	return r;
}
