/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tools/vmmctl/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/util.h"

#define CLIENT_PIECE 16384u /* bytes of one read */

/* ---- connection ---- */

static int client_explain(const char *path, int code, struct error *err)
{
	const struct error_value name = error_value(path);

	if (code == ENOENT || code == ECONNREFUSED)
		return error_set(
			err, code,
			"%s: %s; start a monitor with vmm --api-socket %s",
			name.text,
			code == ENOENT ? "there is no such socket"
				       : "no monitor listens there any more",
			name.text);
	return error_set(
		err, code, "%s: %s; %s", name.text, strerror(code),
		code == EACCES || code == EPERM
			? "be the user who started vmm, the socket is theirs alone"
			: "--api-socket is to name the socket of a running vmm");
}

/* The connected socket. */
static int client_open(const char *path, struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	cleanup_fd int fd = -1;

	if (strlen(path) >= sizeof(addr.sun_path))
		return error_set(
			err, ENAMETOOLONG,
			"%s: the name of a socket has at most %zu bytes",
			error_value(path).text, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, errno, "socket: %s", strerror(errno));
	if (connect(fd, (const void *)&addr, sizeof(addr)))
		return client_explain(path, errno, err);
	return take_fd(&fd);
}

/* ---- request ---- */

/* The first piece carries the descriptors. */
static int client_send(int fd, const struct client_request *req, char *data,
		       size_t len, struct error *err)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * CLIENT_MAX_FDS)];
	} control = { 0 };
	struct iovec iov = { data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	const size_t fds_len = sizeof(int) * req->nr_fds;

	if (req->nr_fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(fds_len);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fds_len);
		memcpy(CMSG_DATA(&control.align), req->fds, fds_len);
	}
	while (iov.iov_len) {
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);

		/* What the monitor has to say of it may be there already. */
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 0;
		if (n < 0)
			return error_set(err, errno,
					 "the request could not be sent: %s",
					 strerror(errno));
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
	return 0;
}

static int client_send_request(int fd, const struct client_request *req,
			       struct error *err)
{
	const char *body = req->body ? req->body : "";
	char *text;
	int n, r;

	n = asprintf(&text,
		     "%s /api/v1/%s HTTP/1.1\r\n"
		     "Host: localhost\r\n"
		     "Accept: */*\r\n"
		     "Content-Type: application/json\r\n"
		     "Content-Length: %zu\r\n"
		     "\r\n%s",
		     req->get ? "GET" : "PUT", req->verb, strlen(body), body);
	if (n < 0)
		return error_set(err, ENOMEM, "out of memory");
	r = client_send(fd, req, text, (size_t)n, err);
	free(text);
	return r;
}

/* ---- reply ---- */

/* Is all of the answer there? It is a head, an empty line, and a body of as many
 * bytes as Content-Length says. -EPROTO: it is no HTTP. */
static int client_parse(struct client_reply *reply, size_t got)
{
	const char *text = reply->text, *field;
	char *end = strstr(reply->text, "\r\n\r\n");

	if (strncmp(text, "HTTP/1.", MIN(got, 7u)) != 0)
		return -EPROTO;
	if (!end)
		return 0;
	if (sscanf(text, "HTTP/1.%*c %3u", &reply->status) != 1)
		return -EPROTO;
	field = strcasestr(text, "\r\nContent-Length:");
	reply->body = end + 4;
	reply->len = field && field < end ? strtoul(field + 17, NULL, 10) : 0;
	if (got - (size_t)(reply->body - text) < reply->len)
		return 0;
	reply->body[reply->len] = '\0';
	return 1;
}

static int client_receive(int fd, struct client_reply *reply, struct error *err)
{
	size_t got = 0;
	ssize_t n;
	int whole = 0;

	while (!whole) {
		char *text = realloc(reply->text, got + CLIENT_PIECE + 1);

		if (!text)
			return error_set(err, ENOMEM, "out of memory");
		reply->text = text;
		n = recv(fd, text + got, CLIENT_PIECE, 0);
		if (n < 0)
			return error_set(err, errno, "no answer: %s",
					 strerror(errno));
		got += (size_t)n;
		text[got] = '\0';
		whole = client_parse(reply, got);
		if (whole < 0)
			return error_set(
				err, EPROTO,
				"the answer is no HTTP; does a vmm own the socket?");
		if (n == 0 && !whole)
			return error_set(
				err, EPIPE,
				"the monitor ended before it answered; its log says why");
	}
	return 0;
}

int client_ask(const struct client_request *req, struct client_reply *reply,
	       struct error *err)
{
	cleanup_fd int fd = client_open(req->socket, err);
	int r;

	*reply = (struct client_reply){ .status = 0 };
	if (fd < 0)
		return fd;
	r = client_send_request(fd, req, err);
	return r ? r : client_receive(fd, reply, err);
}
