/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/vsock_socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/few.h"
#include "vmm/log.h"
#include "vmm/opener.h"
#include "vmm/util.h"

/* The longest line of a client, its line feed included. */
#define VSOCK_LINE_MAX 32

/* Room for "_4294967295". */
#define VSOCK_PORT_LEN 11

/* ---- the listening socket ---- */

static int vsock_host_adopt(struct vsock_host *vh, int fd, struct error *err)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), r;

	if (copy < 0)
		return error_set(err, errno, "fd=%d: %s", fd,
				 error_text(errno));
	r = listener_adopt(&vh->listener, copy, err);
	if (r)
		close(copy);
	else if (opener_is_used())
		vh->session = opener_connects(copy);
	else
		vh->path = listener_path_of(copy);
	return r;
}

/* This process makes the socket itself, or has the opener do it. */
static int vsock_host_listen(struct vsock_host *vh, const char *path,
			     struct error *err)
{
	int r;

	if (!opener_is_used())
		return listener_open(&vh->listener, path, err);
	r = opener_listen(path, &vh->session, err);
	vh->listener.fd = MAX(r, -1);
	return MIN(r, 0);
}

int vsock_host_open(struct vsock_host *vh, const char *path, int fd,
		    struct error *err)
{
	const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	int r;

	*vh = (struct vsock_host){ .session = -1 };
	vh->listener = (struct listener){ .fd = -1, .lock_fd = -1 };
	if (!path)
		return vsock_host_adopt(vh, fd, err);
	r = vsock_host_listen(vh, path, err);
	if (r)
		return error_prefix(err, r, "socket=%s",
				    error_value(path).text);
	vh->path = strdup(path);
	if (!vh->path) {
		vsock_host_close(vh);
		return error_set(err, ENOMEM, "out of memory");
	}
	if (strlen(path) + VSOCK_PORT_LEN > room)
		log_warn(
			"socket=%s: the path is longer than %zu bytes: sockets of ports for what the guest starts may not fit",
			error_value(path).text, room - VSOCK_PORT_LEN);
	return 0;
}

void vsock_host_remove(struct vsock_host *vh)
{
	opener_unlisten(vh->session);
	listener_remove(&vh->listener);
}

void vsock_host_close(struct vsock_host *vh)
{
	vsock_host_remove(vh);
	close_fd(&vh->session);
	listener_close(&vh->listener);
	free(vh->path);
	vh->path = NULL;
}

int vsock_host_accept(const struct vsock_host *vh)
{
	int fd = accept4(vh->listener.fd, NULL, NULL,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int vsock_host_connect(const struct vsock_host *vh, uint32_t port)
{
	if (opener_is_used())
		return vh->session < 0 ? -EADDRNOTAVAIL
				       : opener_connect(vh->session, port);
	return vh->path ? listener_connect(vh->path, port, false)
			: -EADDRNOTAVAIL;
}

/* ---- the first line ---- */

/* "CONNECT port", with blanks around the words. */
static int vsock_parse_connect(const char *line, uint32_t *port)
{
	static const char blanks[] = " \t\r";
	static const char word[] = "connect";
	uint64_t value = 0;

	line += strspn(line, blanks);
	if (strncasecmp(line, word, sizeof(word) - 1) != 0)
		return -EPROTO;
	line += sizeof(word) - 1;
	if (!strspn(line, blanks))
		return -EPROTO;
	line += strspn(line, blanks);
	if (*line < '0' || *line > '9')
		return -EPROTO;
	for (; *line >= '0' && *line <= '9'; line++) {
		value = value * 10 + (uint64_t)(*line - '0');
		if (value > UINT32_MAX)
			return -EPROTO;
	}
	if (line[strspn(line, blanks)])
		return -EPROTO;
	*port = (uint32_t)value;
	return 0;
}

int vsock_socket_read_connect(int fd, uint32_t *port)
{
	char line[VSOCK_LINE_MAX + 1] = "";
	char *end;
	ssize_t n = few_recv(fd, line, VSOCK_LINE_MAX, MSG_PEEK | MSG_DONTWAIT);

	if (n <= 0)
		return n ? -errno : -EPIPE;
	end = memchr(line, '\n', (size_t)n);
	if (!end)
		return n < VSOCK_LINE_MAX ? -EAGAIN : -EPROTO;
	/* Take the line alone: the rest is the guest's. */
	n = few_recv(fd, line, (size_t)(end + 1 - line), MSG_DONTWAIT);
	if (n != end + 1 - line)
		return -EPROTO;
	*end = '\0';
	return strlen(line) == (size_t)(end - line)
		       ? vsock_parse_connect(line, port)
		       : -EPROTO;
}

int vsock_socket_say_ok(int fd, uint32_t port)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "OK %u\n", port);

	return few_send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n
		       ? 0
		       : -EPIPE;
}

/* ---- data ---- */

ssize_t vsock_socket_send(int fd, struct iovec *iov, unsigned int nr)
{
	const struct msghdr msg = { .msg_iov = iov, .msg_iovlen = nr };
	ssize_t n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 ? -errno : n;
}

ssize_t vsock_socket_receive(int fd, struct iovec *iov, unsigned int nr,
			     bool *all)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = nr };
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);
	size_t room = 0;
	unsigned int i;

	for (i = 0; i < nr; i++)
		room += iov[i].iov_len;
	/* Descriptors that came along, and are dropped, end a read early. */
	*all = n < 0 || ((size_t)n < room && !(msg.msg_flags & MSG_CTRUNC));
	return n < 0 ? -errno : n;
}

void vsock_socket_shutdown(int fd, bool send, bool receive)
{
	if (send)
		shutdown(fd, SHUT_WR);
	if (receive)
		shutdown(fd, SHUT_RD);
}

int vsock_copy(void *to, const struct iovec *iov, unsigned int nr, size_t len)
{
	const struct iovec local = { .iov_base = to, .iov_len = len };

	return process_vm_readv(getpid(), &local, 1, iov, nr, 0) == (ssize_t)len
		       ? 0
		       : -EFAULT;
}
