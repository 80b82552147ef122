/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tools/vmmctl/client.h"

#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/util.h"

/* ---- connection ---- */

static int client_explain(const char *path, int code, struct error *err)
{
	struct error_value shown = error_value(path);
	const char *name = shown.text;

	switch (code) {
	case ENOENT:
		return error_set(
			err, code,
			"%s: there is no such socket; start a monitor with vmm --api-socket %s",
			name, name);
	case ECONNREFUSED:
		return error_set(
			err, code,
			"%s: no monitor listens there any more; start one with vmm --api-socket %s",
			name, name);
	case EACCES:
	case EPERM:
		return error_set(
			err, code,
			"%s: %s; be the user who started vmm, the socket is theirs alone",
			name, strerror(code));
	default:
		return error_set(
			err, code,
			"%s: %s; --api-socket is to name the socket of a running vmm",
			name, strerror(code));
	}
}

int client_open(struct client *c, const char *path, struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int code;

	c->fd = -1;
	if (strlen(path) >= sizeof(addr.sun_path))
		return error_set(
			err, ENAMETOOLONG,
			"%s: the name of a socket has at most %zu bytes",
			error_value(path).text, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return error_set(err, errno, "socket: %s", strerror(errno));
	if (connect(c->fd, (const void *)&addr, sizeof(addr)) == 0)
		return 0;
	code = errno;
	client_close(c);
	return client_explain(path, code, err);
}

void client_close(struct client *c)
{
	close_fd(&c->fd);
}

/* ---- request ---- */

/* The first piece carries the descriptors. */
static ssize_t client_send_some(int fd, const char *data, size_t len,
				const int *fds, unsigned int nr_fds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * CLIENT_MAX_FDS)];
	} control = { 0 };
	struct iovec iov = { (char *)(uintptr_t)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg = &control.align;

	if (nr_fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nr_fds);
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static int client_send(struct client *c, const char *data, size_t len,
		       const int *fds, unsigned int nr_fds, struct error *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = client_send_some(c->fd, data + done, len - done,
					     fds, done ? 0 : nr_fds);

		if (n < 0 && errno == EINTR)
			continue;
		/* What the monitor has to say of it may be there already. */
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 0;
		if (n < 0)
			return error_set(err, errno,
					 "the request could not be sent: %s",
					 strerror(errno));
		done += (size_t)n;
	}
	return 0;
}

static int client_send_request(struct client *c,
			       const struct client_request *req,
			       struct error *err)
{
	char length[48] = "", *text;
	int n, r;

	if (req->body)
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n",
			 strlen(req->body));
	n = asprintf(&text,
		     "%s /api/v1/%s HTTP/1.1\r\n"
		     "Host: localhost\r\n"
		     "Accept: */*\r\n"
		     "%s%s\r\n%s",
		     req->get ? "GET" : "PUT", req->verb,
		     req->body ? "Content-Type: application/json\r\n" : "",
		     length, req->body ? req->body : "");
	if (n < 0)
		return error_set(err, ENOMEM, "out of memory");
	r = client_send(c, text, (size_t)n, req->fds, req->nr_fds, err);
	free(text);
	return r;
}

/* ---- reply ---- */

struct client_parser {
	http_parser parser;
	struct client_reply *reply;
	bool done;
};

static int client_on_body(http_parser *hp, const char *at, size_t len)
{
	struct client_parser *p = hp->data;
	struct client_reply *reply = p->reply;
	char *body = realloc(reply->body, reply->len + len + 1);

	if (!body)
		return -1;
	memcpy(body + reply->len, at, len);
	reply->body = body;
	reply->len += len;
	body[reply->len] = '\0';
	return 0;
}

static int client_on_complete(http_parser *hp)
{
	struct client_parser *p = hp->data;

	/* "100" only says that the answer is still to come. */
	p->done = hp->status_code >= 200;
	p->reply->status = hp->status_code;
	return 0;
}

static int client_receive(struct client *c, struct client_parser *p,
			  struct error *err)
{
	static const http_parser_settings settings = {
		.on_body = client_on_body,
		.on_message_complete = client_on_complete,
	};
	char buf[16384];
	ssize_t n;

	while (!p->done) {
		n = recv(c->fd, buf, sizeof(buf), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, errno, "no answer: %s",
					 strerror(errno));
		if (http_parser_execute(&p->parser, &settings, buf,
					(size_t)n) != (size_t)n)
			return error_set(
				err, EPROTO,
				"the answer is no HTTP; does a vmm own the socket?");
		if (n == 0 && !p->done)
			return error_set(
				err, EPIPE,
				"the monitor ended before it answered; its log says why");
	}
	return 0;
}

int client_ask(struct client *c, const struct client_request *req,
	       struct client_reply *reply, struct error *err)
{
	struct client_parser p = { .reply = reply };
	int r;

	memset(reply, 0, sizeof(*reply));
	r = client_send_request(c, req, err);
	if (r)
		return r;
	http_parser_init(&p.parser, HTTP_RESPONSE);
	p.parser.data = &p;
	r = client_receive(c, &p, err);
	if (r) {
		free(reply->body);
		reply->body = NULL;
	}
	return r;
}
