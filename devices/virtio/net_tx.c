/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Frames from the guest (virtio 1.2 section 5.1.6.2). What is looked at of each is
 * copied, checked, and sent from the copy, so that a guest that writes to it
 * meanwhile gains nothing; the rest goes from the guest's buffers to the TAP by the
 * one system call that a frame takes.
 *
 * Of a frame without offloads that is all of it (NET_COPY_MAX). A second buffer
 * costs the host's kernel more than to copy 1500 bytes that it reads next: 70 ns of
 * a frame's 480. Chains are taken by the dozen for a similar reason: the kernel
 * leaves little of this in the processor's caches.
 */
#include "devices/virtio/net_tx.h"

#include <errno.h>
#include <stdlib.h>

#include "devices/virtio/net_state.h"
#include "devices/virtio/net_stats.h"
#include "devices/virtio/virtio_limit.h"

#define NET_TAKE 128u /* chains, at a time */
/* Where the copy begins: elsewhere the host's kernel reads it up to 15 % slower. */
#define NET_COPY_ALIGN 64u

int net_tx_init(struct net_pair *p)
{
	p->tx.q = &p->net->dev.queues[2 * p->index + 1];
	p->tx.iov = calloc(NET_IOV, sizeof(*p->tx.iov));
	p->tx.head = aligned_alloc(
		NET_COPY_ALIGN, ALIGN_UP(sizeof(*p->tx.head), NET_COPY_ALIGN));
	return p->tx.iov && p->tx.head ? 0 : -ENOMEM;
}

void net_tx_fini(struct net_pair *p)
{
	free(p->tx.iov);
	free(p->tx.head);
}

/* Copy what is looked at to tx->head, the whole frame when it is short. False: it
 * is no frame. *rest: where it goes on. */
static bool net_tx_look(struct net_tx *tx, const struct vq_chain *c,
			struct iov_cursor *rest)
{
	struct net_head *head = tx->head;
	bool is_short = c->out_len <= sizeof(head->hdr) + NET_COPY_MAX;
	size_t len = is_short ? NET_COPY_MAX : NET_LOOK_LEN;

	rest->iov = c->iov;
	rest->nr = vq_chain_front(c, c->nr_out);
	rest->off = 0;
	len = iov_read(rest, head, sizeof(head->hdr) + len);
	if (len <= sizeof(head->hdr))
		return false;
	head->len = len - sizeof(head->hdr);
	/* A header that is in a window cannot be looked at. */
	if (head->len < NET_LOOK_LEN && len < c->out_len)
		return false;
	rest->nr += c->nr_out - vq_chain_front(c, c->nr_out);
	if (len == c->out_len)
		rest->nr = 0;
	return true;
}

/* What is to be written: the copy, and the rest of the chain. */
static unsigned int net_tx_layout(struct net_tx *tx,
				  const struct iov_cursor *rest)
{
	struct iovec *iov = tx->iov;
	unsigned int i, nr = 1;

	iov[0].iov_base = tx->head;
	iov[0].iov_len = sizeof(tx->head->hdr) + tx->head->len;
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

/* One chain. False: the TAP takes no more. */
static bool net_tx_one(struct net_pair *p, const struct vq_chain *c,
		       struct net_tally *tally)
{
	struct net_tx *tx = &p->tx;
	size_t len = c->out_len - sizeof(struct net_hdr);
	struct iov_cursor rest;
	enum net_drop drop = NET_DROP_LENGTH;
	ssize_t r;

	if (net_tx_look(tx, c, &rest))
		drop = net_frame_out(&p->port, tx->head, len);
	if (!drop && !p->link)
		drop = NET_DROP_LINK;
	if (!drop) {
		r = tap_write(p->net->tap, p->index, tx->iov,
			      net_tx_layout(tx, &rest));
		tx->blocked = r == -EAGAIN;
		if (tx->blocked)
			return false;
		drop = r < 0 ? net_tx_why(r) : NET_PASS;
	}
	if (drop) {
		net_drop(&tx->stats, drop);
		return true;
	}
	tally->frames++;
	tally->bytes += len;
	return true;
}

/* How many chains to take at a time: part of a ring, so that the driver has others
 * that it need not wait for. */
static unsigned int net_tx_take(const struct virtqueue *vq)
{
	return MIN(MAX(vq->size / 2u, 1), NET_TAKE);
}

/*
 * Take some chains, send them, and show the driver which ones are done; with a
 * limit, one at a time. Returns how many; 0: that is all for now.
 */
static unsigned int net_tx_some(struct net_pair *p, struct net_tally *tally)
{
	struct net_tx *tx = &p->tx;
	struct virtqueue *vq = &tx->q->vq;
	bool limited = virtio_queue_is_limited(tx->q, VIRTIO_FROM_GUEST);
	unsigned int i, nr = 0, max = limited ? 1 : net_tx_take(vq);
	struct vq_chain *chains[NET_TAKE], *c;
	uint64_t bytes = tally->bytes;

	if (limited && !virtio_queue_may(tx->q, VIRTIO_FROM_GUEST))
		return 0;
	while (nr < max && (c = virtqueue_pop(vq))) {
		__builtin_prefetch(c->iov->iov_base);
		__builtin_prefetch((char *)c->iov->iov_base + 64);
		chains[nr++] = c;
	}
	for (i = 0; i < nr && net_tx_one(p, chains[i], tally); i++)
		virtqueue_push(vq, chains[i], 0);
	while (nr > i)
		virtqueue_unpop(vq, chains[--nr]);
	virtqueue_show(vq);
	if (limited && tally->bytes > bytes)
		virtio_queue_charge(tx->q, VIRTIO_FROM_GUEST,
				    tally->bytes - bytes);
	return nr == max ? nr : 0;
}

void net_tx_run(struct net_pair *p)
{
	struct net_tx *tx = &p->tx;
	unsigned int n = 0, some, max = MIN(tx->q->vq.size, NET_BATCH);
	struct net_tally tally = { .frames = 0 };

	net_pair_sync(p);
	while (n < max && (some = net_tx_some(p, &tally)))
		n += some;
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
	p->tx.blocked = false;
}

void net_tx_stop(struct net_pair *p)
{
	p->tx.running = false;
	p->tx.blocked = false;
}
