/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The connections of virtio-vsock (virtio 1.2 section 5.10.6): what packets of the
 * guest and events of host sockets do to them. All on the device's loop.
 *
 * Bytes of the guest go from its own buffers to the host's socket. While that is
 * full, the chains stay lent and the guest's memory is the buffer; when half of
 * the ring is lent, what waits longest is copied out of its chains, so that a host
 * that does not read holds up nobody else.
 */
#include "devices/virtio/vsock_conn.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "vmm/iov.h"
#include "vmm/log.h"

#define NS_PER_S 1000000000ull
#define CONN_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)
/* Buffers of one write to the host. */
#define CONN_IOV 256u

static const uint64_t conn_limits_ns[VSOCK_WAITS] = {
	[VSOCK_WAIT_CONNECT] = 30 * NS_PER_S, /* a person may type it */
	[VSOCK_WAIT_ANSWER] = 2 * NS_PER_S,
	[VSOCK_WAIT_RST] = 8 * NS_PER_S, /* as long as Linux waits for us */
	[VSOCK_WAIT_HOST] = 60 * NS_PER_S, /* since it last took some */
};

static struct loop *conn_loop(const struct vsock *v)
{
	return v->dev.queues[VSOCK_RX].loop;
}

/* ---- lists ---- */

static struct list_node *conn_bucket(const struct vsock *v, uint32_t guest_port,
				     uint32_t host_port)
{
	uint64_t key = (uint64_t)guest_port << 32 | host_port;

	return &v->table[key * 0x9e3779b97f4a7c15ull >> 40 & v->table_mask];
}

static struct vsock_conn *conn_find(const struct vsock *v, uint32_t guest_port,
				    uint32_t host_port)
{
	list_for_each_entry (struct vsock_conn, c,
			     conn_bucket(v, guest_port, host_port), hash)
		if (c->guest_port == guest_port && c->host_port == host_port)
			return c;
	return NULL;
}

static void conn_hash(struct vsock_conn *c)
{
	list_insert(conn_bucket(c->v, c->guest_port, c->host_port), &c->hash);
}

static void conn_make_ready(struct vsock_conn *c)
{
	if ((c->owes || vsock_conn_has_data(c)) && list_is_empty(&c->ready))
		list_insert(&c->v->ready, &c->ready);
}

static void conn_owe(struct vsock_conn *c, enum virtio_vsock_op op)
{
	c->owes |= 1u << op;
	conn_make_ready(c);
}

static void conn_wait(struct vsock_conn *c, enum vsock_wait why)
{
	struct loop_timer *lt = &c->v->wait_timer;

	list_remove(&c->wait);
	c->deadline_ns = loop_now_ns() + conn_limits_ns[why];
	list_insert(&c->v->waits[why], &c->wait);
	if (!lt->armed || lt->expires_ns > c->deadline_ns)
		loop_timer_set(conn_loop(c->v), lt, c->deadline_ns);
}

/* ---- life ---- */

static void conn_on_event(struct loop_fd *lf, uint32_t events);

/* fd is the connection's, unless this is NULL: there are too many, or the host
 * has no memory. */
static struct vsock_conn *conn_create(struct vsock *v, int fd,
				      enum vsock_state state)
{
	struct vsock_conn *c;

	if (v->nr_conns >= v->max_conns)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->v = v;
	c->state = state;
	c->lf.fd = fd;
	c->lf.on_event = conn_on_event;
	c->credit.buf_alloc = VSOCK_BUF_MIN;
	list_init(&c->hash);
	list_init(&c->ready);
	list_init(&c->dirty);
	list_init(&c->lender);
	list_init(&c->wait);
	list_init(&c->packets);
	if (loop_fd_add(conn_loop(v), &c->lf, CONN_EVENTS)) {
		free(c);
		return NULL;
	}
	v->promised += c->credit.buf_alloc;
	io_count(&v->counters.connections, 1);
	v->nr_conns++;
	list_insert(&v->conns, &c->all);
	return c;
}

static void conn_push(struct vsock *v, struct vsock_packet *p)
{
	virtqueue_push(&v->dev.queues[VSOCK_TX].vq, &p->chain, 0);
}

static void conn_push_first(struct vsock_conn *c)
{
	struct list_node *first = list_take(&c->packets);

	c->v->nr_lent--;
	conn_push(c->v, container_of(first, struct vsock_packet, node));
}

/* What the guest sent goes nowhere. */
static void conn_drop_output(struct vsock_conn *c)
{
	while (!list_is_empty(&c->packets))
		conn_push_first(c);
	free(c->copied);
	c->copied = NULL;
	c->copied_len = 0;
	c->credit.forwarded = c->credit.received;
	list_remove(&c->dirty);
	list_remove(&c->lender);
}

static void conn_close_socket(struct vsock_conn *c)
{
	conn_drop_output(c);
	loop_fd_del(&c->lf);
	close_fd(&c->lf.fd);
	c->readable = false;
}

static void conn_destroy(struct vsock_conn *c)
{
	struct vsock *v = c->v;

	conn_close_socket(c);
	list_remove(&c->all);
	list_remove(&c->hash);
	list_remove(&c->ready);
	list_remove(&c->wait);
	v->promised -= c->credit.buf_alloc;
	io_count(&v->counters.connections, -1ull);
	v->nr_conns--;
	free(c);
}

static void conn_reset(struct vsock_conn *c)
{
	conn_close_socket(c);
	list_remove(&c->hash);
	list_remove(&c->wait);
	c->state = VSOCK_DEAD;
	c->owes = 0;
	conn_owe(c, VIRTIO_VSOCK_OP_RST);
}

void vsock_conn_had_turn(struct vsock_conn *c)
{
	list_remove(&c->ready);
	if (c->state == VSOCK_DEAD && !c->owes)
		conn_destroy(c);
	else
		conn_make_ready(c);
}

/* The guest sends and receives no more. What it sent before goes to the host
 * even so, when it ended in order. */
static void conn_end_of_guest(struct vsock_conn *c, bool answer)
{
	bool flush = c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND &&
		     vsock_pending(&c->credit);

	if (!flush && answer) {
		conn_reset(c);
	} else if (!flush) {
		conn_destroy(c);
	} else {
		list_remove(&c->hash);
		list_remove(&c->ready);
		c->state = VSOCK_FLUSHING;
		c->owes = 0;
		conn_wait(c, VSOCK_WAIT_HOST);
		if (answer)
			conn_owe(c, VIRTIO_VSOCK_OP_RST);
	}
}

/* The host does not send, or receive, any more. */
static void conn_host_shuts(struct vsock_conn *c, unsigned int flags)
{
	flags |= c->host_shut;
	if (flags == c->host_shut)
		return;
	c->host_shut = flags;
	if (flags & VIRTIO_VSOCK_SHUTDOWN_RCV)
		conn_drop_output(c);
	if (flags == VSOCK_SHUTDOWN_BOTH) {
		conn_close_socket(c);
		c->state = VSOCK_CLOSING;
		conn_wait(c, VSOCK_WAIT_RST);
	}
	conn_owe(c, VIRTIO_VSOCK_OP_SHUTDOWN);
}

void vsock_conn_end_of_host(struct vsock_conn *c, int r)
{
	c->readable = false;
	if (r)
		conn_reset(c);
	else
		conn_host_shuts(c, c->hung_up ? VSOCK_SHUTDOWN_BOTH
					      : VIRTIO_VSOCK_SHUTDOWN_SEND);
}

/* ---- to the host ---- */

/* Copy what packets have behind what was copied before. -errno: c is reset. */
static void conn_copy_packets(struct vsock_conn *c)
{
	struct vsock_credit *credit = &c->credit;
	uint8_t *all;

	list_remove(&c->lender);
	if (list_is_empty(&c->packets))
		return;
	/* What waits is within the credit. */
	all = malloc(credit->buf_alloc);
	if (!all) {
		conn_reset(c);
		return;
	}
	if (c->copied_len)
		memcpy(all, c->copied + c->copied_off, c->copied_len);
	free(c->copied);
	c->copied = all;
	c->copied_off = 0;
	while (!list_is_empty(&c->packets)) {
		struct vsock_packet *p = container_of(
			c->packets.next, struct vsock_packet, node);
		struct iov_cursor at = iov_cursor_init(p->iov, p->nr);
		int r = 0;

		if (p->chain.window_end)
			r = vsock_copy(all + c->copied_len, p->iov, p->nr,
				       p->len);
		else
			iov_read(&at, all + c->copied_len, p->len);
		if (r) {
			conn_reset(c);
			return;
		}
		io_count(&c->v->counters.copied_bytes, p->len);
		c->copied_len += p->len;
		conn_push_first(c);
	}
}

/* One write. Bytes written; -EAGAIN, -errno. *all: nothing is left. */
static ssize_t conn_write(struct vsock_conn *c, bool *all)
{
	struct iovec iov[CONN_IOV];
	unsigned int nr = 0;
	size_t len = 0;
	ssize_t n;

	if (c->copied_len) {
		iov[nr++] = (struct iovec){ c->copied + c->copied_off,
					    c->copied_len };
		len += c->copied_len;
	}
	list_for_each_entry (struct vsock_packet, p, &c->packets, node) {
		unsigned int i, fit = MIN(p->nr, CONN_IOV - nr);

		for (i = 0; i < fit; i++) {
			len += p->iov[i].iov_len;
			iov[nr++] = p->iov[i];
		}
		if (nr == CONN_IOV)
			break;
	}
	n = vsock_socket_send(c->lf.fd, iov, nr);
	*all = n >= 0 && (size_t)n == len;
	return n;
}

/* The host took n bytes. */
static void conn_wrote(struct vsock_conn *c, size_t n)
{
	size_t part = MIN(n, c->copied_len);

	c->credit.forwarded += (uint32_t)n;
	c->copied_off += part;
	c->copied_len -= part;
	n -= part;
	if (!c->copied_len) {
		free(c->copied);
		c->copied = NULL;
	}
	while (n) {
		struct vsock_packet *p = container_of(
			c->packets.next, struct vsock_packet, node);

		part = MIN(n, p->len);
		n -= part;
		p->len -= (uint32_t)part;
		if (p->len)
			iov_trim_front(&p->iov, &p->nr, part);
		else
			conn_push_first(c);
	}
}

/* The host is full: packets stay lent, or those that wait longest are copied. */
static void conn_lend(struct vsock_conn *c)
{
	struct vsock *v = c->v;
	unsigned int most = v->dev.queues[VSOCK_TX].vq.size / 2u;

	if (list_is_empty(&c->lender) && !list_is_empty(&c->packets))
		list_insert(&v->lenders, &c->lender);
	while (v->nr_lent > most && !list_is_empty(&v->lenders))
		conn_copy_packets(container_of(v->lenders.next,
					       struct vsock_conn, lender));
}

/* Tell the guest of credit; who uses its credit up, and finds a host that takes
 * the bytes, is promised more. */
static void conn_tell_credit(struct vsock_conn *c)
{
	struct vsock_credit *credit = &c->credit;

	if (!vsock_credit_is_news(credit))
		return;
	if (!c->full && credit->buf_alloc < VSOCK_BUF_MAX &&
	    c->v->promised + credit->buf_alloc <= VSOCK_BUF_ALL) {
		c->v->promised += credit->buf_alloc;
		credit->buf_alloc *= 2;
	}
	c->owes |= VSOCK_OWES_NEWS;
	conn_make_ready(c);
}

static void conn_set_full(struct vsock_conn *c)
{
	c->full = true;
	if (!c->watches_room &&
	    loop_fd_change(&c->lf, CONN_EVENTS | EPOLLOUT) == 0) {
		c->watches_room = true;
		io_count(&c->v->counters.host_stalls, 1);
	}
}

/* Nothing is left to be written. c may be gone. */
static void conn_flushed(struct vsock_conn *c)
{
	list_remove(&c->lender);
	if (c->state == VSOCK_FLUSHING) {
		if (c->owes) {
			conn_reset(c);
			return;
		}
		conn_destroy(c);
		return;
	}
	if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND)
		vsock_socket_shutdown(c->lf.fd, true, false);
	conn_tell_credit(c);
}

/* Write what can be written. c may be gone. */
static void conn_flush(struct vsock_conn *c)
{
	bool all = true;

	list_remove(&c->dirty);
	while (!c->full && vsock_pending(&c->credit)) {
		ssize_t n = conn_write(c, &all);

		if (n < 0 && n != -EAGAIN) {
			/* Nobody reads it. */
			conn_drop_output(c);
			if (c->state == VSOCK_OPEN)
				conn_host_shuts(c, VIRTIO_VSOCK_SHUTDOWN_RCV);
			break;
		}
		if (n > 0)
			conn_wrote(c, (size_t)n);
		if (n > 0 && c->state == VSOCK_FLUSHING)
			conn_wait(c, VSOCK_WAIT_HOST);
		if (!all)
			conn_set_full(c);
	}
	if (vsock_pending(&c->credit)) {
		conn_tell_credit(c);
		conn_lend(c);
	} else if (c->lf.fd >= 0) {
		conn_flushed(c);
	}
}

void vsock_conn_flush_dirty(struct vsock *v)
{
	while (!list_is_empty(&v->dirty))
		conn_flush(
			container_of(v->dirty.next, struct vsock_conn, dirty));
}

void vsock_conn_return_packets(struct vsock *v)
{
	list_for_each_entry (struct vsock_conn, c, &v->conns, all)
		conn_copy_packets(c);
}

/* ---- events of the host ---- */

/* A client of the host says what it wants. */
static void conn_hello(struct vsock_conn *c)
{
	struct vsock *v = c->v;
	int r = vsock_socket_read_connect(c->lf.fd, &c->guest_port);

	if (r == -EAGAIN && !c->ends)
		return;
	if (r) {
		conn_destroy(c);
		return;
	}
	io_count(&v->counters.host_connects, 1);
	do {
		c->host_port = v->next_port++;
		if (v->next_port == UINT32_MAX)
			v->next_port = VSOCK_PORT_FIRST;
	} while (conn_find(v, c->guest_port, c->host_port));
	c->state = VSOCK_ASKED;
	conn_hash(c);
	conn_wait(c, VSOCK_WAIT_ANSWER);
	conn_owe(c, VIRTIO_VSOCK_OP_REQUEST);
}

/* It ends before it is open: the guest may not have heard of it. */
static void conn_give_up(struct vsock_conn *c)
{
	io_count(&c->v->counters.refused, 1);
	if (c->owes & 1u << VIRTIO_VSOCK_OP_REQUEST || c->state == VSOCK_HELLO)
		conn_destroy(c);
	else
		conn_reset(c);
}

static void conn_on_event(struct loop_fd *lf, uint32_t events)
{
	struct vsock_conn *c = container_of(lf, struct vsock_conn, lf);

	c->readable |= events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	c->ends |= events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	c->hung_up |= events & (EPOLLHUP | EPOLLERR);
	if (c->state == VSOCK_HELLO) {
		conn_hello(c);
		return;
	}
	if (c->state == VSOCK_ASKED && c->hung_up) {
		conn_give_up(c);
		return;
	}
	if (c->state == VSOCK_OPEN && c->hung_up &&
	    (c->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ||
	     c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)) {
		conn_host_shuts(c, VSOCK_SHUTDOWN_BOTH);
		return;
	}
	conn_make_ready(c);
	if (!(events & (EPOLLOUT | EPOLLHUP | EPOLLERR)))
		return;
	c->full = false;
	if (vsock_pending(&c->credit))
		conn_flush(c);
	else if (c->watches_room && !loop_fd_change(&c->lf, CONN_EVENTS))
		c->watches_room = false;
}

void vsock_conn_accept(struct vsock *v, int fd)
{
	struct vsock_conn *c = conn_create(v, fd, VSOCK_HELLO);

	if (!c) {
		io_count(&v->counters.refused, 1);
		close_fd(&fd);
		return;
	}
	conn_wait(c, VSOCK_WAIT_CONNECT);
	conn_hello(c);
}

static void conn_expire(struct vsock_conn *c)
{
	switch (c->state) {
	case VSOCK_HELLO:
	case VSOCK_ASKED:
		conn_give_up(c);
		break;
	case VSOCK_CLOSING:
		conn_reset(c);
		break;
	case VSOCK_FLUSHING:
		conn_destroy(c);
		break;
	case VSOCK_OPEN:
	case VSOCK_DEAD:
		list_remove(&c->wait); /* they do not wait */
	}
}

void vsock_conn_on_timer(struct loop_timer *lt)
{
	struct vsock *v = container_of(lt, struct vsock, wait_timer);
	uint64_t now = loop_now_ns(), next = UINT64_MAX;
	unsigned int i;

	for (i = 0; i < VSOCK_WAITS; i++) {
		struct list_node *head = &v->waits[i];

		list_for_each_entry (struct vsock_conn, c, head, wait) {
			if (c->deadline_ns > now) {
				next = MIN(next, c->deadline_ns);
				break;
			}
			conn_expire(c);
		}
	}
	if (next != UINT64_MAX)
		loop_timer_set(conn_loop(v), lt, next);
}

/* ---- packets of the guest ---- */

/* Section 5.10.6: who gets a packet that it cannot place says RST. */
static void conn_stray(struct vsock *v, const struct vsock_header *h)
{
	unsigned int i = (v->first_stray + v->nr_strays++) % VSOCK_STRAYS;

	v->strays[i] = (struct vsock_stray){
		.src_cid = le64_get(h->dst_cid),
		.dst_cid = le64_get(h->src_cid),
		.src_port = le32_get(h->dst_port),
		.dst_port = le32_get(h->src_port),
		.type = le16_get(h->type),
	};
}

static void conn_take_credit(struct vsock_conn *c, const struct vsock_header *h)
{
	c->credit.peer_buf_alloc = le32_get(h->buf_alloc);
	c->credit.peer_forwarded = le32_get(h->fwd_cnt);
	if (vsock_credit_left(&c->credit))
		c->stalled = false;
	conn_make_ready(c);
}

/* The guest connects to a port of the host. */
static void conn_on_request(struct vsock *v, const struct vsock_header *h)
{
	uint32_t port = le32_get(h->dst_port);
	struct vsock_conn *c = NULL;
	int fd = -ENOSPC;

	io_count(&v->counters.guest_connects, 1);
	if (v->nr_conns < v->max_conns)
		fd = vsock_host_connect(v->host, port);
	if (fd >= 0)
		c = conn_create(v, fd, VSOCK_OPEN);
	if (!c) {
		io_count(&v->counters.refused, 1);
		close_fd(&fd);
		conn_stray(v, h);
		return;
	}
	c->guest_port = le32_get(h->src_port);
	c->host_port = port;
	conn_hash(c);
	conn_take_credit(c, h);
	conn_owe(c, VIRTIO_VSOCK_OP_RESPONSE);
}

/* The guest accepts. */
static void conn_on_response(struct vsock_conn *c)
{
	if (c->state != VSOCK_ASKED ||
	    c->owes & 1u << VIRTIO_VSOCK_OP_REQUEST ||
	    vsock_socket_say_ok(c->lf.fd, c->host_port)) {
		conn_reset(c);
		return;
	}
	c->state = VSOCK_OPEN;
	list_remove(&c->wait);
	c->readable = true; /* what came behind the line */
	conn_make_ready(c);
}

static void conn_on_rst(struct vsock_conn *c)
{
	io_count(&c->v->counters.resets_received, 1);
	if (c->state == VSOCK_ASKED) {
		io_count(&c->v->counters.refused, 1);
		conn_destroy(c);
	} else {
		conn_end_of_guest(c, false);
	}
}

static void conn_on_shutdown(struct vsock_conn *c, uint32_t flags)
{
	c->guest_shut |= flags & VSOCK_SHUTDOWN_BOTH;
	if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV &&
	    c->state == VSOCK_OPEN) {
		vsock_socket_shutdown(c->lf.fd, false, true);
		c->readable = false;
	}
	if (c->guest_shut == VSOCK_SHUTDOWN_BOTH)
		conn_end_of_guest(c, true);
	else if (c->state == VSOCK_OPEN)
		conn_flush(c);
}

/* Let the packet have len bytes of payload, and no buffers behind them. */
static void conn_cut(struct vsock_packet *p, uint32_t len)
{
	uint32_t left = len;
	unsigned int i;

	for (i = 0; left; i++) {
		p->iov[i].iov_len = MIN(p->iov[i].iov_len, left);
		left -= (uint32_t)p->iov[i].iov_len;
	}
	p->nr = i;
	p->len = len;
}

/* True: c has p now. */
static bool conn_on_data(struct vsock_conn *c, struct vsock_packet *p,
			 uint32_t len)
{
	struct vsock *v = c->v;

	if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ||
	    !vsock_credit_allows(&c->credit, len)) {
		io_count(&v->counters.bad_packets, 1);
		conn_reset(c);
		return false;
	}
	c->credit.received += len;
	io_count(&v->counters.tx_bytes, len);
	if (c->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) {
		c->credit.forwarded += len; /* nobody is there to read it */
		conn_tell_credit(c);
		return false;
	}
	if (!len)
		return false;
	conn_cut(p, len);
	list_insert(&c->packets, &p->node);
	v->nr_lent++;
	if (list_is_empty(&c->dirty))
		list_insert(&v->dirty, &c->dirty);
	return true;
}

/* A packet of a connection that is there. True: c has p now. */
static bool conn_handle(struct vsock_conn *c, struct vsock_packet *p,
			const struct vsock_header *h)
{
	unsigned int op = le16_get(h->op);

	conn_take_credit(c, h);
	if (op == VIRTIO_VSOCK_OP_RESPONSE) {
		conn_on_response(c);
		return false;
	}
	if (c->state == VSOCK_ASKED || op == VIRTIO_VSOCK_OP_REQUEST) {
		io_count(&c->v->counters.bad_packets, 1);
		conn_reset(c);
		return false;
	}
	if (op == VIRTIO_VSOCK_OP_SHUTDOWN)
		conn_on_shutdown(c, le32_get(h->flags));
	else if (op == VIRTIO_VSOCK_OP_CREDIT_REQUEST)
		conn_owe(c, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	return op == VIRTIO_VSOCK_OP_RW && conn_on_data(c, p, le32_get(h->len));
}

void vsock_conn_packet(struct vsock *v, struct vsock_packet *p,
		       const struct vsock_header *h)
{
	unsigned int op = le16_get(h->op);
	bool ours = le64_get(h->src_cid) == v->cid &&
		    le64_get(h->dst_cid) == VSOCK_HOST_CID;
	bool good = le16_get(h->type) == VIRTIO_VSOCK_TYPE_STREAM &&
		    op != VIRTIO_VSOCK_OP_INVALID &&
		    op <= VIRTIO_VSOCK_OP_CREDIT_REQUEST &&
		    le32_get(h->len) <= p->len;
	struct vsock_conn *c = NULL;
	bool kept = false;

	if (ours)
		c = conn_find(v, le32_get(h->src_port), le32_get(h->dst_port));
	if (op == VIRTIO_VSOCK_OP_RST) {
		if (c && good)
			conn_on_rst(c);
	} else if (c && good) {
		kept = conn_handle(c, p, h);
	} else if (ours && good && op == VIRTIO_VSOCK_OP_REQUEST) {
		conn_on_request(v, h);
	} else {
		io_count(&v->counters.bad_packets, 1);
		if (c)
			conn_reset(c);
		else
			conn_stray(v, h);
	}
	if (!kept)
		conn_push(v, p);
}

/* ---- the end of many ---- */

void vsock_conn_forget(struct vsock *v)
{
	list_for_each_entry (struct vsock_conn, c, &v->conns, all)
		if (c->state != VSOCK_HELLO)
			conn_destroy(c);
	v->nr_strays = 0;
}

void vsock_conn_free_all(struct vsock *v)
{
	list_for_each_entry (struct vsock_conn, c, &v->conns, all) {
		close_fd(&c->lf.fd);
		free(c->copied);
		free(c);
	}
}
