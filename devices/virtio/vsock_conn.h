/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_VSOCK_CONN_H
#define DEVICES_VIRTIO_VSOCK_CONN_H

#include <linux/virtio_vsock.h>

#include "devices/backend/vsock_socket.h"
#include "devices/virtio/virtio.h"

/*
 * virtio-vsock (virtio 1.2 section 5.10): streams between programs of the guest
 * and Unix sockets of the host. The device's state, and its connections.
 *
 * A device has a loop of its own, which all of this belongs to: a guest that
 * floods it with packets, or a host whose file system hangs under a socket's
 * path, holds up no other device.
 */

#define VSOCK_IOV_MAX 256u /* buffers of a chain, as long as a ring */
#define VSOCK_HOST_CID 2u
#define VSOCK_PORT_FIRST (1u << 30) /* of what the host starts */

enum vsock_queue {
	VSOCK_RX, /* to the guest */
	VSOCK_TX,
	VSOCK_EVENT,
	VSOCK_QUEUES,
};

/* ---- packets, section 5.10.6 ---- */

/* Flags of SHUTDOWN: who sends it will not receive, or send, any more. */
#define VSOCK_SHUTDOWN_BOTH \
	(VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

struct vsock_header {
	le64 src_cid;
	le64 dst_cid;
	le32 src_port;
	le32 dst_port;
	le32 len; /* of the payload behind it */
	le16 type;
	le16 op;
	le32 flags;
	le32 buf_alloc;
	le32 fwd_cnt;
} __attribute__((packed));

/* A chain of the tx queue, and what of its payload has not gone to the host. */
struct vsock_packet {
	struct vq_chain chain;
	struct list_node node; /* in its connection's list */
	struct iovec *iov;
	unsigned int nr;
	uint32_t len;
};

/* ---- credit, section 5.10.6.3 ---- */

/*
 * Bytes that the guest may send and the host has not taken: what a host that
 * does not read costs us. Each connection is promised VSOCK_BUF_MIN; one whose
 * data flows gets more, as long as all promises of the device do not come to
 * more than VSOCK_BUF_ALL. A promise is never taken back: drivers do not expect
 * that.
 */
#define VSOCK_BUF_MIN (64u << 10)
#define VSOCK_BUF_MAX (512u << 10)
#define VSOCK_BUF_ALL (96u << 20)

/* All counts of bytes wrap at 2^32. */
struct vsock_credit {
	/* from the guest: */
	uint32_t buf_alloc; /* what we promised */
	uint32_t received;
	uint32_t forwarded; /* ... to the host */
	uint32_t told; /* forwarded, as the guest knows it */
	/* to the guest: */
	uint32_t peer_buf_alloc;
	uint32_t peer_forwarded;
	uint32_t sent;
};

/* Bytes that we hold and the host has not taken. */
static inline uint32_t vsock_pending(const struct vsock_credit *c)
{
	return c->received - c->forwarded;
}

/* May the guest send len bytes more? */
static inline bool vsock_credit_allows(const struct vsock_credit *c,
				       uint32_t len)
{
	return len <= c->buf_alloc - vsock_pending(c);
}

/* Does the guest believe that it has used up half of its credit, and we know
 * better? */
static inline bool vsock_credit_is_news(const struct vsock_credit *c)
{
	return c->forwarded != c->told &&
	       c->received - c->told >= c->buf_alloc / 2;
}

/* Bytes that we may send to the guest. */
static inline uint32_t vsock_credit_left(const struct vsock_credit *c)
{
	uint32_t used = c->sent - c->peer_forwarded;

	return used < c->peer_buf_alloc ? c->peer_buf_alloc - used : 0;
}

/* ---- connections ---- */

enum vsock_state {
	VSOCK_HELLO, /* a client of the host has not said CONNECT */
	VSOCK_ASKED, /* the guest is asked, and has not answered */
	VSOCK_OPEN,
	VSOCK_CLOSING, /* the host's end is gone; the guest is to say RST */
	VSOCK_FLUSHING, /* the guest's end is gone; the host is to take data */
	VSOCK_DEAD, /* the guest is to hear RST, and that is all */
};

/* Why a connection waits, and has a time limit. */
enum vsock_wait {
	VSOCK_WAIT_CONNECT, /* for a client's first line */
	VSOCK_WAIT_ANSWER, /* for the guest to accept */
	VSOCK_WAIT_RST, /* for the guest to confirm the end */
	VSOCK_WAIT_HOST, /* for the host to take the last bytes */
	VSOCK_WAITS,
};

/* Credit that the guest does not know of; any packet can bring it. */
#define VSOCK_OWES_NEWS (1u << 31)

struct vsock_conn {
	struct vsock *v;
	struct list_node all; /* in v->conns */
	struct list_node hash; /* in v->table, while the guest knows it */
	struct list_node
		ready; /* in v->ready: there is something for the guest */
	struct list_node dirty; /* in v->dirty: packets are to be written */
	struct list_node lender; /* in v->lenders: they cannot be, now */
	struct list_node wait; /* in v->waits */
	uint64_t deadline_ns;
	enum vsock_state state;
	/* The other two numbers are those of host and guest. */
	uint32_t guest_port;
	uint32_t host_port;
	struct vsock_credit credit;
	/* Packets without payload that the guest is to get: 1 << op; and
	 * VSOCK_OWES_NEWS. */
	unsigned int owes;
	bool stalled; /* there is data, and no credit */
	/* What either side said it will not do any more: VSOCK_SHUT_*. */
	unsigned int guest_shut;
	unsigned int host_shut;

	/* the host's socket, fd -1: none */
	struct loop_fd lf;
	bool readable; /* there may be something */
	bool ends; /* the other end writes no more: read up to the end */
	bool hung_up; /* the other end is closed */
	bool full; /* nothing can be written before the next EPOLLOUT, */
	bool watches_room; /* ... which is waited for */
	unsigned int batch; /* chains that the last reads filled */
	/* On their way to the host: bytes that were copied out of packets, and
	 * then packets. */
	uint8_t *copied; /* NULL: none */
	size_t copied_off, copied_len;
	struct list_node packets;
};

/* May its host have something that the guest can be sent? */
static inline bool vsock_conn_has_data(const struct vsock_conn *c)
{
	return c->state == VSOCK_OPEN && c->readable && !c->stalled &&
	       !(c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV);
}

/* RST packets that belong to no connection. While there is no room for one more,
 * nothing is taken from the guest. */
#define VSOCK_STRAYS 256u

struct vsock_stray {
	uint64_t src_cid, dst_cid; /* as the guest gets them */
	uint32_t src_port, dst_port;
	uint16_t type;
};

/* Section 5.10.4 */
struct vsock_space {
	le64 guest_cid;
} __attribute__((packed));

/* Written by the loop, read by any thread. */
struct vsock_counters {
	uint64_t rx_packets, rx_bytes; /* to the guest */
	uint64_t tx_packets, tx_bytes; /* from it */
	uint64_t connections; /* now */
	uint64_t host_connects, guest_connects; /* attempts */
	uint64_t refused; /* of both */
	uint64_t resets_sent, resets_received;
	uint64_t bad_packets; /* from the guest */
	uint64_t credit_stalls; /* the guest did not read fast enough */
	uint64_t host_stalls; /* the host did not */
	uint64_t no_buffers; /* the guest had none for a packet */
	uint64_t copied_bytes; /* from the guest, for a host that was full */
	uint64_t wakeups;
};

struct vsock {
	struct virtio_dev dev;
	/* set at creation */
	struct vsock_host *host;
	uint32_t cid;
	unsigned int max_conns;

	/* the guest's and ours, to be saved: owner loop */
	struct vsock_space space;
	uint32_t next_port; /* of what the host starts */
	bool reset_pending; /* the guest is to hear of a transport reset */

	/* owner loop */
	bool rx_on, tx_on, event_on; /* queues */
	struct loop_fd listener;
	struct loop_timer accept_timer;
	struct list_node conns;
	unsigned int nr_conns;
	uint64_t promised; /* bytes of credit */
	unsigned int nr_lent; /* packets of connections */
	struct list_node ready;
	struct list_node dirty;
	struct list_node lenders; /* longest first */
	struct list_node waits[VSOCK_WAITS];
	struct loop_timer wait_timer;
	struct vsock_stray strays[VSOCK_STRAYS];
	unsigned int first_stray, nr_strays;
	struct list_node *table; /* by ports */
	unsigned int table_mask;

	uint64_t answer_max_ns; /* set at creation */
	uint64_t answer_ns; /* longest busy wait now */
	unsigned int nr_asked; /* messages since that is too short to wait */

	/* any thread posts them */
	struct loop_call listen_call;
	struct loop_call forget_call;
	struct loop_call reset_call;

	struct vsock_counters counters;
	uint64_t said_ns; /* for log_is_due() */
};

static inline struct vsock *vsock_of(struct virtio_dev *dev)
{
	return container_of(dev, struct vsock, dev);
}

/* ---- owner loop ---- */

/* A client of the host has connected: fd is the connection's. */
void vsock_conn_accept(struct vsock *v, int fd);
/* A packet from the guest, whose header was cut off; it is the connection's, or
 * was pushed, when this returns. */
void vsock_conn_packet(struct vsock *v, struct vsock_packet *p,
		       const struct vsock_header *h);
/* Write what connections have for the host. */
void vsock_conn_flush_dirty(struct vsock *v);
/* Copy what packets that are lent still have, and give them back. */
void vsock_conn_return_packets(struct vsock *v);
/* The guest is gone, or what it knows: end all of its connections. */
void vsock_conn_forget(struct vsock *v);
/* No connection is lent a packet or has its loop: free all of them. Main thread,
 * after the loop's end. */
void vsock_conn_free_all(struct vsock *v);
/* For the timer. */
void vsock_conn_on_timer(struct loop_timer *lt);
/* c's host sends no more, or is broken (r: -errno). */
void vsock_conn_end_of_host(struct vsock_conn *c, int r);
/* The guest got a packet of c, which goes behind the others. c may be gone. */
void vsock_conn_had_turn(struct vsock_conn *c);

#endif
