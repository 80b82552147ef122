/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Frames from the guest (virtio 1.2 section 5.1.6.2). The header and the first
 * bytes of each are copied, checked, and sent from the copy, so that a guest that
 * writes to them meanwhile gains nothing; the rest goes from the guest's buffers
 * to the TAP by the one system call that a frame takes.
 */
#include "devices/virtio/net_tx.h"

#include <errno.h>
#include <stdlib.h>

#include "devices/virtio/net_state.h"
#include "devices/virtio/net_stats.h"
#include "devices/virtio/virtio_limit.h"

int net_tx_init(struct net_pair *p)
{
	p->tx.q = &p->net->dev.queues[2 * p->index + 1];
	p->tx.iov = calloc(NET_IOV, sizeof(*p->tx.iov));
	return p->tx.iov ? 0 : -ENOMEM;
}

void net_tx_fini(struct net_pair *p)
{
	free(p->tx.iov);
}

/* Copy what is looked at. Returns how much of the frame that is; 0: it is no
 * frame. *rest: where it goes on. */
static size_t net_tx_look(struct net_tx *tx, const struct vq_chain *c,
			  struct iov_cursor *rest)
{
	size_t len;

	*rest = iov_cursor_init(c->iov, vq_chain_front(c, c->nr_out));
	if (iov_read(rest, &tx->head.hdr, sizeof(tx->head.hdr)) !=
	    sizeof(tx->head.hdr))
		return 0;
	len = iov_read(rest, tx->head.frame, NET_LOOK_LEN);
	/* A header that is in a window cannot be looked at. */
	if (len < NET_LOOK_LEN && sizeof(tx->head.hdr) + len < c->out_len)
		return 0;
	rest->nr += c->nr_out - vq_chain_front(c, c->nr_out);
	return len;
}

/* What is to be written: the copy, and the rest of the chain. */
static unsigned int net_tx_layout(struct net_tx *tx, size_t head_len,
				  const struct iov_cursor *rest)
{
	struct iovec *iov = tx->iov;
	unsigned int i, nr = 1;

	iov[0].iov_base = &tx->head;
	iov[0].iov_len = sizeof(tx->head.hdr) + head_len;
	for (i = 0; i < rest->nr; i++)
		iov[nr++] = rest->iov[i];
	if (rest->nr) {
		iov[1].iov_base = (char *)iov[1].iov_base + rest->off;
		iov[1].iov_len -= rest->off;
	}
	return nr;
}

static enum net_drop net_tx_why(ssize_t r)
{
	return r == -EIO ? NET_DROP_LINK : NET_DROP_HOST;
}

/* One chain. False: it was given back, the queue goes on later. */
static bool net_tx_one(struct net_pair *p, struct vq_chain *c,
		       struct net_tally *tally)
{
	struct net_tx *tx = &p->tx;
	size_t len = c->out_len - sizeof(struct net_hdr), sent = len;
	struct iov_cursor rest;
	size_t head_len = net_tx_look(tx, c, &rest);
	enum net_drop drop;
	ssize_t r;

	drop = head_len ? net_frame_out(&p->port, &tx->head, &sent)
			: NET_DROP_LENGTH;
	if (!drop && !p->link)
		drop = NET_DROP_LINK;
	if (!drop && !tx->paid &&
	    !virtio_queue_admit(tx->q, VIRTIO_FROM_GUEST, c, len))
		return false;
	tx->paid = false;
	if (!drop) {
		head_len += sent - len;
		r = tap_write(p->net->tap, p->index, tx->iov,
			      net_tx_layout(tx, head_len, &rest));
		if (r == -EAGAIN) {
			virtqueue_unpop(&tx->q->vq, c);
			tx->paid = tx->blocked = true;
			return false;
		}
		drop = r < 0 ? net_tx_why(r) : NET_PASS;
	}
	if (drop) {
		net_drop(&tx->stats, drop);
	} else {
		tally->frames++;
		tally->bytes += len;
	}
	virtqueue_push(&tx->q->vq, c, 0);
	return true;
}

void net_tx_run(struct net_pair *p)
{
	struct net_tx *tx = &p->tx;
	struct virtqueue *vq = &tx->q->vq;
	struct net_tally tally = { .frames = 0 };
	unsigned int n, max = MIN(vq->size, NET_BATCH);
	struct vq_chain *c;

	net_pair_sync(p);
	for (n = 0; n < max && (c = virtqueue_pop(vq)); n++) {
		if (!net_tx_one(p, c, &tally))
			break;
		if (n % NET_SHOW == NET_SHOW - 1)
			virtqueue_show(vq);
	}
	virtio_queue_publish(tx->q);
	net_stats_add(&tx->stats, &tally);
	if (tx->blocked) {
		virtio_queue_want(tx->q, false);
		net_pair_watch(p);
	}
}

void net_tx_unblock(struct net_pair *p)
{
	if (!p->tx.blocked)
		return;
	p->tx.blocked = false;
	virtio_queue_want(p->tx.q, true);
	net_pair_watch(p);
	virtio_kick(&p->net->dev, p->tx.q->index);
}

void net_tx_start(struct net_pair *p)
{
	p->tx.running = true;
	p->tx.blocked = p->tx.paid = false;
}

void net_tx_stop(struct net_pair *p)
{
	p->tx.running = false;
	p->tx.blocked = p->tx.paid = false;
}
