/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_NET_FRAME_H
#define DEVICES_VIRTIO_NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/byteorder.h"

/*
 * Frames of a virtio-net port as pure arithmetic: the header in front of each
 * (virtio 1.2 section 5.1.6), Ethernet addresses, 802.1Q tags, and what a port
 * lets pass. What is looked at is the caller's copy. Any thread.
 */

#define NET_MAC_LEN 6u
#define NET_ETH_LEN 14u /* two addresses and a type */
#define NET_TAG_AT 12u /* where a tag is in a frame */
#define NET_TAG_LEN 4u
/* A frame's first bytes that checks look at: through the type behind a tag. */
#define NET_LOOK_LEN (NET_ETH_LEN + NET_TAG_LEN)
/* The longest frame of either side, with a tag: section 5.1.6.3.1. */
#define NET_FRAME_MAX (65550u + NET_TAG_LEN)

/* The header, as VERSION_1 has it */
struct net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	le16 hdr_len;
	le16 gso_size;
	le16 csum_start;
	le16 csum_offset;
	le16 num_buffers;
};
_Static_assert(sizeof(struct net_hdr) == 12, "section 5.1.6");

#define NET_HDR_F_NEEDS_CSUM 1u
#define NET_HDR_F_DATA_VALID 2u
#define NET_GSO_NONE 0u
#define NET_GSO_TCPV4 1u
#define NET_GSO_UDP 3u
#define NET_GSO_TCPV6 4u
#define NET_GSO_UDP_L4 5u
#define NET_GSO_ECN 0x80u

/* ---- VLANs ---- */

#define VLAN_ID_MAX 4094u

enum vlan_mode {
	VLAN_OFF, /* frames pass as they are */
	VLAN_ACCESS, /* the guest's are of one VLAN, and it sees no tags */
	VLAN_TRUNK, /* tagged frames of a set of VLANs pass, no others */
};

struct vlan_ports {
	enum vlan_mode mode;
	uint16_t access; /* 1..VLAN_ID_MAX */
	uint64_t trunk[64]; /* a bit per VLAN */
};

static inline void vlan_ports_add(struct vlan_ports *vlan, unsigned int id)
{
	vlan->trunk[id / 64 % 64] |= 1ull << id % 64;
}

/* Is id one of the trunk's? */
static inline bool vlan_ports_has(const struct vlan_ports *vlan,
				  unsigned int id)
{
	return id >= 1 && id <= VLAN_ID_MAX &&
	       vlan->trunk[id / 64] >> id % 64 & 1;
}

/* ---- ports ---- */

/* Why a frame goes no further. */
enum net_drop {
	NET_PASS,
	NET_DROP_LENGTH, /* too short or too long for a frame */
	NET_DROP_HEADER, /* header against the rules, or what was not agreed */
	NET_DROP_VLAN, /* not a VLAN of this port */
	NET_DROP_SPOOF, /* not the address of this port */
	NET_DROP_TOO_LARGE, /* does not fit the guest's buffers */
	NET_DROP_LINK, /* the link is down */
	NET_DROP_HOST, /* the host does not take it */
	NET_DROPS,
};

/* What both sides may ask of the other: as the driver negotiated. */
struct net_offloads {
	bool csum;
	uint8_t gso; /* a bit per type: net_gso_bit() */
};

static inline uint8_t net_gso_bit(unsigned int type)
{
	return type & NET_GSO_ECN ? NET_GSO_ECN : (uint8_t)(1u << type);
}

struct net_port {
	struct vlan_ports vlan;
	bool antispoof; /* only mac sends */
	uint8_t mac[NET_MAC_LEN];
	struct net_offloads out, in;
};

/* Frames up to this length, which no offloads are for, are copied as a whole. */
#define NET_COPY_MAX 2048u

/* Where one begins: elsewhere the host's kernel reads it up to 15 % slower. */
#define NET_HEAD_ALIGN 64u

/* A frame on its way out: the header and the first bytes as they will be sent,
 * one behind the other, with room for a tag. */
struct net_head {
	_Alignas(NET_HEAD_ALIGN) struct net_hdr hdr;
	uint8_t frame[NET_COPY_MAX + NET_TAG_LEN];
	size_t len; /* of frame: NET_LOOK_LEN or more, or all of it */
};

/*
 * May the guest's frame of len bytes leave? head becomes what is to be sent of it
 * instead; head->len grows when a tag was put in.
 */
enum net_drop net_frame_out(const struct net_port *port, struct net_head *head,
			    size_t len);

/*
 * Is a frame from outside for this port? frame: its first NET_LOOK_LEN bytes, or
 * len when that is less. With VLAN_ACCESS, the tag is to be taken out of those
 * that pass.
 */
enum net_drop net_frame_in(const struct net_port *port, const uint8_t *frame,
			   size_t len);

/* Is this the tag of an access port's VLAN? */
bool net_tag_is(const struct vlan_ports *vlan, const uint8_t tag[NET_TAG_LEN]);

/*
 * Make the host's header of an incoming frame what the driver may see
 * (sections 5.1.6.4.1, 5.1.6.4.2). untag: its tag is taken out. nr_buffers: as
 * the driver is told.
 */
enum net_drop net_hdr_in(const struct net_port *port, struct net_hdr *hdr,
			 bool untag, uint16_t nr_buffers);

#endif
