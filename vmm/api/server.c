/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Each turn of the loop reads a connection once. All requests in what was read
 * are put in line first (a broken one throws those in front of it away), and
 * then answered, one a turn, so that others have theirs, and as far as the
 * replies find room; nothing more is read until all are answered.
 */
#include "vmm/api/server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/api/http.h"
#include "vmm/api/listener.h"
#include "vmm/list.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define SERVER_MAX_CONNS 10u
#define SERVER_MAX_FDS 253u /* of one request; SCM_MAX_FD */
#define SERVER_ALL_FDS 512u /* of all requests that are being read */
#define SERVER_READ (64 * 1024u) /* bytes a turn */
#define SERVER_OUT_HIGH (256 * 1024u) /* bytes of replies that may wait */
#define SERVER_STALL_NS 30000000000ull /* half a request, or a full socket */
#define SERVER_QUIT_NS 1000000000ull /* for the last replies */
#define SERVER_RETRY_NS 200000000ull /* out of descriptors */

enum item_kind {
	ITEM_REQUEST,
	ITEM_CONTINUE,
	ITEM_BAD,
};

/* Something to answer. */
struct server_item {
	struct list_node node;
	enum item_kind kind;
	struct http_request req;
	char *error; /* ITEM_BAD: the body of the reply */
	int *fds; /* owned */
	unsigned int nr_fds;
	bool too_many_fds;
};

struct server_conn {
	struct list_node node;
	struct server *server;
	struct loop_fd lf;
	struct loop_timer stall;
	struct http *http;
	struct list_node items; /* in order */
	uint64_t ticket; /* the reply that is waited for; 0: none */
	struct loop_call go_on; /* it is there */
	int fds[SERVER_MAX_FDS]; /* came since the last whole request */
	unsigned int nr_fds;
	bool too_many_fds;
	bool eof; /* the client sends no more */
	bool close; /* after the replies */
	char *out; /* replies */
	size_t out_len, out_size; /* bytes in use, allocated */
	uint32_t events; /* that are waited for */
};

struct server {
	struct server_config config;
	struct listener listener;
	struct loop_fd lf;
	struct loop_timer retry; /* listen again; or: quit now */
	struct list_node conns;
	unsigned int nr_conns;
	unsigned int nr_fds; /* of all connections, with no request yet */
	bool quitting;
	bool full; /* said that no more connections can be taken */
	char in[SERVER_READ];
};

/* ---- items ---- */

static void server_close_fds(int *fds, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		close(fds[i]);
}

static void item_destroy(struct server_item *item)
{
	list_remove(&item->node);
	server_close_fds(item->fds, item->nr_fds);
	free(item->fds);
	free(item->error);
	http_request_fini(&item->req);
	free(item);
}

static struct server_item *item_add(struct server_conn *conn,
				    enum item_kind kind)
{
	struct server_item *item = calloc(1, sizeof(*item));

	if (!item) {
		conn->close = conn->eof = true;
		return NULL;
	}
	item->kind = kind;
	list_insert(&conn->items, &item->node);
	return item;
}

/* The descriptors that came belong to this one. */
static void item_take_fds(struct server_item *item, struct server_conn *conn)
{
	item->too_many_fds = conn->too_many_fds;
	if (conn->nr_fds) {
		item->fds = malloc(conn->nr_fds * sizeof(int));
		if (item->fds) {
			memcpy(item->fds, conn->fds,
			       conn->nr_fds * sizeof(int));
			item->nr_fds = conn->nr_fds;
		} else {
			server_close_fds(conn->fds, conn->nr_fds);
			item->too_many_fds = true;
		}
	}
	conn->server->nr_fds -= conn->nr_fds;
	conn->nr_fds = 0;
	conn->too_many_fds = false;
}

/* Descriptors of a request that will not come. */
static void conn_drop_fds(struct server_conn *conn)
{
	server_close_fds(conn->fds, conn->nr_fds);
	conn->server->nr_fds -= conn->nr_fds;
	conn->nr_fds = 0;
	conn->too_many_fds = false;
}

static void conn_drop_items(struct server_conn *conn)
{
	while (!list_is_empty(&conn->items))
		item_destroy(container_of(list_take(&conn->items),
					  struct server_item, node));
}

/* ---- replies ---- */

static bool conn_reserve(struct server_conn *conn, size_t len)
{
	size_t size = MAX(conn->out_size * 2, conn->out_len + len);
	char *out;

	if (conn->out_len + len <= conn->out_size)
		return true;
	out = realloc(conn->out, size);
	if (!out) {
		conn->close = conn->eof = true;
		return false;
	}
	conn->out = out;
	conn->out_size = size;
	return true;
}

static void conn_reply(struct server_conn *conn, const struct http_reply *head,
		       const char *body)
{
	if (!conn_reserve(conn, HTTP_HEAD_MAX + head->body_len))
		return;
	conn->out_len += http_head(conn->out + conn->out_len, head);
	if (body)
		memcpy(conn->out + conn->out_len, body, head->body_len);
	conn->out_len += head->body_len;
}

static void conn_take_reply(struct server_conn *conn, struct api_reply *reply)
{
	const struct http_reply head = { .status = reply->status,
					 .type = reply->type,
					 .body_len = reply->body_len };

	conn_reply(conn, &head, reply->body);
	free(reply->body);
}

static void conn_reply_error(struct server_conn *conn, const char *body)
{
	const struct http_reply head = {
		.status = 400,
		.body_len = body ? strlen(body) : 0,
		.close = conn->close,
	};

	conn_reply(conn, &head, body);
}

static void conn_run(struct server_conn *conn, struct server_item *item)
{
	const struct json_fds fds = { item->fds, item->nr_fds };
	struct api *api = conn->server->config.api;
	struct api_reply reply;

	if (item->too_many_fds) {
		char *body = api_error_body("too many file descriptors");

		conn_reply_error(conn, body);
		free(body);
		return;
	}
	api_handle(api, &item->req, &fds, &reply);
	conn->ticket = reply.ticket;
	if (!reply.ticket)
		conn_take_reply(conn, &reply);
}

static bool conn_can_answer(const struct server_conn *conn)
{
	return !list_is_empty(&conn->items) && !conn->ticket &&
	       conn->out_len < SERVER_OUT_HIGH &&
	       !conn->server->config.api->quit;
}

static void conn_answer_one(struct server_conn *conn)
{
	const struct http_reply go_on = { .status = 100 };
	struct server_item *item;

	if (!conn_can_answer(conn))
		return;
	item = container_of(list_take(&conn->items), struct server_item, node);
	if (item->kind == ITEM_REQUEST)
		conn_run(conn, item);
	else if (item->kind == ITEM_CONTINUE)
		conn_reply(conn, &go_on, NULL);
	else
		conn_reply_error(conn, item->error);
	item_destroy(item);
	if (conn_can_answer(conn))
		loop_post(conn->server->config.loop, &conn->go_on);
}

/* ---- connections ---- */

static void conn_destroy(struct server_conn *conn)
{
	loop_fd_del(&conn->lf);
	loop_timer_cancel(&conn->stall);
	loop_cancel(conn->server->config.loop, &conn->go_on);
	close_fd(&conn->lf.fd);
	conn_drop_items(conn);
	conn_drop_fds(conn);
	http_destroy(conn->http);
	free(conn->out);
	list_remove(&conn->node);
	conn->server->nr_conns--;
	free(conn);
}

/* False: the client is gone. */
static bool conn_flush(struct server_conn *conn)
{
	size_t done = 0;
	ssize_t n = 0;

	while (done < conn->out_len) {
		n = send(conn->lf.fd, conn->out + done, conn->out_len - done,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	if (n < 0 && errno != EAGAIN)
		return false;
	if (done) {
		loop_timer_cancel(&conn->stall);
		conn->out_len -= done;
		memmove(conn->out, conn->out + done, conn->out_len);
	}
	/* One large reply does not hold memory for ever. */
	if (!conn->out_len && conn->out_size > SERVER_OUT_HIGH) {
		free(conn->out);
		conn->out = NULL;
		conn->out_size = 0;
	}
	return true;
}

static void conn_bad(struct server_conn *conn, const char *why)
{
	struct server_item *item;

	conn_drop_items(conn);
	conn_drop_fds(conn);
	item = item_add(conn, ITEM_BAD);
	if (item)
		item->error = api_error_body(why);
}

static void conn_on_stall(struct loop_timer *lt)
{
	struct server_conn *conn = container_of(lt, struct server_conn, stall);

	if (conn->out_len) {
		log_info(
			"control socket: a client does not take its replies; it is dropped");
		conn_destroy(conn);
		return;
	}
	conn->close = conn->eof = true;
	conn_bad(conn, "the rest of the request did not come in time");
	conn_answer_one(conn);
	conn_flush(conn);
	conn_destroy(conn);
}

/* Arm or cancel the timer, and wait for what there is to wait for. */
static void conn_wait(struct server_conn *conn)
{
	bool stuck = conn->out_len || conn->nr_fds ||
		     http_is_partial(conn->http);
	uint32_t events = conn->out_len ? EPOLLOUT : 0;

	if (!conn->eof && list_is_empty(&conn->items) &&
	    conn->out_len < SERVER_OUT_HIGH)
		events |= EPOLLIN;
	if (!stuck)
		loop_timer_cancel(&conn->stall);
	else if (!conn->stall.armed)
		loop_timer_set(conn->server->config.loop, &conn->stall,
			       loop_now_ns() + SERVER_STALL_NS);
	if (events != conn->events)
		loop_fd_change(&conn->lf, events);
	conn->events = events;
}

static void conn_parse(struct server_conn *conn, const char *data, size_t len)
{
	struct http_request req;
	struct server_item *item;
	enum http_event event;
	size_t n;

	for (; len && !conn->close; data += n, len -= n) {
		n = http_feed(conn->http, data, len, &event, &req);
		if (event == HTTP_EVENT_BAD)
			conn_bad(conn, http_error(conn->http));
		if (event == HTTP_EVENT_CONTINUE)
			item_add(conn, ITEM_CONTINUE);
		if (event != HTTP_EVENT_REQUEST)
			continue;
		loop_timer_cancel(&conn->stall);
		item = item_add(conn, ITEM_REQUEST);
		if (item) {
			item->req = req;
			item_take_fds(item, conn);
		} else {
			http_request_fini(&req);
		}
	}
}

static void conn_take_fds(struct server_conn *conn, struct msghdr *msg)
{
	struct server *s = conn->server;
	struct cmsghdr *c;
	unsigned int nr, room, i;
	int fd;

	if (msg->msg_flags & MSG_CTRUNC)
		conn->too_many_fds = true;
	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		nr = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		room = MIN(SERVER_MAX_FDS - conn->nr_fds,
			   SERVER_ALL_FDS - s->nr_fds);
		for (i = 0; i < nr; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int),
			       sizeof(int));
			if (i < room) {
				conn->fds[conn->nr_fds++] = fd;
				s->nr_fds++;
			} else {
				close(fd);
				conn->too_many_fds = true;
			}
		}
	}
}

/* Read once. False: the client is gone. */
static bool conn_read(struct server_conn *conn)
{
	union {
		char bytes[CMSG_SPACE(SERVER_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	char *in = conn->server->in;
	struct iovec iov = { in, SERVER_READ };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(conn->lf.fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	conn_take_fds(conn, &msg);
	if (n == 0)
		conn->eof = true;
	else
		conn_parse(conn, in, (size_t)n);
	return true;
}

static void server_check_quit(struct server *s);

/* Answer what can be answered, then wait for more, or end. */
static void conn_go_on(struct server_conn *conn)
{
	struct server *s = conn->server;
	bool ok;

	conn_answer_one(conn);
	ok = conn_flush(conn);
	if (ok && (conn->eof || conn->close) && !conn->out_len &&
	    !conn->ticket && list_is_empty(&conn->items))
		ok = false;
	if (ok)
		conn_wait(conn);
	else
		conn_destroy(conn);
	server_check_quit(s);
}

static void conn_on_go_on(struct loop_call *lc)
{
	conn_go_on(container_of(lc, struct server_conn, go_on));
}

/* Only put it down here: another connection's request may be under way. */
static void server_on_reply(void *opaque, uint64_t ticket,
			    struct api_reply *reply)
{
	struct server *s = opaque;
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &s->conns) {
		struct server_conn *conn =
			container_of(pos, struct server_conn, node);

		if (conn->ticket != ticket)
			continue;
		conn->ticket = 0;
		conn_take_reply(conn, reply);
		loop_post(s->config.loop, &conn->go_on);
		return;
	}
	free(reply->body); /* its client has left */
}

static void conn_on_event(struct loop_fd *lf, uint32_t events)
{
	struct server_conn *conn = container_of(lf, struct server_conn, lf);
	struct server *s = conn->server;
	bool ok = !(events & EPOLLERR);

	/* Both directions are closed, and there is nothing left to read. */
	if ((events & EPOLLHUP) && !(conn->events & EPOLLIN))
		ok = false;
	if (ok && (events & EPOLLIN) && (conn->events & EPOLLIN) &&
	    !s->quitting)
		ok = conn_read(conn);
	if (ok) {
		conn_go_on(conn);
		return;
	}
	conn_destroy(conn);
	server_check_quit(s);
}

/* ---- listening ---- */

static int conn_create(struct server *s, int fd)
{
	struct server_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return -ENOMEM;
	conn->server = s;
	conn->http = http_create();
	conn->lf.fd = fd;
	conn->lf.on_event = conn_on_event;
	conn->go_on.fn = conn_on_go_on;
	conn->stall.on_expire = conn_on_stall;
	conn->events = EPOLLIN;
	list_init(&conn->items);
	if (!conn->http || loop_fd_add(s->config.loop, &conn->lf, EPOLLIN)) {
		http_destroy(conn->http);
		free(conn);
		return -ENOMEM;
	}
	list_insert(&s->conns, &conn->node);
	s->nr_conns++;
	return 0;
}

/* One too many: say so, and forget what it has sent. */
static void server_refuse(struct server *s, int fd)
{
	char *body = api_error_body("too many open connections");
	const struct http_reply reply = {
		.status = 503,
		.body_len = body ? strlen(body) : 0,
		.close = true,
	};
	char head[HTTP_HEAD_MAX];
	size_t len = http_head(head, &reply);

	if (send(fd, head, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len &&
	    body)
		(void)!send(fd, body, reply.body_len,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	/* Unread bytes would turn the close into a reset. */
	(void)!recv(fd, s->in, SERVER_READ, MSG_DONTWAIT);
	free(body);
	close(fd);
}

static void server_on_retry(struct loop_timer *lt)
{
	struct server *s = container_of(lt, struct server, retry);

	if (s->quitting)
		s->config.on_quit(s->config.opaque);
	else
		loop_fd_change(&s->lf, EPOLLIN);
}

static void server_on_client(struct loop_fd *lf, uint32_t events unused_param)
{
	struct server *s = container_of(lf, struct server, lf);
	int fd = accept4(lf->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOMEM)
			return;
		/* It stays readable; do not spin. */
		if (!s->full)
			log_warn("control socket: no more clients: %s",
				 strerror(errno));
		s->full = true;
		loop_fd_change(lf, 0);
		loop_timer_set(s->config.loop, &s->retry,
			       loop_now_ns() + SERVER_RETRY_NS);
		return;
	}
	s->full = false;
	if (s->nr_conns == SERVER_MAX_CONNS)
		server_refuse(s, fd);
	else if (conn_create(s, fd))
		close(fd);
}

/* ---- the end ---- */

static bool server_is_flushed(const struct server *s)
{
	for (struct list_node *pos = s->conns.next; pos != &s->conns;
	     pos = pos->next)
		if (container_of(pos, struct server_conn, node)->out_len)
			return false;
	return true;
}

/* vmm.shutdown was asked for: no new clients, and the last replies out. */
static void server_check_quit(struct server *s)
{
	if (!s->config.api->quit)
		return;
	if (!s->quitting) {
		s->quitting = true;
		loop_fd_del(&s->lf);
		loop_timer_set(s->config.loop, &s->retry,
			       loop_now_ns() + SERVER_QUIT_NS);
	}
	if (server_is_flushed(s)) {
		loop_timer_cancel(&s->retry);
		s->config.on_quit(s->config.opaque);
	}
}

int server_open(struct server **out, const struct server_config *config,
		struct error *err)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return error_set(err, ENOMEM, "out of memory");
	s->config = *config;
	s->lf.on_event = server_on_client;
	s->retry.on_expire = server_on_retry;
	list_init(&s->conns);
	r = config->path ? listener_open(&s->listener, config->path, err)
			 : listener_adopt(&s->listener, config->fd, err);
	if (r) {
		free(s);
		return error_prefix(
			err, r, "--api-socket %s",
			config->path ? error_value(config->path).text : "fd");
	}
	s->lf.fd = s->listener.fd;
	r = loop_fd_add(config->loop, &s->lf, EPOLLIN);
	if (r) {
		server_close(s);
		return error_set(err, r, "--api-socket: %s", strerror(-r));
	}
	config->api->on_reply = server_on_reply;
	config->api->opaque = s;
	*out = s;
	return 0;
}

void server_close(struct server *s)
{
	if (!s)
		return;
	s->config.api->on_reply = NULL;
	while (!list_is_empty(&s->conns)) {
		struct server_conn *conn = container_of(
			list_take(&s->conns), struct server_conn, node);

		/* A reply that the end itself brought. */
		conn_flush(conn);
		conn_destroy(conn);
	}
	loop_fd_del(&s->lf);
	loop_timer_cancel(&s->retry);
	listener_close(&s->listener);
	free(s);
}
