/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/net_state.h"

#include <string.h>
#include <sys/epoll.h>

#include "devices/virtio/net_host.h"
#include "vmm/board.h"

/* ---- pairs ---- */

/* GSO types that go with these features, of which HOST_* are the guest's to use,
 * and GUEST_* the host's. */
static uint8_t net_gso_types(uint64_t features, bool host)
{
	static const struct {
		uint8_t host, guest, type;
	} all[] = {
		{ NET_F_HOST_TSO4, NET_F_GUEST_TSO4, NET_GSO_TCPV4 },
		{ NET_F_HOST_TSO6, NET_F_GUEST_TSO6, NET_GSO_TCPV6 },
		{ NET_F_HOST_ECN, NET_F_GUEST_ECN, NET_GSO_ECN },
		{ NET_F_HOST_UFO, NET_F_GUEST_UFO, NET_GSO_UDP },
		{ NET_F_HOST_USO, NET_F_GUEST_USO4, NET_GSO_UDP_L4 },
		{ NET_F_HOST_USO, NET_F_GUEST_USO6, NET_GSO_UDP_L4 },
	};
	uint8_t types = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (features & VIRTIO_F(host ? all[i].host : all[i].guest))
			types |= net_gso_bit(all[i].type);
	return types;
}

static void net_pair_copy(struct net_pair *p)
{
	struct net *net = p->net;
	const struct net_state *s = &net->state;
	struct net_port *port = &p->port;

	pthread_mutex_lock(&net->lock);
	port->vlan = s->vlan;
	port->in.csum = s->offloads & VIRTIO_F(NET_F_GUEST_CSUM);
	port->in.gso = net_gso_types(s->offloads, false);
	p->active = p->index < s->pairs;
	p->link = s->link;
	pthread_mutex_unlock(&net->lock);
	port->out.csum = virtio_has(&net->dev, NET_F_CSUM);
	port->out.gso = net_gso_types(net->dev.features, true);
	port->antispoof = net->antispoof;
	memcpy(port->mac, net->mac, sizeof(port->mac));
}

/* The TAP follows before frames that it has queued are looked at: what comes
 * later has passed the new filter. */
void net_pair_sync(struct net_pair *p)
{
	struct net *net = p->net;
	unsigned int generation = atomic_load(&net->generation);

	if (generation == p->seen)
		return;
	net_pair_copy(p);
	net_host_apply(net);
	p->unfiltered = p->port.vlan.mode != VLAN_OFF &&
			atomic_load(&net->unfiltered);
	p->rx.drain = p->port.vlan.mode != VLAN_OFF;
	atomic_store(&p->seen, generation);
	net_pair_watch(p);
	if (atomic_load(&net->ctrl_waits))
		virtio_notify_write(&net->dev, net_ctrl_index(net));
}

void net_pair_watch(struct net_pair *p)
{
	uint32_t events = 0;
	int r = 0;

	if (p->rx.running &&
	    (p->rx.wait == NET_RX_FRAMES || p->rx.wait == NET_RX_TURN))
		events |= EPOLLIN;
	if (p->tx.running && p->tx.blocked)
		events |= EPOLLOUT;
	/* A queue that is detached, or a TAP that is gone, has no end of bad
	 * news. */
	if (!p->active || p->gone)
		events = 0;
	if (events == p->watched)
		return;
	if (!events)
		loop_fd_del(&p->fd);
	else if (p->watched)
		r = loop_fd_change(&p->fd, events);
	else
		r = loop_fd_add(p->rx.q->loop, &p->fd, events);
	p->watched = events;
	if (r)
		virtio_fault(p->rx.running ? p->rx.q : p->tx.q,
			     "the host watches no more descriptors");
}

unsigned int net_changed(struct net *net)
{
	unsigned int i, generation = atomic_fetch_add(&net->generation, 1) + 1;

	/* Either of a pair's queues may be the one that runs. */
	for (i = 0; i < 2 * net->nr_pairs; i++)
		virtio_notify_write(&net->dev, i);
	return generation;
}

bool net_have_followed(struct net *net, unsigned int generation)
{
	unsigned int i;

	for (i = 0; i < net->nr_pairs; i++)
		if (atomic_load(&net->pairs[i].nr_running) &&
		    (int)(atomic_load(&net->pairs[i].seen) - generation) < 0)
			return false;
	return true;
}

/* ---- link ---- */

static uint16_t net_status(struct net *net, bool announce)
{
	bool up;

	pthread_mutex_lock(&net->lock);
	up = net->state.link && net->tap_up;
	if (announce && up && virtio_has(&net->dev, NET_F_GUEST_ANNOUNCE))
		net->state.announce = true;
	announce = net->state.announce;
	pthread_mutex_unlock(&net->lock);
	return (uint16_t)((up ? NET_S_LINK_UP : 0) |
			  (announce ? NET_S_ANNOUNCE : 0));
}

void net_tell_status(struct net *net, bool announce)
{
	uint16_t status = net_status(net, announce), again;

	/* Another thread may do the same: the last one has it right. */
	while (le16_get(net->space.status) != status) {
		le16 v = le16_of(status);

		virtio_config_set(&net->dev,
				  offsetof(struct net_config_space, status), &v,
				  sizeof(v));
		again = net_status(net, false);
		if (again == status)
			break;
		status = again;
	}
	board_link_news(net->dev.board, &net->dev.device,
			status & NET_S_LINK_UP);
}

unsigned int net_ctrl_index(const struct net *net)
{
	return virtio_has(&net->dev, NET_F_MQ) ? 2 * net->nr_pairs : 2;
}
