/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Frames to the guest (virtio 1.2 section 5.1.6.4). The system call that reads a
 * frame puts it into the guest's buffers, but for its header and a tag that the
 * guest is not to see, which come to us. How long it is shows afterwards: what
 * the buffers that were taken cannot hold ends in a buffer of ours, from where it
 * is copied. So many are taken as a frame like those of late needs.
 *
 * Where frames of late were short, that is a buffer of ours to begin with: to copy
 * them takes less than what the host's kernel takes for several buffers (net_tx.c).
 *
 * Whether a frame is for this port the host's kernel checks before it queues it.
 * Frames that were queued under an older filter, and all where there is none, are
 * read into our buffer, checked, and copied.
 *
 * What lies in a window (gmem.h) only the host's kernel may write to: frames are
 * read there as they are, and dropped where they would have to be copied.
 */
#include "devices/virtio/net_rx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/net_state.h"
#include "devices/virtio/net_stats.h"
#include "devices/virtio/virtio_limit.h"

#define NET_EXPECT_MIN 1536u /* a frame without offloads, any tags */
#define NET_LEARN 64u /* frames */
#define NET_PATIENCE_NS 1000000u
/* Before what may come from the guest's buffers in rx->iov: header, addresses,
 * tag. */
#define NET_IOV_GUEST 3u

static void net_rx_on_patience(struct loop_timer *lt);

int net_rx_init(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;

	rx->q = &p->net->dev.queues[2 * p->index];
	rx->patience.on_expire = net_rx_on_patience;
	rx->iov = calloc(NET_IOV, sizeof(*rx->iov));
	rx->chains = calloc(NET_IOV, sizeof(struct vq_chain *));
	rx->buf = malloc(sizeof(*rx->buf));
	return rx->iov && rx->chains && rx->buf ? 0 : -ENOMEM;
}

void net_rx_fini(struct net_pair *p)
{
	free(p->rx.iov);
	free(p->rx.chains);
	free(p->rx.buf);
}

/* ---- buffers ---- */

/* A buffer that is no use: it cannot hold a header, or not where we may write. */
static bool net_rx_is_bad(const struct vq_chain *c)
{
	return c->in_len < sizeof(struct net_hdr) ||
	       vq_chain_front(c, c->nr_out + 1) <= c->nr_out;
}

/* Have chains for so many bytes; without MRG_RXBUF, one. False: there are not
 * enough. */
static bool net_rx_gather(struct net_pair *p, size_t want)
{
	struct net_rx *rx = &p->rx;
	unsigned int max = virtio_has(&p->net->dev, NET_F_MRG_RXBUF)
				   ? NET_IOV - rx->first
				   : 1;
	struct vq_chain *c;

	while (rx->room < want && rx->nr < max &&
	       (c = virtqueue_pop(&rx->q->vq))) {
		if (net_rx_is_bad(c)) {
			virtqueue_unpop(&rx->q->vq, c);
			rx->q->vq.fault = "useless receive buffer";
			return false;
		}
		rx->chains[rx->first + rx->nr++] = c;
		rx->room += c->in_len;
		rx->windows |= c->window_end > 0;
	}
	return rx->room >= want;
}

static void net_rx_give_back(struct net_rx *rx)
{
	while (rx->nr)
		virtqueue_unpop(&rx->q->vq, rx->chains[rx->first + --rx->nr]);
	rx->first = 0;
	rx->room = 0;
	rx->windows = false;
}

/* The first nr chains hold len bytes. */
static void net_rx_push(struct net_rx *rx, unsigned int nr, size_t len)
{
	for (; nr; nr--, rx->first++, rx->nr--) {
		struct vq_chain *c = rx->chains[rx->first];
		size_t part = MIN(len, c->in_len);

		rx->room -= c->in_len;
		len -= part;
		virtqueue_push(&rx->q->vq, c, (uint32_t)part);
	}
	if (!rx->nr)
		rx->first = 0;
}

/* How many chains len bytes take; there is room for them. */
static unsigned int net_rx_span(const struct net_rx *rx, size_t len)
{
	unsigned int i;

	for (i = 0; len > rx->chains[rx->first + i]->in_len; i++)
		len -= rx->chains[rx->first + i]->in_len;
	return i + 1;
}

/* ---- where a frame is read to ---- */

/* What the call reads into. guest: bytes of the frame that go to the chains; the
 * rest goes to rx->buf->frame, at the same offset. */
struct net_rx_layout {
	struct iovec *iov;
	unsigned int nr;
	size_t guest;
};

/* The chains behind their header, in rx->iov. Entries; 0: not this way. */
static unsigned int net_rx_list(struct net_rx *rx)
{
	struct iovec *iov = rx->iov + NET_IOV_GUEST;
	unsigned int i, k, nr = 0;

	for (i = 0; i < rx->nr; i++) {
		const struct vq_chain *c = rx->chains[rx->first + i];

		if (NET_IOV_GUEST + nr + c->nr_in + 1 > NET_IOV)
			break;
		for (k = 0; k < c->nr_in; k++)
			iov[nr++] = c->iov[c->nr_out + k];
	}
	if (!nr || iov->iov_len <= sizeof(struct net_hdr) + NET_TAG_AT)
		return 0; /* header and addresses lie apart */
	iov->iov_base = (char *)iov->iov_base + sizeof(struct net_hdr);
	iov->iov_len -= sizeof(struct net_hdr);
	return nr;
}

static void net_rx_lay_out(struct net_pair *p, bool own, bool untag,
			   struct net_rx_layout *l)
{
	struct net_rx *rx = &p->rx;
	struct iovec *iov = rx->iov;
	unsigned int i, nr = own ? 0 : net_rx_list(rx), at = NET_IOV_GUEST;

	l->guest = 0;
	if (own && !untag) {
		iov[0] = (struct iovec){ rx->buf, sizeof(*rx->buf) };
		l->iov = iov;
		l->nr = 1;
		return;
	}
	for (i = 0; i < nr; i++)
		l->guest += iov[at + i].iov_len;
	if (l->guest < NET_FRAME_MAX)
		iov[at + nr++] = (struct iovec){ rx->buf->frame + l->guest,
						 NET_FRAME_MAX - l->guest };
	nr += at;
	if (untag) {
		/* addresses, tag, the rest */
		iov[--at] = (struct iovec){ rx->tag, NET_TAG_LEN };
		iov[at - 1] =
			(struct iovec){ iov[at + 1].iov_base, NET_TAG_AT };
		iov[at + 1].iov_base =
			(char *)iov[at + 1].iov_base + NET_TAG_AT;
		iov[at + 1].iov_len -= NET_TAG_AT;
		at--;
	}
	iov[--at] = (struct iovec){ &rx->buf->hdr, sizeof(struct net_hdr) };
	l->iov = iov + at;
	l->nr = nr - at;
}

/* The whole frame to rx->buf->frame: its first bytes are in the guest's buffers. */
static void net_rx_take_back(struct net_rx *rx, const struct net_rx_layout *l,
			     bool untag)
{
	struct iov_cursor c = iov_cursor_init(l->iov + 1, l->nr - 1);
	size_t done = 0;

	if (untag) {
		done = iov_read(&c, rx->buf->frame, NET_TAG_AT);
		iov_skip(&c, NET_TAG_LEN);
	}
	iov_read(&c, rx->buf->frame + done, l->guest - done);
}

/* ---- frames ---- */

/* Is it for this port? len: as it was on the wire. */
static enum net_drop net_rx_check(const struct net_pair *p, bool own,
				  bool untag, size_t len)
{
	const struct net_rx *rx = &p->rx;
	uint8_t look[NET_LOOK_LEN];

	if (!p->link)
		return NET_DROP_LINK;
	if (untag &&
	    (len < NET_LOOK_LEN || !net_tag_is(&p->port.vlan, rx->tag)))
		return NET_DROP_VLAN;
	if (!own)
		return len < NET_ETH_LEN ? NET_DROP_LENGTH : NET_PASS;
	memcpy(look, rx->buf->frame, NET_LOOK_LEN);
	if (untag) {
		memcpy(look + NET_TAG_AT, rx->tag, NET_TAG_LEN);
		memcpy(look + NET_ETH_LEN + 2, rx->buf->frame + NET_TAG_AT, 2);
	}
	return net_frame_in(&p->port, look, len);
}

/* Header and frame to the first nr chains, byte by byte. */
static void net_rx_copy(struct net_rx *rx, unsigned int nr, size_t len)
{
	const struct iovec all = { rx->buf, sizeof(struct net_hdr) + len };
	struct iov_cursor from = iov_cursor_init(&all, 1);
	unsigned int i, k;

	for (i = 0; i < nr; i++) {
		const struct vq_chain *c = rx->chains[rx->first + i];

		for (k = 0; k < c->nr_in; k++)
			iov_read(&from, c->iov[c->nr_out + k].iov_base,
				 c->iov[c->nr_out + k].iov_len);
	}
}

/* The guest gets the frame of len bytes, which is in rx->buf->frame, or in the chains
 * but for its header. */
static enum net_drop net_rx_deliver(struct net_pair *p, bool own, bool untag,
				    size_t len)
{
	struct net_rx *rx = &p->rx;
	size_t all = sizeof(struct net_hdr) + len;
	enum net_drop drop;
	unsigned int nr;

	if (own && (!net_rx_gather(p, all) || rx->windows))
		return NET_DROP_TOO_LARGE;
	nr = net_rx_span(rx, all);
	drop = net_hdr_in(&p->port, &rx->buf->hdr, untag, (uint16_t)nr);
	if (drop)
		return drop;
	if (own) {
		net_rx_copy(rx, nr, len);
	} else {
		const struct vq_chain *c = rx->chains[rx->first];

		memcpy(c->iov[c->nr_out].iov_base, &rx->buf->hdr,
		       sizeof(struct net_hdr));
	}
	net_rx_push(rx, nr, all);
	return NET_PASS;
}

/* How long are frames these days? */
static void net_rx_learn(struct net_rx *rx, size_t len)
{
	if (len > rx->expect)
		rx->expect = MIN(2 * len, (size_t)NET_FRAME_MAX);
	rx->peak = MAX(rx->peak, len);
	if (++rx->nr_seen % NET_LEARN)
		return;
	rx->expect = MAX(rx->peak, (size_t)NET_EXPECT_MIN);
	rx->peak = 0;
}

/* A driver that is low on buffers brings more soon; half a ring is not low. */
static bool net_rx_should_wait(const struct net_rx *rx)
{
	return !rx->nr || (!rx->impatient && rx->expect > NET_EXPECT_MIN &&
			   virtio_has(rx->q->dev, NET_F_MRG_RXBUF) &&
			   rx->nr < rx->q->vq.size / 2u);
}

/* One frame, dropped or not: NET_RX_TURN; else what there is to wait for. */
static enum net_rx_wait net_rx_one(struct net_pair *p, struct net_tally *tally)
{
	struct net_rx *rx = &p->rx;
	bool untag = p->port.vlan.mode == VLAN_ACCESS;
	struct net_rx_layout l;
	enum net_drop drop;
	size_t len;
	ssize_t n;
	bool own;

	if (p->link && !net_rx_gather(p, sizeof(struct net_hdr) + rx->expect) &&
	    net_rx_should_wait(rx))
		return NET_RX_BUFFERS;
	own = rx->drain || !p->link ||
	      (rx->expect <= NET_COPY_MAX && !rx->windows);
	net_rx_lay_out(p, own, untag, &l);
	own = !l.guest;
	n = tap_read(p->net->tap, p->index, l.iov, l.nr);
	if (n == -EAGAIN) {
		rx->drain = p->unfiltered;
		return NET_RX_FRAMES;
	}
	p->gone |= n == -EBADFD || n == 0;
	if (p->gone)
		return NET_RX_FRAMES;
	len = n > (ssize_t)sizeof(struct net_hdr)
		      ? (size_t)n - sizeof(struct net_hdr)
		      : 0;
	drop = n < 0 ? NET_DROP_HOST : net_rx_check(p, own, untag, len);
	if (!drop) {
		len -= untag ? NET_TAG_LEN : 0;
		if (!own && len > l.guest) {
			if (!rx->windows)
				net_rx_take_back(rx, &l, untag);
			own = true;
		}
		drop = net_rx_deliver(p, own, untag, len);
	}
	if (drop) {
		net_drop(&rx->stats, drop);
		return NET_RX_TURN;
	}
	net_rx_learn(rx, len);
	tally->frames++;
	tally->bytes += len;
	return NET_RX_TURN;
}

/* ---- runs ---- */

static enum net_rx_wait net_rx_batch(struct net_pair *p,
				     struct net_tally *tally)
{
	struct virtio_queue *q = p->rx.q;
	unsigned int n, max = MIN(q->vq.size, NET_BATCH);
	enum net_rx_wait wait = NET_RX_TURN;
	uint64_t bytes = 0;
	bool may = false;

	for (n = 0; n < max && wait == NET_RX_TURN; n++) {
		if (!may && !virtio_queue_may(q, VIRTIO_TO_GUEST))
			return NET_RX_TIME;
		wait = net_rx_one(p, tally);
		may = tally->bytes == bytes ||
		      virtio_queue_charge(q, VIRTIO_TO_GUEST,
					  tally->bytes - bytes);
		bytes = tally->bytes;
		if (n % NET_SHOW == NET_SHOW - 1)
			virtqueue_show(&q->vq);
	}
	return wait;
}

void net_rx_run(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;
	struct virtio_queue *q = rx->q;
	struct net_tally tally = { .frames = 0 };

	net_pair_sync(p);
	if (!rx->running || q->held || q->vq.fault)
		return;
	loop_timer_cancel(&rx->patience);
	rx->wait = p->active && !p->gone ? net_rx_batch(p, &tally)
					 : NET_RX_FRAMES;
	rx->impatient = false;
	if (q->vq.fault)
		rx->wait = NET_RX_BUFFERS;
	/* Too few stay, or the loop would take them for news. */
	if (rx->wait == NET_RX_BUFFERS && rx->nr && !q->vq.fault)
		loop_timer_set(q->loop, &rx->patience,
			       loop_now_ns() + NET_PATIENCE_NS);
	else
		net_rx_give_back(rx);
	virtio_queue_publish(q);
	net_stats_add(&rx->stats, &tally);
	virtio_queue_want(q, rx->wait == NET_RX_BUFFERS ||
				     rx->wait == NET_RX_TIME);
	net_pair_watch(p);
	if (q->vq.fault)
		virtio_fault(q, q->vq.fault);
}

static void net_rx_on_patience(struct loop_timer *lt)
{
	struct net_rx *rx = container_of(lt, struct net_rx, patience);

	rx->impatient = true;
	net_rx_run(container_of(rx, struct net_pair, rx));
}

void net_rx_start(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;

	rx->running = true;
	rx->drain = p->port.vlan.mode != VLAN_OFF;
	rx->wait = NET_RX_FRAMES;
	rx->expect = NET_EXPECT_MIN;
	rx->peak = rx->nr_seen = 0;
	virtio_queue_want(rx->q, false);
}

void net_rx_stop(struct net_pair *p)
{
	loop_timer_cancel(&p->rx.patience);
	net_rx_give_back(&p->rx);
	p->rx.running = false;
	p->rx.impatient = false;
}
