/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What becomes of chains, and how the driver is told. */
#include "tests/unit/virtqueue_fixture.h"

static void unpop(struct fixture *f, unsigned int head)
{
	virtqueue_unpop(&f->vq, f->lent[head]);
	f->lent[head] = NULL;
}

static void complete(struct fixture *f)
{
	guest_ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	push(f, 0, 0);
}

/* ---- chains are lent ---- */

/* Given back unused, last first, they come again in the same order. */
static void test_unpop(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	start(f, true);
	for (i = 0; i < 4; i++) {
		guest_ring_desc(&f->ring, i, DATA + i, 1, RING_WRITE, 0);
		guest_ring_offer(&f->ring, i);
		assert_int_equal(pop(f), 1);
	}
	push(f, 0, 1);
	for (i = 4; i-- > 1;)
		unpop(f, i);
	assert_true(virtqueue_is_idle(&f->vq));
	assert_true(virtqueue_has_avail(&f->vq));
	/* The driver sees no trace of it, even over a stop. */
	assert_true(virtqueue_publish(&f->vq));
	assert_int_equal(guest_ring_used_idx(&f->ring), 1);
	virtqueue_stop(&f->vq);
	assert_int_equal(f->vq.start_avail, 1);
	assert_int_equal(virtqueue_start(&f->vq, &f->gm, true, true), 0);
	assert_true(virtqueue_notify_enable(&f->vq));
	assert_int_equal(guest_ring_avail_event(&f->ring), 1);
	for (i = 1; i < 4; i++) {
		assert_int_equal(pop(f), 1);
		assert_int_equal(f->chain->head, i);
		expect_iov(f, 0, DATA + i, 1);
	}
	assert_int_equal(pop(f), 0);
}

/* Given back in any order: what cannot go back into the ring comes before it,
 * over a stop as well, and each once. */
static void test_unpop_any_order(void **state)
{
	static const uint16_t want[] = { 2, 0, 3 };
	struct fixture *f = *state;
	unsigned int i;

	start(f, false);
	for (i = 0; i < 4; i++) {
		guest_ring_desc(&f->ring, i, DATA + i, 1, RING_WRITE, 0);
		guest_ring_offer(&f->ring, i);
		assert_int_equal(pop(f), 1);
	}
	unpop(f, 0);
	push(f, 1, 1);
	unpop(f, 2);
	unpop(f, 3); /* the last one: it goes back */
	assert_true(virtqueue_is_idle(&f->vq));
	virtqueue_stop(&f->vq);
	assert_int_equal(f->vq.start_avail, 3);
	assert_int_equal(f->vq.nr_returned, 2);
	assert_int_equal(virtqueue_start(&f->vq, &f->gm, false, true), 0);
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		assert_true(virtqueue_has_avail(&f->vq));
		assert_int_equal(pop(f), 1);
		assert_int_equal(f->chain->head, want[i]);
		expect_iov(f, 0, DATA + want[i], 1);
		if (want[i] == 0) { /* once more */
			unpop(f, 0);
			assert_int_equal(pop(f), 1);
			assert_int_equal(f->chain->head, 0);
		}
	}
	assert_int_equal(pop(f), 0);
	unpop(f, 2);
	unpop(f, 0);
	push(f, 3, 1);
	virtqueue_stop(&f->vq);
	/* A reset drops them. */
	virtqueue_clear(&f->vq);
	assert_int_equal(f->vq.nr_returned, 0);
}

/* Whoever served the ring in between left it at these indices. */
static void test_take_over(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	guest_ring_set_start(&f->ring, 7);
	virtqueue_take_over(&f->vq, 7);
	assert_false(virtqueue_has_avail(&f->vq));
	assert_false(virtqueue_publish(&f->vq));
	virtqueue_stop(&f->vq);
	assert_int_equal(f->vq.start_avail, 7);
	assert_int_equal(f->vq.start_used, 7);
}

/* The device's own part stays with the chain's storage, which is used again. */
static void test_chain_storage(void **state)
{
	struct mine {
		struct vq_chain chain;
		unsigned int used;
	};
	struct fixture *f = *state;
	struct mine *first = NULL;
	unsigned int i;

	f->vq.chain_size = sizeof(struct mine);
	start(f, false);
	for (i = 0; i < SIZE; i++)
		guest_ring_desc(&f->ring, i, DATA + i, 1,
				i + 1 < SIZE ? RING_NEXT : 0, i + 1);
	for (i = 0; i < 100; i++) {
		guest_ring_offer(&f->ring, SIZE - 1); /* one buffer */
		assert_int_equal(pop(f), 1);
		if (!i)
			first = (struct mine *)f->chain;
		assert_ptr_equal(f->chain, first);
		assert_int_equal(first->used++, i);
		guest_ring_offer(&f->ring, 0); /* SIZE of them */
		assert_int_equal(pop(f), 1);
		assert_int_equal(f->chain->nr_out, SIZE);
		expect_iov(f, SIZE - 1, DATA + SIZE - 1, 1);
		push(f, 0, 0);
		push(f, SIZE - 1, 0); /* the next one to be lent */
	}
}

/* What the queue keeps for later is bounded, whatever was in use at once. */
static void test_storage_bound(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	f->vq.size = 512;
	f->vq.iov_max = 256;
	guest_ring_init(&f->ring, &f->gm, RING, 512);
	f->vq.avail_gpa = f->ring.avail;
	f->vq.used_gpa = f->ring.used;
	start(f, false);
	for (i = 0; i < 65; i++)
		guest_table_desc(&f->gm, TABLE, i, DATA + i, 1,
				 i < 64 ? RING_NEXT : 0, i + 1);
	for (i = 0; i < 512; i++) {
		guest_ring_desc(&f->ring, i, TABLE, 16 * 65, RING_INDIRECT, 0);
		guest_ring_offer(&f->ring, i);
		assert_int_equal(pop(f), 1);
	}
	for (i = 0; i < 512; i++)
		push(f, i, 0);
	assert_in_range(f->vq.unused_len, 128 * KIB, 256 * KIB);
}

/* A queue lends no more than so many bytes; the rest waits in the ring. */
static void test_lent_max(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	start(f, false);
	/* 8 MiB each, all in the same one. */
	for (i = 0; i < 8; i++)
		guest_table_desc(&f->gm, TABLE, i, HIGH, REGION_LEN,
				 RING_WRITE | (i < 7 ? RING_NEXT : 0), i + 1);
	for (i = 0; i < SIZE; i++) {
		guest_ring_desc(&f->ring, i, TABLE, 16 * 8, RING_INDIRECT, 0);
		guest_ring_offer(&f->ring, i);
	}
	for (i = 0; i < 4; i++)
		assert_int_equal(pop(f), 1);
	assert_false(virtqueue_has_avail(&f->vq));
	assert_int_equal(pop(f), 0);
	assert_false(virtqueue_notify_enable(&f->vq)); /* who waits sleeps */
	push(f, 2, 0);
	assert_true(virtqueue_has_avail(&f->vq));
	assert_int_equal(pop(f), 1);
	assert_int_equal(pop(f), 0);
	/* What a chain stands for counts as well. */
	push(f, 0, 0);
	push(f, 1, 0);
	virtqueue_weigh(&f->vq, f->lent[3], 16 * MIB);
	assert_int_equal(pop(f), 0);
	unpop(f, 4);
	assert_int_equal(pop(f), 1);
	assert_int_equal(pop(f), 0);
	push(f, 3, 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(pop(f), 1);
	assert_int_equal(pop(f), 0);
	assert_null(f->vq.fault);
}

/* ---- interrupts and kicks ---- */

static void test_interrupt_flag(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	guest_ring_desc(&f->ring, 0, DATA, 1, 0, 0);
	complete(f);
	assert_true(virtqueue_publish(&f->vq));
	assert_false(virtqueue_publish(&f->vq)); /* nothing new */
	guest_ring_set_avail_flags(&f->ring, VRING_AVAIL_F_NO_INTERRUPT);
	complete(f);
	assert_false(virtqueue_publish(&f->vq));
	assert_int_equal(guest_ring_used_idx(&f->ring), 2);
	guest_ring_set_avail_flags(&f->ring, 0);
	complete(f);
	assert_true(virtqueue_publish(&f->vq));
}

static void test_notify_flag(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	guest_ring_desc(&f->ring, 0, DATA, 1, 0, 0);
	virtqueue_notify_disable(&f->vq);
	assert_int_equal(guest_ring_used_flags(&f->ring),
			 VRING_USED_F_NO_NOTIFY);
	assert_false(virtqueue_notify_enable(&f->vq));
	assert_int_equal(guest_ring_used_flags(&f->ring), 0);
	virtqueue_notify_disable(&f->vq);
	guest_ring_offer(&f->ring, 0); /* came meanwhile */
	assert_true(virtqueue_notify_enable(&f->vq));
}

/* Section 2.7.7.2 with every index near the wrap. */
static void test_used_event(void **state)
{
	struct fixture *f = *state;
	unsigned int i, batch;

	guest_ring_desc(&f->ring, 0, DATA, 1, 0, 0);
	start(f, true);
	for (i = 0; i < 0x10000 + 100; i++) {
		uint16_t idx = (uint16_t)i; /* of the next used element */

		/* "When that one is used": this one, or a later one. */
		guest_ring_set_used_event(&f->ring, (uint16_t)(idx + i % 3));
		complete(f);
		assert_int_equal(virtqueue_publish(&f->vq), i % 3 == 0);
	}
	for (batch = 0; batch < 8; batch++) {
		uint16_t idx = guest_ring_used_idx(&f->ring);

		guest_ring_set_used_event(&f->ring, (uint16_t)(idx + batch));
		for (i = 0; i < 4; i++)
			complete(f);
		assert_int_equal(virtqueue_publish(&f->vq), batch < 4);
	}
}

static void test_avail_event(void **state)
{
	struct fixture *f = *state;

	start(f, true);
	guest_ring_desc(&f->ring, 0, DATA, 1, 0, 0);
	complete(f);
	complete(f);
	virtqueue_notify_disable(&f->vq);
	assert_int_equal(guest_ring_used_flags(&f->ring), 0);
	assert_false(virtqueue_notify_enable(&f->vq));
	assert_int_equal(guest_ring_avail_event(&f->ring), 2);
	/* The next chain is not what the driver is to kick for any more. */
	virtqueue_notify_disable(&f->vq);
	assert_int_equal(guest_ring_avail_event(&f->ring), 1);
	assert_false(virtqueue_notify_enable(&f->vq));
	assert_int_equal(guest_ring_avail_event(&f->ring), 2);
	guest_ring_offer(&f->ring, 0);
	assert_true(virtqueue_notify_enable(&f->vq));
	assert_int_equal(guest_ring_avail_event(&f->ring), 2);
}

/* The queue starts anew after a stop: what the old life left is gone. */
static void test_restart(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	guest_ring_offer(&f->ring, SIZE);
	assert_int_equal(pop(f), -EINVAL);
	virtqueue_stop(&f->vq);
	guest_ring_init(&f->ring, &f->gm, RING, SIZE);
	start(f, false);
	assert_null(f->vq.fault);
	guest_ring_desc(&f->ring, 0, DATA, 1, 0, 0);
	complete(f);
	assert_true(virtqueue_publish(&f->vq));
}

/* A stop without a reset: the next start takes up where it was. */
static void test_resume(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	start(f, false);
	guest_ring_desc(&f->ring, 0, DATA, 1, 0, 0);
	complete(f);
	complete(f);
	virtqueue_publish(&f->vq);
	virtqueue_stop(&f->vq);
	virtqueue_stop(&f->vq); /* again: nothing */
	guest_ring_offer(&f->ring, 0);
	assert_int_equal(virtqueue_start(&f->vq, &f->gm, false, true), 0);
	assert_false(virtqueue_publish(&f->vq));
	assert_int_equal(pop(f), 1);
	assert_int_equal(pop(f), 0);
	push(f, 0, 7);
	assert_true(virtqueue_publish(&f->vq));
	assert_int_equal(guest_ring_used_idx(&f->ring), 3);
	assert_true(guest_ring_take(&f->ring, &id, &len));
	assert_true(guest_ring_take(&f->ring, &id, &len));
	assert_true(guest_ring_take(&f->ring, &id, &len));
	assert_int_equal(len, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_unpop_any_order), UNIT(test_take_over),
		UNIT(test_unpop),	    UNIT(test_chain_storage),
		UNIT(test_storage_bound),   UNIT(test_lent_max),
		UNIT(test_interrupt_flag),  UNIT(test_notify_flag),
		UNIT(test_used_event),	    UNIT(test_avail_event),
		UNIT(test_restart),	    UNIT(test_resume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
