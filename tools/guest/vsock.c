/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * vsock: the guest's end of many vsock connections at once, where socat would
 * need a process for each.
 *
 *   vsock echo PORT          gives back what comes, on each connection
 *   vsock dial CID PORT N    N connections at once: a line there and back on
 *                            each, then `dialled N: E echoed, F failed`; they
 *                            stay open until stdin ends
 *   vsock storm CID PORT N   N connections, each closed before the next one
 *                            begins: `stormed N: E echoed, F failed`
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define CONNECTIONS_MAX 2048
#define TIMEOUT_MS 60000

/* Bytes [from, to) of data are still to be written. */
struct conn {
	size_t from;
	size_t to;
	char data[4096];
};

static struct pollfd polled[1 + CONNECTIONS_MAX]; /* the listener first */
static struct conn conns[1 + CONNECTIONS_MAX];
static unsigned nr_polled;

static void die(const char *what)
{
	fprintf(stderr, "vsock: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct sockaddr_vm address(unsigned cid, unsigned port)
{
	return (struct sockaddr_vm){
		.svm_family = AF_VSOCK,
		.svm_cid = cid,
		.svm_port = port,
	};
}

/* To connect may take as long as all else: the kernel's own limit is 2 s, which
 * hundreds at once need in an emulated host. */
static int make_socket(void)
{
	const struct timeval patience = { .tv_sec = TIMEOUT_MS / 1000 };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		die("socket");
	if (setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &patience,
		       sizeof(patience)))
		die("setsockopt");
	return fd;
}

static unsigned watch(int fd, short events)
{
	polled[nr_polled] = (struct pollfd){ .fd = fd, .events = events };
	conns[nr_polled].from = conns[nr_polled].to = 0;
	return nr_polled++;
}

static void forget(unsigned i)
{
	close(polled[i].fd);
	nr_polled--;
	polled[i] = polled[nr_polled];
	conns[i] = conns[nr_polled];
}

/* -- echo -------------------------------------------------------------- */

/* false: the connection is over. */
static bool echo_turn(struct conn *conn, struct pollfd *p)
{
	ssize_t len;

	if (conn->from == conn->to) {
		len = read(p->fd, conn->data, sizeof(conn->data));
		if (len <= 0)
			return len < 0 && errno == EAGAIN;
		conn->from = 0;
		conn->to = (size_t)len;
	}
	len = send(p->fd, conn->data + conn->from, conn->to - conn->from,
		   MSG_NOSIGNAL);
	if (len < 0 && errno != EAGAIN)
		return false;
	if (len > 0)
		conn->from += (size_t)len;
	p->events = conn->from == conn->to ? POLLIN : POLLOUT;
	return true;
}

static void echo(unsigned port)
{
	struct sockaddr_vm addr = address(VMADDR_CID_ANY, port);
	int fd = make_socket();
	unsigned i;

	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, CONNECTIONS_MAX))
		die("listen");
	watch(fd, POLLIN);
	puts("listening");
	fflush(stdout);
	while (poll(polled, nr_polled, -1) >= 0) {
		for (i = nr_polled - 1; i > 0; i--)
			if (polled[i].revents &&
			    !echo_turn(&conns[i], &polled[i]))
				forget(i);
		if (!polled[0].revents || nr_polled > CONNECTIONS_MAX)
			continue;
		fd = accept4(polled[0].fd, NULL, NULL, SOCK_NONBLOCK);
		if (fd >= 0)
			watch(fd, POLLIN);
	}
	die("poll");
}

/* -- dial and storm ---------------------------------------------------- */

/* What has not come back yet is in data; false: it never will. */
static bool dial_turn(struct conn *conn, struct pollfd *p)
{
	char back[sizeof(conn->data)];
	ssize_t len;

	if (p->events == POLLOUT) {
		len = send(p->fd, conn->data, conn->to, MSG_NOSIGNAL);
		p->events = POLLIN;
		return len == (ssize_t)conn->to;
	}
	len = read(p->fd, back, conn->to - conn->from);
	if (len <= 0 || memcmp(conn->data + conn->from, back, (size_t)len) != 0)
		return false;
	conn->from += (size_t)len;
	if (conn->from == conn->to)
		p->events = 0;
	return true;
}

static bool dial_start(unsigned cid, unsigned port, unsigned number)
{
	struct sockaddr_vm addr = address(cid, port);
	int fd = make_socket();
	unsigned i;

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) &&
	    errno != EINPROGRESS) {
		close(fd);
		return false;
	}
	i = watch(fd, POLLOUT);
	conns[i].to = (size_t)snprintf(conns[i].data, sizeof(conns[i].data),
				       "connection %u\n", number);
	return true;
}

/* Until all have their line back or have failed; how many have it. */
static unsigned dial_wait(void)
{
	unsigned i, open = nr_polled, echoed = 0;

	while (open > 0 && poll(polled, nr_polled, TIMEOUT_MS) > 0) {
		for (i = 0; i < nr_polled; i++) {
			if (polled[i].fd < 0 || !polled[i].revents)
				continue;
			if (!polled[i].events ||
			    !dial_turn(&conns[i], &polled[i])) {
				/* One that had its line has lost nothing else. */
				open -= polled[i].events != 0;
				close(polled[i].fd);
				polled[i].fd = -1;
			} else if (!polled[i].events) {
				open--;
				echoed++;
			}
		}
	}
	return echoed;
}

static void dial(unsigned cid, unsigned port, unsigned nr)
{
	unsigned i, echoed;

	for (i = 0; i < nr; i++)
		dial_start(cid, port, i);
	echoed = dial_wait();
	printf("dialled %u: %u echoed, %u failed\n", nr, echoed, nr - echoed);
	fflush(stdout);
	while (getchar() != EOF)
		;
}

static void storm(unsigned cid, unsigned port, unsigned nr)
{
	unsigned i, echoed = 0;

	for (i = 0; i < nr; i++) {
		if (!dial_start(cid, port, i))
			continue;
		echoed += dial_wait();
		if (polled[0].fd >= 0)
			close(polled[0].fd);
		nr_polled = 0;
	}
	printf("stormed %u: %u echoed, %u failed\n", nr, echoed, nr - echoed);
}

int main(int argc, char **argv)
{
	struct rlimit files = { CONNECTIONS_MAX + 64, CONNECTIONS_MAX + 64 };
	const char *verb = argc > 2 ? argv[1] : "";
	unsigned number[3] = { 0, 0, 0 };
	int i;

	for (i = 2; i < argc && i < 5; i++)
		number[i - 2] = (unsigned)strtoul(argv[i], NULL, 10);
	setrlimit(RLIMIT_NOFILE, &files);
	if (argc == 3 && strcmp(verb, "echo") == 0)
		echo(number[0]);
	else if (argc == 5 && strcmp(verb, "storm") == 0)
		storm(number[0], number[1], number[2]);
	else if (argc == 5 && strcmp(verb, "dial") == 0 &&
		 number[2] <= CONNECTIONS_MAX)
		dial(number[0], number[1], number[2]);
	else
		fputs("usage: vsock echo PORT | dial|storm CID PORT N\n",
		      stderr);
	return 0;
}
