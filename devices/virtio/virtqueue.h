/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_VIRTQUEUE_H
#define DEVICES_VIRTIO_VIRTQUEUE_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/byteorder.h"
#include "vmm/gmem.h"

/*
 * Split virtqueues (virtio 1.2 section 2.7), device side.
 *
 * The guest may write to the rings at any time, so every field is read once
 * into a local, and a chain is copied, bounded and checked in virtqueue_pop()
 * only: devices see clean iovecs. A chain that was popped is lent to the device,
 * which gives it back once: virtqueue_push() when it was used, or
 * virtqueue_unpop() when it was not.
 *
 * Rings and indirect tables lie in RAM (gmem_ptr()); what descriptors point to
 * may lie in any memory of the guest (gmem_span()).
 */

#define VIRTQUEUE_SIZE_MAX 32768u

/* Ring layout, virtio 1.2 sections 2.7.5 and 2.7.8; flags are the kernel header's. */
struct virtq_desc {
	le64 addr;
	le32 len;
	le16 flags;
	le16 next;
};

struct virtq_used_elem {
	le32 id;
	le32 len;
};

/*
 * Bytes that a queue lends: no further chain while those that are lent have so
 * many. What is in flight is what a pause, a reset and a removal have to wait
 * for; the device bounds a single request itself.
 */
#define VIRTQUEUE_LENT_MAX (32ull << 20)

/*
 * One chain of descriptors, lent by virtqueue_pop(). iov holds nr_out readable
 * entries, then nr_in writable ones. The device may cut iov while it has the
 * chain. When it is pushed, the writable entries are whole again: they tell
 * which memory of the guest was written to.
 */
struct vq_chain {
	struct iovec *iov;
	unsigned int nr_out;
	unsigned int nr_in;
	/* bytes; together at most 2^32, section 2.7.5.3.1 */
	uint64_t out_len;
	uint64_t in_len;
	/* Entries of iov from the first to the last one that lies in a device's
	 * window: the host may be given these, but nothing here may read or
	 * write them. Equal: there are none. */
	unsigned int window_first;
	unsigned int window_end; /* behind the last one */
	uint16_t head; /* the index the driver knows it by */
	/* the queue's own */
	uint64_t lent_len; /* its part of the queue's */
	uint16_t avail; /* where it stood in the avail ring, */
	bool is_next; /* ... unless it is one that was given back */
	unsigned int age; /* marks of the queue when it was lent */
	unsigned int room; /* entries that iov can have */
	struct vq_chain *next; /* while it is not lent */
};

/* How many of the first nr entries of iov may be read and written here: those in
 * front of windows. */
static inline unsigned int vq_chain_front(const struct vq_chain *chain,
					  unsigned int nr)
{
	bool windows = chain->window_end && chain->window_first < nr;

	return windows ? chain->window_first : nr;
}

struct virtqueue {
	/* set at creation */
	uint16_t size_max; /* offered to the driver */
	/* The most buffers of a chain, in pieces as gmem_span() gives them. */
	unsigned int iov_max;
	/* Bytes of the device's struct of a request, which begins with struct
	 * vq_chain; the rest of it is zero at first, then as the device left
	 * it. 0: struct vq_chain alone. */
	size_t chain_size;

	/* vCPU, under the device's lock, while the queue is not running */
	uint16_t size;
	gpa_t desc_gpa;
	gpa_t avail_gpa;
	gpa_t used_gpa;

	/* where start takes up: 0 after reset, else left by stop */
	uint16_t start_avail;
	uint16_t start_used;
	/* heads from before start_avail that were given back, the next to be
	 * popped last: room for size of them, or NULL */
	uint16_t *returned;
	unsigned int nr_returned;

	/* owner loop only, from start to stop */
	const struct gmem *gm;
	const uint8_t *desc;
	le16 *avail; /* flags, idx, ring[size], used_event */
	le16 *used; /* flags, idx, ring[size] of elements, avail_event */
	bool event_idx;
	bool indirect;
	const char *fault; /* what the guest did wrong, NULL: nothing */
	uint16_t last_avail; /* next entry to take */
	uint16_t avail_seen; /* avail idx as last read */
	uint16_t used_idx; /* next entry to fill */
	uint16_t used_signalled; /* used idx at the last publish */
	unsigned int pending; /* chains that are lent */
	uint64_t lent_len; /* bytes of them */
	uint64_t *busy; /* a bit per head: it is lent */
	unsigned int marks; /* calls of virtqueue_mark(); wraps */
	unsigned int nr_marked; /* chains that were lent then */
	struct vq_chain *unused; /* to be lent again */
	size_t unused_len; /* bytes of them */
};

/*
 * Bring a queue into use from the addresses the driver wrote, at the indices
 * start_avail and start_used. vq: the configuration fields are set. gm is
 * borrowed until virtqueue_stop(). Owner loop.
 * Returns 0; -EFAULT when a ring is outside RAM, -EINVAL when misaligned or
 * the size is not a power of two; -ENOMEM.
 */
int virtqueue_start(struct virtqueue *vq, const struct gmem *gm, bool event_idx,
		    bool indirect);
/* Forget where the queue was and how it was configured, but for what was set at
 * creation. It does not run. */
void virtqueue_clear(struct virtqueue *vq);

/* The mirror of start: no chain is lent. Configuration stays, and the indices
 * are kept for another start. One that was not started is accepted. Owner loop. */
void virtqueue_stop(struct virtqueue *vq);

/* Owner loop from here on, between start and stop. */

/* May a chain be taken? Reads the ring, no side effect on the driver. False too
 * while VIRTQUEUE_LENT_MAX is reached, and once the guest broke the rules. */
bool virtqueue_has_avail(struct virtqueue *vq);

/*
 * Take the next chain. NULL: virtqueue_has_avail() is false; or the guest broke
 * the rules, which includes a chain of more than iov_max buffers (the device
 * announces its limit, e.g. seg_max): then vq->fault says how, and the queue
 * gives no chain before it was stopped and started again. Allocates only until
 * as many chains were in use at once, and as large.
 */
struct vq_chain *virtqueue_pop(struct virtqueue *vq);

/* The chain stands for len bytes more than its buffers have: the host has to
 * move them, too. */
static inline void virtqueue_weigh(struct virtqueue *vq, struct vq_chain *chain,
				   uint64_t len)
{
	chain->lent_len += len;
	vq->lent_len += len;
}

/*
 * The device used the chain, which is the queue's again. len: bytes written to
 * its writable part, as the driver is told; any of the writable bytes may have
 * been, unless len is 0. The driver sees nothing before virtqueue_publish().
 */
void virtqueue_push(struct virtqueue *vq, struct vq_chain *chain, uint32_t len);

/*
 * The device did nothing with the chain, or what it did may be done again. The
 * chain is the queue's, and will be popped again, after another start as well.
 * Chains that are given back last first come in the order they came in before;
 * a chain from before one that was pushed or is still lent comes first.
 */
void virtqueue_unpop(struct virtqueue *vq, struct vq_chain *chain);

/* Let the driver see pushed chains, if it looks; virtqueue_publish() follows. */
void virtqueue_show(struct virtqueue *vq);

/*
 * Make pushed chains visible. Returns true when the driver wants an interrupt
 * for them (virtio 1.2 section 2.7.7).
 */
bool virtqueue_publish(struct virtqueue *vq);

/* Ask the driver for kicks (section 2.7.10). True when chains arrived meanwhile,
 * which would not be announced. */
bool virtqueue_notify_enable(struct virtqueue *vq);
/* Tell the driver that it need not kick; it may all the same. */
void virtqueue_notify_disable(struct virtqueue *vq);

/* Somebody else served the ring since virtqueue_start(), who took the avail
 * entries before last_avail and used all that they took. */
void virtqueue_take_over(struct virtqueue *vq, uint16_t last_avail);

/* Mark the chains that are lent now, and no others. vq->nr_marked tells how many
 * of them still are. */
void virtqueue_mark(struct virtqueue *vq);

/* No chain is lent. */
bool virtqueue_is_idle(const struct virtqueue *vq);

#endif
