/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vq.h"

#include "io.h"
#include "memory.h"

#define PAGE 4096
#define FAR_AWAY 0x8000 /* an event index that stays ahead */
#define FAR_AWAY_REFRESH 0x4000

static void vq_alloc(struct vq *q)
{
	q->desc = arena_alloc(VQ_SIZE_MAX * sizeof(*q->desc), PAGE);
	q->avail = arena_alloc(2 * (3 + VQ_SIZE_MAX), PAGE);
	q->used = arena_alloc(6 + VQ_SIZE_MAX * sizeof(struct vq_used_elem),
			      PAGE);
	q->tables = arena_alloc(VQ_SIZE_MAX * VQ_CHAIN_MAX * sizeof(*q->tables),
				PAGE);
	q->next = arena_alloc(VQ_SIZE_MAX * sizeof(*q->next), PAGE);
}

static void vq_zero(volatile void *ring, uint64_t len)
{
	memset((void *)(uint64_t)ring, 0, len);
}

void vq_init(struct vq *q, uint16_t index, uint16_t size)
{
	if (!q->desc)
		vq_alloc(q);
	q->index = index;
	q->size = size;
	vq_zero(q->desc, size * sizeof(*q->desc));
	vq_zero(q->avail, 2u * (3u + size));
	vq_zero(q->used, 6 + size * sizeof(struct vq_used_elem));
	vq_free_all(q);
	q->avail_idx = q->kicked_idx = q->used_idx = 0;
	q->nr_kicks = 0;
	vq_set_interrupts(q, false);
}

static void vq_fill(volatile struct vq_desc *desc, const struct vq_seg *seg)
{
	desc->addr = (uint64_t)seg->addr;
	desc->len = seg->len;
	desc->flags = seg->write ? VQ_DESC_WRITE : 0;
}

static void vq_build_indirect(struct vq *q, uint16_t head,
			      const struct vq_seg *segs, unsigned nr)
{
	volatile struct vq_desc *table = &q->tables[head * VQ_CHAIN_MAX];

	for (unsigned i = 0; i < nr; i++) {
		vq_fill(&table[i], &segs[i]);
		if (i + 1 < nr) {
			table[i].flags |= VQ_DESC_NEXT;
			table[i].next = (uint16_t)(i + 1);
		}
	}
	q->desc[head].addr = (uint64_t)table;
	q->desc[head].len = (uint32_t)(nr * sizeof(*table));
	q->desc[head].flags = VQ_DESC_INDIRECT;
}

int vq_add(struct vq *q, const struct vq_seg *segs, unsigned nr, bool indirect)
{
	uint16_t head = q->free_head, at = head, last = head;

	if (nr > VQ_CHAIN_MAX || q->nr_free < (indirect ? 1 : nr))
		return -1;
	if (indirect) {
		vq_build_indirect(q, head, segs, nr);
		q->free_head = q->next[head];
		q->nr_free--;
	} else {
		for (unsigned i = 0; i < nr; i++, at = q->next[at]) {
			vq_fill(&q->desc[at], &segs[i]);
			last = at;
			if (i + 1 == nr)
				break;
			q->desc[at].flags |= VQ_DESC_NEXT;
			q->desc[at].next = q->next[at];
		}
		q->free_head = q->next[last];
		q->nr_free = (uint16_t)(q->nr_free - nr);
	}
	vq_offer(q, head);
	return head;
}

void vq_offer(struct vq *q, uint16_t head)
{
	q->avail[2 + (q->avail_idx & (q->size - 1))] = head;
	q->avail_idx++;
}

bool vq_publish(struct vq *q)
{
	uint16_t old = q->kicked_idx, now = q->avail_idx;

	write_fence();
	q->avail[1] = now;
	q->kicked_idx = now;
	full_fence();
	if (q->event_idx)
		return (uint16_t)(now - *vq_avail_event(q) - 1) <
		       (uint16_t)(now - old);
	return now != old && !(q->used[0] & VQ_USED_NO_NOTIFY);
}

void vq_ring_doorbell(struct vq *q)
{
	q->nr_kicks++;
	if (q->doorbell_is_32)
		mmio_write32(q->doorbell, q->doorbell_value);
	else
		mmio_write16(q->doorbell, (uint16_t)q->doorbell_value);
}

void vq_kick(struct vq *q)
{
	if (vq_publish(q))
		vq_ring_doorbell(q);
}

int vq_pop(struct vq *q, uint32_t *len)
{
	volatile struct vq_used_elem *elem;
	uint16_t head;

	if (q->used[1] == q->used_idx)
		return -1;
	read_fence();
	elem = &vq_used_ring(q)[q->used_idx & (q->size - 1)];
	head = (uint16_t)elem->id;
	if (len)
		*len = elem->len;
	q->used_idx++;
	if (q->event_idx && q->interrupts)
		*vq_used_event(q) = q->used_idx;
	else if (q->event_idx && !(q->used_idx % FAR_AWAY_REFRESH))
		*vq_used_event(q) = (uint16_t)(q->used_idx + FAR_AWAY);
	return head;
}

void vq_free(struct vq *q, uint16_t head)
{
	uint16_t last = head;
	uint16_t nr = 1;

	while (q->desc[last].flags & VQ_DESC_NEXT) {
		last = q->next[last];
		nr++;
	}
	q->next[last] = q->free_head;
	q->free_head = head;
	q->nr_free = (uint16_t)(q->nr_free + nr);
}

void vq_free_all(struct vq *q)
{
	for (uint16_t i = 0; i < q->size; i++)
		q->next[i] = (uint16_t)(i + 1);
	q->free_head = 0;
	q->nr_free = q->size;
	q->used_idx = q->used[1];
}

void vq_set_interrupts(struct vq *q, bool on)
{
	q->interrupts = on;
	q->avail[0] = on || q->event_idx ? 0 : VQ_AVAIL_NO_INTERRUPT;
	if (q->event_idx)
		*vq_used_event(q) =
			(uint16_t)(q->used_idx + (on ? 0 : FAR_AWAY));
	full_fence();
}
