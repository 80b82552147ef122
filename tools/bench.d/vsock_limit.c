/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Two ends of a stream of AF_UNIX, which is what a monitor's vsock is on the
 * host's side. Who listens, and serves one after the other until SIGTERM:
 *
 *   vsock_limit sink PATH        takes all that comes
 *   vsock_limit source PATH      gives as much as is taken
 *   vsock_limit echo PATH        gives back what comes
 *
 * Who connects, as the limit of a monitor, with as many buffers as the guest:
 *
 *   vsock_limit tx|rx PATH LEN BUFFERS MS    a write or read a packet of LEN
 *   vsock_limit rtt PATH LEN MS              a write, a poll and a read
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "limit.h"

#define CHUNK (256u << 10)

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(at.sun_path))
		errx(1, "%s: too long", path);
	strcpy(at.sun_path, path);
	return at;
}

/* ---- who listens ------------------------------------------------------ */

static void serve_sink(int fd, char *chunk)
{
	while (read(fd, chunk, CHUNK) > 0)
		;
}

static void serve_source(int fd, char *chunk)
{
	while (write(fd, chunk, CHUNK) > 0)
		;
}

static void serve_echo(int fd, char *chunk)
{
	ssize_t n;

	while ((n = read(fd, chunk, CHUNK)) > 0) {
		if (write(fd, chunk, (size_t)n) != n)
			return;
	}
}

static int serve(const char *path, void (*with)(int fd, char *chunk))
{
	static char chunk[CHUNK];
	struct sockaddr_un at = address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	signal(SIGPIPE, SIG_IGN);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(fd, 8))
		err(1, "%s", path);
	printf("READY\n");
	fflush(stdout);
	for (;;) {
		int peer = accept(fd, NULL, NULL);

		if (peer < 0)
			err(1, "accept");
		with(peer, chunk);
		close(peer);
	}
}

/* ---- who connects ----------------------------------------------------- */

static int client(const char *path)
{
	struct sockaddr_un at = address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)))
		err(1, "%s", path);
	return fd;
}

static int do_stream(char **argv, bool tx)
{
	int fd = client(argv[0]);
	size_t len = number(argv[1]);
	unsigned nr = number(argv[2]), i = 0;
	uint8_t *area = buffers(nr, len);
	uint64_t start = now_ns(), end = start + number(argv[3]) * NS_PER_MS;
	uint64_t bytes = 0, cpu = cpu_ns();

	while (now_ns() < end) {
		struct iovec iov = { area + i * len, len };
		ssize_t n = tx ? writev(fd, &iov, 1) : readv(fd, &iov, 1);

		if (n <= 0)
			err(1, tx ? "write" : "read");
		bytes += (size_t)n;
		i = (i + 1) % nr;
	}
	say_stream("bytes", bytes, start, cpu);
	return 0;
}

static int do_rtt(char **argv)
{
	static uint32_t times[RTT_MAX];
	int fd = client(argv[0]);
	size_t len = number(argv[1]);
	uint8_t *area = buffers(2, len);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint64_t end = now_ns() + number(argv[2]) * NS_PER_MS, cpu = cpu_ns();
	uint64_t sent;
	unsigned nr = 0;

	while ((sent = now_ns()) < end && nr < RTT_MAX) {
		if (write(fd, area, len) != (ssize_t)len)
			err(1, "write");
		while (recv(fd, area + len, len, MSG_DONTWAIT) < 0) {
			if (errno != EAGAIN || poll(&wait, 1, 5000) != 1)
				err(1, "no answer");
		}
		times[nr++] = (uint32_t)(now_ns() - sent);
	}
	say_rtt("packets", times, nr, cpu);
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (argc == 3 && !strcmp(mode, "sink"))
		return serve(argv[2], serve_sink);
	if (argc == 3 && !strcmp(mode, "source"))
		return serve(argv[2], serve_source);
	if (argc == 3 && !strcmp(mode, "echo"))
		return serve(argv[2], serve_echo);
	if (argc == 6 && (!strcmp(mode, "tx") || !strcmp(mode, "rx")))
		return do_stream(argv + 2, mode[0] == 't');
	if (argc == 5 && !strcmp(mode, "rtt"))
		return do_rtt(argv + 2);
	errx(2, "usage: see the top of vsock_limit.c");
}
