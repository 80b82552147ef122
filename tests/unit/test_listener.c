/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Listening sockets that a path names: whose file it is, and who may use it. */
#include "vmm/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/util.h"

static char folder[64];
static char path[96];
static struct error err;

static int setup(void **state unused_param)
{
	strcpy(folder, "/tmp/test_listener.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	err.msg[0] = '\0';
	return 0;
}

/* Nothing may be left in the folder. */
static int teardown(void **state unused_param)
{
	assert_int_equal(rmdir(folder), 0);
	return 0;
}

static int stream_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

static void bind_to_path(int fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	memcpy(addr.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (const void *)&addr, sizeof(addr)), 0);
}

static bool can_connect(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = stream_socket(), r;

	memcpy(addr.sun_path, path, strlen(path) + 1);
	r = connect(fd, (const void *)&addr, sizeof(addr));
	close(fd);
	return !r;
}

static void test_mode(void **state unused_param)
{
	const mode_t masks[] = { 0, 022, 077 };

	for (unsigned int i = 0; i < ARRAY_SIZE(masks); i++) {
		mode_t old = umask(masks[i]);
		struct listener l;
		struct stat st;

		assert_int_equal(listener_open(&l, path, &err), 0);
		/* The umask is the process': it is not touched. */
		assert_int_equal(umask(old), masks[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_true(can_connect());
		listener_close(&l);
		assert_int_equal(access(path, F_OK), -1);
	}
}

static void test_stale(void **state unused_param)
{
	struct listener l;
	int fd = stream_socket();

	bind_to_path(fd);
	close(fd);
	assert_false(can_connect());
	assert_int_equal(listener_open(&l, path, &err), 0);
	assert_true(can_connect());
	listener_close(&l);
}

static void test_live(void **state unused_param)
{
	struct listener l, second;
	int fd = stream_socket();

	/* One of another program, without a lock. */
	bind_to_path(fd);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(listener_open(&l, path, &err), -EADDRINUSE);
	assert_true(can_connect());
	close(fd);
	/* One of ours. */
	assert_int_equal(listener_open(&l, path, &err), 0);
	assert_int_equal(listener_open(&second, path, &err), -EADDRINUSE);
	assert_true(can_connect());
	listener_close(&l);
}

static void test_no_socket(void **state unused_param)
{
	struct listener l;
	FILE *f = fopen(path, "w");

	fclose(f);
	assert_int_equal(listener_open(&l, path, &err), -EEXIST);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("nowhere", path), 0);
	assert_int_equal(listener_open(&l, path, &err), -EEXIST);
	assert_int_equal(unlink(path), 0);
}

/* What somebody else put there meanwhile is not ours to remove. */
static void test_foreign_file_stays(void **state unused_param)
{
	struct listener l;
	int fd = stream_socket();

	assert_int_equal(listener_open(&l, path, &err), 0);
	assert_int_equal(unlink(path), 0);
	bind_to_path(fd);
	assert_int_equal(listen(fd, 8), 0);
	listener_close(&l);
	assert_true(can_connect());
	close(fd);
	assert_int_equal(unlink(path), 0);
}

/* The files go first, and clients that are there still find somebody. */
static void test_remove(void **state unused_param)
{
	struct listener l;

	assert_int_equal(listener_open(&l, path, &err), 0);
	listener_remove(&l);
	assert_int_equal(access(path, F_OK), -1);
	assert_true(l.fd >= 0);
	listener_close(&l);
	assert_int_equal(l.fd, -1);
}

static void test_long_path(void **state unused_param)
{
	struct listener l;
	char text[256];
	int n = snprintf(text, sizeof(text), "%s/", folder);

	memset(text + n, 'x', sizeof(text) - (size_t)n);
	text[108] = '\0';
	assert_int_equal(listener_open(&l, text, &err), -ENAMETOOLONG);
	text[107] = '\0';
	assert_int_equal(listener_open(&l, text, &err), 0);
	listener_close(&l);
}

static void test_adopt(void **state unused_param)
{
	struct listener l;
	int unix_fd = stream_socket(), tcp_fd, packet_fd;

	assert_int_equal(listener_adopt(&l, unix_fd, &err), -EINVAL);
	tcp_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (tcp_fd >= 0 && !listen(tcp_fd, 1))
		assert_int_equal(listener_adopt(&l, tcp_fd, &err), -EINVAL);
	packet_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bind_to_path(packet_fd);
	assert_int_equal(listen(packet_fd, 1), 0);
	assert_int_equal(listener_adopt(&l, packet_fd, &err), -EINVAL);
	assert_int_equal(unlink(path), 0);
	bind_to_path(unix_fd);
	assert_int_equal(listen(unix_fd, 1), 0);
	assert_int_equal(listener_adopt(&l, unix_fd, &err), 0);
	assert_true(can_connect());
	listener_close(&l);
	/* Its file is somebody else's. */
	assert_int_equal(unlink(path), 0);
	close(packet_fd);
	if (tcp_fd >= 0)
		close(tcp_fd);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_mode),      UNIT(test_stale),
		UNIT(test_live),      UNIT(test_no_socket),
		UNIT(test_remove),    UNIT(test_foreign_file_stays),
		UNIT(test_long_path), UNIT(test_adopt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
