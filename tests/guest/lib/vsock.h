/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Driver for virtio-vsock (virtio 1.2 §5.10): streams with credit in both
 * directions. One packet of each direction is looked at at a time.
 */
#ifndef GUEST_VSOCK_H
#define GUEST_VSOCK_H

#include "guest.h"
#include "vdev.h"

#define VSOCK_HOST_CID 2
#define VSOCK_STREAM 1
#define VSOCK_RX_LEN 65536u /* a receive buffer: header and data */
#define VSOCK_RX_MAX 128

enum vsock_op {
	VSOCK_REQUEST = 1,
	VSOCK_RESPONSE,
	VSOCK_RST,
	VSOCK_SHUTDOWN,
	VSOCK_RW,
	VSOCK_CREDIT_UPDATE,
	VSOCK_CREDIT_REQUEST,
};

#define VSOCK_SHUT_RECEIVE 1u
#define VSOCK_SHUT_SEND 2u

struct vsock_header {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len;
	uint16_t type, op;
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt;
} __attribute__((packed));

struct vsock {
	struct vdev dev;
	uint64_t cid;
	char *area;
	uint16_t nr_rx;
};

/* A stream; the counters are those of the specification and wrap. */
struct vsock_conn {
	uint32_t port, peer_port;
	uint32_t buf_alloc; /* that we grant */
	uint32_t fwd_cnt; /* that we have taken out */
	uint32_t fwd_told; /* fwd_cnt as the peer knows it */
	uint32_t tx_cnt;
	uint32_t peer_alloc, peer_fwd;
	bool is_open, is_reset;
	uint32_t peer_shut; /* VSOCK_SHUT_ */
};

/* A packet that came: it is the driver's until vsock_give_back(). */
struct vsock_packet {
	const struct vsock_header *header;
	const uint8_t *data;
	uint16_t head;
};

static inline struct vq *vsock_rx_vq(struct vsock *vs)
{
	return &vs->dev.vq[0];
}

static inline struct vq *vsock_tx_vq(struct vsock *vs)
{
	return &vs->dev.vq[1];
}

/* The device; or the one at virtio_mmio.device=SIZE@ADDRESS:IRQ. */
const char *vsock_open(struct vsock *vs);

/* From reset to posted receive buffers. */
const char *vsock_start(struct vsock *vs, uint64_t features);

/* The header of a packet of this stream, with its credit. */
void vsock_fill(struct vsock *vs, struct vsock_conn *c, enum vsock_op op,
		uint32_t len, struct vsock_header *header);

/* A packet without data, waited for until the device has it. False: it has not
 * in time. None of the sender's own chains may be out. */
bool vsock_say(struct vsock *vs, struct vsock_conn *c, enum vsock_op op,
	       uint32_t flags);

/* The next packet, if there is one; credit, resets and shutdowns are noted
 * already when it is for c. */
bool vsock_take(struct vsock *vs, struct vsock_conn *c, struct vsock_packet *p);
void vsock_give_back(struct vsock *vs, const struct vsock_packet *p);

/* A stream from port to peer_port of the host. */
const char *vsock_connect(struct vsock *vs, struct vsock_conn *c, uint32_t port,
			  uint32_t peer_port, uint32_t buf_alloc);

/* Bytes that the peer has room for. */
static inline uint32_t vsock_room(const struct vsock_conn *c)
{
	return c->peer_alloc - (c->tx_cnt - c->peer_fwd);
}

#endif
