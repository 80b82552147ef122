/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Chains as drivers write them, good and bad. */
#include "tests/unit/virtqueue_fixture.h"

#include <sys/mman.h>
#include <unistd.h>

static void expect_fault(struct fixture *f, const char *what)
{
	unsigned int pending = f->vq.pending;

	assert_int_equal(pop(f), -EINVAL);
	assert_non_null(f->vq.fault);
	assert_string_equal(f->vq.fault, what);
	/* Nothing went to the device, and nothing more will. */
	assert_int_equal(f->vq.pending, pending);
	assert_int_equal(pop(f), -EINVAL);
	assert_false(virtqueue_has_avail(&f->vq));
}

/* ---- start ---- */

static void test_start_refuses(void **state)
{
	struct fixture *f = *state;
	struct virtqueue *vq = &f->vq;

	vq->size = 0;
	assert_int_equal(virtqueue_start(vq, &f->gm, false, true), -EINVAL);
	vq->size = 6;
	assert_int_equal(virtqueue_start(vq, &f->gm, false, true), -EINVAL);
	vq->size = SIZE;
	vq->size_max = SIZE / 2;
	assert_int_equal(virtqueue_start(vq, &f->gm, false, true), -EINVAL);
	vq->size_max = SIZE;
	vq->desc_gpa += 8;
	assert_int_equal(virtqueue_start(vq, &f->gm, false, true), -EINVAL);
	vq->desc_gpa = f->ring.desc;
	vq->avail_gpa += 1;
	assert_int_equal(virtqueue_start(vq, &f->gm, false, true), -EINVAL);
	vq->avail_gpa = f->ring.avail;
	vq->used_gpa += 2;
	assert_int_equal(virtqueue_start(vq, &f->gm, false, true), -EINVAL);
}

static void test_start_outside(void **state)
{
	struct fixture *f = *state;
	struct virtqueue *vq = &f->vq;
	const gpa_t bad[] = {
		RAM_END,
		RAM_END - 16, /* no RAM, or its end */
		BORDER - 16, /* over the border of two regions */
		HIGH + REGION_LEN - 16,
		UINT64_MAX & ~15ull,
		1ull << 63,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		vq->desc_gpa = bad[i];
		assert_int_equal(virtqueue_start(vq, &f->gm, false, true),
				 -EFAULT);
		vq->desc_gpa = f->ring.desc;
		vq->avail_gpa = bad[i];
		assert_int_equal(virtqueue_start(vq, &f->gm, false, true),
				 -EFAULT);
		vq->avail_gpa = f->ring.avail;
		vq->used_gpa = bad[i];
		assert_int_equal(virtqueue_start(vq, &f->gm, false, true),
				 -EFAULT);
		vq->used_gpa = f->ring.used;
	}
	/* The last byte that fits: 16 descriptors less 8 bytes do not. */
	vq->desc_gpa = RAM_END - 16 * SIZE;
	vq->used_gpa = HIGH + REGION_LEN - 8 * SIZE - 8;
	vq->avail_gpa = BORDER - 2 * SIZE - 6;
	assert_int_equal(virtqueue_start(vq, &f->gm, false, true), 0);
}

/* ---- chains ---- */

static void test_empty(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	assert_false(virtqueue_has_avail(&f->vq));
	assert_int_equal(pop(f), 0);
	assert_true(virtqueue_is_idle(&f->vq));
	assert_false(virtqueue_publish(&f->vq));
}

/* What is shown is announced once, with what comes behind it. */
static void test_show(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	start(f, true);
	guest_ring_desc(&f->ring, 0, DATA, 16, RING_WRITE, 0);
	guest_ring_desc(&f->ring, 1, DATA, 16, RING_WRITE, 0);
	guest_ring_offer(&f->ring, 0);
	guest_ring_offer(&f->ring, 1);
	guest_ring_set_used_event(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	push(f, 0, 1);
	virtqueue_show(&f->vq);
	assert_true(guest_ring_take(&f->ring, &id, &len));
	assert_int_equal(pop(f), 1);
	push(f, 1, 1);
	assert_false(guest_ring_take(&f->ring, &id, &len));
	assert_true(virtqueue_publish(&f->vq));
	assert_true(guest_ring_take(&f->ring, &id, &len));
	assert_false(virtqueue_publish(&f->vq));
}

static void test_chain(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	start(f, false);
	guest_ring_desc(&f->ring, 5, DATA, 16, RING_NEXT, 2);
	guest_ring_desc(&f->ring, 2, HIGH + 8, 100, RING_NEXT | RING_WRITE, 7);
	guest_ring_desc(&f->ring, 7, DATA + 99, 1, RING_WRITE, 0);
	guest_ring_offer(&f->ring, 5);
	assert_true(virtqueue_has_avail(&f->vq));
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain->head, 5);
	assert_int_equal(f->chain->nr_out, 1);
	assert_int_equal(f->chain->nr_in, 2);
	assert_int_equal(f->chain->out_len, 16);
	assert_int_equal(f->chain->in_len, 101);
	expect_iov(f, 0, DATA, 16);
	expect_iov(f, 1, HIGH + 8, 100);
	expect_iov(f, 2, DATA + 99, 1);
	assert_false(virtqueue_is_idle(&f->vq));
	assert_int_equal(pop(f), 0);

	push(f, 5, 101);
	assert_false(guest_ring_take(&f->ring, &id, &len));
	assert_true(virtqueue_publish(&f->vq));
	assert_true(guest_ring_take(&f->ring, &id, &len));
	assert_int_equal(id, 5);
	assert_int_equal(len, 101);
	assert_true(virtqueue_is_idle(&f->vq));
}

/* A buffer over the border of two regions becomes two entries. */
static void test_border(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	guest_ring_desc(&f->ring, 0, BORDER - 5, 12, RING_NEXT, 1);
	guest_ring_desc(&f->ring, 1, BORDER, 4, RING_WRITE, 0);
	guest_ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain->nr_out, 2);
	assert_int_equal(f->chain->nr_in, 1);
	assert_int_equal(f->chain->out_len, 12);
	expect_iov(f, 0, BORDER - 5, 5);
	expect_iov(f, 1, BORDER, 7);
	expect_iov(f, 2, BORDER, 4);
}

/* Out of order completion, over the wrap of slots and of 16-bit indices. */
static void test_wrap(void **state)
{
	struct fixture *f = *state;
	unsigned int round, i;
	uint32_t id, len;

	start(f, false);
	for (i = 0; i < SIZE; i++)
		guest_ring_desc(&f->ring, i, DATA + 64 * i, 64, RING_WRITE, 0);
	for (round = 0; round < 0x10000 / 3 + 100; round++) {
		for (i = 0; i < 3; i++)
			guest_ring_put(&f->ring, (round + i) % SIZE);
		guest_ring_publish(&f->ring);
		for (i = 0; i < 3; i++) {
			assert_int_equal(pop(f), 1);
			assert_int_equal(f->chain->head, (round + i) % SIZE);
			expect_iov(f, 0, DATA + 64 * f->chain->head, 64);
		}
		for (i = 3; i-- > 0;)
			push(f, (round + i) % SIZE, round);
		assert_true(virtqueue_publish(&f->vq));
		for (i = 3; i-- > 0;) {
			assert_true(guest_ring_take(&f->ring, &id, &len));
			assert_int_equal(id, (round + i) % SIZE);
			assert_int_equal(len, round);
		}
		assert_false(guest_ring_take(&f->ring, &id, &len));
	}
	assert_true(virtqueue_is_idle(&f->vq));
}

/* All descriptors in flight at once: the ring is full, not jumped. */
static void test_full(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	start(f, false);
	for (i = 0; i < SIZE; i++) {
		guest_ring_desc(&f->ring, i, DATA, 1, 0, 0);
		guest_ring_put(&f->ring, i);
	}
	guest_ring_publish(&f->ring);
	for (i = 0; i < SIZE; i++)
		assert_int_equal(pop(f), 1);
	assert_int_equal(pop(f), 0);
	assert_int_equal(f->vq.pending, SIZE);
	for (i = 0; i < SIZE; i++)
		push(f, i, 0);
	assert_true(virtqueue_is_idle(&f->vq));
}

static void test_smallest_and_largest(void **state)
{
	struct fixture *f = *state;
	struct guest_ring *r = &f->ring;

	f->vq.size = 1;
	guest_ring_init(r, &f->gm, RING, 1);
	f->vq.avail_gpa = r->avail;
	f->vq.used_gpa = r->used;
	start(f, false);
	guest_ring_desc(r, 0, DATA, 1, RING_WRITE, 0);
	guest_ring_offer(r, 0);
	assert_int_equal(pop(f), 1);
	push(f, 0, 1);
	virtqueue_stop(&f->vq);

	f->vq.size = 32768;
	guest_ring_init(r, &f->gm, BORDER, 32768);
	f->vq.desc_gpa = r->desc;
	f->vq.avail_gpa = r->avail;
	f->vq.used_gpa = r->used;
	f->vq.iov_max = 1;
	start(f, false);
	guest_ring_desc(r, 32767, DATA, 1, RING_WRITE, 0);
	guest_ring_offer(r, 32767);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain->head, 32767);
	push(f, 32767, 1);
	assert_true(virtqueue_publish(&f->vq));
}

/* ---- windows ---- */

#define WINDOW (2 * HIGH)

static struct gmem_range window;

static void add_window(struct fixture *f)
{
	window = (struct gmem_range){ .gpa = WINDOW, .len = REGION_LEN };
	window.fd = memfd_create("window", MFD_CLOEXEC);
	assert_true(window.fd >= 0);
	assert_int_equal(ftruncate(window.fd, REGION_LEN), 0);
	window.hva = mmap(NULL, REGION_LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
			  window.fd, 0);
	assert_true(window.hva != MAP_FAILED);
	window.slot = (unsigned int)gmem_add_window(&f->gm, window.hva,
						    window.len, NULL);
	assert_int_equal(gmem_place_window(&f->gm, window.slot, WINDOW, NULL),
			 0);
}

static int teardown_window(void **state)
{
	struct fixture *f = *state;

	gmem_remove_window(&f->gm, window.slot);
	munmap(window.hva, window.len);
	close(window.fd);
	return teardown(state);
}

/* Payload may lie there, and the device is told where. */
static void test_window_payload(void **state)
{
	struct fixture *f = *state;

	add_window(f);
	start(f, false);
	guest_ring_desc(&f->ring, 0, DATA, 16, RING_NEXT, 1);
	guest_ring_desc(&f->ring, 1, WINDOW + 8, 100, RING_NEXT, 2);
	guest_ring_desc(&f->ring, 2, DATA, 1, RING_WRITE | RING_NEXT, 3);
	guest_ring_desc(&f->ring, 3, WINDOW, 4096, RING_WRITE | RING_NEXT, 4);
	guest_ring_desc(&f->ring, 4, DATA + 1, 1, RING_WRITE, 0);
	guest_ring_desc(&f->ring, 5, DATA, 16, 0, 0);
	guest_ring_offer(&f->ring, 0);
	guest_ring_offer(&f->ring, 5);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain->nr_out, 2);
	assert_int_equal(f->chain->nr_in, 3);
	assert_ptr_equal(f->chain->iov[1].iov_base, window.hva + 8);
	assert_ptr_equal(f->chain->iov[3].iov_base, window.hva);
	assert_int_equal(f->chain->window_first, 1);
	assert_int_equal(f->chain->window_end, 4);
	assert_int_equal(vq_chain_front(f->chain, 2), 1);
	assert_int_equal(vq_chain_front(f->chain, 1), 1);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain->window_first, f->chain->window_end);
	assert_int_equal(vq_chain_front(f->chain, 1), 1);
}

/* A file can be cut: what is parsed there could end the process. */
static void test_window_rings(void **state)
{
	struct fixture *f = *state;
	gpa_t *const places[] = { &f->vq.desc_gpa, &f->vq.avail_gpa,
				  &f->vq.used_gpa };
	unsigned int i;

	add_window(f);
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		gpa_t good = *places[i];

		*places[i] = WINDOW;
		assert_int_equal(virtqueue_start(&f->vq, &f->gm, false, true),
				 -EFAULT);
		*places[i] = good;
	}
	start(f, false);
	guest_ring_desc(&f->ring, 0, WINDOW, 16, RING_INDIRECT, 0);
	guest_ring_offer(&f->ring, 0);
	expect_fault(f, "indirect table outside memory");
}

/* ---- what a driver must not do ---- */

static void test_head_out_of_range(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	guest_ring_offer(&f->ring, SIZE);
	expect_fault(f, "avail entry out of range");
}

static void test_next_out_of_range(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	guest_ring_desc(&f->ring, 0, DATA, 1, RING_NEXT, SIZE);
	guest_ring_offer(&f->ring, 0);
	expect_fault(f, "descriptor index out of range");
}

static void test_loops(void **state)
{
	struct fixture *f = *state;

	/* To itself, and a circle of all descriptors. */
	f->vq.iov_max = SIZE + 1;
	start(f, false);
	guest_ring_desc(&f->ring, 0, DATA, 1, RING_NEXT, 0);
	guest_ring_offer(&f->ring, 0);
	expect_fault(f, "loop in a descriptor chain");
	virtqueue_stop(&f->vq);

	guest_ring_init(&f->ring, &f->gm, RING, SIZE);
	start(f, false);
	for (unsigned int i = 0; i < SIZE; i++)
		guest_ring_desc(&f->ring, i, DATA, 1, RING_NEXT,
				(i + 1) % SIZE);
	guest_ring_offer(&f->ring, 3);
	expect_fault(f, "loop in a descriptor chain");
}

static void test_longest_chain(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	start(f, false);
	for (i = 0; i < SIZE; i++)
		guest_ring_desc(&f->ring, i, DATA, 1,
				i + 1 < SIZE ? RING_NEXT : 0, i + 1);
	guest_ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain->nr_out, SIZE);
}

static void test_too_many_buffers(void **state)
{
	struct fixture *f = *state;
	unsigned int i, nr = IOV_MAX_HERE + 1;

	start(f, false);
	for (i = 0; i < nr; i++)
		guest_table_desc(&f->gm, TABLE, i, DATA, 1,
				 i + 1 < nr ? RING_NEXT : 0, i + 1);
	guest_ring_desc(&f->ring, 0, TABLE, 16 * nr, RING_INDIRECT, 0);
	guest_ring_offer(&f->ring, 0);
	expect_fault(f, "too many buffers in a chain");
}

/* The second half of a cut buffer is one too many. */
static void test_too_many_at_border(void **state)
{
	struct fixture *f = *state;

	f->vq.iov_max = 1;
	start(f, false);
	guest_ring_desc(&f->ring, 0, BORDER - 1, 2, 0, 0);
	guest_ring_offer(&f->ring, 0);
	expect_fault(f, "too many buffers in a chain");
}

static void test_bad_buffers(void **state)
{
	struct fixture *f = *state;
	static const struct {
		gpa_t addr;
		uint32_t len;
		const char *fault;
	} cases[] = {
		{ DATA, 0, "buffer of no length" },
		{ RAM_END, 1, "buffer outside memory" },
		{ RAM_END - 1, 2, "buffer outside memory" },
		{ HIGH - 1, 2, "buffer outside memory" },
		{ HIGH + REGION_LEN - 1, 2, "buffer outside memory" },
		{ UINT64_MAX, 1, "buffer outside memory" },
		{ UINT64_MAX, 0xfffffffe, "buffer outside memory" },
		{ UINT64_MAX - 0xfff, 0x2000, "buffer outside memory" },
		{ 0, 0xfffffffe, "buffer outside memory" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		guest_ring_init(&f->ring, &f->gm, RING, SIZE);
		start(f, false);
		guest_ring_desc(&f->ring, 0, DATA, 1, RING_NEXT, 1);
		guest_ring_desc(&f->ring, 1, cases[i].addr, cases[i].len,
				RING_WRITE, 0);
		guest_ring_offer(&f->ring, 0);
		expect_fault(f, cases[i].fault);
		virtqueue_stop(&f->vq);
	}
}

static void test_chain_of_4_gib(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	guest_ring_desc(&f->ring, 0, DATA, 2, RING_NEXT, 1);
	guest_ring_desc(&f->ring, 1, 0, 0xffffffff, RING_WRITE, 0);
	guest_ring_offer(&f->ring, 0);
	expect_fault(f, "chain longer than 4 GiB");
}

static void test_read_after_write(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	guest_ring_desc(&f->ring, 0, DATA, 8, RING_NEXT | RING_WRITE, 1);
	guest_ring_desc(&f->ring, 1, DATA, 8, 0, 0);
	guest_ring_offer(&f->ring, 0);
	expect_fault(f, "readable buffer behind a writable one");
}

static void test_avail_jumps(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	guest_ring_desc(&f->ring, 0, DATA, 1, 0, 0);
	guest_ring_set_avail_idx(&f->ring, SIZE + 1);
	expect_fault(f, "avail index jumped");
	virtqueue_stop(&f->vq);

	start(f, false);
	guest_ring_set_avail_idx(&f->ring, 0xffff); /* backwards */
	expect_fault(f, "avail index jumped");
}

/* A head that is still with the device comes again. */
static void test_offered_twice(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	guest_ring_desc(&f->ring, 4, DATA, 1, 0, 0);
	guest_ring_put(&f->ring, 4);
	guest_ring_offer(&f->ring, 4);
	assert_int_equal(pop(f), 1);
	expect_fault(f, "descriptor made available twice");
	/* What was popped before still comes back. */
	push(f, 4, 0);
	assert_true(virtqueue_publish(&f->vq));
	assert_true(virtqueue_is_idle(&f->vq));
}

/* ---- indirect tables ---- */

static void test_indirect(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	/* A plain descriptor in front; WRITE on the indirect one is ignored. */
	guest_ring_desc(&f->ring, 1, DATA, 4, RING_NEXT, 6);
	guest_ring_desc(&f->ring, 6, TABLE, 16 * 3, RING_INDIRECT | RING_WRITE,
			77);
	guest_table_desc(&f->gm, TABLE, 0, DATA + 8, 8, RING_NEXT, 2);
	guest_table_desc(&f->gm, TABLE, 2, HIGH, 32, RING_WRITE, 0);
	guest_ring_offer(&f->ring, 1);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain->head, 1);
	assert_int_equal(f->chain->nr_out, 2);
	assert_int_equal(f->chain->nr_in, 1);
	expect_iov(f, 0, DATA, 4);
	expect_iov(f, 1, DATA + 8, 8);
	expect_iov(f, 2, HIGH, 32);
}

/* A table may be longer than the queue. */
static void test_indirect_longer_than_queue(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	start(f, false);
	for (i = 0; i < SIZE + 2; i++)
		guest_table_desc(&f->gm, TABLE, i, DATA + i, 1,
				 i < SIZE + 1 ? RING_NEXT : 0, i + 1);
	guest_ring_desc(&f->ring, 0, TABLE, 16 * (SIZE + 2), RING_INDIRECT, 0);
	guest_ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain->nr_out, SIZE + 2);
}

/* A table may stand at any address (section 2.7.5.3). */
static void test_odd_table(void **state)
{
	struct fixture *f = *state;
	unsigned int off;

	for (off = 1; off < 16; off++) {
		guest_ring_init(&f->ring, &f->gm, RING, SIZE);
		start(f, false);
		guest_table_desc(&f->gm, TABLE + off, 0, DATA, 5, 0, 0);
		guest_ring_desc(&f->ring, 0, TABLE + off, 16, RING_INDIRECT, 0);
		guest_ring_offer(&f->ring, 0);
		assert_int_equal(pop(f), 1);
		assert_int_equal(f->chain->nr_out, 1);
		assert_int_equal(f->chain->out_len, 5);
		push(f, 0, 0);
		virtqueue_stop(&f->vq);
	}
}

static void test_bad_tables(void **state)
{
	struct fixture *f = *state;
	static const struct {
		gpa_t addr;
		uint32_t len;
		unsigned int flags;
		const char *fault;
	} cases[] = {
		{ TABLE, 0, 0, "bad length of an indirect table" },
		{ TABLE, 15, 0, "bad length of an indirect table" },
		{ TABLE, 24, 0, "bad length of an indirect table" },
		{ TABLE, 16 * 32769, 0, "bad length of an indirect table" },
		{ TABLE, 0xfffffff0, 0, "bad length of an indirect table" },
		{ TABLE, 16, RING_NEXT, "indirect descriptor with next" },
		{ RAM_END, 16, 0, "indirect table outside memory" },
		{ RAM_END - 16, 32, 0, "indirect table outside memory" },
		{ BORDER - 16, 32, 0, "indirect table outside memory" },
		{ UINT64_MAX & ~15ull, 32, 0, "indirect table outside memory" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		guest_ring_init(&f->ring, &f->gm, RING, SIZE);
		start(f, false);
		guest_ring_desc(&f->ring, 0, cases[i].addr, cases[i].len,
				cases[i].flags | RING_INDIRECT, 0);
		guest_ring_offer(&f->ring, 0);
		expect_fault(f, cases[i].fault);
		virtqueue_stop(&f->vq);
	}
}

static void test_indirect_inside(void **state)
{
	struct fixture *f = *state;
	static const struct {
		unsigned int flags, next;
		const char *fault;
	} cases[] = {
		{ RING_INDIRECT, 0, "nested indirect table" },
		{ RING_NEXT, 2, "descriptor index out of range" },
		{ RING_NEXT, 0, "loop in a descriptor chain" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		guest_ring_init(&f->ring, &f->gm, RING, SIZE);
		start(f, false);
		guest_ring_desc(&f->ring, 0, TABLE, 32, RING_INDIRECT, 0);
		guest_table_desc(&f->gm, TABLE, 0, DATA, 16, RING_NEXT, 1);
		guest_table_desc(&f->gm, TABLE, 1, DATA, 16, cases[i].flags,
				 cases[i].next);
		guest_ring_offer(&f->ring, 0);
		expect_fault(f, cases[i].fault);
		virtqueue_stop(&f->vq);
	}
}

static void test_indirect_not_negotiated(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(virtqueue_start(&f->vq, &f->gm, false, false), 0);
	guest_ring_desc(&f->ring, 0, TABLE, 16, RING_INDIRECT, 0);
	guest_ring_offer(&f->ring, 0);
	expect_fault(f, "indirect descriptor not negotiated");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_start_refuses),
		UNIT(test_start_outside),
		UNIT(test_empty),
		UNIT(test_chain),
		UNIT(test_show),
		UNIT(test_border),
		UNIT(test_wrap),
		UNIT(test_full),
		UNIT(test_smallest_and_largest),
		cmocka_unit_test_setup_teardown(test_window_payload, setup,
						teardown_window),
		cmocka_unit_test_setup_teardown(test_window_rings, setup,
						teardown_window),
		UNIT(test_head_out_of_range),
		UNIT(test_next_out_of_range),
		UNIT(test_loops),
		UNIT(test_longest_chain),
		UNIT(test_too_many_buffers),
		UNIT(test_too_many_at_border),
		UNIT(test_bad_buffers),
		UNIT(test_chain_of_4_gib),
		UNIT(test_read_after_write),
		UNIT(test_avail_jumps),
		UNIT(test_offered_twice),
		UNIT(test_indirect),
		UNIT(test_indirect_longer_than_queue),
		UNIT(test_odd_table),
		UNIT(test_bad_tables),
		UNIT(test_indirect_inside),
		UNIT(test_indirect_not_negotiated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
