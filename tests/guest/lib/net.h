/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Driver for virtio-net (virtio 1.2 §5.1). */
#ifndef GUEST_NET_H
#define GUEST_NET_H

#include "guest.h"
#include "vdev.h"

#define NET_F_CSUM (1ull << 0)
#define NET_F_GUEST_CSUM (1ull << 1)
#define NET_F_CTRL_GUEST_OFFLOADS (1ull << 2)
#define NET_F_MTU (1ull << 3)
#define NET_F_MAC (1ull << 5)
#define NET_F_GUEST_TSO4 (1ull << 7)
#define NET_F_GUEST_TSO6 (1ull << 8)
#define NET_F_GUEST_UFO (1ull << 10)
#define NET_F_HOST_TSO4 (1ull << 11)
#define NET_F_HOST_TSO6 (1ull << 12)
#define NET_F_HOST_UFO (1ull << 14)
#define NET_F_MRG_RXBUF (1ull << 15)
#define NET_F_STATUS (1ull << 16)
#define NET_F_CTRL_VQ (1ull << 17)
#define NET_F_CTRL_RX (1ull << 18)
#define NET_F_GUEST_ANNOUNCE (1ull << 21)
#define NET_F_MQ (1ull << 22)
#define NET_F_CTRL_MAC_ADDR (1ull << 23)

enum net_config {
	NET_CONFIG_MAC = 0,
	NET_CONFIG_STATUS = 6, /* 16 bits from here */
	NET_CONFIG_MAX_PAIRS = 8,
	NET_CONFIG_MTU = 10,
};

#define NET_MAC_LEN 6
#define NET_HEADER 12 /* struct virtio_net_hdr with num_buffers */
#define NET_PAIRS_MAX 4
#define NET_FRAME_MAX 65562 /* of a guest that takes segments of 64 KiB */
#define NET_RX_AREA (4u << 20) /* for the receive buffers of a pair */

#define NET_HEADER_NR_BUFFERS 10 /* where that is in the header, 16 bits */

/* What net_take() and net_control() answer, when no length or no answer. */
enum net_answer {
	NET_NONE = -1, /* nothing there */
	NET_LOST = -2, /* not used in time */
	NET_BROKEN = -3, /* the device broke the rules, or needs a reset */
};

struct net_rx {
	char *area; /* NET_RX_AREA bytes */
	uint32_t len; /* of a buffer */
	uint16_t nr; /* that are posted */
};

struct net {
	struct vdev dev;
	uint16_t nr_pairs; /* as started */
	struct vq *control; /* NULL: not negotiated */
	struct net_rx rx[NET_PAIRS_MAX];
	/* what was received last: header, then frame, in one piece */
	uint8_t *header;
	uint8_t *frame;
	uint16_t nr_buffers; /* that it came in */
};

static inline struct vq *net_rx_vq(struct net *net, unsigned pair)
{
	return &net->dev.vq[2 * pair];
}

static inline struct vq *net_tx_vq(struct net *net, unsigned pair)
{
	return &net->dev.vq[2 * pair + 1];
}

/* Network number index; or the one at virtio_mmio.device=SIZE@ADDRESS:IRQ. */
const char *net_open(struct net *net, unsigned index);

/* The device started, with receive buffers of rx_len bytes in all rings. */
const char *net_start(struct net *net, uint64_t features, uint16_t nr_pairs,
		      uint16_t queue_size, uint32_t rx_len);

/* All descriptors of an empty receive ring, offered; no kick. */
void net_post(struct net *net, unsigned pair, uint32_t rx_len);

/* The next frame, copied, its buffers offered again: its length, or an
 * enum net_answer. */
int net_take(struct net *net, unsigned pair);

/* A chain that is offered, and its end waited for: 0 or an enum net_answer. */
int net_send(struct net *net, unsigned pair, const struct vq_seg *segs,
	     unsigned nr, bool indirect);

/* A control command, waited for: the device's answer (0 well, 1 not), or an
 * enum net_answer. */
int net_control(struct net *net, uint8_t class, uint8_t command,
		const void *data, uint32_t len);

#endif
