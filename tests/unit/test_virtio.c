/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The device state machine, with a device whose requests finish when the test
 * says so and a transport that counts.
 */
#include "devices/virtio/virtio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/fake_vm.h"
#include "tests/lib/guest_ring.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define TOY_QUEUES 2u
#define TOY_SIZE 16u
#define TOY_FEATURE 3
#define DATA 0x80000ull

struct toy {
	struct virtio_dev dev;
	struct vq_chain *held[TOY_QUEUES][TOY_SIZE]; /* popped */
	unsigned int nr_held[TOY_QUEUES];
	unsigned int kicks, starts, stops, resets, agreements;
	unsigned int sleeps, wakes;
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

static void toy_events(struct virtio_dev *dev, unsigned int qidx unused_param,
		       bool on)
{
	if (on)
		toy_of(dev)->sleeps++;
	else
		toy_of(dev)->wakes++;
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
	return virtio_get_status(&toy.dev);
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

static void reset_queue(unsigned int i)
{
	pthread_mutex_lock(&toy.dev.lock);
	virtio_queue_reset(&toy.dev.queues[i]);
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
	set_status(VIRTIO_STATUS_ACKNOWLEDGE);
	set_status(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	set_features(GOOD_FEATURES);
	set_status(status() | VIRTIO_STATUS_FEATURES_OK);
	assert_true(status() & VIRTIO_STATUS_FEATURES_OK);
}

static void bring_up(void)
{
	make_rings();
	negotiate();
	enable_queue(0);
	enable_queue(1);
	set_status(status() | VIRTIO_STATUS_DRIVER_OK);
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

/* ---- negotiation ---- */

static void test_features_offered(void **state unused_param)
{
	assert_int_equal(toy.dev.host_features,
			 GOOD_FEATURES | VIRTIO_F(VIRTIO_F_INDIRECT_DESC) |
				 VIRTIO_F(VIRTIO_F_EVENT_IDX));
}

static void test_features_refused(void **state unused_param)
{
	const uint64_t bad[] = {
		0, /* no VERSION_1 */
		VIRTIO_F(TOY_FEATURE),
		VIRTIO_F(VIRTIO_F_VERSION_1) | VIRTIO_F(4),
		VIRTIO_F(VIRTIO_F_VERSION_1) | VIRTIO_F(63),
		~0ull,
	};
	unsigned int i;

	set_status(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		set_features(bad[i]);
		set_status(status() | VIRTIO_STATUS_FEATURES_OK);
		assert_false(status() & VIRTIO_STATUS_FEATURES_OK);
	}
	/* It may try again with others. */
	set_features(GOOD_FEATURES);
	set_status(status() | VIRTIO_STATUS_FEATURES_OK);
	assert_true(status() & VIRTIO_STATUS_FEATURES_OK);
	/* Too late now. */
	set_features(0);
	assert_int_equal(toy.dev.features, GOOD_FEATURES);
}

static void test_feature_halves(void **state unused_param)
{
	virtio_set_features(&toy.dev, 0, 0xffffffff);
	virtio_set_features(&toy.dev, 1, 0x12345678);
	virtio_set_features(&toy.dev, 2, 0xffffffff);
	virtio_set_features(&toy.dev, 0xffffffff, 0xffffffff);
	virtio_set_features(&toy.dev, 0, 8);
	assert_int_equal(toy.dev.features, 0x1234567800000008);
}

static void test_status_bits(void **state unused_param)
{
	set_status(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(status(), VIRTIO_STATUS_ACKNOWLEDGE);
	set_status(VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FAILED);
	/* A driver must not clear bits (section 2.1.1). */
	assert_int_equal(status(), VIRTIO_STATUS_ACKNOWLEDGE |
					   VIRTIO_STATUS_DRIVER |
					   VIRTIO_STATUS_FAILED);
	set_status(0);
	assert_int_equal(status(), 0);
	assert_int_equal(toy.resets, 1);
}

static void test_driver_ok_too_early(void **state unused_param)
{
	make_rings();
	set_status(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	enable_queue(0);
	set_status(status() | VIRTIO_STATUS_DRIVER_OK);
	fake_vm_turn(&fv);
	assert_false(status() & VIRTIO_STATUS_DRIVER_OK);
	assert_true(status() & VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(toy.agreements, 0);
	assert_int_equal(toy.starts, 0);
	set_status(0);
	bring_up();
	assert_int_equal(toy.starts, 2);
}

/* FEATURES_OK and DRIVER_OK in one write, with features that are refused. */
static void test_both_at_once(void **state unused_param)
{
	set_status(VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK);
	assert_int_equal(status(), VIRTIO_STATUS_NEEDS_RESET);
	set_status(0);
	set_features(GOOD_FEATURES);
	set_status(VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK);
	assert_int_equal(status(),
			 VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK);
	assert_int_equal(toy.agreements, 1);
}

/* ---- queues ---- */

static void test_requests(void **state unused_param)
{
	uint32_t id, len;

	bring_up();
	assert_int_equal(toy.agreements, 1);
	assert_int_equal(toy.active_features, GOOD_FEATURES);
	assert_int_equal(toy.starts, 2);
	atomic_store(&toy.dev.queues[1].vector, 9);
	guest_ring_offer(&rings[1], 3);
	virtio_notify_write(&toy.dev, 1);
	fake_vm_turn(&fv);
	assert_int_equal(toy.nr_held[0], 0);
	assert_int_equal(toy.nr_held[1], 1);
	finish_one(1);
	assert_int_equal(toy.interrupts, 1);
	assert_int_equal(toy.last_vector, 9);
	assert_int_equal(toy.dev.isr, VIRTIO_ISR_QUEUE);
	assert_true(guest_ring_take(&rings[1], &id, &len));
	assert_int_equal(id, 3);
	/* A queue that does not exist. */
	virtio_notify_write(&toy.dev, TOY_QUEUES);
	virtio_notify_write(&toy.dev, 0xffff);
}

/* Kicks before DRIVER_OK are not lost. */
static void test_early_kick(void **state unused_param)
{
	make_rings();
	negotiate();
	enable_queue(0);
	guest_ring_offer(&rings[0], 0);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.kicks, 0);
	set_status(status() | VIRTIO_STATUS_DRIVER_OK);
	fake_vm_turn(&fv);
	assert_int_equal(toy.nr_held[0], 1);
	assert_int_equal(toy.starts, 1); /* the other one is not enabled */
}

static void test_queues_are_immutable(void **state unused_param)
{
	struct virtio_queue *q = &toy.dev.queues[0];

	make_rings();
	assert_true(virtio_queue_is_open(q));
	negotiate();
	assert_true(virtio_queue_is_open(q));
	enable_queue(0);
	assert_false(virtio_queue_is_open(q));
	set_status(status() | VIRTIO_STATUS_DRIVER_OK);
	assert_false(virtio_queue_is_open(q));
	/* One that was not enabled stays closed, too. */
	assert_false(virtio_queue_is_open(&toy.dev.queues[1]));
	virtio_queue_enable(&toy.dev.queues[1]);
	fake_vm_turn(&fv);
	assert_false(toy.dev.queues[1].enabled);
	assert_int_equal(toy.starts, 1);
	virtio_queue_enable(q); /* again: nothing */
	fake_vm_turn(&fv);
	assert_int_equal(toy.starts, 1);
}

static void test_bad_ring_address(void **state unused_param)
{
	make_rings();
	negotiate();
	rings[0].used = FAKE_RAM_END;
	enable_queue(0);
	enable_queue(1);
	atomic_store(&toy.dev.config_vector, 5);
	set_status(status() | VIRTIO_STATUS_DRIVER_OK);
	fake_vm_turn(&fv);
	assert_true(status() & VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(toy.interrupts, 1);
	assert_int_equal(toy.last_vector, 5);
	assert_int_equal(toy.dev.isr, VIRTIO_ISR_CONFIG);
	/* The other queue works; a kick of this one does nothing. */
	virtio_kick(&toy.dev, 0);
	guest_ring_offer(&rings[1], 0);
	virtio_notify_write(&toy.dev, 1);
	fake_vm_turn(&fv);
	assert_int_equal(toy.nr_held[1], 1);
	finish_one(1);
	set_status(0);
	fake_vm_turn(&fv);
	assert_int_equal(status(), 0);
	bring_up();
	assert_int_equal(status() & VIRTIO_STATUS_NEEDS_RESET, 0);
}

static void test_start_fails(void **state unused_param)
{
	toy.start_result = -EMFILE;
	bring_up();
	assert_true(status() & VIRTIO_STATUS_NEEDS_RESET);
	assert_null(toy.dev.queues[0].vq.busy);
	set_status(0);
	fake_vm_turn(&fv);
	assert_int_equal(status(), 0);
	assert_int_equal(toy.stops, 0); /* it never started */
	toy.start_result = 0;
	bring_up();
	assert_int_equal(status() & VIRTIO_STATUS_NEEDS_RESET, 0);
}

/* Said once, and only the broken queue stands still. */
static void test_fault_once(void **state unused_param)
{
	bring_up();
	guest_ring_offer(&rings[0], 1);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	guest_ring_set_avail_idx(&rings[0], 999);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	assert_true(status() & VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(toy.interrupts, 1);
	assert_true(toy.dev.faulted);
	toy.kicks = 0;
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.kicks, 0);
	/* What was taken before still completes. */
	finish_one(0);
	assert_int_equal(guest_ring_used_idx(&rings[0]), 1);
	set_status(0);
	fake_vm_turn(&fv);
	assert_int_equal(status(), 0);
	assert_false(toy.dev.faulted);
	assert_null(toy.dev.queues[0].vq.fault);
}

/* ---- reset ---- */

static void test_reset_waits(void **state unused_param)
{
	bring_up();
	guest_ring_put(&rings[0], 0);
	guest_ring_offer(&rings[0], 1);
	guest_ring_offer(&rings[1], 0);
	virtio_notify_write(&toy.dev, 0);
	virtio_notify_write(&toy.dev, 1);
	fake_vm_turn(&fv);
	set_status(0);
	assert_int_not_equal(status(), 0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.stops, 2);
	assert_int_not_equal(status(), 0);
	/* Nothing is taken, and nothing the driver writes counts. */
	guest_ring_offer(&rings[0], 2);
	virtio_notify_write(&toy.dev, 0);
	set_status(VIRTIO_STATUS_ACKNOWLEDGE);
	virtio_queue_reset(&toy.dev.queues[0]);
	assert_false(virtio_queue_is_open(&toy.dev.queues[0]));
	fake_vm_turn(&fv);
	assert_int_equal(toy.nr_held[0], 2);
	finish_one(1);
	finish_one(0);
	assert_int_not_equal(status(), 0);
	assert_int_equal(toy.resets, 0);
	finish_one(0);
	assert_int_equal(status(), 0);
	assert_int_equal(toy.resets, 1);
	assert_int_equal(toy.dev.features, 0);
	assert_int_equal(toy.dev.isr, 0);
	assert_int_equal(toy.dev.queues[0].vector, VIRTIO_NO_VECTOR);
	assert_int_equal(toy.dev.queues[0].vq.size, 64);
	assert_int_equal(toy.dev.queues[0].vq.desc_gpa, 0);
	assert_false(toy.dev.queues[0].enabled);
	bring_up();
	guest_ring_offer(&rings[0], 5);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.nr_held[0], 1);
}

/* Up and down again before the loop has run at all. */
static void test_quick_reset(void **state unused_param)
{
	make_rings();
	negotiate();
	enable_queue(0);
	set_status(status() | VIRTIO_STATUS_DRIVER_OK);
	set_status(0);
	assert_int_not_equal(status(), 0);
	fake_vm_turn(&fv);
	assert_int_equal(status(), 0);
	assert_int_equal(toy.starts, 1);
	assert_int_equal(toy.stops, 1);
}

static void test_queue_reset(void **state unused_param)
{
	struct virtio_queue *q = &toy.dev.queues[0];

	bring_up();
	atomic_store(&q->vector, 3);
	guest_ring_offer(&rings[0], 0);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	reset_queue(0);
	assert_true(q->resetting);
	fake_vm_turn(&fv);
	assert_true(q->resetting);
	assert_true(q->enabled);
	reset_queue(0); /* again: nothing */
	finish_one(0);
	assert_false(q->resetting);
	assert_false(q->enabled);
	assert_int_equal(q->vq.desc_gpa, 0);
	assert_true(virtio_queue_is_open(q));
	/* The other queue runs on. */
	guest_ring_offer(&rings[1], 0);
	virtio_notify_write(&toy.dev, 1);
	fake_vm_turn(&fv);
	finish_one(1);
	/* Set up anew, from index 0. */
	guest_ring_set_start(&rings[0], 0);
	enable_queue(0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.starts, 3);
	assert_false(virtio_queue_is_open(q));
	guest_ring_offer(&rings[0], 7);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.held[0][0]->head, 7);
	assert_int_equal(toy.dev.status & VIRTIO_STATUS_NEEDS_RESET, 0);
}

/* One that has not started yet loses its settings as well. */
static void test_queue_reset_while_off(void **state unused_param)
{
	struct virtio_queue *q = &toy.dev.queues[0];

	make_rings();
	negotiate();
	enable_queue(0);
	atomic_store(&q->vector, 3);
	reset_queue(0);
	assert_false(q->enabled);
	assert_int_equal(q->vq.desc_gpa, 0);
	assert_int_equal(q->vq.size, 64);
	assert_int_equal(q->vector, 3);
	assert_true(virtio_queue_is_open(q));
}

static void test_queue_reset_not_negotiated(void **state unused_param)
{
	make_rings();
	set_features(VIRTIO_F(VIRTIO_F_VERSION_1));
	set_status(VIRTIO_STATUS_FEATURES_OK);
	enable_queue(0);
	set_status(status() | VIRTIO_STATUS_DRIVER_OK);
	fake_vm_turn(&fv);
	reset_queue(0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.stops, 0);
	assert_true(toy.dev.queues[0].enabled);
	/* One that is not enabled cannot be reset. */
	reset_queue(1);
	assert_false(toy.dev.queues[1].resetting);
}

/* Device reset while a queue reset drains. */
static void test_reset_over_queue_reset(void **state unused_param)
{
	bring_up();
	guest_ring_offer(&rings[0], 0);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	reset_queue(0);
	fake_vm_turn(&fv);
	set_status(0);
	fake_vm_turn(&fv);
	assert_int_not_equal(status(), 0);
	finish_one(0);
	assert_int_equal(status(), 0);
	assert_false(toy.dev.queues[0].resetting);
	assert_false(toy.dev.queues[0].was_reset);
}

/* ---- configuration changes ---- */

static void test_config_changed(void **state unused_param)
{
	const uint8_t byte = 0x5a;

	atomic_store(&toy.dev.config_vector, 1);
	virtio_config_set(&toy.dev, 1, &byte, 1);
	assert_int_equal(((uint8_t *)toy.dev.config)[1], 0x5a);
	assert_int_equal(toy.dev.generation, 1);
	assert_int_equal(toy.interrupts, 0); /* nobody is listening */
	bring_up();
	atomic_store(&toy.dev.config_vector, 1);
	virtio_config_set(&toy.dev, 1, &byte, 1);
	assert_int_equal(toy.dev.generation, 2);
	assert_int_equal(toy.interrupts, 1);
	assert_int_equal(toy.last_vector, 1);
	assert_int_equal(toy.dev.isr, VIRTIO_ISR_CONFIG);
}

/* ---- power-on reset, and the loop asleep ---- */

static void push_all(void *arg unused_param)
{
	while (toy.nr_held[0])
		finish_one(0);
}

/* With the loop on its own thread: kicks wake it, a reset waits for it. */
static void test_threaded(void **state unused_param)
{
	struct loop *loop = fv.board.io_loops[0];
	uint64_t end = loop_now_ns() + 5000000000ull;
	unsigned int i;

	bring_up();
	assert_int_equal(loop_thread_start(loop, NULL), 0);
	for (i = 0; i < 100; i++) {
		guest_ring_offer(&rings[0], i % TOY_SIZE);
		virtio_notify_write(&toy.dev, 0);
		while (guest_ring_used_idx(&rings[0]) != i + 1) {
			assert_true(loop_now_ns() < end);
			fake_loop_call(loop, push_all);
		}
		usleep(100); /* for the loop to fall asleep */
	}
	assert_int_equal(toy.interrupts, 100);
	loop_thread_stop(loop);
	fake_vm_quiesce(&fv, &toy.dev.device);
	toy.dev.device.ops->reset(&toy.dev.device);
	assert_int_equal(status(), 0);
	assert_int_equal(toy.transport_resets, 1);
	assert_true(toy.sleeps > 0);
	assert_true(toy.wakes > 0);
}

/* Paused, a queue takes nothing, and announces what it had pushed; resumed, it
 * takes up where it was. */
static void test_pause(void **state unused_param)
{
	struct device *device = &toy.dev.device;

	bring_up();
	guest_ring_offer(&rings[0], 0);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	push_one(0);
	fake_vm_quiesce(&fv, device);
	assert_int_equal(toy.stops, 2);
	guest_ring_offer(&rings[0], 5);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.nr_held[0], 0);
	device->ops->resume(device);
	fake_vm_turn(&fv);
	assert_int_equal(guest_ring_used_idx(&rings[0]), 1);
	assert_int_equal(toy.interrupts, 1);
	assert_int_equal(toy.nr_held[0], 1);
	assert_int_equal(toy.held[0][0]->head, 5);
	finish_one(0);
	assert_int_equal(guest_ring_used_idx(&rings[0]), 2);
	assert_int_equal(status() & VIRTIO_STATUS_NEEDS_RESET, 0);
}

/* A machine reset while paused. */
static void test_reset_while_paused(void **state unused_param)
{
	struct device *device = &toy.dev.device;

	bring_up();
	fake_vm_quiesce(&fv, device);
	device->ops->reset(device);
	device->ops->resume(device);
	fake_vm_turn(&fv);
	assert_int_equal(status(), 0);
	assert_int_equal(toy.starts, 2);
}

/* Nobody waits for a host that is slow: the device is asked, says when it is
 * quiet, and may be told to go on before that. */
static void test_quiesce_slow(void **state unused_param)
{
	struct device *device = &toy.dev.device;

	bring_up();
	guest_ring_offer(&rings[0], 3);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.nr_held[0], 1);
	device->ops->quiesce(device);
	fake_vm_turn(&fv);
	assert_false(device->ops->is_quiet(device));
	assert_int_equal(fv.nr_quiet, 0);
	device->ops->resume(device);
	device->ops->quiesce(device);
	fake_vm_turn(&fv);
	assert_int_equal(toy.starts, 3); /* the other queue was off */
	finish_one(0);
	fake_vm_turn(&fv);
	assert_true(device->ops->is_quiet(device));
	assert_int_equal(fv.nr_quiet, 1);
	device->ops->resume(device);
	fake_vm_turn(&fv);
	assert_int_equal(toy.starts, 5);
	/* Resumed while its last request is under way, it starts after it. */
	guest_ring_offer(&rings[0], 4);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	device->ops->quiesce(device);
	fake_vm_turn(&fv);
	device->ops->resume(device);
	fake_vm_turn(&fv);
	assert_int_equal(toy.starts, 6);
	finish_one(0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.starts, 7);
	guest_ring_offer(&rings[0], 5);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.held[0][0]->head, 5);
	finish_one(0);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_features_offered),
		UNIT(test_features_refused),
		UNIT(test_feature_halves),
		UNIT(test_status_bits),
		UNIT(test_driver_ok_too_early),
		UNIT(test_both_at_once),
		UNIT(test_requests),
		UNIT(test_early_kick),
		UNIT(test_queues_are_immutable),
		UNIT(test_bad_ring_address),
		UNIT(test_start_fails),
		UNIT(test_fault_once),
		UNIT(test_reset_waits),
		UNIT(test_quick_reset),
		UNIT(test_queue_reset),
		UNIT(test_queue_reset_while_off),
		UNIT(test_queue_reset_not_negotiated),
		UNIT(test_reset_over_queue_reset),
		UNIT(test_config_changed),
		UNIT(test_threaded),
		UNIT(test_pause),
		UNIT(test_reset_while_paused),
		UNIT(test_quiesce_slow),
	};

	log_init(STDERR_FILENO, LOG_ERROR); /* warnings are expected */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
