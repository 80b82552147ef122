/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/net_frame.h"

#include <string.h>

#include "vmm/util.h"

#define TPID_8021Q 0x8100u
#define TPID_8021AD 0x88a8u
#define VLAN_ID_MASK 0xfffu /* priority and DEI are above */

static unsigned int net_be16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static bool net_is_tag(const uint8_t *type)
{
	unsigned int v = net_be16(type);

	return v == TPID_8021Q || v == TPID_8021AD;
}

/* ---- VLANs ---- */

/* One 802.1Q tag of this trunk, and no other behind it. */
static bool net_trunk_passes(const struct vlan_ports *vlan,
			     const uint8_t *frame, size_t len)
{
	const uint8_t *tag = frame + NET_TAG_AT;

	return len >= NET_LOOK_LEN && net_be16(tag) == TPID_8021Q &&
	       vlan_ports_has(vlan, net_be16(tag + 2) & VLAN_ID_MASK) &&
	       !net_is_tag(tag + NET_TAG_LEN);
}

bool net_tag_is(const struct vlan_ports *vlan, const uint8_t tag[NET_TAG_LEN])
{
	return net_be16(tag) == TPID_8021Q &&
	       (net_be16(tag + 2) & VLAN_ID_MASK) == vlan->access;
}

/* Make room for a tag behind the addresses and write it, priority 0. */
static void net_put_tag(struct net_head *head, uint16_t id)
{
	uint8_t *tag = head->frame + NET_TAG_AT;

	memmove(tag + NET_TAG_LEN, tag, head->len - NET_TAG_AT);
	head->len += NET_TAG_LEN;
	tag[0] = TPID_8021Q >> 8;
	tag[1] = TPID_8021Q & 0xff;
	tag[2] = (uint8_t)(id >> 8);
	tag[3] = (uint8_t)id;
}

/* ---- headers ---- */

/* Only what was negotiated, by itself and with no other type. */
static bool net_gso_is_allowed(const struct net_offloads *o,
			       const struct net_hdr *hdr)
{
	unsigned int type = hdr->gso_type & ~NET_GSO_ECN;

	if (hdr->gso_type == NET_GSO_NONE)
		return true;
	if (type == NET_GSO_NONE || type > NET_GSO_UDP_L4 ||
	    !(o->gso & net_gso_bit(type)) || !le16_get(hdr->gso_size))
		return false;
	if (!(hdr->gso_type & NET_GSO_ECN))
		return true;
	return o->gso & NET_GSO_ECN &&
	       (type == NET_GSO_TCPV4 || type == NET_GSO_TCPV6);
}

/* Section 5.1.6.2.1. l2_len: headers that were looked at, which no checksum is
 * to be written into. */
static bool net_hdr_is_good(const struct net_offloads *o,
			    const struct net_hdr *hdr, size_t l2_len,
			    size_t len)
{
	size_t start = le16_get(hdr->csum_start);

	if (!net_gso_is_allowed(o, hdr) || le16_get(hdr->hdr_len) > len)
		return false;
	if (!(hdr->flags & NET_HDR_F_NEEDS_CSUM))
		return true;
	return o->csum && start >= l2_len &&
	       start + le16_get(hdr->csum_offset) + 2 <= len;
}

/* Offsets into a frame move by a tag. False: too far for 16 bits. */
static bool net_hdr_tag(struct net_hdr *hdr)
{
	unsigned int hdr_len = le16_get(hdr->hdr_len);
	unsigned int start = le16_get(hdr->csum_start);

	hdr_len += hdr_len ? NET_TAG_LEN : 0;
	start += hdr->flags & NET_HDR_F_NEEDS_CSUM ? NET_TAG_LEN : 0;
	hdr->hdr_len = le16_of((uint16_t)hdr_len);
	hdr->csum_start = le16_of((uint16_t)start);
	return hdr_len <= UINT16_MAX && start <= UINT16_MAX;
}

/* The other way. hdr_len is a hint, and the host does not always count a tag in:
 * it never ends before the checksum. */
static bool net_hdr_untag(struct net_hdr *hdr)
{
	unsigned int hdr_len = le16_get(hdr->hdr_len);
	unsigned int start = le16_get(hdr->csum_start), end = NET_ETH_LEN;

	if (hdr->flags & NET_HDR_F_NEEDS_CSUM) {
		if (start < NET_LOOK_LEN)
			return false;
		start -= NET_TAG_LEN;
		end = start + le16_get(hdr->csum_offset) + 2u;
	}
	if (hdr_len > NET_TAG_LEN)
		hdr_len = MAX(hdr_len - NET_TAG_LEN, MIN(hdr_len, end));
	hdr->csum_start = le16_of((uint16_t)start);
	hdr->hdr_len = le16_of((uint16_t)hdr_len);
	return true;
}

/* ---- ports ---- */

enum net_drop net_frame_out(const struct net_port *port, struct net_head *head,
			    size_t len)
{
	const struct vlan_ports *vlan = &port->vlan;
	const uint8_t *frame = head->frame;
	size_t l2_len = NET_ETH_LEN;

	if (len < NET_ETH_LEN || len > NET_FRAME_MAX)
		return NET_DROP_LENGTH;
	if (port->antispoof &&
	    memcmp(frame + NET_MAC_LEN, port->mac, NET_MAC_LEN) != 0)
		return NET_DROP_SPOOF;
	if (vlan->mode == VLAN_ACCESS && net_is_tag(frame + NET_TAG_AT))
		return NET_DROP_VLAN;
	if (vlan->mode == VLAN_TRUNK) {
		if (!net_trunk_passes(vlan, frame, len))
			return NET_DROP_VLAN;
		l2_len += NET_TAG_LEN;
	}
	head->hdr.flags &= NET_HDR_F_NEEDS_CSUM;
	head->hdr.num_buffers = le16_of(0);
	if (!net_hdr_is_good(&port->out, &head->hdr, l2_len, len))
		return NET_DROP_HEADER;
	if (vlan->mode != VLAN_ACCESS)
		return NET_PASS;
	if (!net_hdr_tag(&head->hdr))
		return NET_DROP_HEADER;
	net_put_tag(head, vlan->access);
	return NET_PASS;
}

enum net_drop net_frame_in(const struct net_port *port, const uint8_t *frame,
			   size_t len)
{
	const struct vlan_ports *vlan = &port->vlan;
	bool passes = true;

	if (len < NET_ETH_LEN || len > NET_FRAME_MAX)
		return NET_DROP_LENGTH;
	if (vlan->mode == VLAN_TRUNK)
		passes = net_trunk_passes(vlan, frame, len);
	else if (vlan->mode == VLAN_ACCESS)
		passes = len >= NET_LOOK_LEN &&
			 net_tag_is(vlan, frame + NET_TAG_AT) &&
			 !net_is_tag(frame + NET_ETH_LEN + 2);
	return passes ? NET_PASS : NET_DROP_VLAN;
}

enum net_drop net_hdr_in(const struct net_port *port, struct net_hdr *hdr,
			 bool untag, uint16_t nr_buffers)
{
	const struct net_offloads *o = &port->in;

	hdr->num_buffers = le16_of(nr_buffers);
	if (hdr->flags & NET_HDR_F_NEEDS_CSUM && !o->csum)
		return NET_DROP_HEADER;
	if (!net_gso_is_allowed(o, hdr))
		return NET_DROP_HEADER;
	hdr->flags &= o->csum ? NET_HDR_F_NEEDS_CSUM | NET_HDR_F_DATA_VALID : 0;
	return untag && !net_hdr_untag(hdr) ? NET_DROP_HEADER : NET_PASS;
}
