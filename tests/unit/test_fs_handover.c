/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_handover.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "vmm/util.h"

/*
 * A directory that another program hands over: what it may answer. The other end
 * is a thread of the test's, which says what a case wants said.
 */

#define HEAD sizeof(struct fs_handover_head)
#define PIECES 3u

struct peer {
	uint8_t msg[HEAD + FS_HANDOVER_WORDS_MAX + 64];
	size_t len;
	size_t cuts[PIECES]; /* where pieces end, in order; 0: none */
	unsigned int nr_fds; /* of the first piece */
	bool hangs_up; /* when it has said that */
	useconds_t pause_us; /* between pieces */
	int listener;
	pthread_t thread;
};

static char dir[32];
static char path[64]; /* of the socket, beside it */
static struct peer peer;
static struct fs_handover h;

static void answer(const char *words)
{
	struct fs_handover_head head = { FS_HANDOVER_HELLO,
					 (uint32_t)strlen(words) };

	memset(&peer, 0, sizeof(peer));
	memcpy(peer.msg, &head, HEAD);
	memcpy(peer.msg + HEAD, words, head.len);
	peer.len = HEAD + head.len;
	peer.nr_fds = 1;
}

static void peer_send(int fd, const uint8_t *data, size_t len, unsigned int nr)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(4 * sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { (uint8_t *)(uintptr_t)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[4];

	for (unsigned int i = 0; i < nr; i++)
		fds[i] = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (nr) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		control.head.cmsg_len = CMSG_LEN(nr * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.head), fds, nr * sizeof(int));
	}
	sendmsg(fd, &msg, MSG_NOSIGNAL);
	for (unsigned int i = 0; i < nr; i++)
		close(fds[i]);
}

static void *peer_run(void *arg unused_param)
{
	int fd = accept(peer.listener, NULL, NULL);
	char hello[sizeof(FS_HANDOVER_HELLO)] = "";
	size_t at = 0;

	if (recv(fd, hello, sizeof(hello), MSG_WAITALL) !=
		    (ssize_t)sizeof(hello) ||
	    memcmp(hello, FS_HANDOVER_HELLO, sizeof(hello)))
		abort();
	for (unsigned int i = 0; i <= PIECES && at < peer.len; i++) {
		size_t end = i < PIECES && peer.cuts[i] ? peer.cuts[i]
							: peer.len;

		peer_send(fd, peer.msg + at, end - at, i ? 0 : peer.nr_fds);
		at = end;
		usleep(peer.pause_us);
	}
	/* Until we hang up. */
	while (!peer.hangs_up && recv(fd, hello, sizeof(hello), 0) > 0)
		;
	close(fd);
	return NULL;
}

static int nr_open(void)
{
	int nr = 0;

	for (int fd = 0; fd < 256; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

/* What fs_handover_get() makes of the peer. */
static int get(struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int r, nr = nr_open();

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	unlink(path);
	peer.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(peer.listener, (const void *)&addr, sizeof(addr)),
			 0);
	assert_int_equal(listen(peer.listener, 1), 0);
	assert_int_equal(pthread_create(&peer.thread, NULL, peer_run, NULL), 0);
	memset(&h, 0xaa, sizeof(h));
	r = fs_handover_get(&h, path, err);
	if (r)
		assert_true(h.dir < 0 && h.connection < 0);
	if (!r) {
		assert_true(fcntl(h.dir, F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(h.connection, F_GETFD) & FD_CLOEXEC);
	}
	fs_handover_close(&h);
	pthread_join(peer.thread, NULL);
	close(peer.listener);
	assert_int_equal(nr_open(), nr);
	return r;
}

static void refused(int code, const char *why)
{
	struct error err = { "" };

	assert_int_equal(get(&err), code);
	if (!strstr(err.msg, why) || !strstr(err.msg, path) ||
	    !strstr(err.msg, "vmm-virtiofsd"))
		fail_msg("'%s' lacks '%s'", err.msg, why);
}

static int setup(void **state unused_param)
{
	strcpy(dir, "/tmp/test_fs_handover.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s.sock", dir);
	return 0;
}

static int teardown(void **state unused_param)
{
	unlink(path);
	return rmdir(dir);
}

static void test_taken(void **state unused_param)
{
	struct error err = { "" };

	answer("cache=auto,xattr=off");
	if (get(&err))
		fail_msg("%s", err.msg);
	assert_string_equal(h.words, "cache=auto,xattr=off");
	answer("");
	assert_int_equal(get(NULL), 0);
	assert_string_equal(h.words, "");
}

/* A stream may come in pieces; the descriptor is with the first of them, and so
 * is FS_HANDOVER_HELLO. */
static void test_pieces(void **state unused_param)
{
	answer("readonly=on");
	peer.cuts[0] = sizeof(FS_HANDOVER_HELLO);
	peer.cuts[1] = HEAD - 1;
	peer.cuts[2] = HEAD + 4;
	peer.pause_us = 20000;
	assert_int_equal(get(NULL), 0);
	assert_string_equal(h.words, "readonly=on");
}

static void test_longest(void **state unused_param)
{
	static char words[FS_HANDOVER_WORDS_MAX + 2];

	memset(words, 'x', FS_HANDOVER_WORDS_MAX);
	answer(words);
	assert_int_equal(get(NULL), 0);
	assert_string_equal(h.words, words);
	words[FS_HANDOVER_WORDS_MAX] = 'x';
	answer(words);
	refused(-EPROTO, "another answer");
}

static void test_descriptors(void **state unused_param)
{
	answer("");
	peer.nr_fds = 4;
	assert_int_equal(get(NULL), 0);
	answer("");
	peer.nr_fds = 0;
	refused(-EPROTO, "another answer");
}

static void test_something_else(void **state unused_param)
{
	answer("cache=auto");
	peer.msg[1] ^= 1;
	refused(-EPROTO, "another answer");
	answer("cache=auto");
	peer.msg[peer.len - 1] = '\n';
	refused(-EPROTO, "another answer");
	answer("cache=auto");
	peer.msg[peer.len++] = 'x';
	refused(-EPROTO, "another answer");
	answer("cache=auto");
	peer.len -= 2;
	peer.hangs_up = true;
	refused(-EPROTO, "another answer");
	answer("");
	peer.len = 0;
	peer.hangs_up = true;
	refused(-EPROTO, "is it a virtiofsd?");
}

/* A virtiofsd waits for the rest of a header. */
static void test_silence(void **state unused_param)
{
	uint64_t begun = monotonic_ns();

	answer("");
	peer.len = 0;
	refused(-ETIMEDOUT, "no answer within a second");
	assert_true(monotonic_ns() - begun >= 900000000);
	assert_true(monotonic_ns() - begun < 5000000000);
}

/* Nor does it help to say one byte after the other. */
static void test_slow(void **state unused_param)
{
	uint64_t begun = monotonic_ns();

	answer("cache=auto");
	peer.cuts[0] = sizeof(FS_HANDOVER_HELLO);
	peer.cuts[1] = peer.cuts[0] + 1;
	peer.cuts[2] = peer.cuts[0] + 2;
	peer.pause_us = 400000;
	refused(-ETIMEDOUT, "no answer within a second");
	assert_true(monotonic_ns() - begun < 5000000000);
}

static void test_nobody(void **state unused_param)
{
	char longer[200];
	struct error err = { "" };

	assert_int_equal(fs_handover_get(&h, "/nonexistent/x", &err), -ENOENT);
	assert_non_null(strstr(err.msg, "socket=/nonexistent/x: No such file"));
	assert_non_null(strstr(err.msg, "vmm-virtiofsd"));
	assert_true(h.dir < 0 && h.connection < 0);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(fs_handover_get(&h, longer, &err), -ENAMETOOLONG);
}

/* A queue of clients that is full does not hold us up either. */
static void test_full(void **state unused_param)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), clients[3];
	uint64_t begun = monotonic_ns();
	struct error err = { "" };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(s, (const void *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(s, 0), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(clients[i], (const void *)&addr, sizeof(addr));
	}
	assert_true(fs_handover_get(&h, path, &err) < 0);
	assert_true(monotonic_ns() - begun < 5000000000);
	for (unsigned int i = 0; i < ARRAY_SIZE(clients); i++)
		close(clients[i]);
	close(s);
}

/* Whatever version there will be, no header begins like this. */
static void test_no_header(void **state unused_param)
{
	uint32_t flags;

	memcpy(&flags, &FS_HANDOVER_HELLO[sizeof(flags)], sizeof(flags));
	assert_int_not_equal(flags & 3, 1);
	assert_int_equal(sizeof(FS_HANDOVER_HELLO), 8);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_taken),	   TEST(test_pieces),
		TEST(test_longest),	   TEST(test_descriptors),
		TEST(test_something_else), TEST(test_silence),
		TEST(test_slow),	   TEST(test_nobody),
		TEST(test_full),	   TEST(test_no_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
