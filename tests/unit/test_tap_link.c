/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The link of a real TAP. */
#include "devices/backend/tap_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "devices/backend/tap.h"
#include "tests/unit/tap_fixture.h"

static bool refused;
static struct loop *loop;
static struct loop_timer timer;
static struct tap_link ln;
static unsigned int nr_changes;
static bool last;

static void on_changed(void *opaque, bool up)
{
	assert_ptr_equal(opaque, &nr_changes);
	nr_changes++;
	last = up;
	loop_quit(loop);
}

static void on_expire(unused_param struct loop_timer *lt)
{
	loop_quit(loop);
}

/* Run until something changes, or nothing does for the time. */
static bool changes(unsigned int ms)
{
	nr_changes = 0;
	timer.on_expire = on_expire;
	loop_timer_set(loop, &timer, loop_now_ns() + ms * 1000000ull);
	loop_run(loop);
	loop_timer_cancel(&timer);
	return nr_changes > 0;
}

static int setup(void **state unused_param)
{
	if (refused)
		skip();
	loop = loop_create("test", NULL);
	assert_non_null(loop);
	return 0;
}

static int teardown(void **state unused_param)
{
	loop_destroy(loop);
	return 0;
}

/* The link of a TAP that somebody else has. */
static void open_link(int tap)
{
	const struct opener_interface ask = { .mtu = 0 };
	struct opener_found_interface found;
	struct error err;
	int fd;

	if (opener_interface(tap, &ask, &fd, &found, &err))
		fail_msg("%s", err.msg);
	tap_link_open(&ln, fd, found.index);
}

static void watch(void)
{
	assert_int_equal(tap_link_watch(&ln, loop, on_changed, &nr_changes), 0);
}

static void test_up_and_down(void **state unused_param)
{
	cleanup_fd int fd = attach("l0", FLAGS), beside = attach("l1", FLAGS);

	assert_int_not_equal(fd, beside);
	open_link(fd);
	assert_true(ln.fd >= 0);
	assert_false(ln.up);
	watch();
	set_up("l0", true);
	assert_true(changes(2000));
	assert_true(last);
	/* The carrier is part of it. */
	assert_int_equal(ioctl(fd, TUNSETCARRIER, &(int){ 0 }), 0);
	assert_true(changes(2000));
	assert_false(last);
	assert_int_equal(ioctl(fd, TUNSETCARRIER, &(int){ 1 }), 0);
	assert_true(changes(2000));
	assert_true(last);
	/* Others are none of our business: the socket hears nothing. */
	set_up("l1", true);
	set_up("l1", false);
	assert_int_equal(recv(ln.fd, &(char){ 0 }, 1, MSG_PEEK), -1);
	/* A change of something else is none. */
	while (changes(50))
		;
	tap_link_unwatch(&ln);
	tap_link_close(&ln);
	open_link(fd);
	assert_true(ln.up);
	set_up("l0", false);
	watch(); /* what was before is told */
	assert_true(changes(2000));
	assert_false(last);
	tap_link_unwatch(&ln);
	tap_link_close(&ln);
}

static void test_removed(void **state unused_param)
{
	cleanup_fd int fd = attach("l0", FLAGS);

	set_up("l0", true);
	open_link(fd);
	assert_true(ln.up);
	watch();
	close_fd(&fd);
	assert_true(changes(2000));
	assert_false(last);
	tap_link_unwatch(&ln);
	tap_link_close(&ln);
}

/* More happens than the socket holds: the end is right, whichever it is. */
static void expect_overrun(bool end)
{
	cleanup_fd int fd = attach("l0", FLAGS);
	int small = 1;

	assert_true(fd >= 0);
	open_link(fd);
	assert_int_equal(
		setsockopt(ln.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)),
		0);
	for (unsigned int i = 0; i < 100; i++)
		set_up("l0", i % 2 == 0);
	set_up("l0", end);
	watch();
	while (changes(200))
		;
	assert_int_equal(ln.up, end);
	tap_link_unwatch(&ln);
	tap_link_close(&ln);
}

static void test_overrun(void **state unused_param)
{
	expect_overrun(true);
	expect_overrun(false);
}

static void test_none(void **state unused_param)
{
	tap_link_open(&ln, -1, 0);
	assert_int_equal(ln.fd, -1);
	assert_true(ln.up);
	watch();
	assert_false(changes(20));
	tap_link_unwatch(&ln);
	tap_link_close(&ln);
}

/* Of a TAP in another namespace, from here. */
static void *open_elsewhere(void *arg)
{
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	*(int *)arg = attach("far0", FLAGS);
	set_up("far0", true);
	return NULL;
}

static void test_namespace(void **state unused_param)
{
	pthread_t thread;
	struct error err;
	struct tap tap;
	int fd = -1;
	const struct tap_config config = { .fds = &fd, .nr_queues = 1 };

	assert_int_equal(pthread_create(&thread, NULL, open_elsewhere, &fd), 0);
	pthread_join(thread, NULL);
	if (tap_open(&tap, &config, &err))
		fail_msg("%s", err.msg);
	assert_true(tap.link.fd >= 0);
	assert_true(tap.link.up);
	assert_int_equal(
		tap_link_watch(&tap.link, loop, on_changed, &nr_changes), 0);
	assert_int_equal(ioctl(fd, TUNSETCARRIER, &(int){ 0 }), 0);
	assert_true(changes(2000));
	assert_false(last);
	tap_link_unwatch(&tap.link);
	tap_close(&tap);
	close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_up_and_down), TEST(test_removed),
		TEST(test_overrun),	TEST(test_none),
		TEST(test_namespace),
	};

	refused = !enter_namespace();
	return cmocka_run_group_tests_name("tap_link", tests, NULL, NULL);
}
