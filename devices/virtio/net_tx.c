/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Frames from the guest (virtio 1.2 section 5.1.6.2). What is looked at of each is
 * copied, checked, and sent from the copy, so that a guest that writes to it
 * meanwhile gains nothing; the rest goes from the guest's buffers to the TAP.
 *
 * Of a frame without offloads the copy is all (NET_COPY_MAX). A second buffer costs
 * the host's kernel more than to copy 1500 bytes that it reads next: 70 ns a frame.
 * Chains are taken, and their frames written by one call (tap_ring.h), by the dozen:
 * the kernel leaves little of this in the processor's caches.
 */
#include "devices/virtio/net_tx.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "devices/registry.h"
#include "devices/virtio/net_state.h"
#include "devices/virtio/net_stats.h"
#include "devices/virtio/virtio_limit.h"

/* For fewer frames it takes the ring more than to write them one by one. */
#define NET_RING_MIN 3u

int net_tx_init(struct net_pair *p)
{
	p->tx.q = &p->net->dev.queues[2 * p->index + 1];
	p->tx.iov = calloc(NET_IOV, sizeof(*p->tx.iov));
	p->tx.heads = aligned_alloc(NET_HEAD_ALIGN,
				    TAP_RING_FRAMES * sizeof(*p->tx.heads));
	return p->tx.iov && p->tx.heads ? 0 : -ENOMEM;
}

void net_tx_fini(struct net_pair *p)
{
	free(p->tx.iov);
	free(p->tx.heads);
}

/* Copy what is looked at to head, the whole frame when it is short. False: it is
 * no frame. *rest: where it goes on. */
static bool net_tx_look(struct net_head *head, const struct vq_chain *c,
			struct iov_cursor *rest)
{
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

/* What is to be written: the copy, and the rest of the chain. Entries of iov. */
static unsigned int net_tx_layout(struct iovec *iov, struct net_head *head,
				  const struct iov_cursor *rest)
{
	unsigned int i, nr = 1;

	iov[0].iov_base = head;
	iov[0].iov_len = sizeof(head->hdr) + head->len;
	for (i = 0; i < rest->nr; i++)
		iov[nr++] = rest->iov[i];
	if (rest->nr) {
		iov[1].iov_base = (char *)iov[1].iov_base + rest->off;
		iov[1].iov_len -= rest->off;
	}
	return nr;
}

static size_t net_tx_len(const struct vq_chain *c)
{
	return c->out_len - sizeof(struct net_hdr);
}

/* Make a frame of a chain, with the copy in head and its buffers in iov; or say
 * why there is none. */
static enum net_drop net_tx_prepare(struct net_pair *p,
				    const struct vq_chain *c,
				    struct net_head *head, struct iovec *iov,
				    struct tap_frame *frame)
{
	struct iov_cursor rest;
	enum net_drop drop = NET_DROP_LENGTH;

	if (net_tx_look(head, c, &rest))
		drop = net_frame_out(&p->port, head, net_tx_len(c));
	if (!drop && !p->link)
		drop = NET_DROP_LINK;
	if (!drop)
		*frame = (struct tap_frame){
			.iov = iov, .nr = net_tx_layout(iov, head, &rest)
		};
	return drop;
}

/* One by one. Behind one that finds no room, none is tried. */
static void net_tx_write(struct net_pair *p, struct tap_frame *frames,
			 unsigned int nr)
{
	int r = 0;

	for (unsigned int i = 0; i < nr; i++) {
		if (r != -EAGAIN)
			r = (int)tap_write(p->net->tap, p->index, frames[i].iov,
					   frames[i].nr);
		frames[i].result = r;
	}
}

/* Give them to the TAP. How many are over; the others found no room. */
static unsigned int net_tx_send(struct net_pair *p, struct tap_frame *frames,
				unsigned int nr)
{
	struct net_tx *tx = &p->tx;
	bool batch = tx->ring && nr >= NET_RING_MIN;

	if (batch &&
	    tap_ring_write(tx->ring, p->net->tap->fds[p->index], frames, nr)) {
		tx->ring = NULL;
		batch = false;
	}
	if (!batch)
		net_tx_write(p, frames, nr);
	/* One that found no room while a later one did is lost: to send it now
	 * would change the order. */
	while (nr && frames[nr - 1].result == -EAGAIN)
		nr--;
	return nr;
}

/* How many chains to take at a time: part of a ring, so that the driver has others
 * that it need not wait for. With a limit, one. */
static unsigned int net_tx_take(const struct net_tx *tx, bool limited)
{
	return limited ? 1 : MIN(MAX(tx->q->vq.size / 2u, 1), TAP_RING_FRAMES);
}

/* What became of the first nr frames and their chains, which are the driver's
 * again. */
static void net_tx_done(struct net_tx *tx, struct vq_chain **chains,
			const struct tap_frame *frames, unsigned int nr,
			struct net_tally *tally)
{
	for (unsigned int i = 0; i < nr; i++) {
		if (frames[i].result < 0) {
			net_drop(&tx->stats, frames[i].result == -EIO
						     ? NET_DROP_LINK
						     : NET_DROP_HOST);
		} else {
			tally->frames++;
			tally->bytes += net_tx_len(chains[i]);
		}
		virtqueue_push(&tx->q->vq, chains[i], 0);
	}
}

/*
 * Take some chains, send their frames by one call, and show the driver which ones
 * are done. Returns how many; 0: that is all for now.
 */
static unsigned int net_tx_some(struct net_pair *p, struct net_tally *tally)
{
	struct net_tx *tx = &p->tx;
	struct virtqueue *vq = &tx->q->vq;
	bool limited = virtio_queue_is_limited(tx->q, VIRTIO_FROM_GUEST);
	unsigned int n, sent, nr = 0, nr_iov = 0;
	struct vq_chain *chains[TAP_RING_FRAMES], *c;
	struct tap_frame frames[TAP_RING_FRAMES];
	enum net_drop drop = NET_PASS;
	uint64_t bytes = tally->bytes;

	if (limited && !virtio_queue_may(tx->q, VIRTIO_FROM_GUEST))
		return 0;
	while (nr < net_tx_take(tx, limited) && (c = virtqueue_pop(vq))) {
		__builtin_prefetch(c->iov->iov_base);
		__builtin_prefetch((char *)c->iov->iov_base + 64);
		chains[nr++] = c;
	}
	for (n = 0; n < nr && nr_iov + chains[n]->nr_out < NET_IOV; n++) {
		drop = net_tx_prepare(p, chains[n], &tx->heads[n],
				      tx->iov + nr_iov, &frames[n]);
		if (drop)
			break;
		nr_iov += frames[n].nr;
	}
	sent = net_tx_send(p, frames, n);
	assert(sent <= n);
	tx->blocked = sent < n;
	net_tx_done(tx, chains, frames, sent, tally);
	if (drop && sent == n) {
		net_drop(&tx->stats, drop);
		virtqueue_push(vq, chains[n], 0);
		sent++;
	}
	while (nr > sent)
		virtqueue_unpop(vq, chains[--nr]);
	virtqueue_show(vq);
	if (limited && tally->bytes > bytes)
		virtio_queue_charge(tx->q, VIRTIO_FROM_GUEST,
				    tally->bytes - bytes);
	return tx->blocked ? 0 : sent;
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
	p->tx.ring = loop_local(p->tx.q->loop, net_class.io_local);
}

void net_tx_stop(struct net_pair *p)
{
	p->tx.running = false;
	p->tx.blocked = false;
}
