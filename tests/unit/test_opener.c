/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What the opener opens and what it does not, whoever asks; and its life. */
#include "vmm/opener.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/confine_table.h"
#include "vmm/listener.h"
#include "vmm/opener_allow.h"
#include "vmm/opener_serve.h"
#include "vmm/util.h"

static char dir[] = "/tmp/test_openerXXXXXX";
static char text[PATH_MAX];

/* A path in the test's directory; good until the next. */
static const char *in_dir(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned int n;
	char *path = paths[n++ % ARRAY_SIZE(paths)];

	snprintf(path, PATH_MAX, "%s/%s", dir, name);
	return path;
}

static void make_file(const char *name, const char *content)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	fputs(content, f);
	fclose(f);
}

/* ---- requests ---- */

/* The bytes of a request as they are; -errno or 0, and what was opened is closed. */
static int serve_raw(uint32_t kind, uint32_t flags, const void *body,
		     uint32_t len, size_t came)
{
	struct opener_call call = {
		.request = { .kind = kind, .flags = flags, .len = len },
		.given = -1,
	};

	memcpy(call.request.body, body,
	       MIN((size_t)len, sizeof(call.request.body)));
	opener_serve(&call, came);
	assert_int_equal(call.reply.nr, !call.reply.result);
	if (call.reply.nr)
		close(call.fds[0]);
	return call.reply.result;
}

static void test_broken_requests(void **state unused_param)
{
	const size_t head = offsetof(struct opener_request, body);
	static const char path[OPENER_BODY_MAX] = "/etc/passwd";
	char whole[OPENER_BODY_MAX];
	uint32_t len = (uint32_t)strlen(path) + 1;

	assert_int_equal(
		serve_raw(OPENER_FILE, OPENER_READ, path, len, head + len), 0);
	for (size_t came = 0; came < head + len; came++)
		assert_int_equal(
			serve_raw(OPENER_FILE, OPENER_READ, path, len, came),
			-EBADMSG);
	assert_int_equal(serve_raw(OPENER_FILE, OPENER_READ, path, len - 1,
				   head + len - 1),
			 -EBADMSG);
	assert_int_equal(serve_raw(OPENER_FILE, OPENER_READ, path, 0, head),
			 -EBADMSG);
	assert_int_equal(serve_raw(OPENER_FILE, OPENER_READ, "/etc\0passwd", 12,
				   head + 12),
			 -EBADMSG);
	assert_int_equal(serve_raw(OPENER_FILE, OPENER_READ, path, UINT32_MAX,
				   head + len),
			 -EBADMSG);
	for (uint32_t kind = 32; kind; kind <<= 1)
		assert_int_equal(
			serve_raw(kind, OPENER_READ, path, len, head + len),
			-EBADMSG);
	assert_int_equal(
		serve_raw(OPENER_FILE, OPENER_WRITE, path, len, head + len),
		-EBADMSG);
	assert_int_equal(serve_raw(OPENER_IMAGE, 0, path, len, head + len),
			 -EBADMSG);
	for (uint32_t bit = OPENER_TRUNCATE; bit; bit <<= 1)
		assert_int_equal(serve_raw(OPENER_IMAGE, OPENER_READ | bit,
					   path, len, head + len),
				 -EBADMSG);
	memset(whole, 'x', sizeof(whole));
	whole[sizeof(whole) - 1] = '\0';
	assert_int_equal(serve_raw(OPENER_FILE, OPENER_READ, whole,
				   sizeof(whole), head + sizeof(whole)),
			 -ENAMETOOLONG);
}

/* The same over the socket, by whoever has it. */
static void expect(enum opener_kind kind, const char *path, unsigned int flags,
		   int result)
{
	int fd = opener_open(kind, path, flags, NULL);

	if (fd >= 0)
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(MIN(fd, 0), result);
	close_fd(&fd);
}

static void check_kinds(void)
{
	const unsigned int rw = OPENER_READ | OPENER_WRITE;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	cleanup_fd int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	make_file("file", "1");
	mkfifo(in_dir("fifo"), 0600);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/sock", dir);
	assert_int_equal(bind(sock, (void *)&addr, sizeof(addr)), 0);
	expect(OPENER_FILE, in_dir("file"), OPENER_READ, 0);
	expect(OPENER_IMAGE, in_dir("file"), rw, 0);
	expect(OPENER_DIRECTORY, dir, OPENER_READ, 0);
	expect(OPENER_FILE, in_dir("none"), OPENER_READ, -ENOENT);
	expect(OPENER_DIRECTORY, in_dir("file"), OPENER_READ, -EINVAL);
	expect(OPENER_FILE, dir, OPENER_READ, -EINVAL);
	expect(OPENER_IMAGE, in_dir("fifo"), OPENER_READ, -EINVAL);
	expect(OPENER_IMAGE, in_dir("sock"), rw, -EINVAL);
	expect(OPENER_OUTPUT, in_dir("sock"), OPENER_WRITE, -EINVAL);
	/* Nobody reads it. */
	expect(OPENER_OUTPUT, in_dir("fifo"), OPENER_WRITE, -ENXIO);
}

static void check_forbidden(void)
{
	const unsigned int rw = OPENER_READ | OPENER_WRITE;
	static const char *const paths[] = {
		"/dev/null", "/dev/kvm", "/dev/net/tun",
		"/dev/mem",  "/dev/tty", "/dev/ptmx",
	};
	static const char *const kernels[] = {
		"/proc/self/status",
		"/proc/1/environ",
		"/sys/kernel/uevent_seqnum",
		"/proc/sys/kernel/core_pattern",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(paths); i++) {
		if (access(paths[i], F_OK))
			continue;
		expect(OPENER_IMAGE, paths[i], rw, -EINVAL);
		expect(OPENER_OUTPUT, paths[i], OPENER_WRITE, -EINVAL);
		expect(OPENER_DIRECTORY, paths[i], OPENER_READ, -EINVAL);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(kernels); i++) {
		if (access(kernels[i], F_OK))
			continue;
		expect(OPENER_FILE, kernels[i], OPENER_READ, -EPERM);
		expect(OPENER_IMAGE, kernels[i], OPENER_READ, -EPERM);
		expect(OPENER_OUTPUT, kernels[i], OPENER_WRITE, -EPERM);
	}
	expect(OPENER_DIRECTORY, "/proc", OPENER_READ, -EPERM);
	expect(OPENER_DIRECTORY, "/sys", OPENER_READ, -EPERM);
	/* The opener's own. */
	expect(OPENER_DIRECTORY, "/proc/self/cwd", OPENER_READ, -ELOOP);
	expect(OPENER_OUTPUT, "/proc/self/exe", OPENER_WRITE, -ELOOP);
}

static void check_output(void)
{
	const char *path = in_dir("made");
	int fd = opener_open(OPENER_OUTPUT, path,
			     OPENER_WRITE | OPENER_TRUNCATE, NULL);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(write(fd, "text", 4), 4);
	close(fd);
	expect(OPENER_OUTPUT, path, OPENER_WRITE, 0);
	stat(path, &st);
	assert_int_equal(st.st_size, 4);
	expect(OPENER_OUTPUT, path, OPENER_WRITE | OPENER_TRUNCATE, 0);
	stat(path, &st);
	assert_int_equal(st.st_size, 0);
}

/* No more than what the descriptor is open for. */
static void check_again(void)
{
	const unsigned int rw = OPENER_READ | OPENER_WRITE;
	static const struct {
		int flags;
		unsigned int asked;
		int result;
	} cases[] = {
		{ O_RDWR, OPENER_READ | OPENER_WRITE, 0 },
		{ O_RDWR, OPENER_READ, 0 },
		{ O_RDONLY, OPENER_READ, 0 },
		{ O_RDONLY, OPENER_READ | OPENER_WRITE, -EACCES },
		{ O_RDONLY, OPENER_WRITE, -EACCES },
		{ O_WRONLY, OPENER_READ, -EACCES },
		{ O_RDWR | O_APPEND, OPENER_READ | OPENER_WRITE, -EACCES },
		{ O_PATH, OPENER_READ, -EACCES },
	};
	int fd, again;

	make_file("again", "1");
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		fd = open(in_dir("again"), cases[i].flags | O_CLOEXEC);
		assert_true(fd >= 0);
		again = opener_open_again(fd, cases[i].asked, NULL);
		assert_int_equal(MIN(again, 0), cases[i].result);
		close_fd(&again);
		close(fd);
	}
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(opener_open_again(fd, rw, NULL), -EINVAL);
	close(fd);
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	assert_int_equal(opener_open_again(fd, OPENER_READ, NULL), -EPERM);
	/* As a shell hands it over. */
	snprintf(text, sizeof(text), "/dev/fd/%d", fd);
	close(fd);
	assert_int_equal(open(in_dir("again"), O_RDONLY | O_CLOEXEC), fd);
	expect(OPENER_FILE, text, OPENER_READ, 0);
	expect(OPENER_IMAGE, text, rw, -EACCES);
	close(fd);
}

static void test_by_itself(void **state unused_param)
{
	check_kinds();
	check_forbidden();
	check_output();
	check_again();
}

/* ---- the opener ---- */

/* Run fn in a process that has an opener; true: all was as it should be. */
static bool with_opener(const struct opener_config *oc, void (*fn)(void))
{
	struct error err = { "" };
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (opener_start(oc, &err)) {
			fprintf(stderr, "%s\n", err.msg);
			_exit(1);
		}
		fn();
		opener_end();
		/* It is no zombie, and nobody else is left. */
		_exit(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0
									  : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void check_all(void)
{
	unlink(in_dir("sock"));
	unlink(in_dir("fifo"));
	unlink(in_dir("made"));
	check_kinds();
	check_forbidden();
	check_output();
	check_again();
}

static void test_by_opener(void **state unused_param)
{
	const struct opener_config plain = { .mode = OPENER_ON };
	const struct opener_config filtered = { .filters = &confine_filters,
						.confine = CONFINE_END };

	assert_true(with_opener(&plain, check_all));
	assert_true(with_opener(&filtered, check_all));
}

static void check_off(void)
{
	expect(OPENER_FILE, "/etc/passwd", OPENER_READ, -ENOANO);
	assert_int_equal(opener_open_again(0, OPENER_READ, NULL), -ENOANO);
	assert_int_equal(opener_fd(), -1);
}

static void test_off(void **state unused_param)
{
	const struct opener_config off = { .mode = OPENER_OFF };

	assert_true(with_opener(&off, check_off));
}

/* The opener of this process, which has no other child. */
static pid_t find_opener(void)
{
	FILE *f;
	int pid = 0;

	snprintf(text, sizeof(text), "/proc/self/task/%d/children", getpid());
	f = fopen(text, "re");
	if (!f || fscanf(f, "%d", &pid) != 1)
		_exit(77);
	fclose(f);
	return pid;
}

/* Signals that come to all of a terminal, or to a group, do not end it; when
 * it is gone, that is said, and nothing waits. */
static void check_killed(void)
{
	static const int harmless[] = { SIGINT,	 SIGTERM, SIGHUP,
					SIGUSR1, SIGPIPE, SIGUSR2 };
	pid_t pid = find_opener(), other = fork();

	/* Not the monitor, which ends it. */
	for (unsigned int i = 0; !other && i < ARRAY_SIZE(harmless); i++)
		kill(pid, harmless[i]);
	if (!other)
		_exit(EXIT_SUCCESS);
	waitpid(other, NULL, 0);
	for (unsigned int i = 0; i < 3; i++) {
		expect(OPENER_DIRECTORY, "/", OPENER_READ, 0);
		opener_leave();
		usleep(1000);
	}
	kill(pid, SIGKILL);
	while (opener_open(OPENER_DIRECTORY, "/", OPENER_READ, NULL) !=
	       -ENOLINK)
		;
	expect(OPENER_DIRECTORY, "/", OPENER_READ, -ENOLINK);
	assert_int_equal(opener_open_again(0, OPENER_READ, NULL), -ENOLINK);
}

static void test_killed(void **state unused_param)
{
	const struct opener_config oc = { .mode = OPENER_ON };

	assert_true(with_opener(&oc, check_killed));
}

/* Nothing of the opener stays when the monitor is killed: it has this pipe. */
static void test_ends_with_monitor(void **state unused_param)
{
	const struct opener_config oc = { .mode = OPENER_ON };
	int fds[2], status;
	pid_t pid;
	char byte;

	/* Standard error is all that it keeps. */
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		if (opener_start(&oc, NULL) ||
		    opener_open(OPENER_DIRECTORY, "/", OPENER_READ, NULL) < 0)
			_exit(1);
		raise(SIGKILL);
	}
	close(fds[1]);
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(read(fds[0], &byte, 1), 0);
	close(fds[0]);
}

/* ---- sockets ---- */

static char prefix[64];

static int listen_at(const char *path)
{
	struct listener l;
	struct error err;

	assert_int_equal(listener_open(&l, path, &err), 0);
	return l.fd;
}

/* Only next to what listens, and only when it does; then nothing stays. */
static void check_listener(void)
{
	struct error err = { "" };
	int session, fd = opener_listen(prefix, &session, &err), other, conn;
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(stat(prefix, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(opener_listen(prefix, &other, &err), -EADDRINUSE);
	assert_non_null(strstr(err.msg, "locked"));
	assert_int_equal(opener_connect(session, 5), -ENOENT);
	snprintf(text, sizeof(text), "%s_5", prefix);
	other = listen_at(text);
	conn = opener_connect(session, 5);
	assert_true(conn >= 0 && fcntl(conn, F_GETFL) & O_NONBLOCK);
	close(conn);
	close(other);
	assert_int_equal(opener_connect(session, 5), -ECONNREFUSED);
	opener_unlisten(session);
	assert_int_equal(stat(prefix, &st), -1);
	assert_int_equal(opener_connect(session, 5), -ENOLINK);
	close(session);
	close(fd);
	/* One that was made by somebody else; its file is his. */
	fd = listen_at(prefix);
	session = opener_connects(fd);
	assert_true(session >= 0);
	assert_int_equal(opener_connect(session, 6), -ENOENT);
	opener_unlisten(session);
	close(session);
	assert_int_equal(stat(prefix, &st), 0);
	close(fd);
	assert_int_equal(opener_connects(fd), -1);
	unlink(prefix);
	unlink(text);
}

static void check_quiet(void)
{
	struct error err;
	int session, fd = opener_listen(prefix, &session, &err);

	assert_true(fd >= 0);
	assert_int_equal(opener_connect(session, 5), -EADDRNOTAVAIL);
	opener_unlisten(session);
}

/* The link is the guest's, in a directory that it shares. */
static void check_link(void)
{
	struct error err;
	int session, fd = opener_listen(prefix, &session, &err), other;

	assert_true(fd >= 0);
	other = listen_at(in_dir("elsewhere"));
	snprintf(text, sizeof(text), "%s_7", prefix);
	assert_int_equal(symlink(in_dir("elsewhere"), text), 0);
	assert_int_equal(opener_connect(session, 7), -ECONNREFUSED);
	snprintf(text, sizeof(text), "%s_8", prefix);
	close(listen_at(text));
	assert_int_equal(opener_connect(session, 8), -ECONNREFUSED);
	unlink(text);
	assert_int_equal(rename(in_dir("elsewhere"), text), 0);
	assert_true(opener_connect(session, 8) >= 0);
	close(other);
	opener_unlisten(session);
	assert_int_equal(opener_listen("/tmp/not-allowed", &session, &err),
			 -EXDEV);
}

static void test_listener(void **state unused_param)
{
	const char *const dirs[] = { dir };
	struct opener_config oc = { .filters = &confine_filters,
				    .confine = CONFINE_END };

	snprintf(prefix, sizeof(prefix), "%s/vsock", dir);
	assert_true(with_opener(&oc, check_listener));
	oc.allow = dirs;
	oc.nr_allow = 1;
	assert_true(with_opener(&oc, check_listener));
	assert_true(with_opener(&oc, check_link));
	oc.mode = OPENER_AT_FIRST;
	assert_true(with_opener(&oc, check_quiet));
}

/* ---- beneath what ---- */

static void check_allowed(void)
{
	expect(OPENER_FILE, in_dir("a/file"), OPENER_READ, 0);
	expect(OPENER_DIRECTORY, in_dir("a"), OPENER_READ, 0);
	expect(OPENER_DIRECTORY, in_dir("a//"), OPENER_READ, 0);
	expect(OPENER_FILE, in_dir("a/inside"), OPENER_READ, 0);
	expect(OPENER_FILE, in_dir("a/outside"), OPENER_READ, -EXDEV);
	expect(OPENER_FILE, in_dir("a/absolute"), OPENER_READ, -EXDEV);
	expect(OPENER_FILE, in_dir("a/../b/file"), OPENER_READ, -EXDEV);
	expect(OPENER_FILE, in_dir("b/file"), OPENER_READ, -EXDEV);
	expect(OPENER_FILE, in_dir("ab"), OPENER_READ, -EXDEV);
	expect(OPENER_FILE, "/etc/passwd", OPENER_READ, -EXDEV);
	expect(OPENER_OUTPUT, in_dir("a/new"), OPENER_WRITE, 0);
	expect(OPENER_OUTPUT, in_dir("b/new"), OPENER_WRITE, -EXDEV);
	expect(OPENER_OUTPUT, in_dir("a/outside"), OPENER_WRITE, -EXDEV);
}

/* Relative names are those of where the opener was started. */
static void check_relative(void)
{
	expect(OPENER_FILE, "a/file", OPENER_READ, 0);
	expect(OPENER_FILE, ".//a/./file", OPENER_READ, 0);
	expect(OPENER_FILE, "a", OPENER_READ, -EINVAL);
	expect(OPENER_FILE, "b/file", OPENER_READ, -EXDEV);
}

static void test_allow(void **state unused_param)
{
	static char path[PATH_MAX];
	static const char *const dirs[] = { path }, *const relative[] = {
		"a/"
	};
	struct opener_config oc = { .allow = dirs,
				    .nr_allow = 1,
				    .filters = &confine_filters,
				    .confine = CONFINE_END };
	struct error err;

	strcpy(path, in_dir("a"));
	mkdir(path, 0700);
	mkdir(in_dir("b"), 0700);
	make_file("a/file", "a");
	make_file("b/file", "b");
	make_file("ab", "ab");
	assert_int_equal(symlink("file", in_dir("a/inside")), 0);
	assert_int_equal(symlink("../b/file", in_dir("a/outside")), 0);
	assert_int_equal(symlink("/etc/passwd", in_dir("a/absolute")), 0);
	assert_true(with_opener(&oc, check_allowed));
	assert_int_equal(chdir(dir), 0);
	oc.allow = relative;
	assert_true(with_opener(&oc, check_relative));
	strcpy(path, in_dir("none"));
	assert_int_equal(opener_allow(dirs, 1, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "--allow"));
}

/* A session's bound has so many places, and the next session's as many again. */
static void check_places(void)
{
	int r = opener_place(dir, OPENER_READ);

	/* A host without Landlock. */
	if (r == -ENOSYS || r == -EOPNOTSUPP)
		return;
	assert_int_equal(r, 0);
	for (unsigned int i = 1; i < OPENER_PLACES_MAX; i++)
		assert_int_equal(opener_place(dir, OPENER_READ), 0);
	assert_int_equal(opener_place(dir, OPENER_READ), -E2BIG);
	assert_int_equal(opener_place(dir, OPENER_WRITE), -E2BIG);
	opener_leave();
	assert_int_equal(opener_place(dir, OPENER_READ), 0);
}

static void test_places(void **state unused_param)
{
	const struct opener_config oc = { .filters = &confine_filters,
					  .confine = CONFINE_END };

	assert_true(with_opener(&oc, check_places));
}

static int setup(void **state unused_param)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state unused_param)
{
	snprintf(text, sizeof(text), "rm -rf %s", dir);
	return system(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_broken_requests),
		cmocka_unit_test(test_by_itself),
		cmocka_unit_test(test_by_opener),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_ends_with_monitor),
		cmocka_unit_test(test_listener),
		cmocka_unit_test(test_allow),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
