/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * EVA: what is read and written of rings and tables lies in them, for queues of every
 * size, wherever they are, and whatever the guest has in its rings, at each look anew.
 * Each area ends where the memory ends.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "__fc_builtin.h"

#define htole32(x) (x)
#define RING_FLAGS 0
#define RING_IDX 1
#define RING_ENTRIES 2
#define VIRTQUEUE_SIZE_MAX 32768u
#define VIRTQUEUE_LENT_MAX (32ull << 20)

typedef uint64_t gpa_t;
typedef struct {
	uint16_t v;
} le16;
typedef struct {
	uint32_t v;
} le32;

/* FROM devices/virtio/virtqueue.h: struct virtq_used_elem */
/* FROM devices/virtio/virtqueue.h: struct vq_chain */
/* FROM devices/virtio/virtqueue.h: struct virtqueue */
/* FROM vmm/byteorder.h: le32_of */

static le16 avail[3 + VIRTQUEUE_SIZE_MAX], used[3 + 4 * VIRTQUEUE_SIZE_MAX];
static uint64_t busy[VIRTQUEUE_SIZE_MAX / 64];
static uint16_t returned[VIRTQUEUE_SIZE_MAX];
static struct vq_chain chain;
static const char vq_no_memory[] = "";

static uint16_t any(uint16_t least, uint16_t most)
{
	return (uint16_t)Frama_C_unsigned_int_interval(least, most);
}

/* It may be another one each time. */
static uint16_t ring_load(const le16 *p)
{
	return p->v & 0u | any(0, UINT16_MAX);
}

static uint16_t ring_load_acquire(const le16 *p)
{
	return ring_load(p);
}

static struct vq_chain *vq_chain_get(struct virtqueue *vq)
{
	return Frama_C_interval(0, 1) ? &chain : NULL;
}

static void vq_chain_keep(struct virtqueue *vq, struct vq_chain *c)
{
}

static int vq_walk_chain(struct virtqueue *vq, struct vq_chain **c)
{
	return 0;
}

/* FROM devices/virtio/virtqueue.h: virtqueue_weigh */
/* FROM devices/virtio/virtqueue.c: vq_used_event vq_avail_event vq_fault */
/* FROM devices/virtio/virtqueue.c: virtqueue_has_avail vq_busy_bit vq_chain_put */
/* FROM devices/virtio/virtqueue.c: vq_next_head vq_lend virtqueue_pop */
/* FROM devices/virtio/virtqueue.c: virtqueue_push virtqueue_unpop */

static struct virtqueue make(uint16_t size, uint16_t nr_returned)
{
	struct virtqueue vq = {
		.size = size,
		.avail = avail + VIRTQUEUE_SIZE_MAX - size,
		.used = used + 4 * (VIRTQUEUE_SIZE_MAX - size),
		.busy = busy + (VIRTQUEUE_SIZE_MAX - size) / 64,
		.returned = returned + VIRTQUEUE_SIZE_MAX - size,
		.nr_returned = nr_returned,
		.last_avail = any(0, UINT16_MAX),
		.avail_seen = any(0, UINT16_MAX),
		.used_idx = any(0, UINT16_MAX),
	};

	Frama_C_make_unknown((char *)busy, sizeof(busy));
	Frama_C_make_unknown((char *)returned, sizeof(returned));
	chain = (struct vq_chain){ .head = 0 };
	return vq;
}

static void take(struct virtqueue *vq)
{
	struct vq_chain *c = virtqueue_pop(vq);

	//@ check one_of_its_own: c == \null || c->head < vq->size;
	if (!c)
		return;
	if (Frama_C_interval(0, 1))
		virtqueue_push(vq, c, UINT32_MAX);
	else
		virtqueue_unpop(vq, c);
	(void)vq_used_event(vq)->v;
	//@ check not_beyond: used[2 + 4 * VIRTQUEUE_SIZE_MAX].v == 0;
	vq_avail_event(vq)->v = 0;
}

void main(void)
{
	for (uint32_t size = 1; size <= VIRTQUEUE_SIZE_MAX; size *= 2) {
		/* Those that were given back, and those that are lent, are no
		 * more than there are. */
		struct virtqueue vq = make((uint16_t)size, 0);

		take(&vq);
		vq = make((uint16_t)size, any(1, (uint16_t)size));
		take(&vq);
	}
	//@ check end: \true;
}
