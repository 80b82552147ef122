/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * What the TAP of a network is told, so that it follows the device's state:
 * offloads, queues, and which frames are for this port. The host may take its
 * time for each: on the loops of queues only.
 */
#include "devices/virtio/net_host.h"

#include <linux/if_tun.h>
#include <string.h>

#include "vmm/log.h"

/* GUEST_* features and what the host's frames may then need of the guest; and
 * HOST_* features, which need the same of the host. */
static const struct {
	unsigned int tap; /* all of these */
	uint64_t guest, host;
} net_offload_table[] = {
	{ TUN_F_CSUM, VIRTIO_F(NET_F_GUEST_CSUM), VIRTIO_F(NET_F_CSUM) },
	{ TUN_F_TSO4, VIRTIO_F(NET_F_GUEST_TSO4), VIRTIO_F(NET_F_HOST_TSO4) },
	{ TUN_F_TSO6, VIRTIO_F(NET_F_GUEST_TSO6), VIRTIO_F(NET_F_HOST_TSO6) },
	{ TUN_F_TSO_ECN, VIRTIO_F(NET_F_GUEST_ECN), VIRTIO_F(NET_F_HOST_ECN) },
	{ TUN_F_UFO, VIRTIO_F(NET_F_GUEST_UFO), VIRTIO_F(NET_F_HOST_UFO) },
	{ TAP_F_USO4 | TAP_F_USO6,
	  VIRTIO_F(NET_F_GUEST_USO4) | VIRTIO_F(NET_F_GUEST_USO6),
	  VIRTIO_F(NET_F_HOST_USO) },
};

unsigned int net_host_offloads(uint64_t features)
{
	unsigned int i, offloads = 0;

	for (i = 0; i < ARRAY_SIZE(net_offload_table); i++)
		if ((features & net_offload_table[i].guest) ==
		    net_offload_table[i].guest)
			offloads |= net_offload_table[i].tap;
	return offloads;
}

uint64_t net_host_features(unsigned int offloads)
{
	uint64_t features = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(net_offload_table); i++)
		if ((offloads & net_offload_table[i].tap) ==
		    net_offload_table[i].tap)
			features |= net_offload_table[i].guest |
				    net_offload_table[i].host;
	return features;
}

/* Section 5.1.6.5.1: what the driver does not want need not come. */
static void net_host_destinations(const struct net_state *s,
				  struct tap_filter *f, uint8_t (*macs)[6])
{
	const struct net_rx_mode *mode = &s->mode;
	const bool *on = mode->on;
	unsigned int i;

	f->broadcast = on[NET_RX_PROMISC] || !on[NET_RX_NOBCAST];
	f->all_unicast = on[NET_RX_PROMISC] ||
			 (!on[NET_RX_NOUNI] &&
			  (on[NET_RX_ALLUNI] || on[NET_RX_MORE_UNI]));
	f->all_multicast = on[NET_RX_PROMISC] ||
			   (!on[NET_RX_NOMULTI] &&
			    (on[NET_RX_ALLMULTI] || on[NET_RX_MORE_MULTI]));
	f->macs = (const uint8_t(*)[6])macs;
	if (!on[NET_RX_NOUNI])
		memcpy(macs[f->nr_macs++], s->mac, NET_MAC_LEN);
	for (i = 0; i < mode->nr_macs; i++) {
		bool multi = mode->macs[i][0] & 1;

		if (!on[multi ? NET_RX_NOMULTI : NET_RX_NOUNI])
			memcpy(macs[f->nr_macs++], mode->macs[i], NET_MAC_LEN);
	}
}

static int net_host_filter(struct net *net, const struct net_state *s)
{
	uint8_t macs[TAP_FILTER_MACS][6];
	uint64_t one[TAP_FILTER_VLANS] = { 0 };
	struct tap_filter f = { .vlans = NULL };

	if (s->mode.on[NET_RX_PROMISC] && s->vlan.mode == VLAN_OFF)
		return tap_set_filter(net->tap, NULL);
	net_host_destinations(s, &f, macs);
	if (s->vlan.mode == VLAN_TRUNK)
		f.vlans = s->vlan.trunk;
	if (s->vlan.mode == VLAN_ACCESS) {
		one[s->vlan.access / 64u] = 1ull << s->vlan.access % 64u;
		f.vlans = one;
	}
	return tap_set_filter(net->tap, &f);
}

static bool net_host_filter_changed(const struct net *net,
				    const struct net_state *s)
{
	const struct net_state *was = &net->host;
	const struct net_rx_mode *a = &was->mode, *b = &s->mode;

	return !net->host_known || was->vlan.mode != s->vlan.mode ||
	       was->vlan.access != s->vlan.access ||
	       memcmp(was->vlan.trunk, s->vlan.trunk, sizeof(s->vlan.trunk)) !=
		       0 ||
	       memcmp(a->on, b->on, sizeof(a->on)) != 0 ||
	       a->nr_macs != b->nr_macs ||
	       memcmp(a->macs, b->macs, sizeof(a->macs)) != 0 ||
	       memcmp(was->mac, s->mac, sizeof(s->mac)) != 0;
}

/* Only those in use are attached. */
static int net_host_queues(struct net *net, const struct net_state *s)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < net->nr_pairs && !r; i++)
		r = tap_set_queue(net->tap, i, i < s->pairs);
	return r;
}

static int net_host_apply_locked(struct net *net, const struct net_state *s)
{
	bool more = s->pairs > net->host.pairs;
	int r = net_host_queues(net, s), r2 = 0;

	if (!net->host_known || net->host.offloads != s->offloads)
		r2 = tap_set_offloads(net->tap, net_host_offloads(s->offloads));
	r = r ? r : r2;
	/* Where there is no filter, frames are looked at here. */
	if (more || net_host_filter_changed(net, s))
		net->unfiltered = net_host_filter(net, s) != 0;
	net->host = *s;
	net->host_known = true;
	return r;
}

int net_host_apply(struct net *net)
{
	struct net_state s;
	int r;

	pthread_mutex_lock(&net->host_lock);
	pthread_mutex_lock(&net->lock);
	s = net->state;
	pthread_mutex_unlock(&net->lock);
	r = net_host_apply_locked(net, &s);
	pthread_mutex_unlock(&net->host_lock);
	return r;
}
