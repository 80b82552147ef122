/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/util.h"

static int pipe_fds[2];
static char text[8192];

static int setup(void **state unused_param)
{
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
	log_init(pipe_fds[1], LOG_WARN);
	return 0;
}

static int teardown(void **state unused_param)
{
	log_init(STDERR_FILENO, LOG_WARN);
	close_fd(&pipe_fds[0]);
	close_fd(&pipe_fds[1]);
	return 0;
}

/* What was written since the last look. */
static const char *written_to(int fd)
{
	ssize_t n = read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static const char *written(void)
{
	return written_to(pipe_fds[0]);
}

static void test_form(void **state unused_param)
{
	unsigned int s, us;
	char name[32];
	int end = 0;

	log_warn("disk %d: %s", 3, "gone");
	assert_int_equal(sscanf(written(), "[%u.%u] %31s WARN: disk 3: gone%n",
				&s, &us, name, &end),
			 3);
	assert_string_equal(text + end, "\n");
}

static void test_levels(void **state unused_param)
{
	log_info("no");
	log_debug("no");
	log_trace("no");
	assert_string_equal(written(), "");
	log_error("yes");
	assert_non_null(strstr(written(), " ERRO: yes\n"));
	log_init(pipe_fds[1], LOG_TRACE);
	log_info("1");
	assert_non_null(strstr(written(), " INFO: 1\n"));
	log_debug("2");
	assert_non_null(strstr(written(), " DEBG: 2\n"));
	log_trace("3");
	assert_non_null(strstr(written(), " TRCE: 3\n"));
	assert_true(log_enabled(LOG_TRACE));
	log_init(pipe_fds[1], LOG_ERROR);
	assert_false(log_enabled(LOG_WARN));
}

static void test_long_line(void **state unused_param)
{
	char big[4000];

	memset(big, 'z', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_warn("%s", big);
	written();
	assert_true(strlen(text) < 1024);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

/* Names that clients choose do not steer the terminal that shows the log. */
static void test_plain(void **state unused_param)
{
	log_warn("%s", "a\n\033[2J \302\2332J \2332J \303\274");
	assert_non_null(strstr(written(), ": a??[2J ??2J ?2J \303\274\n"));
}

/* A full pipe and a closed one lose lines, nothing else. */
static void test_lost(void **state unused_param)
{
	unsigned int i;

	for (i = 0; i < 10000; i++)
		log_warn("line %u of many that nobody reads", i);
	log_init(-1, LOG_WARN);
	log_warn("nowhere");
}

/* Lost lines are counted, and whoever reads again is told first. */
static void test_lost_count(void **state unused_param)
{
	unsigned int i, nr, got = 0;
	int end = 0;
	char *p;

	for (i = 0; i < 10000; i++)
		log_warn("line");
	while (*written())
		for (p = text; (p = strchr(p, '\n')); p++)
			got++;
	log_warn("here again");
	p = strstr(written(), " WARN: ");
	assert_non_null(p);
	assert_int_equal(
		sscanf(p,
		       " WARN: %u lines of the log were lost, nobody read them%n",
		       &nr, &end),
		1);
	assert_int_equal(nr + got, 10000);
	assert_int_equal(p[end], '\n');
	assert_non_null(strstr(p, " WARN: here again\n"));
	log_warn("and again");
	assert_null(strstr(written(), "lost"));
}

/* Read the main side of a pseudo-terminal up to what and a bit further; the
 * kernel takes it across at leisure. */
static void read_terminal(int fd, const char *what)
{
	static char seen[2 * sizeof(text)];
	size_t len;

	alarm(10);
	while (!strstr(seen, what)) {
		len = strlen(seen);
		if (len > sizeof(text) - 1) {
			memmove(seen, seen + 4096, len - 4096 + 1);
			len -= 4096;
		}
		if (*written_to(fd))
			strcpy(seen + len, text);
	}
	alarm(0);
}

/* Standard error is a terminal that nobody reads. */
static void test_stalled_terminal(void **state unused_param)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	unsigned int i;
	int other;

	assert_true(fd >= 0);
	assert_int_equal(unlockpt(fd), 0);
	other = open(ptsname(fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(other >= 0);
	log_init(other, LOG_WARN);
	alarm(10);
	for (i = 0; i < 10000; i++)
		log_warn("line %u of many that nobody reads", i);
	alarm(0);
	assert_false(fcntl(other, F_GETFL) & O_NONBLOCK);
	read_terminal(fd, "line 100 of many");
	log_warn("here again!");
	read_terminal(fd, "nobody read them\r\n");
	read_terminal(fd, "here again!\r\n");
	log_init(-1, LOG_WARN);
	close(other);
	close(fd);
}

/* The same when the pipe's other user waits for room. */
static void test_blocking_pipe(void **state unused_param)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	log_init(fds[1], LOG_WARN);
	alarm(10);
	test_lost(NULL);
	alarm(0);
	close(fds[0]);
	close(fds[1]);
}

static void test_is_due(void **state unused_param)
{
	uint64_t last = 0;

	assert_true(log_is_due(&last));
	assert_false(log_is_due(&last));
	last -= 1000000000;
	assert_true(log_is_due(&last));
}

static char elsewhere[1024];

/* opaque NULL: there is no room. */
static bool put_elsewhere(void *opaque, const char *line, size_t len)
{
	if (opaque)
		strncat(opaque, line, len);
	return opaque != NULL;
}

/* What is put elsewhere is counted as what is written. */
static void test_elsewhere(void **state unused_param)
{
	log_divert(put_elsewhere, elsewhere);
	log_warn("one");
	log_divert(put_elsewhere, NULL);
	log_warn("two");
	log_divert(put_elsewhere, elsewhere);
	log_warn("three");
	log_divert(NULL, NULL);
	assert_string_equal(written(), "");
	assert_non_null(strstr(elsewhere, " WARN: one\n["));
	assert_null(strstr(elsewhere, "two"));
	assert_non_null(strstr(elsewhere, " 1 lines of the log were lost"));
	assert_non_null(strstr(elsewhere, " WARN: three\n"));
	log_warn("four");
	assert_non_null(strstr(written(), " WARN: four\n"));
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_form),
		UNIT(test_levels),
		UNIT(test_long_line),
		UNIT(test_lost),
		UNIT(test_blocking_pipe),
		UNIT(test_is_due),
		UNIT(test_plain),
		UNIT(test_lost_count),
		UNIT(test_stalled_terminal),
		UNIT(test_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
