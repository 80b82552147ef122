/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The host side of the serial port. For the tty mode this process' stdin and
 * stdout are pipes while a test runs; cmocka's own output waits meanwhile.
 */
#include "devices/backend/console.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/terminal.h"
#include "vmm/log.h"
#include "vmm/pool.h"
#include "vmm/util.h"

#define BUFFER 16384u

struct port {
	size_t room;
	char got[256];
	size_t nr;
	unsigned int quits;
};

static struct port port;
static struct loop *loop; /* of all tests, as the pool's news may be late */
static struct console *con;
static int saved[2], to_guest, from_guest, log_fd;
static char data[128 * 1024];

static size_t port_room(void *opaque unused_param)
{
	return port.room;
}

static void port_input(void *opaque unused_param, const uint8_t *bytes,
		       size_t len)
{
	assert_true(len <= port.room && port.nr + len <= sizeof(port.got));
	memcpy(port.got + port.nr, bytes, len);
	port.nr += len;
	port.room -= len;
}

static void port_quit(void *opaque unused_param)
{
	port.quits++;
}

static void open_console(enum console_mode mode, int fd)
{
	const struct console_config cc = {
		.mode = mode,
		.fd = fd,
		.loop = loop,
		.room = port_room,
		.input = port_input,
		.quit = port_quit,
	};

	assert_int_equal(console_open(&con, &cc, NULL), 0);
}

static void on_turn(struct loop_call *lc unused_param)
{
	loop_quit(loop);
}

static void turn(void)
{
	struct loop_call call = { .fn = on_turn };
	unsigned int i;

	for (i = 0; i < 12; i++) {
		loop_post(loop, &call);
		loop_run(loop);
	}
}

static int setup(void **state unused_param)
{
	memset(&port, 0, sizeof(port));
	port.room = sizeof(port.got);
	con = NULL;
	return 0;
}

static int setup_pipes(void **state)
{
	int in[2], out[2], log[2];

	setup(state);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(log, O_CLOEXEC | O_NONBLOCK), 0);
	fflush(stdout);
	saved[0] = dup(0);
	saved[1] = dup(1);
	dup2(in[0], 0);
	dup2(out[1], 1);
	close(in[0]);
	close(out[1]);
	to_guest = in[1];
	from_guest = out[0];
	fcntl(from_guest, F_SETFL, O_NONBLOCK);
	log_init(log[1], LOG_WARN);
	log_fd = log[0];
	return 0;
}

static int teardown_pipes(void **state unused_param)
{
	dup2(saved[0], 0);
	dup2(saved[1], 1);
	close(saved[0]);
	close(saved[1]);
	close_fd(&to_guest);
	close_fd(&from_guest);
	close_fd(&log_fd);
	log_init(STDERR_FILENO, LOG_WARN);
	return 0;
}

static void put(const char *text)
{
	while (*text)
		console_write(con, (uint8_t)*text++);
}

/* ---- output ---- */

static void test_output(void **state unused_param)
{
	bool ok;

	open_console(CONSOLE_TTY, -1);
	put("hello\r\n");
	turn();
	ok = read(from_guest, data, sizeof(data)) == 7 &&
	     !memcmp(data, "hello\r\n", 7);
	put("bye");
	console_close(con); /* writes what is there */
	ok = ok && read(from_guest, data, sizeof(data)) == 3;
	assert_true(ok);
}

/* As the log says it, at the end. */
static unsigned int lost_bytes(void)
{
	ssize_t n = read(log_fd, data, sizeof(data) - 1);
	unsigned int lost = 0;

	assert_true(n > 0);
	data[n] = '\0';
	assert_int_equal(
		sscanf(strstr(data, "serial: "), "serial: %u bytes", &lost), 1);
	return lost;
}

/* Nobody reads: writing never waits, what does not fit is lost and counted. */
static void test_blocked_pipe(void **state unused_param)
{
	unsigned int i, pipe_len = (unsigned int)fcntl(1, F_GETPIPE_SZ);
	unsigned int sent = pipe_len + BUFFER + 1000, got = 0, lost = 0;
	ssize_t n;

	open_console(CONSOLE_TTY, -1);
	for (i = 0; i < sent; i++) {
		console_write(con, (uint8_t)('a' + i % 26));
		if (i % 1000 == 0)
			turn();
	}
	turn();
	/* The pipe is full, the buffer is full: these are lost. */
	for (i = 0; i < 500; i++)
		console_write(con, '!');
	turn();
	while ((n = read(from_guest, data, sizeof(data))) > 0) {
		for (i = 0; i < (unsigned int)n; i++)
			assert_int_equal(data[i], 'a' + (got + i) % 26);
		got += (unsigned int)n;
		turn();
	}
	put("z"); /* there is room again */
	turn();
	assert_int_equal(read(from_guest, data, sizeof(data)), 1);
	console_close(con);
	lost = lost_bytes();
	assert_int_equal(got + lost, sent + 500);
	assert_true(got >= BUFFER);
}

static unsigned int nr_sleeps;

/* The guest sends one whenever the loop would sleep. */
static bool on_sleep(struct loop_poller *lp unused_param)
{
	nr_sleeps++;
	console_write(con, 'x');
	return false;
}

static void on_time(struct loop_timer *lt unused_param)
{
	loop_quit(loop);
}

static bool on_poll(struct loop_poller *lp unused_param)
{
	return false;
}

static void on_wake(struct loop_poller *lp unused_param)
{
}

/* What nobody reads does not keep the main thread busy, byte by byte. */
static void test_blocked_sleeps(void **state unused_param)
{
	struct loop_poller poller = { .poll = on_poll,
				      .sleep = on_sleep,
				      .wake = on_wake };
	struct loop_timer timer = { .on_expire = on_time };
	unsigned int i, pipe_len = (unsigned int)fcntl(1, F_GETPIPE_SZ);

	open_console(CONSOLE_TTY, -1);
	for (i = 0; i < pipe_len + 100; i++) {
		console_write(con, 'x');
		if (i % 1000 == 0)
			turn();
	}
	turn();
	nr_sleeps = 0;
	loop_poller_add(loop, &poller);
	loop_timer_set(loop, &timer, loop_now_ns() + 50000000);
	loop_run(loop);
	loop_poller_del(loop, &poller);
	assert_in_range(nr_sleeps, 1, 4);
	console_close(con);
}

/* The reader goes away: the guest does not notice. */
static void test_closed_pipe(void **state unused_param)
{
	unsigned int i;

	open_console(CONSOLE_TTY, -1);
	close_fd(&from_guest);
	for (i = 0; i < 3 * BUFFER; i++) {
		console_write(con, 'x');
		if (i % 4096 == 0)
			turn();
	}
	turn();
	console_close(con);
}

/* A blocking terminal as stdin and stdout, which may be the shell's. Returns
 * its other side. */
static int use_terminal(void)
{
	int fd, other = terminal_open(&fd);

	dup2(other, 0);
	dup2(other, 1);
	close(other);
	return fd;
}

/* The same for a terminal that nobody reads, which would end the test by
 * SIGALRM. Its flags stay as the shell needs them. */
static void test_stalled_terminal(void **state unused_param)
{
	int fd = use_terminal();
	unsigned int i;

	open_console(CONSOLE_TTY, -1);
	alarm(10);
	for (i = 0; i < sizeof(data); i++) {
		console_write(con, 'x');
		if (i % 1000 == 0)
			turn();
	}
	turn();
	assert_false(fcntl(1, F_GETFL) & O_NONBLOCK);
	for (i = 0; i < sizeof(data);) {
		ssize_t n = read(fd, data, sizeof(data));

		if (n < 0)
			break;
		i += (unsigned int)n;
	}
	assert_true(i > 0);
	put("z");
	turn();
	console_close(con);
	assert_true(lost_bytes() > 0);
	assert_false(fcntl(1, F_GETFL) & O_NONBLOCK);
	alarm(0);
	close(fd);
}

/* ---- input ---- */

static void test_input_flow(void **state unused_param)
{
	open_console(CONSOLE_TTY, -1);
	port.room = 4;
	assert_int_equal(write(to_guest, "0123456789", 10), 10);
	turn();
	assert_int_equal(port.nr, 4);
	turn(); /* full: nothing is read, nothing spins */
	assert_int_equal(port.nr, 4);
	port.room = 3;
	turn();
	assert_int_equal(port.nr, 4); /* not before the port says so */
	console_input_wanted(con);
	turn();
	assert_int_equal(port.nr, 7);
	port.room = 100;
	console_input_wanted(con);
	turn();
	assert_int_equal(port.nr, 10);
	assert_memory_equal(port.got, "0123456789", 10);
	/* Not a terminal: Ctrl-A x is data. */
	assert_int_equal(write(to_guest, "\001x", 2), 2);
	turn();
	assert_int_equal(port.nr, 12);
	assert_int_equal(port.quits, 0);
	/* The end of input is not the end of the console. */
	close_fd(&to_guest);
	turn();
	console_input_wanted(con);
	put("still here");
	turn();
	assert_int_equal(read(from_guest, data, sizeof(data)), 10);
	console_close(con);
}

/* A plain file as standard input is read as the port takes it. */
static void test_input_file(void **state unused_param)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	assert_int_equal(pwrite(fd, "0123456789", 10, 0), 10);
	dup2(fd, 0);
	close(fd);
	port.room = 4;
	open_console(CONSOLE_TTY, -1);
	turn();
	assert_int_equal(port.nr, 4);
	port.room = 100;
	console_input_wanted(con);
	turn();
	assert_int_equal(port.nr, 10);
	assert_memory_equal(port.got, "0123456789", 10);
	console_input_wanted(con);
	turn();
	assert_int_equal(port.nr, 10);
	console_close(con);
}

/* Input that the host does not watch is not read: that would wait for it. */
static void test_input_unwatched(void **state unused_param)
{
	struct loop_fd other = { .fd = 0 };

	/* A descriptor is watched once. */
	assert_int_equal(loop_fd_add(loop, &other, 0), 0);
	open_console(CONSOLE_TTY, -1);
	turn();
	assert_true(read(log_fd, data, sizeof(data)) > 0);
	assert_non_null(strstr(data, "input is not watched"));
	loop_fd_del(&other);
	assert_int_equal(write(to_guest, "01", 2), 2);
	console_input_wanted(con);
	turn();
	assert_int_equal(port.nr, 2);
	console_close(con);
}

/* What is still to be written at the end waits for a reader, not for long. */
static void test_last_words(void **state unused_param)
{
	int pipe_len = fcntl(1, F_SETPIPE_SZ, 4096);

	assert_int_equal(pipe_len, 4096);
	memset(data, 'x', 4096);
	assert_int_equal(write(1, data, 4096), 4096);
	open_console(CONSOLE_TTY, -1);
	put("nobody will know");
	console_close(con);
	assert_int_equal(lost_bytes(), 16);
}

static void *read_slowly(void *arg unused_param)
{
	static char page[4096];
	struct timespec pause = { .tv_nsec = 190000000 };
	unsigned int i;

	for (i = 0; i < BUFFER / sizeof(page) + 1; i++) {
		nanosleep(&pause, NULL);
		(void)!read(from_guest, page, sizeof(page));
	}
	return NULL;
}

/* Not for long in all, either. */
static void test_slow_last_words(void **state unused_param)
{
	pthread_t thread;
	uint64_t start;
	unsigned int i;

	assert_int_equal(fcntl(1, F_SETPIPE_SZ, 4096), 4096);
	memset(data, 'x', 4096);
	assert_int_equal(write(1, data, 4096), 4096);
	open_console(CONSOLE_TTY, -1);
	for (i = 0; i < BUFFER; i++)
		console_write(con, 'y');
	start = loop_now_ns();
	assert_int_equal(pthread_create(&thread, NULL, read_slowly, NULL), 0);
	console_close(con);
	/* That reader takes three seconds. */
	assert_true(loop_now_ns() - start < 1500000000);
	assert_true(lost_bytes() > 0);
	pthread_join(thread, NULL);
}

/* ---- the other modes ---- */

static void test_null(void **state unused_param)
{
	open_console(CONSOLE_NULL, -1);
	put("into the void");
	console_input_wanted(con);
	turn();
	console_close(con);
	console_close(NULL);
}

/* The port, opened anew, writes on. */
static void test_file(void **state unused_param)
{
	int fd = memfd_create("console", MFD_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	open_console(CONSOLE_FILE, fd);
	put("line one\n");
	turn();
	console_close(con);
	open_console(CONSOLE_FILE, fd);
	put("line two\n");
	console_close(con);
	n = pread(fd, data, sizeof(data), 0);
	assert_int_equal(n, 18);
	assert_memory_equal(data, "line one\nline two\n", 18);
	close(fd);
}

static void test_pty(void **state unused_param)
{
	int fd, other = terminal_open(&fd);
	struct termios raw;
	uint64_t end;
	ssize_t n;
	int i;

	assert_int_equal(tcgetattr(other, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(other, TCSANOW, &raw), 0);
	for (i = 0; i < 2; i++) {
		open_console(CONSOLE_PTY, fd);
		put("out");
		turn();
		n = read(other, data, sizeof(data));
		assert_int_equal(n, 3);
		assert_memory_equal(data, "out", 3);
		port.nr = 0;
		assert_int_equal(write(other, "in\n", 3), 3);
		/* The kernel takes it across at leisure. */
		for (end = loop_now_ns() + 5000000000ull;
		     port.nr < 3 && loop_now_ns() < end;)
			turn();
		assert_int_equal(port.nr, 3);
		assert_memory_equal(port.got, "in\n", 3);
		console_close(con);
	}
	close(other);
	close(fd);
}

/* What was still to be done does not come to a port that is gone. */
static void test_close_busy(void **state unused_param)
{
	int fd = memfd_create("console", MFD_CLOEXEC);

	open_console(CONSOLE_FILE, fd);
	put("not flushed yet");
	console_input_wanted(con);
	console_close(con);
	turn();
	assert_int_equal(pread(fd, data, sizeof(data), 0), 15);
	close(fd);
}

/* What a file does not take is counted as well. */
static void test_full_disk(void **state unused_param)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	open_console(CONSOLE_FILE, fd);
	put("one\n");
	turn();
	put("two\n");
	console_close(con);
	assert_int_equal(lost_bytes(), 8);
	close(fd);
}

#define UNIT(t) cmocka_unit_test_setup(t, setup)
#define PIPES(t) cmocka_unit_test_setup_teardown(t, setup_pipes, teardown_pipes)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PIPES(test_output),
		PIPES(test_blocked_pipe),
		PIPES(test_blocked_sleeps),
		PIPES(test_closed_pipe),
		PIPES(test_input_flow),
		PIPES(test_input_file),
		PIPES(test_input_unwatched),
		PIPES(test_last_words),
		PIPES(test_stalled_terminal),
		PIPES(test_slow_last_words),
		UNIT(test_null),
		UNIT(test_file),
		PIPES(test_full_disk),
		UNIT(test_pty),
		UNIT(test_close_busy),
	};

	int r;

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	loop = loop_create("main", NULL);
	if (!loop)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	if (pool_end(10000000000ull))
		return 1;
	loop_quit(loop);
	loop_run(loop);
	loop_destroy(loop);
	return r;
}
