/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What a disk holds back: rate limits, and the bounds of what is in flight. */
#include "devices/virtio/blk_params.h"
#include "tests/unit/blk_fixture.h"

/* ---- rate limits ---- */

/* Four reads against a bucket of one request every 50 ms. */
static void test_limit_holds(void **state unused_param)
{
	uint64_t start = loop_now_ns();
	uint16_t want = 4;
	unsigned int i;

	open_disk("engine=sync,ops_size=1,ops_refill_time=50", BASE);
	for (i = 0; i < 4; i++) {
		fake_disk_header(&fv, HEADER, DISK_IN, i);
		guest_ring_desc(&ring, 3 * i, HEADER, 16, RING_NEXT, 3 * i + 1);
		guest_ring_desc(&ring, 3 * i + 1, DATA, 512,
				RING_NEXT | RING_WRITE, 3 * i + 2);
		guest_ring_desc(&ring, 3 * i + 2, STATUS, 1, RING_WRITE, 0);
		guest_ring_put(&ring, 3 * i);
	}
	guest_ring_publish(&ring);
	gv_kick(&gv, 0);
	fake_vm_turn(&fv);
	assert_in_range(guest_ring_used_idx(&ring), 1, 3);
	assert_true(fake_vm_turn_until(&fv, has_used, &want));
	assert_true(loop_now_ns() - start >= 140000000);
}

/* A queue that waits for tokens does not keep its loop awake. */
static void test_limit_sleeps(void **state unused_param)
{
	struct loop_poller *lp;

	open_disk("engine=sync,ops_size=1,ops_refill_time=3600000", BASE);
	lp = &virtio_of(disk.dev)->queues[0].poller;
	request(DISK_IN, 0, DATA, 512);
	expect_done(DISK_OK, 513);
	go();
	/* This one is held, and there is one more behind it. */
	guest_ring_desc(&ring, 3, HEADER, 16, RING_NEXT, 1);
	guest_ring_offer(&ring, 3);
	assert_false(lp->poll(lp));
	assert_false(lp->sleep(lp));
	lp->wake(lp);
	assert_false(lp->poll(lp));
}

/* A reset drops the request that is held, and does not wait for an hour's
 * tokens; nor is it a way to new ones. */
static void test_reset_while_held(void **state unused_param)
{
	const uint8_t zeroes[512] = { 0 };
	unsigned int i;

	open_disk("engine=sync,ops_size=1,ops_refill_time=3600000", BASE);
	request(DISK_IN, 0, DATA, 512);
	expect_done(DISK_OK, 513);
	fill(DATA, 512, 1);
	for (i = 0; i < 20; i++) {
		request(DISK_OUT, 0, DATA, 512);
		assert_int_equal(guest_ring_used_idx(&ring), i ? 0 : 1);
		gv_write(&gv, GV_STATUS, 0, 1);
		fake_vm_turn(&fv);
		assert_int_equal(gv_read(&gv, GV_STATUS, 1), 0);
		assert_int_equal(guest_ring_used_idx(&ring), i ? 0 : 1);
		expect_image(0, zeroes, 512);
		restart();
	}
}

/* What is held is carried out once, and charged, when the limit allows it. */
static void test_set_limit(void **state unused_param)
{
	const struct blk_config unlimited = { .limit.ops.size = 0 };
	struct virtio_dev *dev;
	uint16_t want = 2;

	open_disk("engine=sync,ops_size=1,ops_refill_time=3600000", BASE);
	dev = virtio_of(disk.dev);
	request(DISK_IN, 0, DATA, 512);
	expect_done(DISK_OK, 513);
	request(DISK_IN, 0, DATA, 512);
	fake_vm_turn(&fv);
	assert_int_equal(guest_ring_used_idx(&ring), 1);
	assert_int_equal(dev->queues[0].counters.begun, 1);
	assert_int_equal(disk.dev->ops->set(disk.dev, &unlimited, &fv.err), 0);
	assert_true(fake_vm_turn_until(&fv, has_used, &want));
	expect_done(DISK_OK, 513);
	assert_int_equal(dev->queues[0].counters.begun, 2);
	assert_true(dev->queues[0].counters.throttled_ns > 0);
}

/* A wait beyond what the clock can tell is not a time in the past: then the loop
 * would spin. */
static void test_absurd_rate(void **state unused_param)
{
	struct virtio_queue *q;

	open_disk("engine=sync,bw_size=1,bw_refill_time=86400000", BASE);
	q = &virtio_of(disk.dev)->queues[0];
	request(DISK_IN, 0, DATA, 512 * KIB);
	expect_done(DISK_OK, 512 * KIB + 1);
	request(DISK_IN, 0, DATA, 512);
	assert_true(q->limit_timer.armed);
	assert_true(q->limit_timer.expires_ns == UINT64_MAX);
}

/* Flushes move no bytes, so a limit on bytes lets them pass. */
static void test_flush_costs_no_bytes(void **state unused_param)
{
	open_disk("engine=sync,bw_size=512,bw_refill_time=3600000",
		  BASE | VIRTIO_F(F_FLUSH));
	request(DISK_FLUSH, 0, 0, 0);
	expect_done(DISK_OK, 1);
	request(DISK_FLUSH, 0, 0, 0);
	expect_done(DISK_OK, 1);
}

/* More than the announced segments can hold: refused, not carried out. */
static void test_too_long(void **state unused_param)
{
	gpa_t table = 0x10000;
	unsigned int i, nr;

	assert_true(fake_disk_init(&disk, &fv, 128 * MIB, "engine=sync"));
	guest_virtio_probe(&gv, &fv, 1);
	assert_true(gv_features(&gv) & VIRTIO_F(F_SIZE_MAX));
	assert_int_equal(gv_config(&gv, CONFIG_SIZE_MAX, 4), 128 * KIB);
	assert_int_equal(gv_config(&gv, CONFIG_SIZE_MAX + 4, 4), 126);
	assert_true(gv_negotiate(&gv,
				 BASE | VIRTIO_F(VIRTIO_RING_F_INDIRECT_DESC)));
	guest_ring_init(&ring, &fv.board.gmem, RING, RING_SIZE);
	gv_queue(&gv, 0, &ring);
	gv_driver_ok(&gv);
	fake_vm_turn(&fv);
	for (nr = 63; nr < 65; nr++) {
		fake_disk_header(&fv, HEADER, DISK_IN, 0);
		guest_table_desc(&fv.board.gmem, table, 0, HEADER, 16,
				 RING_NEXT, 1);
		for (i = 1; i <= nr; i++)
			guest_table_desc(&fv.board.gmem, table, i, DATA,
					 512 * KIB, RING_NEXT | RING_WRITE,
					 i + 1);
		guest_table_desc(&fv.board.gmem, table, nr + 1, STATUS, 1,
				 RING_WRITE, 0);
		guest_ring_desc(&ring, 0, table, 16 * (nr + 2), RING_INDIRECT,
				0);
		go();
		if (nr * 512 * KIB <= 254 * 128 * KIB)
			expect_done(DISK_OK, nr * 512 * KIB + 1);
		else
			expect_done(DISK_IOERR, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_too_long),
		UNIT(test_limit_holds),
		UNIT(test_limit_sleeps),
		UNIT(test_reset_while_held),
		UNIT(test_set_limit),
		UNIT(test_absurd_rate),
		UNIT(test_flush_costs_no_bytes),
	};

	log_init(STDERR_FILENO, LOG_ERROR); /* warnings are expected */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
