/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Memory that comes and goes under an engine that registers it: a piece is
 * registered while it is there and no longer, and a request never reaches the
 * pages that were there before.
 */
#include "devices/backend/block_mechanism.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/lib/io_loop.h"
#include "vmm/util.h"

#define NR_PIECES 2
#define LEN 4096u

struct fixture {
	struct loop *loop;
	struct block_image image;
	struct block_engine *be;
	uint8_t *window; /* NR_PIECES pieces of addresses */
	struct block_memory changes;
};

static void on_done(void *opaque unused_param,
		    struct block_req *req unused_param)
{
}

/* KiB of this process that the kernel holds for somebody. */
static long pinned_kib(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kib = -1;

	assert_non_null(f);
	while (kib < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPin: %ld", &kib) != 1)
			kib = -1;
	fclose(f);
	return kib;
}

static struct iovec piece_of(struct fixture *f, unsigned int i)
{
	return (struct iovec){ f->window + i * BLOCK_MEMORY_UNIT,
			       BLOCK_MEMORY_UNIT };
}

/* New pages there, with this in the first of them. Small ones: the kernel counts a
 * huge page that is registered already no second time, and takes it from the count
 * as soon as one of its registrations goes. */
static void put_pages(struct fixture *f, unsigned int i, const char *text)
{
	struct iovec piece = piece_of(f, i);

	assert_ptr_equal(
		mmap(piece.iov_base, piece.iov_len, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
		     -1, 0),
		piece.iov_base);
	madvise(piece.iov_base, piece.iov_len, MADV_NOHUGEPAGE);
	snprintf(piece.iov_base, LEN, "%s", text);
}

static void tell(struct fixture *f, unsigned int i, bool there)
{
	struct iovec piece = piece_of(f, i);

	block_memory_change(&f->changes, &piece, there);
	block_engine_poll(f->be);
}

static void run(struct fixture *f, enum block_op op, void *at)
{
	struct iovec iov = { at, LEN };
	struct block_req req = {
		.op = op, .len = LEN, .iov = &iov, .nr_iov = 1, .result = 1
	};
	uint64_t end = loop_now_ns() + 20000000000ull;

	block_engine_submit(f->be, &req);
	block_engine_commit(f->be);
	while (f->be->in_flight) {
		assert_true(loop_now_ns() < end);
		block_engine_poll(f->be);
	}
	assert_int_equal(req.result, 0);
}

/* What is written is what stands there now, and what is read arrives there. */
static void check_io(struct fixture *f, void *at, const char *text)
{
	char file[LEN];

	snprintf(at, LEN, "%s", text);
	run(f, BLOCK_WRITE, at);
	assert_int_equal(pread(f->image.fd, file, LEN, 0), LEN);
	assert_string_equal(file, text);
	snprintf(file, LEN, "back to %s", text);
	assert_int_equal(pwrite(f->image.fd, file, LEN, 0), LEN);
	run(f, BLOCK_READ, at);
	assert_string_equal(at, file);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct block_engine_config config;
	struct iovec all;

	assert_non_null(f);
	f->window = mmap(NULL, NR_PIECES * BLOCK_MEMORY_UNIT, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(f->window != MAP_FAILED);
	f->loop = io_loop_create();
	f->image =
		(struct block_image){ .fd = memfd_create("disk", MFD_CLOEXEC),
				      .size = LEN,
				      .logical_block = 512,
				      .physical_block = 4096,
				      .memory_align = 1,
				      .is_local = true };
	assert_int_equal(ftruncate(f->image.fd, LEN), 0);
	config = (struct block_engine_config){
		.image = &f->image,
		.depth = 4,
		.loop = f->loop,
		.done = on_done,
		.memory = &f->changes,
	};
	all = (struct iovec){ f->window, NR_PIECES * BLOCK_MEMORY_UNIT };
	assert_int_equal(block_memory_add(&f->changes, &all), 0);
	*state = f;
	/* Refused by the host: the tests are skipped. */
#ifndef VMM_NO_URING
	if (block_engine_make(&f->be, &block_uring, &config))
		f->be = NULL;
#endif
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->be)
		block_engine_destroy(f->be);
	close(f->image.fd);
	block_memory_fini(&f->changes);
	loop_destroy(f->loop);
	munmap(f->window, NR_PIECES * BLOCK_MEMORY_UNIT);
	free(f);
	return 0;
}

static struct fixture *fixture_of(void **state)
{
	struct fixture *f = *state;

	if (!f->be)
		skip();
	return f;
}

static void test_comes_and_goes(void **state)
{
	struct fixture *f = fixture_of(state);
	long before = pinned_kib(), unit = BLOCK_MEMORY_UNIT / KIB;

	put_pages(f, 1, "");
	check_io(f, f->window + BLOCK_MEMORY_UNIT, "not told of");
	assert_int_equal(pinned_kib(), before);
	tell(f, 1, true);
	assert_int_equal(pinned_kib(), before + unit);
	/* Twice is fine. */
	tell(f, 1, true);
	assert_int_equal(pinned_kib(), before + unit);
	check_io(f, f->window + BLOCK_MEMORY_UNIT, "there");
	check_io(f, f->window + 2 * BLOCK_MEMORY_UNIT - LEN, "its end");
	tell(f, 1, false);
	assert_int_equal(pinned_kib(), before);
	check_io(f, f->window + BLOCK_MEMORY_UNIT, "no more");
}

static void test_other_pages(void **state)
{
	struct fixture *f = fixture_of(state);
	char *at = (char *)f->window;
	int round;

	for (round = 0; round < 3; round++) {
		put_pages(f, 0, "new");
		tell(f, 0, true);
		check_io(f, at, "one life");
		/* The pages go first, as when a guest ejects them. */
		put_pages(f, 0, "other");
		tell(f, 0, false);
		check_io(f, at, "another life");
	}
}

/* It goes and comes back before the engine looks: not the pages of before. */
static void test_unseen(void **state)
{
	struct fixture *f = fixture_of(state);
	struct iovec piece = piece_of(f, 0);
	long pinned;

	put_pages(f, 0, "old");
	tell(f, 0, true);
	pinned = pinned_kib();
	block_memory_change(&f->changes, &piece, false);
	put_pages(f, 0, "new");
	block_memory_change(&f->changes, &piece, true);
	check_io(f, f->window, "the new pages");
	block_engine_poll(f->be);
	check_io(f, f->window, "the new pages, registered");
	assert_int_equal(pinned_kib(), pinned);
}

static void test_over_a_border(void **state)
{
	struct fixture *f = fixture_of(state);

	put_pages(f, 0, "");
	put_pages(f, 1, "");
	tell(f, 0, true);
	check_io(f, f->window + BLOCK_MEMORY_UNIT - 512, "half is there");
	tell(f, 1, true);
	check_io(f, f->window + BLOCK_MEMORY_UNIT - 512, "both are there");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_comes_and_goes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_other_pages, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_unseen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_over_a_border, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
