/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The control queue (virtio 1.2 section 5.1.6.5). A command changes struct
 * net_state; when the TAP cannot follow, it is changed back and answered ERR.
 * One that concerns the pairs is answered when they have followed, so that a
 * driver which was told so sees no frame of before.
 *
 * Commands have the host's kernel take locks that the whole host shares, so only
 * so many a second are carried out.
 */
#include "devices/virtio/net_ctrl.h"

#include <string.h>

#include "devices/virtio/net_host.h"
#include "devices/virtio/net_state.h"

#define NET_CTRL_OK 0u
#define NET_CTRL_ERR 1u
#define NET_CTRL_RATE 500u /* commands a second */
#define NET_CTRL_BURST 200u

struct net_ctrl_head {
	uint8_t class, command;
};

/* What a command gets: the state to change, and its data, to be used up. */
struct net_ctrl_args {
	struct net *net;
	struct net_state *s;
	struct iov_cursor data;
	size_t len; /* of data, bytes */
	uint8_t command;
};

/* The next len bytes. False: there are not so many. */
static bool net_ctrl_take(struct net_ctrl_args *a, void *buf, size_t len)
{
	if (len > a->len || iov_read(&a->data, buf, len) != len)
		return false;
	a->len -= len;
	return true;
}

/* VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_EXTRA, section 5.1.6.5.1 */
static bool net_ctrl_rx(struct net_ctrl_args *a)
{
	uint8_t on;

	if (!net_ctrl_take(a, &on, sizeof(on)) || on > 1)
		return false;
	a->s->mode.on[a->command] = on;
	return true;
}

/* One of the two tables of VIRTIO_NET_CTRL_MAC_TABLE_SET. */
static bool net_ctrl_table(struct net_ctrl_args *a, bool multi)
{
	struct net_rx_mode *mode = &a->s->mode;
	bool *more = &mode->on[multi ? NET_RX_MORE_MULTI : NET_RX_MORE_UNI];
	uint8_t mac[NET_MAC_LEN];
	le32 entries;
	uint32_t nr;

	if (!net_ctrl_take(a, &entries, sizeof(entries)))
		return false;
	nr = le32_get(entries);
	if (nr > a->len / NET_MAC_LEN)
		return false;
	*more = nr > NET_MACS_MAX - mode->nr_macs;
	if (*more) {
		size_t len = (size_t)nr * NET_MAC_LEN;

		a->len -= len;
		return iov_skip(&a->data, len) == len;
	}
	for (; nr; nr--) {
		if (!net_ctrl_take(a, mac, sizeof(mac)))
			return false;
		memcpy(mode->macs[mode->nr_macs++], mac, sizeof(mac));
	}
	return true;
}

static bool net_ctrl_mac_table(struct net_ctrl_args *a)
{
	a->s->mode.nr_macs = 0;
	memset(a->s->mode.macs, 0, sizeof(a->s->mode.macs));
	return net_ctrl_table(a, false) && net_ctrl_table(a, true);
}

/* Of one station, and not of another one when that would be refused later. */
static bool net_ctrl_mac(struct net_ctrl_args *a)
{
	uint8_t mac[NET_MAC_LEN];

	if (!net_ctrl_take(a, mac, sizeof(mac)) || mac[0] & 1)
		return false;
	if (a->net->antispoof && memcmp(mac, a->net->mac, sizeof(mac)) != 0)
		return false;
	memcpy(a->s->mac, mac, sizeof(mac));
	return true;
}

static bool net_ctrl_announce(struct net_ctrl_args *a)
{
	a->s->announce = false;
	return true;
}

static bool net_ctrl_pairs(struct net_ctrl_args *a)
{
	le16 pairs;

	if (!net_ctrl_take(a, &pairs, sizeof(pairs)) || !le16_get(pairs) ||
	    le16_get(pairs) > a->net->nr_pairs)
		return false;
	a->s->pairs = le16_get(pairs);
	return true;
}

/* Only what was negotiated can be had. */
static bool net_ctrl_offloads(struct net_ctrl_args *a)
{
	uint64_t can = a->net->dev.features & NET_GUEST_OFFLOADS;
	le64 offloads;

	if (!net_ctrl_take(a, &offloads, sizeof(offloads)) ||
	    le64_get(offloads) & ~can)
		return false;
	a->s->offloads = le64_get(offloads);
	return true;
}

static const struct net_ctrl_command {
	uint8_t class, command;
	uint8_t feature;
	bool pairs; /* they have to follow */
	bool (*run)(struct net_ctrl_args *a); /* false: it is malformed */
} net_ctrl_commands[] = {
	{ 0, 0, NET_F_CTRL_RX, false, net_ctrl_rx },
	{ 0, 1, NET_F_CTRL_RX, false, net_ctrl_rx },
	{ 0, 2, NET_F_CTRL_RX_EXTRA, false, net_ctrl_rx },
	{ 0, 3, NET_F_CTRL_RX_EXTRA, false, net_ctrl_rx },
	{ 0, 4, NET_F_CTRL_RX_EXTRA, false, net_ctrl_rx },
	{ 0, 5, NET_F_CTRL_RX_EXTRA, false, net_ctrl_rx },
	{ 1, 0, NET_F_CTRL_RX, false, net_ctrl_mac_table },
	{ 1, 1, NET_F_CTRL_MAC_ADDR, false, net_ctrl_mac },
	{ 3, 0, NET_F_GUEST_ANNOUNCE, false, net_ctrl_announce },
	{ 4, 0, NET_F_MQ, true, net_ctrl_pairs },
	{ 5, 0, NET_F_CTRL_GUEST_OFFLOADS, true, net_ctrl_offloads },
};

static const struct net_ctrl_command *
net_ctrl_find(const struct net *net, const struct net_ctrl_head *head)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(net_ctrl_commands); i++) {
		const struct net_ctrl_command *c = &net_ctrl_commands[i];

		if (c->class == head->class && c->command == head->command)
			return virtio_has(&net->dev, c->feature) ? c : NULL;
	}
	return NULL;
}

/* Only the driver's part: the user may have changed the other meanwhile. */
static void net_ctrl_store(struct net *net, const struct net_state *s)
{
	pthread_mutex_lock(&net->lock);
	memcpy(net->state.mac, s->mac, sizeof(s->mac));
	net->state.pairs = s->pairs;
	net->state.offloads = s->offloads;
	net->state.mode = s->mode;
	net->state.announce = s->announce;
	pthread_mutex_unlock(&net->lock);
}

/* What the driver sees of it in configuration space. */
static void net_ctrl_show(struct net *net, const struct net_state *was,
			  const struct net_state *s)
{
	if (memcmp(was->mac, s->mac, sizeof(s->mac)) != 0)
		virtio_config_set(&net->dev,
				  offsetof(struct net_config_space, mac),
				  s->mac, sizeof(s->mac));
	if (was->announce != s->announce)
		net_tell_status(net, false);
}

/* Carry a command out. Returns the answer; *follow: it is to wait for pairs. */
static uint8_t net_ctrl_do(struct net *net, const struct vq_chain *c,
			   bool *follow)
{
	struct net_ctrl_args a = {
		.net = net,
		.data = iov_cursor_init(c->iov, vq_chain_front(c, c->nr_out)),
		.len = c->out_len,
	};
	const struct net_ctrl_command *command;
	struct net_state was, s;
	struct net_ctrl_head head;

	if (!net_ctrl_take(&a, &head, sizeof(head)))
		return NET_CTRL_ERR;
	command = net_ctrl_find(net, &head);
	if (!command)
		return NET_CTRL_ERR;
	pthread_mutex_lock(&net->lock);
	was = s = net->state;
	pthread_mutex_unlock(&net->lock);
	a.s = &s;
	a.command = head.command;
	if (!command->run(&a) || a.len)
		return NET_CTRL_ERR;
	net_ctrl_store(net, &s);
	if (net_host_apply(net)) {
		net_ctrl_store(net, &was);
		net_host_apply(net);
		return NET_CTRL_ERR;
	}
	net_ctrl_show(net, &was, &s);
	*follow = command->pairs;
	return NET_CTRL_OK;
}

/* The answer is the first writable byte. */
static void net_ctrl_answer(struct virtio_queue *q, struct vq_chain *c,
			    uint8_t answer)
{
	unsigned int nr = vq_chain_front(c, c->nr_out + c->nr_in);
	struct iov_cursor in = iov_cursor_init(
		c->iov + c->nr_out, nr > c->nr_out ? nr - c->nr_out : 0);

	virtqueue_push(&q->vq, c,
		       (uint32_t)iov_write(&in, &answer, sizeof(answer)));
	virtio_queue_publish(q);
}

/* May another command be carried out now? False: the queue is held. */
static bool net_ctrl_may(struct net *net, struct virtio_queue *q,
			 struct vq_chain *c)
{
	uint64_t now = loop_now_ns();
	uint64_t wait_ns = token_bucket_wait_ns(&net->ctrl.budget, now);

	if (!wait_ns) {
		token_bucket_spend(&net->ctrl.budget, 1);
		return true;
	}
	virtqueue_unpop(&q->vq, c);
	virtio_queue_hold(q, now, now + wait_ns);
	return false;
}

void net_ctrl_run(struct net *net, struct virtio_queue *q)
{
	unsigned int left = q->vq.size;
	struct vq_chain *c;

	while (left-- && (c = virtqueue_pop(&q->vq))) {
		bool follow = false;
		uint8_t answer;

		if (!net_ctrl_may(net, q, c))
			return;
		answer = net_ctrl_do(net, c, &follow);
		if (!follow) {
			net_ctrl_answer(q, c, answer);
			continue;
		}
		net->ctrl.chain = c;
		atomic_store(&net->ctrl_waits, true);
		net->ctrl.generation = net_changed(net);
		virtio_queue_want(q, false);
		net_ctrl_poll(net, q);
		return;
	}
}

bool net_ctrl_poll(struct net *net, struct virtio_queue *q)
{
	if (!net->ctrl.chain || !net_have_followed(net, net->ctrl.generation))
		return false;
	atomic_store(&net->ctrl_waits, false);
	net_ctrl_answer(q, net->ctrl.chain, NET_CTRL_OK);
	net->ctrl.chain = NULL;
	virtio_queue_want(q, true);
	return true;
}

/* A command that waits was carried out, and can be once more. */
void net_ctrl_stop(struct net *net, struct virtio_queue *q)
{
	if (net->ctrl.chain)
		virtqueue_unpop(&q->vq, net->ctrl.chain);
	net->ctrl.chain = NULL;
	atomic_store(&net->ctrl_waits, false);
}

void net_ctrl_init(struct net *net)
{
	const struct token_bucket_config rate = { NET_CTRL_RATE, NET_CTRL_BURST,
						  1000 };

	token_bucket_set(&net->ctrl.budget, &rate, loop_now_ns());
}
