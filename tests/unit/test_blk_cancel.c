/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A disk on a host that is slow: an engine whose requests end when the test says
 * so, and that can take back all but those that the host has begun.
 */
#include "tests/unit/blk_fixture.h"

#include "devices/backend/block_mechanism.h"

struct slow {
	struct block_engine be;
	struct block_req *held[RING_SIZE]; /* in order of submission */
	unsigned int nr_held;
	unsigned int nr_begun; /* of those, by the host */
	struct block_req *ready[RING_SIZE]; /* for reap() */
	unsigned int nr_ready;
};

static struct slow *slow;
static unsigned int nr_engines, nr_cancels;

static void slow_end(struct block_req *req, int result)
{
	req->result = result;
	slow->ready[slow->nr_ready++] = req;
}

static int slow_open(struct block_engine *be)
{
	slow = container_of(be, struct slow, be);
	be->reads_now = be->writes_now = false;
	nr_engines++;
	return 0;
}

static bool slow_flush(struct block_engine *be)
{
	struct block_req *req;

	while ((req = block_engine_next(be))) {
		block_engine_taken(be, req);
		slow->held[slow->nr_held++] = req;
	}
	return false;
}

static bool slow_reap(struct block_engine *be)
{
	unsigned int i, nr = slow->nr_ready;

	slow->nr_ready = 0;
	for (i = 0; i < nr; i++) {
		struct block_req *req = slow->ready[i];

		block_engine_back(be);
		block_engine_moved(be, req,
				   req->result ? req->result : (long)req->len);
	}
	return nr;
}

static void slow_cancel(struct block_engine *be unused_param)
{
	unsigned int i;

	nr_cancels++;
	for (i = slow->nr_begun; i < slow->nr_held; i++)
		slow_end(slow->held[i], -ECANCELED);
	slow->nr_held = slow->nr_begun;
}

static void slow_close(struct block_engine *be unused_param)
{
	nr_engines--;
}

static const struct block_mechanism slow_mechanism = {
	.name = "slow",
	.size = sizeof(struct slow),
	.open = slow_open,
	.flush = slow_flush,
	.reap = slow_reap,
	.cancel = slow_cancel,
	.close = slow_close,
};

/* The linker has the disk call this one. */
int __wrap_block_engine_create(struct block_engine **out,
			       enum block_engine_kind kind,
			       const struct block_engine_config *config);

int __wrap_block_engine_create(struct block_engine **out,
			       enum block_engine_kind kind unused_param,
			       const struct block_engine_config *config)
{
	return block_engine_make(out, &slow_mechanism, config);
}

/* The host is done with all it has. */
static void finish(void)
{
	unsigned int i;

	for (i = 0; i < slow->nr_held; i++)
		slow_end(slow->held[i], 0);
	slow->nr_held = slow->nr_begun = 0;
	fake_vm_turn(&fv);
}

/* Four reads, the first of which the host has begun. */
static void four_reads(void)
{
	unsigned int i;

	nr_cancels = 0;
	open_disk("poll_us=0", BASE);
	fake_disk_header(&fv, HEADER, DISK_IN, 0);
	for (i = 0; i < 4; i++) {
		guest_ring_desc(&ring, 3 * i, HEADER, 16, RING_NEXT, 3 * i + 1);
		guest_ring_desc(&ring, 3 * i + 1, DATA + 512 * i, 512,
				RING_NEXT | RING_WRITE, 3 * i + 2);
		guest_ring_desc(&ring, 3 * i + 2, STATUS + i, 1, RING_WRITE, 0);
		mem(STATUS + i, 1)[0] = NO_STATUS;
		guest_ring_offer(&ring, 3 * i);
	}
	gv_kick(&gv, 0);
	fake_vm_turn(&fv);
	assert_int_equal(slow->nr_held, 4);
	slow->nr_begun = 1;
}

static bool is_quiet(void)
{
	return disk.dev->ops->is_quiet(disk.dev);
}

/* All four were used, each once. */
static void expect_all(void)
{
	uint32_t id, len, seen = 0;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		assert_true(guest_ring_take(&ring, &id, &len));
		assert_int_equal(len, 513);
		assert_int_equal(mem(STATUS + id / 3, 1)[0], DISK_OK);
		seen |= 1u << id / 3;
	}
	assert_false(guest_ring_take(&ring, &id, &len));
	assert_int_equal(seen, 0xf);
}

/* A pause takes back what the host has not begun, and waits for the rest. */
static void test_pause(void **state unused_param)
{
	four_reads();
	disk.dev->ops->quiesce(disk.dev);
	fake_vm_turn(&fv);
	assert_int_equal(nr_cancels, 1);
	assert_false(is_quiet());
	assert_int_equal(slow->nr_held, 1);
	assert_int_equal(guest_ring_used_idx(&ring), 0);
	finish();
	assert_true(is_quiet());
	assert_int_equal(nr_engines, 0);
	assert_int_equal(guest_ring_used_idx(&ring), 1);
	disk.dev->ops->resume(disk.dev);
	fake_vm_turn(&fv);
	assert_int_equal(slow->nr_held, 3);
	finish();
	expect_all();
}

/* A pause that took too long is given up. */
static void test_resume_early(void **state unused_param)
{
	four_reads();
	disk.dev->ops->quiesce(disk.dev);
	fake_vm_turn(&fv);
	disk.dev->ops->resume(disk.dev);
	fake_vm_turn(&fv);
	assert_int_equal(slow->nr_held, 1);
	finish();
	assert_int_equal(slow->nr_held, 3);
	finish();
	expect_all();
}

/* A reset drops it. */
static void test_reset(void **state unused_param)
{
	four_reads();
	gv_write(&gv, GV_STATUS, 0, 1);
	fake_vm_turn(&fv);
	assert_int_not_equal(gv_read(&gv, GV_STATUS, 1), 0);
	finish();
	assert_int_equal(gv_read(&gv, GV_STATUS, 1), 0);
	assert_int_equal(guest_ring_used_idx(&ring), 1);
	restart();
	assert_int_equal(slow->nr_held, 0);
	request(DISK_IN, 0, DATA, 512);
	finish();
	expect_done(DISK_OK, 513);
}

/* Nothing begun at all: quiet without the host. */
static void test_nothing_begun(void **state unused_param)
{
	four_reads();
	slow->nr_begun = 0;
	fake_vm_quiesce(&fv, disk.dev);
	assert_int_equal(nr_engines, 0);
	assert_int_equal(guest_ring_used_idx(&ring), 0);
	disk.dev->ops->resume(disk.dev);
	fake_vm_turn(&fv);
	finish();
	expect_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_pause),
		UNIT(test_resume_early),
		UNIT(test_reset),
		UNIT(test_nothing_begun),
	};

	log_init(STDERR_FILENO, LOG_ERROR); /* warnings are expected */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
