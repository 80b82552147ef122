/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* How a device and its queues come to rest: reset, pause, and the loop asleep. */
#include "tests/unit/virtio_fixture.h"

#include <sys/mman.h>

#include <unistd.h>

static void reset_queue(unsigned int i)
{
	pthread_mutex_lock(&toy.dev.lock);
	virtio_queue_reset(&toy.dev.queues[i]);
	pthread_mutex_unlock(&toy.dev.lock);
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
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
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
	set_status(status() | VIRTIO_CONFIG_S_DRIVER_OK);
	set_status(0);
	assert_int_not_equal(status(), 0);
	fake_vm_turn(&fv);
	assert_int_equal(status(), 0);
	/* The type has not heard of it. */
	assert_int_equal(toy.starts, 0);
	assert_int_equal(toy.stops, 0);
}

/* What a vCPU leaves behind that turns a queue on just when the loop has begun to
 * see what the last change was: it is told twice of one. */
static void test_told_twice(void **state unused_param)
{
	struct virtio_queue *q = &toy.dev.queues[0];

	bring_up();
	assert_int_equal(toy.starts, 2);
	loop_post(q->loop, &q->state_call);
	fake_vm_turn(&fv);
	assert_int_equal(toy.starts, 2);
	guest_ring_offer(&rings[0], 0);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.nr_held[0], 1);
	/* While it drains. */
	set_status(0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.stops, 2);
	loop_post(q->loop, &q->state_call);
	fake_vm_turn(&fv);
	assert_int_equal(toy.stops, 2);
	finish_one(0);
	assert_int_equal(status(), 0);
	/* While it is off. */
	loop_post(q->loop, &q->state_call);
	fake_vm_turn(&fv);
	assert_int_equal(toy.stops, 2);
	assert_int_equal(toy.resets, 1);
	bring_up();
	assert_int_equal(toy.starts, 4);
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
	assert_int_equal(toy.dev.status & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
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
	set_status(VIRTIO_CONFIG_S_FEATURES_OK);
	enable_queue(0);
	set_status(status() | VIRTIO_CONFIG_S_DRIVER_OK);
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

/* ---- power-on reset, and the loop asleep ---- */

static void push_all(void *arg unused_param)
{
	while (toy.nr_held[0])
		finish_one(0);
}

/* With the loop on its own thread: kicks wake it, or come while it is awake; a
 * reset waits for it. */
static void test_threaded(void **state unused_param)
{
	struct loop *loop = fv.board.io_loops[0];
	uint64_t end = loop_now_ns() + 60000000000ull;
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
		while (i % 2 && !atomic_load(&toy.asleep[0])) {
			assert_true(loop_now_ns() < end);
			usleep(50);
		}
	}
	assert_int_equal(toy.interrupts, 100);
	loop_thread_stop(loop);
	fake_vm_quiesce(&fv, &toy.dev.device);
	toy.dev.device.ops->reset(&toy.dev.device);
	assert_int_equal(status(), 0);
	assert_int_equal(toy.transport_resets, 1);
	assert_true(toy.wakes >= 50);
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
	assert_int_equal(status() & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
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
	assert_int_equal(toy.starts, 2); /* nobody was started in between */
	finish_one(0);
	fake_vm_turn(&fv);
	assert_true(device->ops->is_quiet(device));
	assert_int_equal(fv.nr_quiet, 1);
	device->ops->resume(device);
	fake_vm_turn(&fv);
	assert_int_equal(toy.starts, 4);
	/* Resumed while its last request is under way, it starts after it. */
	guest_ring_offer(&rings[0], 4);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	device->ops->quiesce(device);
	fake_vm_turn(&fv);
	device->ops->resume(device);
	fake_vm_turn(&fv);
	assert_int_equal(toy.starts, 5);
	finish_one(0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.starts, 6);
	guest_ring_offer(&rings[0], 5);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.held[0][0]->head, 5);
	finish_one(0);
}

/* ---- memory that goes ---- */

#define DIMM_GPA (8 * GIB)

static void plug(unsigned int i)
{
	struct pages_job job = { .ended.fn = NULL };
	struct gmem *gm = &fv.board.gmem;

	assert_int_equal(gmem_plug_begin(gm, i, DIMM_GPA + i * GMEM_BLOCK,
					 GMEM_BLOCK, &job, NULL),
			 0);
	assert_int_equal(gmem_plug_end(gm, i, NULL), 0);
}

/* The host has begun a request for this chain. */
static void *begin(unsigned int head, gpa_t gpa)
{
	guest_ring_desc(&rings[0], head, gpa, 16, RING_WRITE, 0);
	guest_ring_offer(&rings[0], head);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	assert_true(toy.nr_held[0] > 0);
	return toy.held[0][toy.nr_held[0] - 1]->iov[0].iov_base;
}

static void finish(void)
{
	finish_one(0);
	fake_vm_turn(&fv);
}

static bool is_free(unsigned int i)
{
	return !gmem_dimm(&fv.board.gmem, i)->len;
}

static bool is_resident(void *p)
{
	unsigned char there;

	assert_int_equal(mincore(p, 4096, &there), 0);
	return there & 1;
}

/* Its place is free, and what I/O still wrote there dropped, when chains are
 * pushed that were lent before; later ones do not matter. */
static void test_memory_goes(void **state unused_param)
{
	struct gmem *gm = &fv.board.gmem;
	uint8_t *p;

	assert_int_equal(gmem_reserve(gm, DIMM_GPA, 2 * GMEM_BLOCK, NULL), 0);
	plug(0);
	plug(1);
	bring_up();
	p = begin(0, DIMM_GPA);
	begin(1, DATA);
	gmem_unplug(gm, 0);
	fake_vm_turn(&fv);
	assert_false(is_free(0));
	assert_false(is_resident(p));
	*p = 1;
	begin(2, DATA);
	finish();
	assert_false(is_free(0));
	assert_true(is_resident(p));
	/* The other one goes, too: it has to wait for the third chain. */
	gmem_unplug(gm, 1);
	finish();
	assert_false(is_free(0));
	begin(3, DATA);
	finish();
	assert_true(is_free(0) && is_free(1));
	assert_false(is_resident(p));
	finish();
	/* Nothing is lent: at once, once each loop has looked. */
	plug(0);
	gmem_unplug(gm, 0);
	fake_vm_turn(&fv);
	assert_true(is_free(0));
}

/* A queue that ends has no chains; no device, no queue, no wait. */
static void test_memory_goes_with_queue(void **state unused_param)
{
	struct gmem *gm = &fv.board.gmem;

	assert_int_equal(gmem_reserve(gm, DIMM_GPA, GMEM_BLOCK, NULL), 0);
	plug(0);
	gmem_unplug(gm, 0); /* queues are off */
	fake_vm_turn(&fv);
	assert_true(is_free(0));
	plug(0);
	bring_up();
	begin(0, DIMM_GPA);
	gmem_unplug(gm, 0);
	set_status(0);
	fake_vm_turn(&fv);
	assert_false(is_free(0));
	finish();
	assert_true(is_free(0));
	/* The device goes before it has heard from its queues. */
	plug(0);
	gmem_unplug(gm, 0);
	memory_hold_fini(&toy.dev.memory);
	assert_true(is_free(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_reset_waits),
		UNIT(test_quick_reset),
		UNIT(test_told_twice),
		UNIT(test_queue_reset),
		UNIT(test_queue_reset_while_off),
		UNIT(test_queue_reset_not_negotiated),
		UNIT(test_reset_over_queue_reset),
		UNIT(test_threaded),
		UNIT(test_pause),
		UNIT(test_reset_while_paused),
		UNIT(test_quiesce_slow),
		UNIT(test_memory_goes),
		UNIT(test_memory_goes_with_queue),
	};

	log_init(STDERR_FILENO, LOG_ERROR); /* warnings are expected */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
