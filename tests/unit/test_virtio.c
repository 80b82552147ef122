/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The device state machine: negotiation, queues, configuration. */
#include "tests/unit/virtio_fixture.h"

/* ---- negotiation ---- */

static void test_features_offered(void **state unused_param)
{
	assert_int_equal(toy.dev.host_features,
			 GOOD_FEATURES | VIRTIO_F(VIRTIO_RING_F_INDIRECT_DESC) |
				 VIRTIO_F(VIRTIO_RING_F_EVENT_IDX));
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

	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		set_features(bad[i]);
		set_status(status() | VIRTIO_CONFIG_S_FEATURES_OK);
		assert_false(status() & VIRTIO_CONFIG_S_FEATURES_OK);
	}
	/* It may try again with others. */
	set_features(GOOD_FEATURES);
	set_status(status() | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(status() & VIRTIO_CONFIG_S_FEATURES_OK);
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
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(status(), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	set_status(VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FAILED);
	/* A driver must not clear bits (section 2.1.1). */
	assert_int_equal(status(), VIRTIO_CONFIG_S_ACKNOWLEDGE |
					   VIRTIO_CONFIG_S_DRIVER |
					   VIRTIO_CONFIG_S_FAILED);
	set_status(0);
	assert_int_equal(status(), 0);
	assert_int_equal(toy.resets, 1);
}

static void test_driver_ok_too_early(void **state unused_param)
{
	make_rings();
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	enable_queue(0);
	set_status(status() | VIRTIO_CONFIG_S_DRIVER_OK);
	fake_vm_turn(&fv);
	assert_false(status() & VIRTIO_CONFIG_S_DRIVER_OK);
	assert_true(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(toy.agreements, 0);
	assert_int_equal(toy.starts, 0);
	set_status(0);
	bring_up();
	assert_int_equal(toy.starts, 2);
}

/* FEATURES_OK and DRIVER_OK in one write, with features that are refused. */
static void test_both_at_once(void **state unused_param)
{
	set_status(VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(status(), VIRTIO_CONFIG_S_NEEDS_RESET);
	set_status(0);
	set_features(GOOD_FEATURES);
	set_status(VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(status(), VIRTIO_CONFIG_S_FEATURES_OK |
					   VIRTIO_CONFIG_S_DRIVER_OK);
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

/* A queue that is full of chains nobody wants yet lets the loop sleep. */
static void test_unwanted(void **state unused_param)
{
	bring_up();
	virtio_queue_want(&toy.dev.queues[0], false);
	assert_int_equal(guest_ring_used_flags(&rings[0]),
			 VRING_USED_F_NO_NOTIFY);
	guest_ring_offer(&rings[0], 0);
	toy.kicks = 0;
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.kicks, 0);
	assert_int_equal(guest_ring_used_flags(&rings[0]),
			 VRING_USED_F_NO_NOTIFY);
	/* What is there already needs no kick. */
	virtio_queue_want(&toy.dev.queues[0], true);
	fake_vm_turn(&fv);
	assert_int_equal(toy.nr_held[0], 1);
	/* It is forgotten when the queue starts anew. */
	virtio_queue_want(&toy.dev.queues[0], false);
	finish_one(0);
	set_status(0);
	fake_vm_turn(&fv);
	bring_up();
	guest_ring_offer(&rings[0], 0);
	virtio_notify_write(&toy.dev, 0);
	fake_vm_turn(&fv);
	assert_int_equal(toy.nr_held[0], 1);
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
	set_status(status() | VIRTIO_CONFIG_S_DRIVER_OK);
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
	set_status(status() | VIRTIO_CONFIG_S_DRIVER_OK);
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
	set_status(status() | VIRTIO_CONFIG_S_DRIVER_OK);
	fake_vm_turn(&fv);
	assert_true(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
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
	assert_int_equal(status() & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

static void test_start_fails(void **state unused_param)
{
	toy.start_result = -EMFILE;
	bring_up();
	assert_true(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_null(toy.dev.queues[0].vq.busy);
	set_status(0);
	fake_vm_turn(&fv);
	assert_int_equal(status(), 0);
	assert_int_equal(toy.stops, 0); /* it never started */
	toy.start_result = 0;
	bring_up();
	assert_int_equal(status() & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
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
	assert_true(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
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
		UNIT(test_unwanted),
		UNIT(test_early_kick),
		UNIT(test_queues_are_immutable),
		UNIT(test_bad_ring_address),
		UNIT(test_start_fails),
		UNIT(test_fault_once),
		UNIT(test_config_changed),
	};

	log_init(STDERR_FILENO, LOG_ERROR); /* warnings are expected */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
