/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The driver's side of a split virtqueue (virtio 1.2 §2.7), with indirect
 * descriptors and event indices.
 *
 * A chain is added, offered with the next kick, popped when the device has
 * used it, and then freed or offered again as it is. The fields are public:
 * tests break the rules on purpose.
 */
#ifndef GUEST_VQ_H
#define GUEST_VQ_H

#include <stdbool.h>
#include <stdint.h>

#define VQ_SIZE_MAX 1024
#define VQ_CHAIN_MAX 64

#define VQ_DESC_NEXT 1
#define VQ_DESC_WRITE 2
#define VQ_DESC_INDIRECT 4

#define VQ_AVAIL_NO_INTERRUPT 1
#define VQ_USED_NO_NOTIFY 1

struct vq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct vq_used_elem {
	uint32_t id;
	uint32_t len;
};

/* One piece of a chain. */
struct vq_seg {
	const volatile void *addr;
	uint32_t len;
	bool write; /* by the device */
};

struct vq {
	uint16_t index;
	uint16_t size;
	bool event_idx;
	bool indirect; /* negotiated */
	bool interrupts;

	volatile struct vq_desc *desc;
	volatile uint16_t *avail; /* flags, idx, ring[size], used_event */
	volatile uint16_t *used; /* flags, idx, ring[size], avail_event */
	volatile struct vq_desc *tables; /* VQ_CHAIN_MAX for each head */
	uint16_t *next; /* free list and chains */

	uint16_t free_head;
	uint16_t nr_free;
	uint16_t avail_idx; /* next to offer */
	uint16_t kicked_idx; /* avail_idx at the last kick */
	uint16_t used_idx; /* next to pop */

	uint64_t doorbell;
	uint32_t doorbell_value;
	bool doorbell_is_32;
	uint64_t nr_kicks; /* doorbells rung */
};

/* Takes memory the first time, empties the rings each time. */
void vq_init(struct vq *q, uint16_t index, uint16_t size);

/* Puts a chain on the ring, unpublished; returns its head, -1 when full. */
int vq_add(struct vq *q, const struct vq_seg *segs, unsigned nr, bool indirect);

/* Offers a popped chain once more. */
void vq_offer(struct vq *q, uint16_t head);

/* Shows the device what was offered; returns whether it wants a doorbell. */
bool vq_publish(struct vq *q);
void vq_ring_doorbell(struct vq *q);
void vq_kick(struct vq *q);

/* The next used chain or -1; len gets what the device says it wrote. */
int vq_pop(struct vq *q, uint32_t *len);
void vq_free(struct vq *q, uint16_t head);

/* When the device has used all it was offered: every descriptor is free. */
void vq_free_all(struct vq *q);

void vq_set_interrupts(struct vq *q, bool on);

static inline volatile uint16_t *vq_used_event(const struct vq *q)
{
	return &q->avail[2 + q->size];
}

static inline volatile struct vq_used_elem *vq_used_ring(const struct vq *q)
{
	return (volatile struct vq_used_elem *)(q->used + 2);
}

static inline volatile uint16_t *vq_avail_event(const struct vq *q)
{
	return (volatile uint16_t *)(vq_used_ring(q) + q->size);
}

#endif
