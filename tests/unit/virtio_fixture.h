/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_UNIT_VIRTIO_FIXTURE_H
#define TESTS_UNIT_VIRTIO_FIXTURE_H

#include "devices/virtio/virtio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/fake_vm.h"
#include "tests/lib/guest_ring.h"
#include "vmm/log.h"
#include "vmm/util.h"

/*
 * A device whose requests finish when the test says so, and a transport that
 * counts. For the one file that includes this.
 */
#define TOY_QUEUES 2u
#define TOY_SIZE 16u
#define TOY_FEATURE 3
#define DATA 0x80000ull

struct toy {
	struct virtio_dev dev;
	struct vq_chain *held[TOY_QUEUES][TOY_SIZE]; /* popped */
	unsigned int nr_held[TOY_QUEUES];
	unsigned int kicks, starts, stops, resets, agreements;
	unsigned int wakes;
	atomic_bool asleep[TOY_QUEUES];
	int start_result;
	uint64_t active_features; /* as features_ok() saw them */
	uint32_t space;
	unsigned int interrupts;
	uint16_t last_vector;
	unsigned int transport_resets;
	bool destroyed;
};

static struct fake_vm fv;
static struct toy toy;
static struct guest_ring rings[TOY_QUEUES];

static struct toy *toy_of(struct virtio_dev *dev)
{
	return container_of(dev, struct toy, dev);
}

static void toy_features_ok(struct virtio_dev *dev)
{
	toy_of(dev)->agreements++;
	toy_of(dev)->active_features = dev->features;
}

static int toy_queue_start(struct virtio_dev *dev, unsigned int qidx)
{
	assert_true(loop_is_current(dev->queues[qidx].loop));
	toy_of(dev)->starts++;
	return toy_of(dev)->start_result;
}

static void toy_kick(struct virtio_dev *dev, unsigned int qidx)
{
	struct toy *t = toy_of(dev);
	struct virtio_queue *q = &dev->queues[qidx];
	struct vq_chain *c;

	t->kicks++;
	while ((c = virtqueue_pop(&q->vq)))
		t->held[qidx][t->nr_held[qidx]++] = c;
}

static void toy_events(struct virtio_dev *dev, unsigned int qidx, bool on)
{
	atomic_store(&toy_of(dev)->asleep[qidx], on);
	toy_of(dev)->wakes += !on;
}

static void toy_queue_stop(struct virtio_dev *dev, unsigned int qidx)
{
	toy_of(dev)->stops++;
	if (virtqueue_is_idle(&dev->queues[qidx].vq))
		virtio_queue_idle(&dev->queues[qidx]);
}

static void toy_reset(struct virtio_dev *dev)
{
	toy_of(dev)->resets++;
}

static void toy_destroy(struct virtio_dev *dev)
{
	toy_of(dev)->destroyed = true;
	virtio_fini(dev);
}

static const struct virtio_ops toy_ops = {
	.features_ok = toy_features_ok,
	.queue_start = toy_queue_start,
	.kick = toy_kick,
	.events = toy_events,
	.queue_stop = toy_queue_stop,
	.reset = toy_reset,
	.destroy = toy_destroy,
};

static void toy_interrupt(void *transport, uint16_t vector)
{
	struct toy *t = transport;

	t->interrupts++;
	t->last_vector = vector;
}

static void toy_transport_reset(void *transport)
{
	((struct toy *)transport)->transport_resets++;
}

static void toy_transport_destroy(void *transport unused_param)
{
}

static const struct virtio_transport_ops toy_transport_ops = {
	.interrupt = toy_interrupt,
	.reset = toy_transport_reset,
	.destroy = toy_transport_destroy,
};

static const struct device_class toy_class = { .name = "toy", .option = "toy" };

/* ---- what a transport and a loop do ---- */

static void set_status(uint8_t status)
{
	pthread_mutex_lock(&toy.dev.lock);
	virtio_set_status(&toy.dev, status);
	pthread_mutex_unlock(&toy.dev.lock);
}

static uint8_t status(void)
{
	return toy.dev.status;
}

static void set_features(uint64_t features)
{
	pthread_mutex_lock(&toy.dev.lock);
	virtio_set_features(&toy.dev, 0, (uint32_t)features);
	virtio_set_features(&toy.dev, 1, (uint32_t)(features >> 32));
	pthread_mutex_unlock(&toy.dev.lock);
}

static void enable_queue(unsigned int i)
{
	struct virtqueue *vq = &toy.dev.queues[i].vq;

	pthread_mutex_lock(&toy.dev.lock);
	vq->size = rings[i].size;
	vq->desc_gpa = rings[i].desc;
	vq->avail_gpa = rings[i].avail;
	vq->used_gpa = rings[i].used;
	virtio_queue_enable(&toy.dev.queues[i]);
	pthread_mutex_unlock(&toy.dev.lock);
}

/* The device is done with the oldest request it holds, and has not said so. */
static void push_one(unsigned int qidx)
{
	assert_true(toy.nr_held[qidx] > 0);
	virtqueue_push(&toy.dev.queues[qidx].vq, toy.held[qidx][0], 1);
	memmove(toy.held[qidx], toy.held[qidx] + 1,
		--toy.nr_held[qidx] * sizeof(toy.held[qidx][0]));
}

static void finish_one(unsigned int qidx)
{
	struct virtio_queue *q = &toy.dev.queues[qidx];

	push_one(qidx);
	virtio_queue_publish(q);
	if (q->draining && virtqueue_is_idle(&q->vq))
		virtio_queue_idle(q);
}

static void make_rings(void)
{
	gpa_t gpa = 0x1000;
	unsigned int i, d;

	for (i = 0; i < TOY_QUEUES; i++) {
		gpa = guest_ring_init(&rings[i], &fv.board.gmem, gpa, TOY_SIZE);
		for (d = 0; d < TOY_SIZE; d++)
			guest_ring_desc(&rings[i], d, DATA + 16 * d, 16,
					RING_WRITE, 0);
	}
}

#define GOOD_FEATURES                                                   \
	(VIRTIO_F(VIRTIO_F_VERSION_1) | VIRTIO_F(VIRTIO_F_RING_RESET) | \
	 VIRTIO_F(TOY_FEATURE))

static void negotiate(void)
{
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	set_features(GOOD_FEATURES);
	set_status(status() | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(status() & VIRTIO_CONFIG_S_FEATURES_OK);
}

static void bring_up(void)
{
	make_rings();
	negotiate();
	enable_queue(0);
	enable_queue(1);
	set_status(status() | VIRTIO_CONFIG_S_DRIVER_OK);
	fake_vm_turn(&fv);
}

static int setup(void **state unused_param)
{
	const struct virtio_init init = {
		.board = &fv.board,
		.class = &toy_class,
		.ops = &toy_ops,
		.id = 42,
		.features = VIRTIO_F(TOY_FEATURE),
		.nr_queues = TOY_QUEUES,
		.queue_size = 64,
		.iov_max = 4,
		.config = &toy.space,
		.config_len = sizeof(toy.space),
	};

	fake_vm_init(&fv);
	memset(&toy, 0, sizeof(toy));
	assert_int_equal(virtio_init(&toy.dev, &init, NULL), 0);
	strcpy(toy.dev.device.id, "toy");
	toy.dev.transport = &toy;
	toy.dev.transport_ops = &toy_transport_ops;
	return 0;
}

static int teardown(void **state unused_param)
{
	unsigned int i;

	set_status(0);
	fake_vm_turn(&fv);
	for (i = 0; i < TOY_QUEUES; i++)
		while (toy.nr_held[i])
			finish_one(i);
	fake_vm_turn(&fv);
	assert_int_equal(status(), 0);
	toy.dev.device.ops->destroy(&toy.dev.device);
	assert_true(toy.destroyed);
	fake_vm_fini(&fv);
	return 0;
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
