/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Each turn of the loop reads a connection once. All requests in what was read
 * are put in line first (a broken one throws those in front of it away), and
 * then answered, one a turn, so that others have theirs, and as far as the
 * replies find room; nothing more is read until all are answered.
 *
 * SERVER_MAX_CONNS clients are served at once. Others wait in the queue of the
 * listening socket until one of these leaves. When all of these do nothing for
 * SERVER_IDLE_NS, waiting leads nowhere: who waits then is refused.
 */
#include "vmm/api/server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/api/http.h"
#include "vmm/few.h"
#include "vmm/listener.h"
#include "vmm/list.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define SERVER_MAX_CONNS 10u
#define SERVER_MAX_REFUSED 10u /* that have still to close */
#define SERVER_MAX_FDS 253u /* of one request; SCM_MAX_FD */
#define SERVER_ALL_FDS 512u /* of all requests that are being read */
#define SERVER_READ (64 * 1024u) /* bytes a turn */
#define SERVER_OUT_HIGH (256 * 1024u) /* bytes of replies that may wait */
#define SERVER_IDLE_NS 1000000000ull /* longer than from a reply to a close */
#define SERVER_STALL_NS 30000000000ull /* half a request, or a full socket */
#define SERVER_LINGER_NS 2000000000ull /* for who was refused to close */
#define SERVER_QUIT_NS 1000000000ull /* for the last replies */
#define SERVER_RETRY_NS 200000000ull /* out of descriptors */

/* Descriptors that came along. */
struct server_fds {
	int *fds; /* room for SERVER_MAX_FDS, owned; NULL: none came */
	unsigned int nr;
	bool too_many; /* some were dropped */
};

/* Something to answer. */
struct server_item {
	struct list_node node;
	const char *error; /* refuse it, and say this; NULL: do it */
	struct http_request req;
	struct server_fds fds;
};

struct server_conn {
	struct list_node node;
	struct server *server;
	struct loop_fd lf;
	struct loop_timer stall;
	struct http http;
	struct list_node items; /* in order */
	struct api_reply later; /* is waited for when it has a ticket */
	struct loop_call go_on; /* there is more to answer */
	struct server_fds fds; /* came since the last whole request */
	bool expects; /* it waits for "100" before it sends a body */
	bool eof; /* the client sends no more */
	bool refused; /* for good; what it sends is thrown away */
	bool failed; /* out of memory: it is dropped */
	char *out; /* replies */
	size_t out_len, out_size; /* bytes in use, allocated */
	uint32_t events; /* that are waited for */
};

struct server {
	struct server_config config;
	struct listener listener;
	struct loop_fd lf;
	struct loop_timer retry; /* accept again; or: quit now */
	struct list_node conns;
	unsigned int nr_conns; /* that are served */
	unsigned int nr_refused;
	unsigned int nr_fds; /* of all connections, with no request yet */
	uint64_t active_ns; /* a served client last came, or did something */
	bool resting; /* nobody is accepted until `retry` */
	bool quitting;
	bool full; /* said that there are no descriptors */
	char in[SERVER_READ];
};

/* ---- items ---- */

static void fds_close(struct server_fds *sf)
{
	for (unsigned int i = 0; i < sf->nr; i++)
		close_fd(&sf->fds[i]);
	free(sf->fds);
	memset(sf, 0, sizeof(*sf));
}

static void item_destroy(struct server_item *item)
{
	list_remove(&item->node);
	fds_close(&item->fds);
	http_request_fini(&item->req);
	free(item);
}

/* error may be NULL. Returns NULL when there is no memory. */
static struct server_item *item_add(struct server_conn *conn, const char *error)
{
	struct server_item *item = calloc(1, sizeof(*item));

	conn->failed |= !item;
	if (!item)
		return NULL;
	item->error = error;
	list_insert(&conn->items, &item->node);
	return item;
}

/* Descriptors of a request that will not come. */
static void conn_drop_fds(struct server_conn *conn)
{
	conn->server->nr_fds -= conn->fds.nr;
	fds_close(&conn->fds);
}

static void conn_drop_items(struct server_conn *conn)
{
	list_for_each_entry (struct server_item, item, &conn->items, node)
		item_destroy(item);
}

/* ---- replies ---- */

static void conn_reply(struct server_conn *conn, const struct http_reply *head,
		       const char *body)
{
	size_t len = conn->out_len + HTTP_HEAD_MAX + head->body_len;

	if (len > conn->out_size) {
		size_t size = MAX(conn->out_size * 2, len);
		char *out = realloc(conn->out, size);

		conn->failed |= !out;
		if (!out)
			return;
		conn->out = out;
		conn->out_size = size;
	}
	conn->out_len += http_head(conn->out + conn->out_len, head);
	if (body)
		memcpy(conn->out + conn->out_len, body, head->body_len);
	conn->out_len += head->body_len;
}

static void conn_take_reply(struct server_conn *conn, struct api_reply *reply)
{
	conn_reply(conn, &reply->head, reply->body);
	free(reply->body);
}

static void conn_reply_error(struct server_conn *conn, unsigned int status,
			     const char *why)
{
	struct api_reply reply;

	api_reply_error(&reply, status, why);
	reply.head.close = conn->refused;
	conn_take_reply(conn, &reply);
}

static void conn_run(struct server_conn *conn, struct server_item *item)
{
	const struct json_fds fds = { .fds = item->fds.fds,
				      .nr = item->fds.nr };

	api_handle(conn->server->config.api, &item->req, &fds, &conn->later);
	if (!conn->later.ticket)
		conn_take_reply(conn, &conn->later);
}

static bool conn_can_answer(const struct server_conn *conn)
{
	struct api *api = conn->server->config.api;
	const struct server_item *item =
		container_of(conn->items.next, struct server_item, node);

	if (conn->later.ticket || conn->out_len >= SERVER_OUT_HIGH || api->quit)
		return false;
	if (list_is_empty(&conn->items))
		return conn->expects;
	return item->error || !api_must_wait(api, &item->req);
}

static void conn_answer_one(struct server_conn *conn)
{
	const struct http_reply go_on = { .status = 100 };
	struct server_item *item;

	if (!conn_can_answer(conn))
		return;
	if (list_is_empty(&conn->items)) {
		conn->expects = false;
		conn_reply(conn, &go_on, NULL);
		return;
	}
	item = container_of(list_take(&conn->items), struct server_item, node);
	if (item->error)
		conn_reply_error(conn, 400, item->error);
	else
		conn_run(conn, item);
	item_destroy(item);
	if (conn_can_answer(conn))
		loop_post(conn->server->config.loop, &conn->go_on);
}

/* ---- who is let in ---- */

static bool conn_is_idle(const struct server_conn *conn)
{
	return !conn->out_len && !conn->later.ticket && !conn->fds.nr &&
	       list_is_empty(&conn->items) && !http_is_partial(&conn->http);
}

/* Nobody who is served does anything, nor did for a while. */
static bool server_is_idle(struct server *s)
{
	if (loop_now_ns() < s->active_ns + SERVER_IDLE_NS)
		return false;
	list_for_each_entry (struct server_conn, conn, &s->conns, node) {
		if (!conn->refused && !conn_is_idle(conn))
			return false;
	}
	return true;
}

/* Accept nobody for a while. */
static void server_rest(struct server *s, uint64_t ns)
{
	s->resting = true;
	loop_fd_change(&s->lf, 0);
	loop_timer_set(s->config.loop, &s->retry, loop_now_ns() + ns);
}

static void server_wake(struct server *s)
{
	if (!s->resting || s->quitting)
		return;
	s->resting = false;
	loop_timer_cancel(&s->retry);
	loop_fd_change(&s->lf, EPOLLIN);
}

/* ---- connections ---- */

static void conn_destroy(struct server_conn *conn)
{
	struct server *s = conn->server;

	loop_fd_del(&conn->lf);
	loop_timer_cancel(&conn->stall);
	loop_cancel(s->config.loop, &conn->go_on);
	close_fd(&conn->lf.fd);
	conn_drop_items(conn);
	conn_drop_fds(conn);
	http_request_fini(&conn->http.req);
	free(conn->out);
	list_remove(&conn->node);
	if (conn->refused)
		s->nr_refused--;
	else
		s->nr_conns--;
	free(conn);
	server_wake(s);
}

/* False: the client is gone. */
static bool conn_flush(struct server_conn *conn)
{
	size_t done = 0;
	ssize_t n = 0;

	while (done < conn->out_len) {
		n = few_send(conn->lf.fd, conn->out + done,
			     conn->out_len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
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

/* Arm or cancel the timer, and wait for what there is to wait for. */
static void conn_wait(struct server_conn *conn)
{
	bool stuck = conn->refused || conn->out_len || conn->fds.nr ||
		     http_is_partial(&conn->http);
	uint32_t events = conn->out_len ? EPOLLOUT : 0;

	if (!conn->eof && list_is_empty(&conn->items) &&
	    conn->out_len < SERVER_OUT_HIGH)
		events |= EPOLLIN;
	if (!stuck)
		loop_timer_cancel(&conn->stall);
	else if (!conn->stall.armed)
		loop_timer_set(conn->server->config.loop, &conn->stall,
			       loop_now_ns() + (conn->refused
							? SERVER_LINGER_NS
							: SERVER_STALL_NS));
	if (events != conn->events)
		loop_fd_change(&conn->lf, events);
	conn->events = events;
}

/*
 * Say why, and serve it no more. It is kept until it closes: a client that
 * still sends would otherwise see that it cannot, and not why.
 */
static void conn_refuse(struct server_conn *conn, unsigned int status,
			const char *why)
{
	conn_drop_items(conn);
	conn_drop_fds(conn);
	conn->later.ticket = 0;
	conn->expects = false;
	conn->refused = true;
	conn->server->nr_refused++;
	conn->server->nr_conns--;
	conn_reply_error(conn, status, why);
	if (conn_flush(conn) && !conn->out_len &&
	    !shutdown(conn->lf.fd, SHUT_WR))
		conn_wait(conn);
	else
		conn_destroy(conn);
}

static void conn_on_stall(struct loop_timer *lt)
{
	struct server_conn *conn = container_of(lt, struct server_conn, stall);

	if (conn->out_len)
		log_info(
			"control socket: a client does not take its replies; it is dropped");
	if (conn->out_len || conn->refused)
		conn_destroy(conn);
	else
		conn_refuse(conn, 400,
			    "the rest of the request did not come in time");
}

static void conn_take_request(struct server_conn *conn,
			      struct http_request *req)
{
	struct server_item *item = item_add(
		conn, conn->fds.too_many ? "too many file descriptors" : NULL);

	loop_timer_cancel(&conn->stall);
	if (!item) {
		http_request_fini(req);
		return;
	}
	item->req = *req;
	item->fds = conn->fds;
	conn->server->nr_fds -= conn->fds.nr;
	memset(&conn->fds, 0, sizeof(conn->fds));
}

static void conn_parse(struct server_conn *conn, const char *data, size_t len)
{
	struct http_request req;
	enum http_event event;
	size_t n;

	for (; len && !conn->failed; data += n, len -= n) {
		n = http_feed(&conn->http, data, len, &event, &req);
		if (event == HTTP_EVENT_NONE)
			continue;
		/* A body that came meanwhile needs no "100". */
		conn->expects = event == HTTP_EVENT_CONTINUE;
		if (event == HTTP_EVENT_REQUEST) {
			conn_take_request(conn, &req);
		} else if (event == HTTP_EVENT_BAD) {
			conn_drop_items(conn);
			conn_drop_fds(conn);
			item_add(conn, conn->http.error);
		}
	}
}

static void conn_take_fd(struct server_conn *conn, int fd)
{
	struct server *s = conn->server;
	struct server_fds *sf = &conn->fds;

	if (!sf->fds)
		sf->fds = malloc(SERVER_MAX_FDS * sizeof(int));
	if (sf->fds && sf->nr < SERVER_MAX_FDS && s->nr_fds < SERVER_ALL_FDS) {
		sf->fds[sf->nr++] = fd;
		s->nr_fds++;
	} else {
		close(fd);
		sf->too_many = true;
	}
}

static void conn_take_fds(struct server_conn *conn, struct msghdr *msg)
{
	struct cmsghdr *c;
	int fd;

	if (msg->msg_flags & MSG_CTRUNC)
		conn->fds.too_many = true;
	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at < c->cmsg_len;
		     at += sizeof(fd)) {
			memcpy(&fd, (char *)c + at, sizeof(fd));
			conn_take_fd(conn, fd);
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
	conn->eof = n == 0;
	if (conn->refused)
		conn_drop_fds(conn);
	else
		conn_parse(conn, in, (size_t)n);
	return true;
}

static void server_check_quit(struct server *s);

/* Answer what can be answered, then wait for more, or end. ok: it is of use. */
static void conn_go_on(struct server_conn *conn, bool ok)
{
	struct server *s = conn->server;

	if (!conn->refused)
		s->active_ns = loop_now_ns();
	if (ok) {
		conn_answer_one(conn);
		ok = conn_flush(conn) && !conn->failed;
	}
	if (ok && (!conn->eof || conn->out_len || conn->later.ticket ||
		   !list_is_empty(&conn->items)))
		conn_wait(conn);
	else
		conn_destroy(conn);
	server_check_quit(s);
}

static void conn_on_go_on(struct loop_call *lc)
{
	conn_go_on(container_of(lc, struct server_conn, go_on), true);
}

/* Only put it down here: another connection's request may be under way. */
static void server_on_done(void *opaque, uint64_t ticket, int r,
			   struct error *err, const struct hotplug_place *at)
{
	struct server *s = opaque;

	/* Its client may have left. */
	list_for_each_entry (struct server_conn, conn, &s->conns, node) {
		if (conn->later.ticket != ticket)
			continue;
		api_reply_done(&conn->later, r, err, at);
		conn_take_reply(conn, &conn->later);
		loop_post(s->config.loop, &conn->go_on);
	}
}

/* Requests that had to wait for others have their turn. */
static void server_on_machine_idle(void *opaque)
{
	struct server *s = opaque;

	list_for_each_entry (struct server_conn, conn, &s->conns, node)
		loop_post(s->config.loop, &conn->go_on);
}

static void conn_on_event(struct loop_fd *lf, uint32_t events)
{
	struct server_conn *conn = container_of(lf, struct server_conn, lf);
	bool readable = events & conn->events & EPOLLIN;
	bool ok = !(events & EPOLLERR);

	/* Both directions are closed, and there is nothing left to read. */
	if ((events & EPOLLHUP) && !(conn->events & EPOLLIN))
		ok = false;
	if (ok && readable && !conn->server->quitting)
		ok = conn_read(conn);
	conn_go_on(conn, ok);
}

/* ---- listening ---- */

/* NULL: no memory. */
static struct server_conn *conn_create(struct server *s, int fd)
{
	struct server_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->server = s;
	conn->lf.fd = fd;
	conn->lf.on_event = conn_on_event;
	conn->go_on.fn = conn_on_go_on;
	conn->stall.on_expire = conn_on_stall;
	conn->events = EPOLLIN;
	list_init(&conn->items);
	if (loop_fd_add(s->config.loop, &conn->lf, EPOLLIN)) {
		free(conn);
		return NULL;
	}
	list_insert(&s->conns, &conn->node);
	s->nr_conns++;
	return conn;
}

static void server_on_retry(struct loop_timer *lt)
{
	struct server *s = container_of(lt, struct server, retry);

	if (s->quitting)
		s->config.on_quit(s->config.opaque);
	else
		server_wake(s);
}

static void server_on_client(struct loop_fd *lf, uint32_t events unused_param)
{
	struct server *s = container_of(lf, struct server, lf);
	bool too_many = s->nr_conns == SERVER_MAX_CONNS;
	struct server_conn *conn;
	int fd;

	if (too_many &&
	    (s->nr_refused == SERVER_MAX_REFUSED || !server_is_idle(s))) {
		server_rest(s, SERVER_IDLE_NS);
		return;
	}
	fd = accept4(lf->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOMEM)
			return;
		/* It stays readable; do not spin. */
		if (!s->full)
			log_warn("control socket: no more clients: %s",
				 strerror(errno));
		s->full = true;
		server_rest(s, SERVER_RETRY_NS);
		return;
	}
	s->full = false;
	conn = conn_create(s, fd);
	if (!conn)
		close(fd);
	else if (too_many)
		conn_refuse(conn, 503, "too many open connections");
	else
		s->active_ns = loop_now_ns();
}

/* ---- the end ---- */

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
	list_for_each_entry (struct server_conn, conn, &s->conns, node)
		if (conn->out_len)
			return;
	loop_timer_cancel(&s->retry);
	s->config.on_quit(s->config.opaque);
}

int server_open(struct server **out, const struct server_config *config,
		struct error *err)
{
	struct machine *machine = config->api->machine;
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
	machine->on_done = server_on_done;
	machine->on_idle = server_on_machine_idle;
	machine->watcher = s;
	*out = s;
	return 0;
}

/* What it asked for will not be done. */
static void conn_end(struct server_conn *conn)
{
	struct api_reply reply;

	if (!conn->refused)
		conn_read(conn);
	if (conn->later.ticket) {
		api_reply_ending(&reply);
		conn_take_reply(conn, &reply);
	}
	while (!list_is_empty(&conn->items)) {
		item_destroy(container_of(list_take(&conn->items),
					  struct server_item, node));
		api_reply_ending(&reply);
		conn_take_reply(conn, &reply);
	}
	conn_flush(conn);
	conn_destroy(conn);
}

void server_close(struct server *s)
{
	if (!s)
		return;
	s->config.api->machine->on_done = NULL;
	s->config.api->machine->on_idle = NULL;
	list_for_each_entry (struct server_conn, conn, &s->conns, node)
		conn_end(conn);
	loop_fd_del(&s->lf);
	loop_timer_cancel(&s->retry);
	listener_close(&s->listener);
	free(s);
}
