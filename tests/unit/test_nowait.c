/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* A write that would wait ends the test by SIGALRM. */
#include "tests/lib/terminal.h"
#include "vmm/nowait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/util.h"

#define WAIT_S 10

static char data[65536];

/* Write until nobody takes more. */
static void fill(const struct nowait *nw)
{
	size_t sent = 0;
	ssize_t n;

	memset(data, '\n', sizeof(data)); /* two bytes on a terminal */
	alarm(WAIT_S);
	while ((n = nowait_write(nw, data, sizeof(data))) > 0) {
		sent += (size_t)n;
		assert_true(sent < 16 * MIB);
	}
	assert_int_equal(n, -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(sent > 0);
	alarm(0);
}

/* Read from the main side until the terminal takes more. What is written comes
 * there, and the terminal hears what is read, a little later. */
static void make_room(int fd, int main_fd)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLOUT },
				{ .fd = main_fd, .events = POLLIN } };

	while (!(fds[0].revents & POLLOUT)) {
		assert_true(poll(fds, ARRAY_SIZE(fds), WAIT_S * 1000) > 0);
		if (fds[1].revents & POLLIN)
			assert_true(read(main_fd, data, sizeof(data)) > 0);
	}
}

static void test_terminal(void **state unused_param)
{
	int main_fd, fd = terminal_open(&main_fd);
	struct nowait nw;

	nowait_open(&nw, fd);
	assert_true(nw.own >= 0);
	assert_int_equal(nowait_fd(&nw), nw.own);
	assert_true(fcntl(nw.own, F_GETFD) & FD_CLOEXEC);
	fill(&nw);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	make_room(fd, main_fd);
	assert_int_equal(nowait_write(&nw, "x", 1), 1);
	nowait_close(&nw);
	assert_int_equal(write(fd, "y", 1), 1);
	close(fd);
	close(main_fd);
}

/* As when the terminal is another user's, or there is no /proc. */
static void test_terminal_shared(void **state unused_param)
{
	int main_fd, fd = terminal_open(&main_fd);
	struct nowait nw = { .fd = fd, .own = -1 };

	assert_int_equal(nowait_fd(&nw), fd);
	fill(&nw);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	nowait_close(&nw);
	close(fd);
	close(main_fd);
}

static void test_pipe(void **state unused_param)
{
	struct nowait nw;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	nowait_open(&nw, fds[1]);
	assert_true(nw.own >= 0);
	fill(&nw);
	assert_false(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	nowait_close(&nw);
	close(fds[0]);
	close(fds[1]);
}

/* What is not opened again is written to as it is. */
static void test_others(void **state unused_param)
{
	int main_fd, fd = terminal_open(&main_fd), fds[2];
	struct nowait nw;

	/* It would be another pseudo-terminal. */
	assert_int_equal(nowait_reopen(main_fd, O_WRONLY), -1);
	close(fd);
	close(main_fd);

	fd = memfd_create("nowait", MFD_CLOEXEC);
	assert_int_equal(write(fd, "one ", 4), 4);
	nowait_open(&nw, fd);
	assert_int_equal(nw.own, -1);
	assert_int_equal(nowait_write(&nw, "two", 3), 3);
	nowait_close(&nw);
	assert_int_equal(pread(fd, data, sizeof(data), 0), 7);
	close(fd);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	nowait_open(&nw, fds[0]);
	assert_int_equal(nw.own, -1);
	assert_int_equal(nowait_write(&nw, "abc", 3), 3);
	nowait_close(&nw);
	close(fds[0]);
	close(fds[1]);

	nowait_open(&nw, -1);
	assert_int_equal(nowait_write(&nw, "abc", 3), -1);
	assert_int_equal(errno, EAGAIN);
	nowait_close(&nw);
}

/* What is a plain file, and whose host may stop answering. */
static void test_slow(void **state unused_param)
{
	int fd = memfd_create("nowait", MFD_CLOEXEC), fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_true(nowait_is_local(fd));
	assert_false(nowait_is_slow(fd));
	assert_false(nowait_is_slow(fds[1]));
	assert_false(nowait_is_slow(-1));
	close(fds[0]);
	close(fds[1]);
	close(fd);
	/* Any that is not known to be quick. */
	fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	assert_false(nowait_is_local(fd));
	assert_true(nowait_is_slow(fd));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_terminal_shared),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
