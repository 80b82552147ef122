/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_VIRTQUEUE_H
#define DEVICES_VIRTIO_VIRTQUEUE_H

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
 * only: devices see clean iovecs. A popped chain is pushed exactly once.
 */

#define VIRTQUEUE_SIZE_MAX 32768u

/* Ring layout, virtio 1.2 sections 2.7.5, 2.7.6, 2.7.8 */
#define VIRTQ_DESC_F_NEXT 1u
#define VIRTQ_DESC_F_WRITE 2u
#define VIRTQ_DESC_F_INDIRECT 4u
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1u
#define VIRTQ_USED_F_NO_NOTIFY 1u

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

struct virtqueue {
	/* vCPU, under the device's lock, while the queue is not running */
	uint16_t size;
	uint16_t size_max; /* offered to the driver */
	gpa_t desc_gpa;
	gpa_t avail_gpa;
	gpa_t used_gpa;

	/* where start takes up: 0 after reset, else left by stop */
	uint16_t start_avail;
	uint16_t start_used;

	/* owner loop only, from start to stop */
	const struct gmem *gm;
	struct virtq_desc *desc;
	le16 *avail; /* flags, idx, ring[size], used_event */
	le16 *used; /* flags, idx, ring[size] of elements, avail_event */
	bool event_idx;
	bool indirect;
	bool notify_on; /* the driver is asked to kick */
	const char *fault; /* what the guest did wrong, NULL: nothing */
	uint16_t last_avail; /* next entry to take */
	uint16_t avail_seen; /* avail idx as last read */
	uint16_t used_idx; /* next entry to fill */
	uint16_t used_published; /* used idx as the driver sees it */
	uint16_t used_signalled; /* used idx at the last publish */
	unsigned int pending; /* popped, not yet pushed */
	uint64_t *busy; /* a bit per head: popped and not pushed */
};

/*
 * One descriptor chain. iov holds nr_out readable entries, then nr_in
 * writable ones. The sums are bounded: at most 2^32 bytes a chain (virtio 1.2
 * section 2.7.5.3.1).
 */
struct vq_chain {
	uint16_t head;
	unsigned int nr_out;
	unsigned int nr_in;
	uint64_t out_len; /* bytes */
	uint64_t in_len; /* bytes */
	struct iovec *iov; /* set by virtqueue_pop(): pool[head * iov_max] */
	struct iovec *pool; /* caller's storage, iov_max entries per head */
	unsigned int iov_max;
};

/*
 * Bring a queue into use from the addresses the driver wrote, at the indices
 * start_avail and start_used. vq: the configuration fields are set.
 * Returns 0; -EFAULT when a ring is outside RAM, -EINVAL when misaligned or
 * the size is not a power of two; -ENOMEM.
 */
int virtqueue_start(struct virtqueue *vq, const struct gmem *gm, bool event_idx,
		    bool indirect);
/* The mirror of start: nothing may be pending. Configuration stays, and the
 * indices are kept for another start. */
void virtqueue_stop(struct virtqueue *vq);

/* Owner loop from here on. */

/* Are there chains to take? Reads the ring, no side effect on the driver. */
bool virtqueue_has_avail(struct virtqueue *vq);

/*
 * Take the next chain. chain->pool and iov_max are set by the caller.
 * Returns 1 and fills *chain, 0 when there is none, -EINVAL when the guest
 * broke the rules: vq->fault says how, the queue must not be used until reset.
 * Chains longer than iov_max are the guest's fault, too (the device announces
 * its limit, e.g. seg_max).
 */
int virtqueue_pop(struct virtqueue *vq, struct vq_chain *chain);

/* Give a chain back with len bytes written to its writable part. Not visible
 * to the driver before virtqueue_publish(). */
void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len);

/*
 * Make pushed chains visible. Returns true when the driver wants an interrupt
 * for them (virtio 1.2 section 2.7.7).
 */
bool virtqueue_publish(struct virtqueue *vq);

/*
 * Ask the driver for kicks, or not to kick (section 2.7.10). Turning them on
 * returns true when chains arrived meanwhile, which would not be announced.
 */
bool virtqueue_notify_enable(struct virtqueue *vq);
void virtqueue_notify_disable(struct virtqueue *vq);

/* No chain is out. */
bool virtqueue_is_idle(const struct virtqueue *vq);

#endif
