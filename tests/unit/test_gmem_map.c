/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The map of guest memory: who is told of ranges that come and go, and who finds
 * what in them. */
#include "vmm/gmem.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/util.h"

#define LEN 0x10000ull
#define HIGH 0x100000000ull
#define PAGE 4096ull

static struct gmem gm;

static int setup(void **state unused_param)
{
	const struct gmem_config gc = { .size = 3 * LEN };

	gmem_init(&gm, &gc);
	assert_int_equal(gmem_add(&gm, 0, LEN, NULL), 0);
	assert_int_equal(gmem_add(&gm, LEN, LEN, NULL), 0);
	assert_int_equal(gmem_add(&gm, HIGH, LEN, NULL), 0);
	return 0;
}

static int teardown(void **state unused_param)
{
	gmem_fini(&gm);
	return 0;
}

/* ---- windows ---- */

#define WINDOW (2 * HIGH)

static struct gmem_range make_window(gpa_t gpa, uint64_t len)
{
	struct gmem_range w = { .gpa = gpa,
				.len = len,
				.fd = memfd_create("window", MFD_CLOEXEC) };

	assert_true(w.fd >= 0);
	assert_int_equal(ftruncate(w.fd, (off_t)len), 0);
	w.hva = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, w.fd, 0);
	assert_true(w.hva != MAP_FAILED);
	return w;
}

static int put_window(struct gmem_range *w, struct error *err)
{
	int slot = gmem_add_window(&gm, w->hva, w->len, err), r;

	if (slot < 0)
		return slot;
	w->slot = (unsigned int)slot;
	r = gmem_place_window(&gm, w->slot, w->gpa, err);
	if (r)
		gmem_remove_window(&gm, w->slot);
	return r;
}

static void free_window(struct gmem_range *w)
{
	munmap(w->hva, w->len);
	close(w->fd);
}

/* Payload may lie there, what we parse may not. */
static void test_window(void **state unused_param)
{
	struct gmem_range w = make_window(WINDOW, 2 * PAGE), bad = w;
	struct error err = { "" };
	uint64_t len = UINT64_MAX;
	enum gmem_kind kind;
	struct pages_job job = { .ended.fn = NULL };

	assert_int_equal(put_window(&w, &err), 0);
	assert_in_range(w.slot, GMEM_MAX_RAM + GMEM_MAX_DIMMS,
			GMEM_MAX_RANGES - 1);
	assert_ptr_equal(gmem_span(&gm, WINDOW + 1, &len, &kind), w.hva + 1);
	assert_int_equal(len, 2 * PAGE - 1);
	assert_int_equal(kind, GMEM_WINDOW);
	assert_null(gmem_ptr(&gm, WINDOW, 1));
	assert_int_equal(gmem_write(&gm, WINDOW, "x", 1), -EFAULT);
	assert_int_equal(gmem_load_file(&gm, WINDOW, 1, w.fd, 0, false),
			 -EFAULT);
	/* It is no RAM, and nobody else's. */
	assert_int_equal(gmem_size(&gm), 3 * LEN);
	assert_int_equal(gm.config.size, 3 * LEN);
	*w.hva = 7;
	assert_int_equal(gmem_clear(&gm, &job), 0);
	assert_int_equal(*w.hva, 7);
	bad.gpa += PAGE;
	assert_int_equal(put_window(&bad, &err), -EINVAL);
	bad.gpa = 0;
	assert_int_equal(put_window(&bad, &err), -EINVAL);
	bad.gpa = 2 * WINDOW + 8;
	assert_int_equal(put_window(&bad, &err), -EINVAL);
	bad.gpa = -(gpa_t)PAGE;
	assert_int_equal(put_window(&bad, &err), -EINVAL);
	gmem_remove_window(&gm, w.slot);
	assert_null(gmem_span(&gm, WINDOW, &len, &kind));
	free_window(&w);
}

/* The guest moves it. */
static void test_window_moves(void **state unused_param)
{
	struct gmem_range w = make_window(WINDOW, 2 * PAGE);
	struct error err = { "" };
	uint64_t len = 1;
	enum gmem_kind kind;
	gpa_t gpa;
	int slot = gmem_add_window(&gm, w.hva, w.len, &err);

	assert_in_range(slot, GMEM_MAX_RAM + GMEM_MAX_DIMMS,
			GMEM_MAX_RANGES - 1);
	w.slot = (unsigned int)slot;
	assert_false(gmem_window_gpa(&gm, w.slot, &gpa));
	assert_null(gmem_span(&gm, 0xffff0000, &len, &kind));
	assert_int_equal(gmem_place_window(&gm, w.slot, WINDOW, &err), 0);
	assert_true(gmem_window_gpa(&gm, w.slot, &gpa));
	assert_int_equal(gpa, WINDOW);
	assert_int_equal(gmem_place_window(&gm, w.slot, WINDOW + PAGE, &err),
			 0);
	assert_null(gmem_span(&gm, WINDOW, &len, &kind));
	assert_ptr_equal(gmem_span(&gm, WINDOW + PAGE, &len, &kind), w.hva);
	/* Where it cannot be, it is not, nor where it was. */
	assert_int_equal(gmem_place_window(&gm, w.slot, 0, &err), -EINVAL);
	assert_false(gmem_window_gpa(&gm, w.slot, &gpa));
	assert_null(gmem_span(&gm, WINDOW + PAGE, &len, &kind));
	gmem_displace_window(&gm, w.slot);
	gmem_remove_window(&gm, w.slot);
	free_window(&w);
}

/* ---- listeners ---- */

/* A listener that writes down what it hears: "+1" for a range of slot 1. */
struct ear {
	struct gmem_listener gl;
	char name;
	unsigned int refuse; /* this slot */
};

static char heard[128];

static void hear(const struct ear *ear, char what, unsigned int slot)
{
	size_t at = strlen(heard);

	snprintf(heard + at, sizeof(heard) - at, "%c%c%u ", ear->name, what,
		 slot);
}

static int ear_added(struct gmem_listener *gl, const struct gmem_range *range,
		     struct error *err)
{
	struct ear *ear = container_of(gl, struct ear, gl);
	enum gmem_kind kind;
	uint64_t len = 1;

	hear(ear, '+', range->slot);
	assert_ptr_equal(gmem_span(&gm, range->gpa, &len, &kind), range->hva);
	if (range->slot == ear->refuse)
		return error_set(err, ENOSPC, "%c is full", ear->name);
	return 0;
}

static void ear_removed(struct gmem_listener *gl,
			const struct gmem_range *range)
{
	enum gmem_kind kind;
	uint64_t len = 1;

	hear(container_of(gl, struct ear, gl), '-', range->slot);
	assert_null(gmem_span(&gm, range->gpa, &len, &kind));
}

static int ear_placed(struct gmem_listener *gl, const struct gmem_range *range,
		      bool there, struct error *err)
{
	struct ear *ear = container_of(gl, struct ear, gl);
	enum gmem_kind kind;
	uint64_t len = 1;
	void *p = gmem_span(&gm, range->gpa, &len, &kind);

	hear(ear, there ? '@' : '!', range->slot);
	assert_ptr_equal(p, there ? range->hva : NULL);
	if (there && range->slot == ear->refuse)
		return error_set(err, ENOSPC, "%c is full", ear->name);
	return 0;
}

static void ear_released(struct gmem_listener *gl,
			 const struct gmem_range *range)
{
	hear(container_of(gl, struct ear, gl), '.', range->slot);
}

#define EAR(c, slot)                                \
	{                                           \
		.gl = { .added = ear_added,         \
			.removed = ear_removed,     \
			.placed = ear_placed,       \
			.released = ear_released }, \
		.name = (c), .refuse = (slot),      \
	}

static void test_listeners(void **state unused_param)
{
	const unsigned int slot = GMEM_MAX_RAM + GMEM_MAX_DIMMS;
	struct ear ears[] = {
		EAR('a', 99),
		EAR('b', 99),
		EAR('c', 2),
	};
	struct gmem_range w = make_window(WINDOW, PAGE);
	uint64_t len;
	enum gmem_kind kind;
	char expected[128];
	struct error err;

	heard[0] = '\0';
	gmem_unlisten(&ears[0].gl); /* accepted */
	assert_int_equal(gmem_listen(&gm, &ears[0].gl, &err), 0);
	assert_string_equal(heard, "a+0 a+1 a+2 ");
	assert_int_equal(gmem_listen(&gm, &ears[1].gl, &err), 0);
	assert_int_equal(gmem_listen(&gm, &ears[2].gl, &err), -ENOSPC);
	assert_string_equal(err.msg, "c is full");

	heard[0] = '\0';
	assert_int_equal(put_window(&w, &err), 0);
	/* One that comes later hears where it is. */
	ears[2].refuse = 99;
	assert_int_equal(gmem_listen(&gm, &ears[2].gl, &err), 0);
	gmem_unlisten(&ears[2].gl);
	gmem_remove_window(&gm, w.slot);
	snprintf(expected, sizeof(expected),
		 "a@%u b@%u c+0 c+1 c+2 c@%u a!%u b!%u b-%u a-%u a.%u b.%u ",
		 slot, slot, slot, slot, slot, slot, slot, slot, slot);
	assert_string_equal(heard, expected);

	/* One that cannot take it: the others are told, it is nowhere. */
	heard[0] = '\0';
	ears[1].refuse = slot;
	assert_int_equal(put_window(&w, &err), -ENOSPC);
	snprintf(expected, sizeof(expected),
		 "a@%u b@%u a!%u b!%u b-%u a-%u a.%u b.%u ", slot, slot, slot,
		 slot, slot, slot, slot, slot);
	assert_string_equal(heard, expected);
	len = 1;
	assert_null(gmem_span(&gm, WINDOW, &len, &kind));

	gmem_unlisten(&ears[1].gl);
	gmem_unlisten(&ears[0].gl);
	free_window(&w);
}

/* ---- DIMMs ---- */

static struct gmem hot;
static unsigned int nr_held; /* of the DIMM that goes */

static int holder_added(struct gmem_listener *gl unused_param,
			const struct gmem_range *range,
			struct error *err unused_param)
{
	assert_int_equal(range->kind, GMEM_DIMM);
	return 0;
}

static void holder_removed(struct gmem_listener *gl,
			   const struct gmem_range *range)
{
	unsigned int i;

	for (i = 0; i < nr_held; i++)
		gmem_hold(&hot, range->slot);
	ear_removed(gl, range);
}

static void plug(unsigned int i, gpa_t gpa)
{
	struct pages_job job = { .ended.fn = NULL };

	assert_int_equal(gmem_plug_begin(&hot, i, gpa, GMEM_BLOCK, &job, NULL),
			 0);
	assert_int_equal(job.nr_pieces, 0);
	assert_null(gmem_ptr(&hot, gpa, 1));
	assert_int_equal(gmem_plug_end(&hot, i, NULL), 0);
}

static bool is_resident(const void *p)
{
	unsigned char there;

	assert_int_equal(mincore((void *)(uintptr_t)p, PAGE, &there), 0);
	return there & 1;
}

/*
 * I/O that began before a DIMM went writes to its addresses afterwards. Before,
 * such pages stayed allocated, and if a new DIMM came to that place meanwhile,
 * they were the guest's.
 */
static void check_held(bool shared)
{
	const struct gmem_config gc = { .size = LEN, .shared = shared };
	struct ear ear = EAR('a', 99);
	uint8_t *p;

	gmem_init(&hot, &gc);
	assert_int_equal(gmem_reserve(&hot, HIGH, 2 * GMEM_BLOCK, NULL), 0);
	assert_int_equal(gmem_max_dimms(&hot), 2);
	plug(0, HIGH);
	ear.gl.added = holder_added;
	ear.gl.removed = holder_removed;
	heard[0] = '\0';
	assert_int_equal(gmem_listen(&hot, &ear.gl, NULL), 0);
	p = gmem_ptr(&hot, HIGH, GMEM_BLOCK);
	*p = 7;
	nr_held = 2;
	gmem_unplug(&hot, 0);
	assert_string_equal(heard, "a-8 ");
	assert_int_equal(gmem_size(&hot), 0);
	/* The host has the pages back, but the place is not free. */
	assert_false(is_resident(p));
	assert_int_equal(gmem_dimm(&hot, 0)->len, GMEM_BLOCK);
	*p = 1;
	assert_true(is_resident(p));
	gmem_release(&hot, GMEM_MAX_RAM);
	*p = 2;
	assert_string_equal(heard, "a-8 ");
	gmem_release(&hot, GMEM_MAX_RAM);
	assert_string_equal(heard, "a-8 a.8 ");
	assert_false(is_resident(p));
	assert_int_equal(gmem_dimm(&hot, 0)->len, 0);
	/* What is there now is harmless. */
	assert_int_equal(*p, 0);
	gmem_unlisten(&ear.gl);
	plug(0, HIGH);
	assert_int_equal(*(uint8_t *)gmem_ptr(&hot, HIGH, 1), 0);
	gmem_fini(&hot);
}

static void test_held(void **state unused_param)
{
	check_held(false);
}

static void test_held_shared(void **state unused_param)
{
	check_held(true);
}

/* ---- readers ---- */

struct reader {
	pthread_t thread;
	atomic_bool stop;
	atomic_ulong found;
	uint8_t *a, *b; /* what may be found at WINDOW */
};

static void *reader_run(void *arg)
{
	struct reader *r = arg;

	while (!atomic_load(&r->stop)) {
		uint64_t len = UINT64_MAX;
		enum gmem_kind kind;
		uint8_t *p = gmem_span(&gm, WINDOW + 8, &len, &kind);

		if (!p)
			continue;
		/* Never the address of the one with the length of the other. */
		if (!(p == r->a + 8 && len == PAGE - 8) &&
		    !(p == r->b + 8 && len == 2 * PAGE - 8))
			abort();
		if (gmem_ptr(&gm, 0, LEN) == NULL)
			abort();
		atomic_fetch_add(&r->found, 1);
	}
	return NULL;
}

/* Ranges come and go under a reader, who finds one or the other, or none. */
static void test_readers(void **state unused_param)
{
	struct gmem_range a = make_window(WINDOW, PAGE);
	struct gmem_range b = make_window(WINDOW, 2 * PAGE);
	struct reader r = { .a = a.hva, .b = b.hva };
	unsigned int i;

	assert_int_equal(pthread_create(&r.thread, NULL, reader_run, &r), 0);
	for (i = 0; i < 50000 || atomic_load(&r.found) < 1000; i++) {
		struct gmem_range *w = i % 2 ? &a : &b;

		assert_int_equal(put_window(w, NULL), 0);
		gmem_remove_window(&gm, w->slot);
	}
	atomic_store(&r.stop, true);
	pthread_join(r.thread, NULL);
	free_window(&a);
	free_window(&b);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_window),	     UNIT(test_window_moves),
		UNIT(test_listeners),	     UNIT(test_readers),
		cmocka_unit_test(test_held), cmocka_unit_test(test_held_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
