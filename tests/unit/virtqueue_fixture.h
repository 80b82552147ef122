/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_UNIT_VIRTQUEUE_FIXTURE_H
#define TESTS_UNIT_VIRTQUEUE_FIXTURE_H

#include "devices/virtio/virtqueue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/guest_ring.h"
#include "vmm/util.h"

/*
 * A queue in memory of three regions, with the driver's side of its ring. For
 * the one file that includes this.
 */
#define REGION_LEN 0x100000ull
#define BORDER REGION_LEN /* of the two low regions */
#define RAM_END (2 * REGION_LEN)
#define HIGH 0x100000000ull /* a region above 4 GiB */
#define RING 0x1000ull
#define DATA 0x80000ull
#define TABLE 0x40000ull
#define SIZE 8u
#define IOV_MAX_HERE 12u

struct fixture {
	struct gmem gm;
	struct guest_ring ring;
	struct virtqueue vq;
	struct vq_chain *chain; /* the last one that was popped */
	struct vq_chain *lent[32768]; /* by head */
};

static struct fixture fix;

static void start(struct fixture *f, bool event_idx)
{
	f->vq.start_avail = f->vq.start_used = 0; /* as after a reset */
	assert_int_equal(virtqueue_start(&f->vq, &f->gm, event_idx, true), 0);
}

static int setup(void **state)
{
	const struct gmem_config gc = { .size = 3 * REGION_LEN };
	struct fixture *f = &fix;

	memset(f, 0, sizeof(*f));
	gmem_init(&f->gm, &gc);
	assert_int_equal(gmem_add(&f->gm, 0, REGION_LEN, NULL), 0);
	assert_int_equal(gmem_add(&f->gm, BORDER, REGION_LEN, NULL), 0);
	assert_int_equal(gmem_add(&f->gm, HIGH, REGION_LEN, NULL), 0);
	guest_ring_init(&f->ring, &f->gm, RING, SIZE);
	f->vq.size = SIZE;
	f->vq.size_max = 32768;
	f->vq.desc_gpa = f->ring.desc;
	f->vq.avail_gpa = f->ring.avail;
	f->vq.used_gpa = f->ring.used;
	f->vq.iov_max = IOV_MAX_HERE;
	*state = f;
	return 0;
}

static int pop(struct fixture *f)
{
	struct vq_chain *c = virtqueue_pop(&f->vq);

	if (!c)
		return f->vq.fault ? -EINVAL : 0;
	f->chain = f->lent[c->head] = c;
	return 1;
}

static void push(struct fixture *f, unsigned int head, uint32_t len)
{
	virtqueue_push(&f->vq, f->lent[head], len);
	f->lent[head] = NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(f->lent); i++)
		if (f->lent[i])
			push(f, i, 0);
	virtqueue_stop(&f->vq);
	virtqueue_clear(&f->vq);
	gmem_fini(&f->gm);
	return 0;
}

static void expect_iov(struct fixture *f, unsigned int i, gpa_t gpa, size_t len)
{
	assert_ptr_equal(f->chain->iov[i].iov_base,
			 guest_mem(&f->gm, gpa, len));
	assert_int_equal(f->chain->iov[i].iov_len, len);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
