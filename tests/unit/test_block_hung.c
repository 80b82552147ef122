/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Engines on a file that stops answering: the loop goes on, other disks of it
 * are served, what has not begun is taken back, and all ends when the file
 * answers again or is gone for good.
 */
#include "devices/backend/block_mechanism.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/lib/hung_file.h"
#include "tests/lib/io_loop.h"
#include "vmm/util.h"

#define MS 1000000ull
/* Not what hangs, which does so for good, but a machine that is busy otherwise. */
#define AT_ONCE_NS (5000 * MS)
#define NR 64u
#define LEN 4096u

struct disk {
	struct block_image image;
	struct block_engine *be;
	struct block_req reqs[NR];
	struct iovec iov[NR];
	uint8_t *buf; /* LEN for each request */
	unsigned int nr_done;
};

struct variant {
	const struct block_mechanism *mechanism;
	bool direct;
};

struct fixture {
	const struct variant *v;
	struct hung_file file;
	bool is_there;
	struct loop *loop;
	struct disk hung, other;
};

static void on_done(void *opaque, struct block_req *req unused_param)
{
	struct disk *d = opaque;

	d->nr_done++;
}

static void disk_init(struct fixture *f, struct disk *d,
		      const struct block_mechanism *mechanism)
{
	const struct block_engine_config config = {
		.image = &d->image,
		.depth = NR,
		.loop = f->loop,
		.done = on_done,
		.opaque = d,
	};

	assert_int_equal(block_engine_make(&d->be, mechanism, &config), 0);
	d->buf = aligned_alloc(LEN, NR * LEN);
	assert_non_null(d->buf);
}

static void disk_fini(struct disk *d)
{
	if (d->be)
		block_engine_destroy(d->be);
	free(d->buf);
	block_image_close(&d->image);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct block_image_config config = { .path = f->file.path, .fd = -1 };
	struct block_engine_config probe = { .depth = 1 };

	f->v = *state;
	*state = f;
	f->loop = io_loop_create();
	f->hung.image.fd = f->other.image.fd = -1;
	f->is_there = hung_file_start(&f->file, 4);
	if (!f->is_there)
		return 0;
	config.direct = f->v->direct;
	assert_int_equal(block_image_open(&f->hung.image, &config, NULL), 0);
	assert_false(f->hung.image.is_local);
	/* An engine that the host refuses is none to test. */
	probe.image = &f->hung.image;
	probe.loop = f->loop;
	if (block_engine_make(&f->hung.be, f->v->mechanism, &probe)) {
		f->hung.be = NULL;
		f->is_there = false;
		return 0;
	}
	block_engine_destroy(f->hung.be);
	disk_init(f, &f->hung, f->v->mechanism);
	config = (struct block_image_config){ .fd = memfd_create("other",
								 MFD_CLOEXEC) };
	assert_int_equal(ftruncate(config.fd, MIB), 0);
	assert_int_equal(block_image_open(&f->other.image, &config, NULL), 0);
	close(config.fd);
	assert_true(f->other.image.is_local);
	disk_init(f, &f->other, f->v->mechanism);
	return 0;
}

static struct fixture *fixture_of(void **state)
{
	struct fixture *f = *state;

	if (!f->is_there)
		skip();
	return f;
}

/* Submit those requests, a block each; it does not take long, whatever hangs. */
static void submit_some(struct disk *d, enum block_op op, unsigned int first,
			unsigned int end)
{
	uint64_t start = loop_now_ns();
	unsigned int i;

	for (i = first; i < end; i++) {
		d->iov[i] = (struct iovec){ d->buf + i * LEN, LEN };
		d->reqs[i] = (struct block_req){
			.op = op,
			.offset = i * LEN,
			.len = LEN,
			.iov = &d->iov[i],
			.nr_iov = 1,
		};
		block_engine_submit(d->be, &d->reqs[i]);
	}
	block_engine_commit(d->be);
	assert_true(loop_now_ns() - start < AT_ONCE_NS);
}

static void submit(struct disk *d, enum block_op op, unsigned int nr)
{
	d->nr_done = 0;
	submit_some(d, op, 0, nr);
}

/* One turn of the loop; it does not take long either. */
static void turn(struct fixture *f)
{
	uint64_t start = loop_now_ns();

	block_engine_poll(f->hung.be);
	block_engine_poll(f->other.be);
	loop_quit(f->loop);
	loop_run(f->loop);
	assert_true(loop_now_ns() - start < AT_ONCE_NS);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	/* After a failure: nothing hangs any more. */
	hung_file_kill(&f->file);
	while (f->hung.be && f->hung.be->in_flight + f->other.be->in_flight)
		turn(f);
	disk_fini(&f->hung);
	disk_fini(&f->other);
	loop_destroy(f->loop);
	hung_file_stop(&f->file);
	free(f);
	return 0;
}

static void turn_for(struct fixture *f, unsigned int ms)
{
	uint64_t end = loop_now_ns() + ms * MS;

	while (loop_now_ns() < end)
		turn(f);
}

static void wait_done(struct fixture *f, struct disk *d, unsigned int nr)
{
	uint64_t end = loop_now_ns() + 20000 * MS;

	while (d->nr_done < nr) {
		assert_true(loop_now_ns() < end);
		turn(f);
	}
	assert_int_equal(d->nr_done, nr);
	assert_int_equal(d->be->in_flight, 0);
}

static void wait_held(struct fixture *f)
{
	uint64_t end = loop_now_ns() + 20000 * MS;

	while (!hung_file_held(&f->file)) {
		assert_true(loop_now_ns() < end);
		turn(f);
	}
}

static unsigned int count(const struct disk *d, int result)
{
	unsigned int i, nr = 0;

	for (i = 0; i < NR; i++)
		nr += d->reqs[i].result == result;
	return nr;
}

static void check_other(struct fixture *f)
{
	static const enum block_op ops[] = { BLOCK_WRITE, BLOCK_READ,
					     BLOCK_FLUSH, BLOCK_DISCARD };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		submit(&f->other, ops[i], NR);
		wait_done(f, &f->other, NR);
		assert_int_equal(count(&f->other, 0), NR);
	}
}

/* ---- */

static void test_go(void **state)
{
	struct fixture *f = fixture_of(state);
	static const enum block_op ops[] = { BLOCK_WRITE, BLOCK_READ,
					     BLOCK_FLUSH };
	unsigned int i;

	memset(f->hung.buf, 0x5a, (size_t)NR * LEN);
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		submit(&f->hung, ops[i], NR);
		wait_done(f, &f->hung, NR);
		assert_int_equal(count(&f->hung, 0), NR);
		hung_file_say(&f->file, "hang");
		submit(&f->hung, ops[i], NR);
		wait_held(f);
		check_other(f);
		turn_for(f, 150); /* it is known to hang now */
		check_other(f);
		assert_true(f->hung.be->in_flight > 0);
		hung_file_say(&f->file, "go");
		wait_done(f, &f->hung, NR);
		assert_int_equal(count(&f->hung, 0), NR);
	}
	for (i = 0; i < NR * LEN; i++)
		assert_int_equal(f->hung.buf[i], 0x5a);
}

static void test_cancel(void **state)
{
	struct fixture *f = fixture_of(state);
	bool all_begun = f->v->direct && !strcmp(f->v->mechanism->name, "aio");
	uint64_t end = loop_now_ns() + 20000 * MS;
	unsigned int cancelled;

	hung_file_say(&f->file, "hang");
	/* A thread of io_uring's takes all writes to a file that are there, one
	 * after the other, and none of them can be had back. */
	submit(&f->hung, BLOCK_WRITE, 1);
	wait_held(f);
	submit_some(&f->hung, BLOCK_WRITE, 1, NR);
	block_engine_cancel(f->hung.be);
	/* A kernel's thread or one of ours waits; others never began. */
	while (!all_begun && !count(&f->hung, -ECANCELED)) {
		assert_true(loop_now_ns() < end);
		turn(f);
	}
	turn_for(f, 100);
	cancelled = count(&f->hung, -ECANCELED);
	if (!all_begun)
		assert_in_range(cancelled, 1, NR - 1);
	assert_int_equal(f->hung.be->in_flight, NR - cancelled);
	check_other(f);
	block_engine_cancel(f->hung.be); /* again is fine */
	hung_file_say(&f->file, "go");
	wait_done(f, &f->hung, NR);
	cancelled = count(&f->hung, -ECANCELED);
	assert_int_equal(cancelled + count(&f->hung, 0), NR);
	/* It is as new. */
	submit(&f->hung, BLOCK_READ, NR);
	wait_done(f, &f->hung, NR);
	assert_int_equal(count(&f->hung, 0), NR);
	block_engine_cancel(f->hung.be); /* nothing in flight */
	submit(&f->hung, BLOCK_READ, 1);
	wait_done(f, &f->hung, 1);
	assert_int_equal(f->hung.reqs[0].result, 0);
}

/* The server is gone for good: every request fails. */
static void test_killed(void **state)
{
	struct fixture *f = fixture_of(state);
	unsigned int i;

	hung_file_say(&f->file, "hang");
	submit(&f->hung, BLOCK_WRITE, NR);
	wait_held(f);
	hung_file_kill(&f->file);
	wait_done(f, &f->hung, NR);
	for (i = 0; i < NR; i++)
		assert_true(f->hung.reqs[i].result < 0);
	check_other(f);
}

/* On its own the choice falls on threads, of which a disk has a few. */
static void test_auto(void **state)
{
	struct fixture *f = fixture_of(state);
	const struct block_engine_config config = {
		.image = &f->hung.image,
		.depth = 1,
		.loop = f->loop,
		.done = on_done,
		.opaque = &f->hung,
	};
	struct block_engine *be;

	assert_int_equal(block_engine_create(&be, BLOCK_ENGINE_AUTO, &config),
			 0);
	assert_string_equal(be->mechanism->name, "sync");
	block_engine_destroy(be);
}

#define TESTS_OF(v)                                            \
	{ "go", test_go, setup, teardown, v },                 \
		{ "cancel", test_cancel, setup, teardown, v }, \
		{ "killed", test_killed, setup, teardown, v }, \
	{                                                      \
		"auto", test_auto, setup, teardown, v          \
	}

int main(void)
{
	static struct variant sync = { &block_sync, false };
	static struct variant sync_direct = { &block_sync, true };
	const struct CMUnitTest tests[] = {
		TESTS_OF(&sync),
		TESTS_OF(&sync_direct),
#ifndef VMM_NO_AIO
		TESTS_OF((&(struct variant){ &block_aio, false })),
		TESTS_OF((&(struct variant){ &block_aio, true })),
#endif
#ifndef VMM_NO_URING
		TESTS_OF((&(struct variant){ &block_uring, false })),
		TESTS_OF((&(struct variant){ &block_uring, true })),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
