/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Packets to the guest (virtio 1.2 section 5.10.6). Connections that have something
 * take turns. What a host's socket has is read into as many of the guest's buffers
 * as the last reads have filled, and as one turn may take; nothing is read without
 * a buffer and credit for it.
 */
#include "devices/virtio/vsock_rx.h"

#include "devices/virtio/virtio_limit.h"
#include "vmm/iov.h"
#include "vmm/util.h"

#define RX_CHAINS 64u /* of one read */
#define RX_IOV 512u
#define RX_TURN (128u << 10) /* bytes of one connection at a time */
#define RX_HEADER sizeof(struct vsock_header)

/* Chains for one packet, or for the data of several. */
struct rx_buffers {
	struct virtio_queue *q;
	struct vq_chain *chains[RX_CHAINS];
	unsigned int nr_chains;
	/* their room behind the headers */
	struct iovec iov[RX_IOV];
	unsigned int nr_iov;
	uint64_t len;
};

static struct virtio_queue *rx_queue(struct vsock *v)
{
	return &v->dev.queues[VSOCK_RX];
}

/* ---- buffers of the guest ---- */

/* May a header be written to the chain? */
static bool rx_has_header(const struct vq_chain *c)
{
	unsigned int nr = vq_chain_front(c, c->nr_out + c->nr_in);

	return nr > c->nr_out &&
	       iov_len(c->iov + c->nr_out, nr - c->nr_out) >= RX_HEADER;
}

/* The next chain. NULL: there is none now, or the guest broke the rules. */
static struct vq_chain *rx_pop(struct vsock *v)
{
	struct virtio_queue *q = rx_queue(v);
	struct vq_chain *c = virtqueue_pop(&q->vq);

	if (c && !rx_has_header(c)) {
		virtqueue_push(&q->vq, c, 0);
		q->vq.fault = "a receive buffer without room for a header";
		c = NULL;
	}
	if (c)
		return c;
	if (q->vq.fault) {
		v->rx_on = false;
		virtio_fault(q, q->vq.fault);
	} else {
		io_count(&v->counters.no_buffers, 1);
	}
	virtio_queue_want(q, true);
	return NULL;
}

/* One chain more. False: there is none, or no room for it here. */
static bool rx_add(struct vsock *v, struct rx_buffers *b)
{
	struct vq_chain *c = NULL;
	size_t skip = RX_HEADER;
	unsigned int i;

	if (b->nr_chains == RX_CHAINS || b->nr_iov > RX_IOV - VSOCK_IOV_MAX)
		return false;
	c = rx_pop(v);
	if (!c)
		return false;
	for (i = c->nr_out; i < c->nr_out + c->nr_in; i++) {
		struct iovec part = c->iov[i];
		size_t n = MIN(skip, part.iov_len);

		skip -= n;
		part.iov_base = (uint8_t *)part.iov_base + n;
		part.iov_len -= n;
		if (part.iov_len)
			b->iov[b->nr_iov++] = part;
	}
	b->chains[b->nr_chains++] = c;
	b->len += c->in_len - RX_HEADER;
	return true;
}

/* Read no more than len bytes into what there is. */
static void rx_cut(struct rx_buffers *b, uint64_t len)
{
	while (b->len > len && b->nr_iov) {
		struct iovec *last = &b->iov[b->nr_iov - 1];
		uint64_t n = MIN(b->len - len, last->iov_len);

		b->len -= n;
		last->iov_len -= n;
		if (!last->iov_len)
			b->nr_iov--;
	}
}

/* Give back what has not been used, last first. */
static void rx_return(struct rx_buffers *b, unsigned int used)
{
	while (b->nr_chains > used)
		virtqueue_unpop(&b->q->vq, b->chains[--b->nr_chains]);
}

/* ---- packets ---- */

static void rx_push(struct vsock *v, struct vq_chain *c,
		    const struct vsock_header *h)
{
	struct iov_cursor to = iov_cursor_init(c->iov + c->nr_out, c->nr_in);

	iov_write(&to, h, sizeof(*h));
	virtqueue_push(&rx_queue(v)->vq, c,
		       (uint32_t)RX_HEADER + le32_get(h->len));
	io_count(&v->counters.rx_packets, 1);
}

/* Section 5.10.6.3: each packet of a connection carries its credit. */
static struct vsock_header rx_header(struct vsock_conn *c, unsigned int op,
				     uint32_t len)
{
	c->owes &= ~(1u << op | VSOCK_OWES_NEWS);
	c->credit.told = c->credit.forwarded;
	return (struct vsock_header){
		.src_cid = le64_of(VSOCK_HOST_CID),
		.dst_cid = le64_of(c->v->cid),
		.src_port = le32_of(c->host_port),
		.dst_port = le32_of(c->guest_port),
		.len = le32_of(len),
		.type = le16_of(VIRTIO_VSOCK_TYPE_STREAM),
		.op = le16_of((uint16_t)op),
		.flags = le32_of(op == VIRTIO_VSOCK_OP_SHUTDOWN ? c->host_shut
								: 0),
		.buf_alloc = le32_of(c->credit.buf_alloc),
		.fwd_cnt = le32_of(c->credit.forwarded),
	};
}

static bool rx_send_stray(struct vsock *v)
{
	const struct vsock_stray *s = &v->strays[v->first_stray];
	struct vq_chain *chain = rx_pop(v);
	const struct vsock_header h = {
		.src_cid = le64_of(s->src_cid),
		.dst_cid = le64_of(s->dst_cid),
		.src_port = le32_of(s->src_port),
		.dst_port = le32_of(s->dst_port),
		.type = le16_of(s->type),
		.op = le16_of(VIRTIO_VSOCK_OP_RST),
	};

	if (!chain)
		return false;
	rx_push(v, chain, &h);
	io_count(&v->counters.resets_sent, 1);
	v->first_stray = (v->first_stray + 1) % VSOCK_STRAYS;
	v->nr_strays--;
	if (v->tx_on)
		virtio_queue_want(&v->dev.queues[VSOCK_TX], true);
	return true;
}

/* Send one packet of those that c owes. False: the guest has no buffer. */
static bool rx_send_owed(struct vsock_conn *c)
{
	unsigned int op = c->owes == VSOCK_OWES_NEWS
				  ? VIRTIO_VSOCK_OP_CREDIT_UPDATE
				  : (unsigned int)__builtin_ctz(c->owes);
	struct vq_chain *chain = rx_pop(c->v);
	struct vsock_header h;

	if (!chain)
		return false;
	h = rx_header(c, op, 0);
	rx_push(c->v, chain, &h);
	if (op == VIRTIO_VSOCK_OP_RST)
		io_count(&c->v->counters.resets_sent, 1);
	return true;
}

/* n bytes were read: a header for the part in each chain. Chains used. */
static unsigned int rx_push_data(struct vsock_conn *c, struct rx_buffers *b,
				 size_t n)
{
	unsigned int i;

	for (i = 0; n; i++) {
		size_t part = MIN(n, b->chains[i]->in_len - RX_HEADER);
		struct vsock_header h;

		c->credit.sent += (uint32_t)part;
		h = rx_header(c, VIRTIO_VSOCK_OP_RW, (uint32_t)part);
		rx_push(c->v, b->chains[i], &h);
		virtio_queue_charge(b->q, VIRTIO_TO_GUEST, part);
		n -= part;
	}
	return i;
}

/* Read what c's host has. False: the guest has no buffer, or the rate limit is
 * reached. */
static bool rx_send_data(struct vsock_conn *c)
{
	struct vsock *v = c->v;
	struct rx_buffers b;
	uint64_t credit = vsock_credit_left(&c->credit);
	unsigned int used = 0;
	ssize_t n = -EAGAIN;
	bool all = true;

	b.q = rx_queue(v);
	b.nr_chains = b.nr_iov = 0;
	b.len = 0;
	if (!virtio_queue_may(b.q, VIRTIO_TO_GUEST) || !rx_add(v, &b))
		return false;
	while (b.len < MIN(credit, RX_TURN) && b.nr_chains < c->batch &&
	       rx_add(v, &b))
		;
	rx_cut(&b, credit);
	if (b.len)
		n = vsock_socket_receive(c->lf.fd, b.iov, b.nr_iov, &all);
	else /* There is room for a header, and no more. */
		c->owes |= 1u << VIRTIO_VSOCK_OP_CREDIT_UPDATE;
	if (n > 0) {
		used = rx_push_data(c, &b, (size_t)n);
		c->batch = all ? used : 2 * used;
		io_count(&v->counters.rx_bytes, (uint64_t)n);
	}
	rx_return(&b, used);
	if (b.len)
		c->readable = n != -EAGAIN && (!all || c->ends);
	if (n <= 0 && n != -EAGAIN)
		vsock_conn_end_of_host(c, (int)n);
	return true;
}

/* One packet, or the data of one turn. False: that cannot be now. c may be
 * gone. */
static bool rx_serve(struct vsock_conn *c)
{
	bool has_data = vsock_conn_has_data(c);
	bool data = has_data && !rx_queue(c->v)->held;
	bool sent = true;

	/* What there was when it became ready has gone: the guest wants no more. */
	if (!c->owes && !has_data) {
		vsock_conn_had_turn(c);
		return true;
	}
	/* Data brings news of credit with it. */
	if (c->owes & ~VSOCK_OWES_NEWS || !data) {
		sent = rx_send_owed(c);
	} else if (vsock_credit_left(&c->credit)) {
		sent = rx_send_data(c);
	} else {
		/* Drivers tell by themselves, but we are to ask. */
		c->stalled = true;
		c->owes |= 1u << VIRTIO_VSOCK_OP_CREDIT_REQUEST;
		io_count(&c->v->counters.credit_stalls, 1);
	}
	if (sent)
		vsock_conn_had_turn(c);
	return sent;
}

/* Whose turn it is. The rate limit is for data: beyond it, only those have one that
 * owe the guest something. */
static struct vsock_conn *rx_next(struct vsock *v)
{
	list_for_each_entry (struct vsock_conn, c, &v->ready, ready)
		if (c->owes || !rx_queue(v)->held)
			return c;
	return NULL;
}

bool vsock_rx_run(struct vsock *v)
{
	struct virtio_queue *q = rx_queue(v);
	unsigned int turns, most = q->vq.size;
	struct vsock_conn *c;
	bool sent = true;

	if (!v->rx_on || v->reset_pending || (!v->nr_strays && !rx_next(v)))
		return false;
	/* It found too few the last time. */
	if (!q->resting && !virtqueue_has_avail(&q->vq))
		return false;
	virtio_queue_want(q, false);
	for (turns = 0; turns < most && sent; turns++) {
		c = v->nr_strays ? NULL : rx_next(v);
		if (!c && !v->nr_strays)
			break;
		sent = c ? rx_serve(c) : rx_send_stray(v);
	}
	virtio_queue_publish(q);
	return turns > 1 || sent;
}
