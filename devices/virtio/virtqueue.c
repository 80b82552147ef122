/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/virtqueue.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util.h"

/* Indices in the avail and used areas seen as arrays of le16. */
#define RING_FLAGS 0
#define RING_IDX 1
#define RING_ENTRIES 2

/* Chains that are not lent take at most this many bytes of the queue's: as many
 * buffers of 4 KiB as fit into it describe 64 MiB. */
#define VQ_UNUSED_MAX (256 * KIB)
/* Buffers that a new chain has room for, and how often it grows. */
#define VQ_ROOM_MIN 4u
#define VQ_ROOM_GROWS 4u

static uint16_t ring_load(const le16 *p)
{
	return le16toh(__atomic_load_n(&p->v, __ATOMIC_RELAXED));
}

static uint16_t ring_load_acquire(const le16 *p)
{
	return le16toh(__atomic_load_n(&p->v, __ATOMIC_ACQUIRE));
}

static void ring_store(le16 *p, uint16_t v)
{
	__atomic_store_n(&p->v, htole16(v), __ATOMIC_RELAXED);
}

/* used_event lies behind the avail ring, avail_event behind the used ring. */
static le16 *vq_used_event(const struct virtqueue *vq)
{
	return &vq->avail[RING_ENTRIES + vq->size];
}

static le16 *vq_avail_event(const struct virtqueue *vq)
{
	return &vq->used[RING_ENTRIES + 4u * vq->size];
}

static int vq_fault(struct virtqueue *vq, const char *what)
{
	vq->fault = what;
	return -EINVAL;
}

static size_t vq_chain_len(const struct virtqueue *vq, unsigned int room)
{
	return vq->chain_size + room * sizeof(struct iovec);
}

static void vq_free(struct virtqueue *vq)
{
	struct vq_chain *c;

	while ((c = vq->unused)) {
		vq->unused = c->next;
		free(c);
	}
	vq->unused_len = 0;
	free(vq->busy);
	vq->busy = NULL;
}

int virtqueue_start(struct virtqueue *vq, const struct gmem *gm, bool event_idx,
		    bool indirect)
{
	uint16_t *returned;

	if (!IS_POW2(vq->size) || vq->size > vq->size_max ||
	    vq->desc_gpa % 16 || vq->avail_gpa % 2 || vq->used_gpa % 4)
		return -EINVAL;
	vq->desc = gmem_ptr(gm, vq->desc_gpa, 16ull * vq->size);
	vq->avail = gmem_ptr(gm, vq->avail_gpa, 6 + 2ull * vq->size);
	vq->used = gmem_ptr(gm, vq->used_gpa, 6 + 8ull * vq->size);
	if (!vq->desc || !vq->avail || !vq->used)
		return -EFAULT;
	/* The iovecs follow the device's struct. */
	vq->chain_size = ALIGN_UP(MAX(vq->chain_size, sizeof(struct vq_chain)),
				  _Alignof(max_align_t));
	vq->busy = calloc((vq->size + 63u) / 64, sizeof(*vq->busy));
	returned = realloc(vq->returned, vq->size * sizeof(*returned));
	if (returned)
		vq->returned = returned;
	if (!vq->busy || !returned) {
		vq_free(vq);
		return -ENOMEM;
	}
	vq->nr_marked = 0;
	vq->gm = gm;
	vq->event_idx = event_idx;
	vq->indirect = indirect;
	vq->fault = NULL;
	vq->last_avail = vq->start_avail;
	vq->avail_seen = vq->start_avail;
	vq->used_idx = vq->start_used;
	vq->used_signalled = vq->start_used;
	return 0;
}

void virtqueue_clear(struct virtqueue *vq)
{
	vq->size = vq->size_max;
	vq->desc_gpa = vq->avail_gpa = vq->used_gpa = 0;
	vq->start_avail = vq->start_used = 0;
	vq->nr_returned = 0;
	free(vq->returned);
	vq->returned = NULL;
	vq->fault = NULL;
}

void virtqueue_stop(struct virtqueue *vq)
{
	if (!vq->busy)
		return;
	vq->start_avail = vq->last_avail;
	vq->start_used = vq->used_idx;
	assert(!vq->pending);
	vq_free(vq);
	vq->desc = NULL;
	vq->avail = NULL;
	vq->used = NULL;
}

bool virtqueue_is_idle(const struct virtqueue *vq)
{
	return vq->pending == 0;
}

bool virtqueue_has_avail(struct virtqueue *vq)
{
	if (vq->fault || vq->lent_len >= VIRTQUEUE_LENT_MAX)
		return false;
	if (vq->avail_seen == vq->last_avail)
		vq->avail_seen = ring_load_acquire(&vq->avail[RING_IDX]);
	return vq->nr_returned || vq->avail_seen != vq->last_avail;
}

static uint64_t vq_busy_bit(uint16_t head)
{
	return 1ull << (head % 64);
}

/* ---- chains ---- */

static const char vq_no_memory[] = "out of memory on the host";

/* An empty one. NULL: out of memory. */
static struct vq_chain *vq_chain_get(struct virtqueue *vq)
{
	unsigned int room = MIN(VQ_ROOM_MIN, vq->iov_max);
	struct vq_chain *c = vq->unused;

	if (c) {
		room = c->room;
		vq->unused = c->next;
		vq->unused_len -= vq_chain_len(vq, room);
	} else {
		c = calloc(1, vq_chain_len(vq, room));
		if (!c)
			return NULL;
	}
	*c = (struct vq_chain){ .iov = (void *)((char *)c + vq->chain_size),
				.room = room };
	return c;
}

/* For another time. */
static void vq_chain_keep(struct virtqueue *vq, struct vq_chain *c)
{
	size_t len = vq_chain_len(vq, c->room);

	if (vq->unused_len + len > VQ_UNUSED_MAX) {
		free(c);
		return;
	}
	vq->unused_len += len;
	c->next = vq->unused;
	vq->unused = c;
}

/* The same chain with more room. NULL: out of memory, c is as it was. */
static struct vq_chain *vq_chain_grow(struct virtqueue *vq, struct vq_chain *c)
{
	unsigned int room = MIN(c->room * VQ_ROOM_GROWS, vq->iov_max);

	c = realloc(c, vq_chain_len(vq, room));
	if (!c)
		return NULL;
	c->iov = (void *)((char *)c + vq->chain_size);
	c->room = room;
	return c;
}

/* The device is done with it. */
static void vq_chain_put(struct virtqueue *vq, struct vq_chain *c)
{
	vq->pending--;
	vq->lent_len -= c->lent_len;
	vq->busy[c->head / 64] &= ~vq_busy_bit(c->head);
	vq->nr_marked -= vq->nr_marked && c->age != vq->marks;
	vq_chain_keep(vq, c);
}

/* A walk over one chain, in the ring's table or in one indirect table. */
struct vq_walk {
	const uint8_t *table; /* an indirect one may lie at any address */
	uint32_t nr; /* entries in the table */
	uint32_t left; /* steps before it must be a loop */
	uint32_t idx;
};

static void desc_read(struct virtq_desc *d, const struct vq_walk *w)
{
	memcpy(d, w->table + sizeof(*d) * w->idx, sizeof(*d));
	/* The one read of guest memory: nothing is read again later. */
	atomic_signal_fence(memory_order_seq_cst);
}

static int vq_enter_indirect(struct virtqueue *vq, const struct virtq_desc *d,
			     struct vq_walk *w)
{
	uint32_t len = le32_get(d->len);
	uint64_t gpa = le64_get(d->addr);

	if (!vq->indirect)
		return vq_fault(vq, "indirect descriptor not negotiated");
	if (le16_get(d->flags) & VRING_DESC_F_NEXT)
		return vq_fault(vq, "indirect descriptor with next");
	if (!len || len % sizeof(*d) || len / sizeof(*d) > VIRTQUEUE_SIZE_MAX)
		return vq_fault(vq, "bad length of an indirect table");
	w->table = gmem_ptr(vq->gm, gpa, len);
	if (!w->table)
		return vq_fault(vq, "indirect table outside memory");
	w->nr = len / (uint32_t)sizeof(*d);
	w->left = w->nr;
	w->idx = 0;
	return 0;
}

/* Add one buffer to the chain; it may straddle memory regions. A chain that is
 * full becomes another one. */
static int vq_add_buffer(struct virtqueue *vq, struct vq_chain **chain,
			 const struct virtq_desc *d)
{
	struct vq_chain *c = *chain;
	uint64_t gpa = le64_get(d->addr);
	uint64_t left = le32_get(d->len);
	bool in = le16_get(d->flags) & VRING_DESC_F_WRITE;
	uint64_t *sum = in ? &c->in_len : &c->out_len;

	if (!in && c->nr_in)
		return vq_fault(vq, "readable buffer behind a writable one");
	if (!left)
		return vq_fault(vq, "buffer of no length");
	if (c->out_len + c->in_len + left > UINT32_MAX)
		return vq_fault(vq, "chain longer than 4 GiB");
	while (left) {
		unsigned int i = c->nr_out + c->nr_in;
		enum gmem_kind kind;
		uint64_t n = left;
		void *p = gmem_span(vq->gm, gpa, &n, &kind);

		if (!p)
			return vq_fault(vq, "buffer outside memory");
		if (i == vq->iov_max)
			return vq_fault(vq, "too many buffers in a chain");
		if (i == c->room) {
			c = vq_chain_grow(vq, c);
			if (!c)
				return vq_fault(vq, vq_no_memory);
			*chain = c;
			sum = in ? &c->in_len : &c->out_len;
		}
		c->iov[i] = (struct iovec){ .iov_base = p, .iov_len = n };
		if (kind == GMEM_WINDOW) {
			c->window_first = c->window_end ? c->window_first : i;
			c->window_end = i + 1;
		}
		if (in)
			c->nr_in++;
		else
			c->nr_out++;
		*sum += n;
		gpa += n;
		left -= n;
	}
	return 0;
}

static int vq_walk_chain(struct virtqueue *vq, struct vq_chain **c)
{
	struct vq_walk w = { .table = vq->desc,
			     .nr = vq->size,
			     .left = vq->size,
			     .idx = (*c)->head };
	bool in_table = false;

	for (;;) {
		struct virtq_desc d;
		uint16_t flags;
		int r;

		if (w.idx >= w.nr)
			return vq_fault(vq, "descriptor index out of range");
		if (!w.left--)
			return vq_fault(vq, "loop in a descriptor chain");
		desc_read(&d, &w);
		flags = le16_get(d.flags);
		if (flags & VRING_DESC_F_INDIRECT) {
			if (in_table)
				return vq_fault(vq, "nested indirect table");
			in_table = true;
			r = vq_enter_indirect(vq, &d, &w);
			if (r)
				return r;
			continue;
		}
		r = vq_add_buffer(vq, c, &d);
		if (r)
			return r;
		if (!(flags & VRING_DESC_F_NEXT))
			return 0;
		w.idx = le16_get(d.next);
	}
}

/* The head of the next chain. */
static void vq_next_head(struct virtqueue *vq, struct vq_chain *c)
{
	uint16_t slot = vq->last_avail & (vq->size - 1u);

	c->avail = vq->last_avail;
	c->is_next = !vq->nr_returned;
	if (vq->nr_returned)
		c->head = vq->returned[vq->nr_returned - 1];
	else if ((uint16_t)(vq->avail_seen - vq->last_avail) > vq->size)
		vq_fault(vq, "avail index jumped");
	else
		c->head = ring_load(&vq->avail[RING_ENTRIES + slot]);
}

static void vq_lend(struct virtqueue *vq, struct vq_chain *c)
{
	vq->busy[c->head / 64] |= vq_busy_bit(c->head);
	c->age = vq->marks;
	vq->pending++;
	virtqueue_weigh(vq, c, c->out_len + c->in_len);
	if (c->is_next)
		vq->last_avail++;
	else
		vq->nr_returned--;
}

struct vq_chain *virtqueue_pop(struct virtqueue *vq)
{
	struct vq_chain *c;

	if (!virtqueue_has_avail(vq))
		return NULL;
	c = vq_chain_get(vq);
	if (!c) {
		vq_fault(vq, vq_no_memory);
		return NULL;
	}
	vq_next_head(vq, c);
	if (c->head >= vq->size)
		vq_fault(vq, "avail entry out of range");
	else if (vq->busy[c->head / 64] & vq_busy_bit(c->head))
		vq_fault(vq, "descriptor made available twice");
	else if (!vq->fault)
		vq_walk_chain(vq, &c);
	if (vq->fault) {
		vq_chain_keep(vq, c); /* nothing of it reaches the device */
		return NULL;
	}
	vq_lend(vq, c);
	return c;
}

void virtqueue_push(struct virtqueue *vq, struct vq_chain *chain, uint32_t len)
{
	uint16_t slot = vq->used_idx & (vq->size - 1u);
	le16 *p = &vq->used[RING_ENTRIES + 4u * slot];
	struct virtq_used_elem e = { .id = le32_of(chain->head),
				     .len = le32_of(len) };

	memcpy(p, &e, sizeof(e));
	vq->used_idx++;
	vq_chain_put(vq, chain);
}

void virtqueue_unpop(struct virtqueue *vq, struct vq_chain *chain)
{
	if (chain->is_next && chain->avail == (uint16_t)(vq->last_avail - 1))
		vq->last_avail--;
	else
		vq->returned[vq->nr_returned++] = chain->head;
	vq_chain_put(vq, chain);
}

void virtqueue_mark(struct virtqueue *vq)
{
	vq->marks++;
	vq->nr_marked = vq->pending;
}

void virtqueue_take_over(struct virtqueue *vq, uint16_t last_avail)
{
	vq->last_avail = vq->avail_seen = last_avail;
	vq->used_idx = ring_load_acquire(&vq->used[RING_IDX]);
	vq->used_signalled = vq->used_idx;
}

/* Did idx move over event? virtio 1.2 section 2.7.7.2, in 16-bit arithmetic. */
static bool vq_need_event(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

void virtqueue_show(struct virtqueue *vq)
{
	__atomic_store_n(&vq->used[RING_IDX].v, htole16(vq->used_idx),
			 __ATOMIC_RELEASE);
}

bool virtqueue_publish(struct virtqueue *vq)
{
	uint16_t old = vq->used_signalled; /* see section 2.7.7.2 */

	if (old == vq->used_idx)
		return false;
	virtqueue_show(vq);
	/* The index must be visible before the driver's wish is read. */
	atomic_thread_fence(memory_order_seq_cst);
	vq->used_signalled = vq->used_idx;
	if (vq->event_idx)
		return vq_need_event(ring_load(vq_used_event(vq)), vq->used_idx,
				     old);
	return !(ring_load(&vq->avail[RING_FLAGS]) &
		 VRING_AVAIL_F_NO_INTERRUPT);
}

bool virtqueue_notify_enable(struct virtqueue *vq)
{
	if (vq->event_idx)
		ring_store(vq_avail_event(vq), vq->last_avail);
	else
		ring_store(&vq->used[RING_FLAGS], 0);
	atomic_thread_fence(memory_order_seq_cst);
	return virtqueue_has_avail(vq);
}

void virtqueue_notify_disable(struct virtqueue *vq)
{
	/* With event indices an old avail_event is as good as none; one that
	 * waits for the next chain becomes old. */
	if (!vq->event_idx)
		ring_store(&vq->used[RING_FLAGS], VRING_USED_F_NO_NOTIFY);
	else if (ring_load(vq_avail_event(vq)) == vq->last_avail)
		ring_store(vq_avail_event(vq), (uint16_t)(vq->last_avail - 1));
}
