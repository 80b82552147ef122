/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_NET_DEVICE_H
#define DEVICES_VIRTIO_NET_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "devices/backend/tap.h"
#include "devices/backend/tap_filter.h"
#include "devices/backend/tap_ring.h"
#include "devices/virtio/net_frame.h"
#include "devices/virtio/net_params.h"
#include "devices/virtio/net_vhost.h"
#include "devices/virtio/virtio.h"
#include "vmm/iov.h"
#include "vmm/token_bucket.h"
#include "vmm/util.h"

/*
 * A virtio-net device (virtio 1.2 section 5.1), as its parts share it: net.c is
 * its life, net_state.c is how all follow what was decided, net_host.c what the
 * host's TAP is told, net_rx.c and net_tx.c are the ways of frames, net_ctrl.c is
 * the control queue.
 *
 * What driver and user decide is struct net_state. Whoever changes it counts
 * `generation` up and wakes the pairs, each of which has a copy of what it needs
 * and takes a new one (net_pair_sync()) before it moves another frame. So the way
 * of a frame takes no lock but that of a rate limit, where there is one.
 */

#define NET_F_CSUM 0
#define NET_F_GUEST_CSUM 1
#define NET_F_CTRL_GUEST_OFFLOADS 2
#define NET_F_MTU 3
#define NET_F_MAC 5
#define NET_F_GUEST_TSO4 7
#define NET_F_GUEST_TSO6 8
#define NET_F_GUEST_ECN 9
#define NET_F_GUEST_UFO 10
#define NET_F_HOST_TSO4 11
#define NET_F_HOST_TSO6 12
#define NET_F_HOST_ECN 13
#define NET_F_HOST_UFO 14
#define NET_F_MRG_RXBUF 15
#define NET_F_STATUS 16
#define NET_F_CTRL_VQ 17
#define NET_F_CTRL_RX 18
#define NET_F_CTRL_RX_EXTRA 20
#define NET_F_GUEST_ANNOUNCE 21
#define NET_F_MQ 22
#define NET_F_CTRL_MAC_ADDR 23
#define NET_F_GUEST_USO4 54
#define NET_F_GUEST_USO6 55
#define NET_F_HOST_USO 56

/* What CTRL_GUEST_OFFLOADS is about, section 5.1.6.5.6 */
#define NET_GUEST_OFFLOADS                                         \
	(VIRTIO_F(NET_F_GUEST_CSUM) | VIRTIO_F(NET_F_GUEST_TSO4) | \
	 VIRTIO_F(NET_F_GUEST_TSO6) | VIRTIO_F(NET_F_GUEST_ECN) |  \
	 VIRTIO_F(NET_F_GUEST_UFO) | VIRTIO_F(NET_F_GUEST_USO4) |  \
	 VIRTIO_F(NET_F_GUEST_USO6))

#define NET_S_LINK_UP 1u
#define NET_S_ANNOUNCE 2u

/* Frames moved in one go, then others on the loop have their turn. */
#define NET_BATCH 256u
/* The driver may see used chains after so many. */
#define NET_SHOW 16u
#define NET_BATCH_STEPS 9u /* 1, 2, 4, ... 256 frames and more */
/* Buffers of a chain, and of a system call. */
#define NET_CHAIN_IOV 1000u
#define NET_IOV 1024u
/* Addresses of the driver's table; one more place is its own. */
#define NET_MACS_MAX (TAP_FILTER_MACS - 1u)

struct net_config_space {
	uint8_t mac[NET_MAC_LEN];
	le16 status;
	le16 max_virtqueue_pairs;
	le16 mtu;
};
_Static_assert(sizeof(struct net_config_space) == 12, "section 5.1.4");

/* Which frames the driver wants, section 5.1.6.5.1; in the order of its commands,
 * then that it has more addresses than fit the table. */
enum net_rx_flag {
	NET_RX_PROMISC,
	NET_RX_ALLMULTI,
	NET_RX_ALLUNI,
	NET_RX_NOMULTI,
	NET_RX_NOUNI,
	NET_RX_NOBCAST,
	NET_RX_MORE_UNI,
	NET_RX_MORE_MULTI,
	NET_RX_FLAGS,
};

struct net_rx_mode {
	bool on[NET_RX_FLAGS];
	unsigned int nr_macs;
	uint8_t macs[NET_MACS_MAX][NET_MAC_LEN]; /* zero behind nr_macs */
};

/* No pointers: what a snapshot keeps, with features and rings. */
struct net_state {
	/* the driver's, until it resets the device */
	uint8_t mac[NET_MAC_LEN];
	uint16_t pairs; /* in use */
	uint64_t offloads; /* of its GUEST_* features, those that are on */
	struct net_rx_mode mode;
	bool announce; /* it is asked to */
	/* the user's */
	struct vlan_ports vlan;
	bool link; /* the cable is plugged in */
};

/* Of one queue. Written by its loop, read by any thread. */
struct net_stats {
	uint64_t frames, bytes; /* without their headers */
	uint64_t drops[NET_DROPS];
	uint64_t wakeups; /* of its loop */
	uint64_t batches[NET_BATCH_STEPS];
};

/* Of one run; added to the others at its end. */
struct net_tally {
	unsigned int frames;
	uint64_t bytes;
};

/* What a receive queue waits for. */
enum net_rx_wait {
	NET_RX_FRAMES, /* of the TAP */
	NET_RX_BUFFERS, /* of the guest */
	NET_RX_TIME, /* the rate limit's */
	NET_RX_TURN, /* others on its loop */
};

struct net_rx {
	struct virtio_queue *q;
	bool running;
	enum net_rx_wait wait;
	/* Frames may have come that the filter would not let in. */
	bool drain;
	/* Lent chains that wait for a frame: chains[first], nr of them with so
	 * many bytes. Between two runs, only while they are too few. */
	struct vq_chain **chains; /* room for NET_IOV */
	unsigned int first, nr;
	size_t room;
	bool windows; /* some have buffers in windows */
	struct loop_timer patience; /* how long they may be too few */
	bool impatient;
	/* The longest frame of late: buffers for one like it are wanted. */
	size_t expect, peak;
	unsigned int nr_seen;
	/* where the host puts what is not for the guest, or not yet */
	struct net_buffer {
		struct net_hdr hdr;
		uint8_t frame[NET_FRAME_MAX];
	} * buf;
	uint8_t tag[NET_TAG_LEN];
	struct iovec *iov; /* NET_IOV */
	struct net_stats stats;
};

struct net_tx {
	struct virtio_queue *q;
	bool running;
	bool blocked; /* the TAP takes no more */
	struct tap_ring *ring; /* of its loop; NULL: frames go one by one */
	/* what is being sent */
	struct net_head *heads; /* TAP_RING_FRAMES */
	struct iovec *iov; /* NET_IOV */
	struct net_stats stats;
};

/* Two queues, which share a loop; that loop's. */
struct net_pair {
	struct net *net;
	unsigned int index;
	struct loop_fd fd; /* of the TAP's queue */
	uint32_t watched; /* events */
	bool gone; /* the TAP is */
	/* a copy of struct net_state, as of `seen` */
	struct net_port port;
	bool active;
	bool link;
	bool unfiltered; /* the host's kernel passes other VLANs' frames */
	struct net_rx rx;
	struct net_tx tx;
	/* read by any thread */
	_Atomic unsigned int seen; /* a generation */
	_Atomic unsigned int nr_running;
};

/* The control queue's loop. */
struct net_ctrl {
	struct vq_chain *chain; /* its command waits for pairs to follow */
	unsigned int generation; /* ... this */
	struct token_bucket budget;
};

struct net {
	struct virtio_dev dev;
	/* set at creation */
	struct tap *tap;
	struct net_pair *pairs;
	unsigned int nr_pairs;
	uint8_t mac[NET_MAC_LEN]; /* the configured one */
	bool antispoof;

	/* vCPU, under dev.lock */
	struct net_config_space space;

	/* any thread, under lock, which is a leaf */
	pthread_mutex_t lock;
	struct net_state state;
	bool tap_up;

	/* any thread */
	_Atomic unsigned int generation; /* of state */
	atomic_bool ctrl_waits;

	struct net_ctrl ctrl;

	/* The TAP's settings. Loops, under host_lock, which waits for the host
	 * (order: this, lock). */
	pthread_mutex_t host_lock;
	struct net_state host; /* what it was told */
	bool host_known; /* it was told something */
	/* It has no filter; read by any thread. */
	atomic_bool unfiltered;

	/* The host's kernel moves the frames; host NULL: pairs do. */
	struct net_vhost vhost;

	/* main thread */
	struct tap_link tap_link;
};

static inline struct net *net_of(struct virtio_dev *dev)
{
	return container_of(dev, struct net, dev);
}

#endif
