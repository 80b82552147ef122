/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The ring of an I/O thread: what it refuses, and that disks on it do not meet.
 */
#include "devices/backend/block_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/io_loop.h"
#include "vmm/util.h"

#define LEN 4096u
/* More than the kernel has completions for at a time. */
#define NR 400u
#define DISKS 3u

struct disk {
	struct fixture *f;
	struct block_image image;
	struct block_engine *be;
	struct block_req reqs[NR];
	struct iovec iov[NR];
	uint8_t byte; /* all of it is this */
	uint8_t *buf; /* LEN for each request */
	unsigned int nr_done;
};

struct fixture {
	struct loop *loop;
	struct block_ring *br; /* NULL: there is no io_uring here */
	struct disk disks[DISKS];
	bool runs; /* the loop, until nothing is in flight */
	struct loop_timer deadline;
};

/* ---- disks ---- */

static unsigned int nr_in_flight(const struct fixture *f)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < DISKS; i++)
		nr += f->disks[i].be ? f->disks[i].be->in_flight : 0;
	return nr;
}

static void on_done(void *opaque, struct block_req *req)
{
	struct disk *d = opaque;

	assert_ptr_equal(req->be, d->be);
	assert_int_equal(req->result, 0);
	d->nr_done++;
	if (d->f->runs && !nr_in_flight(d->f))
		loop_quit(d->f->loop);
}

static int make_engine(struct fixture *f, struct block_image *image,
		       struct disk *d, struct block_engine **out)
{
	const struct block_engine_config config = {
		.image = image,
		.depth = NR,
		.loop = f->loop,
		.done = on_done,
		.opaque = d,
	};

	return block_engine_make(out, &block_uring, &config);
}

static void open_image(struct block_image *image, uint8_t byte)
{
	uint8_t block[LEN];

	memset(block, byte, sizeof(block));
	*image = (struct block_image){ .fd = memfd_create("disk", MFD_CLOEXEC),
				       .size = LEN,
				       .logical_block = 512,
				       .physical_block = 4096,
				       .memory_align = 1,
				       .is_local = true };
	assert_int_equal(write(image->fd, block, LEN), LEN);
}

static void disk_start(struct fixture *f, struct disk *d, uint8_t byte)
{
	d->f = f;
	d->byte = byte;
	d->buf = calloc(NR, LEN);
	assert_non_null(d->buf);
	open_image(&d->image, byte);
	assert_int_equal(make_engine(f, &d->image, d, &d->be), 0);
}

static void disk_stop(struct disk *d)
{
	if (d->be)
		block_engine_destroy(d->be);
	close_fd(&d->image.fd);
	free(d->buf);
	*d = (struct disk){ .image.fd = -1 };
}

static void disk_read(struct disk *d)
{
	memset(d->buf, 0, (size_t)NR * LEN);
	d->nr_done = 0;
	for (unsigned int i = 0; i < NR; i++) {
		d->iov[i] = (struct iovec){ d->buf + i * LEN, LEN };
		d->reqs[i] = (struct block_req){
			.op = BLOCK_READ,
			.len = LEN,
			.iov = &d->iov[i],
			.nr_iov = 1,
		};
		block_engine_submit(d->be, &d->reqs[i]);
	}
	block_engine_commit(d->be);
}

static void disk_check(const struct disk *d)
{
	assert_int_equal(d->nr_done, NR);
	assert_int_equal(d->be->in_flight, 0);
	for (size_t i = 0; i < (size_t)NR * LEN; i++)
		if (d->buf[i] != d->byte)
			fail_msg("byte %zu is %u, not %u", i, d->buf[i],
				 d->byte);
}

/* ---- */

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	for (unsigned int i = 0; i < DISKS; i++)
		f->disks[i].image.fd = -1;
	f->loop = io_loop_create();
	f->br = loop_local(f->loop, &block_loop_local);
	assert_non_null(f->br);
	if (f->br->error == -ENOSYS || f->br->error == -EPERM)
		f->br = NULL;
	else
		assert_int_equal(f->br->error, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	/* After a failure: their memory is in use. */
	if (nr_in_flight(f))
		abort();
	for (unsigned int i = 0; i < DISKS; i++)
		disk_stop(&f->disks[i]);
	loop_destroy(f->loop);
	free(f);
	return 0;
}

static struct fixture *fixture_of(void **state)
{
	struct fixture *f = *state;

	if (!f->br)
		skip();
	return f;
}

/* ---- what it refuses ---- */

/* What becomes of one that was filled in. */
static int result_of(struct fixture *f)
{
	struct io_uring_cqe *cqe;
	int result;

	assert_int_equal(io_uring_submit(&f->br->ring), 1);
	assert_int_equal(io_uring_wait_cqe(&f->br->ring, &cqe), 0);
	result = cqe->res;
	io_uring_cqe_seen(&f->br->ring, cqe);
	return result;
}

static struct io_uring_sqe *entry(struct fixture *f)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&f->br->ring);

	assert_non_null(sqe);
	return sqe;
}

static void test_calls_are_refused(void **state)
{
	struct fixture *f = fixture_of(state);
	struct sockaddr sa = { .sa_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct io_uring_sqe *sqe;

	assert_true(s >= 0);
	/* As it is, and as if it were on a registered file. */
	for (unsigned int flags = 0; flags <= IOSQE_FIXED_FILE;
	     flags += IOSQE_FIXED_FILE) {
		sqe = entry(f);
		io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY, 0);
		sqe->flags |= (uint8_t)flags;
		assert_int_equal(result_of(f), -EACCES);
		sqe = entry(f);
		io_uring_prep_connect(sqe, s, &sa, sizeof(sa));
		sqe->flags |= (uint8_t)flags;
		assert_int_equal(result_of(f), -EACCES);
	}
	close(s);
	/* Of all that there are, those that it is made for are left. */
	for (unsigned int op = 0; op < IORING_OP_LAST; op++) {
		if (op == IORING_OP_READV || op == IORING_OP_WRITEV ||
		    op == IORING_OP_READ || op == IORING_OP_WRITE ||
		    op == IORING_OP_READ_FIXED || op == IORING_OP_WRITE_FIXED ||
		    op == IORING_OP_ASYNC_CANCEL)
			continue;
		sqe = entry(f);
		io_uring_prep_rw((int)op, sqe, 0, NULL, 0, 0);
		sqe->flags |= IOSQE_FIXED_FILE;
		assert_int_equal(result_of(f), -EACCES);
	}
}

static void test_only_registered_files(void **state)
{
	struct fixture *f = fixture_of(state);
	struct disk *d = &f->disks[0];
	struct io_uring_sqe *sqe;
	uint8_t buf[LEN] = { 0 };

	disk_start(f, d, 7);
	sqe = entry(f);
	io_uring_prep_read(sqe, d->image.fd, buf, LEN, 0);
	assert_int_equal(result_of(f), -EACCES);
	assert_int_equal(buf[0], 0);
	sqe = entry(f);
	io_uring_prep_read(sqe, 0, buf, LEN, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	assert_int_equal(result_of(f), LEN);
	assert_int_equal(buf[LEN - 1], 7);
	/* Nothing else may be asked for along with it. */
	sqe = entry(f);
	io_uring_prep_read(sqe, 0, buf, LEN, 0);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_IO_LINK;
	assert_int_equal(result_of(f), -EACCES);
	/* A number of nobody's is not a descriptor. */
	sqe = entry(f);
	io_uring_prep_read(sqe, 1, buf, LEN, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	assert_int_equal(result_of(f), -EBADF);
}

static void test_restrictions_stay(void **state)
{
	struct fixture *f = fixture_of(state);
	int fd = f->br->ring.ring_fd;
	struct io_uring_restriction more = {
		.opcode = IORING_RESTRICTION_SQE_OP,
		.sqe_op = IORING_OP_OPENAT,
	};
	struct io_uring_sqe *sqe;

	assert_int_equal(syscall(SYS_io_uring_register, fd,
				 IORING_REGISTER_RESTRICTIONS, &more, 1),
			 -1);
	assert_int_equal(errno, EACCES);
	for (unsigned int op = 0; op < IORING_REGISTER_LAST; op++) {
		if (op == IORING_REGISTER_FILES_UPDATE ||
		    op == IORING_REGISTER_BUFFERS ||
		    op == IORING_UNREGISTER_BUFFERS ||
		    op == IORING_REGISTER_BUFFERS_UPDATE)
			continue;
		errno = 0;
		assert_int_equal(
			syscall(SYS_io_uring_register, fd, op, NULL, 0), -1);
		/* Or this kernel has never heard of it. */
		if (errno != EINVAL)
			assert_int_equal(errno, EACCES);
	}
	sqe = entry(f);
	io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY, 0);
	assert_int_equal(result_of(f), -EACCES);
}

/* ---- disks that share it ---- */

static void test_one_polls(void **state)
{
	struct fixture *f = fixture_of(state);
	uint64_t end = loop_now_ns() + 20000000000ull;
	unsigned int i;

	for (i = 0; i < DISKS; i++) {
		disk_start(f, &f->disks[i], (uint8_t)(i + 1));
		block_engine_events(f->disks[i].be, false);
	}
	for (i = 0; i < DISKS; i++)
		disk_read(&f->disks[i]);
	/* Each ends its own, whoever looked first. */
	for (i = 0; i < DISKS; i++) {
		while (f->disks[i].be->in_flight) {
			assert_true(loop_now_ns() < end);
			block_engine_poll(f->disks[i].be);
		}
		disk_check(&f->disks[i]);
		if (i + 1 < DISKS)
			assert_int_equal(f->disks[i + 1].nr_done, 0);
	}
}

static void on_deadline(struct loop_timer *lt)
{
	loop_quit(container_of(lt, struct fixture, deadline)->loop);
}

/* Events alone bring what is left. */
static void run_loop(struct fixture *f)
{
	if (!nr_in_flight(f))
		return;
	f->runs = true;
	f->deadline.on_expire = on_deadline;
	loop_timer_set(f->loop, &f->deadline, loop_now_ns() + 20000000000ull);
	loop_run(f->loop);
	loop_timer_cancel(&f->deadline);
	f->runs = false;
}

/* Some poll and some sleep: nobody's completion is forgotten. */
static void test_events(void **state)
{
	struct fixture *f = fixture_of(state);
	unsigned int i, round;

	for (i = 0; i < DISKS; i++)
		disk_start(f, &f->disks[i], (uint8_t)(i + 1));
	for (round = 0; round < 64; round++) {
		for (i = 0; i < DISKS; i++) {
			block_engine_events(f->disks[i].be, round >> i & 1);
			disk_read(&f->disks[i]);
		}
		for (i = 0; i < DISKS; i++)
			if (round >> DISKS >> i & 1)
				block_engine_poll(f->disks[i].be);
		for (i = 0; i < DISKS; i++)
			block_engine_events(f->disks[i].be, true);
		run_loop(f);
		for (i = 0; i < DISKS; i++)
			disk_check(&f->disks[i]);
	}
}

/* Disks come and go; the numbers of those that went are used again. */
static void test_files_come_and_go(void **state)
{
	struct fixture *f = fixture_of(state);
	unsigned int i;

	for (i = 0; i < 3 * RING_FILES; i++) {
		struct disk *d = &f->disks[i % DISKS];

		disk_stop(d);
		disk_start(f, d, (uint8_t)i);
		if (i % 16 < DISKS) {
			disk_read(d);
			while (d->be->in_flight)
				block_engine_poll(d->be);
			disk_check(d);
		}
	}
}

static void test_too_many_files(void **state)
{
	struct fixture *f = fixture_of(state);
	struct block_image images[RING_FILES + 1];
	struct block_engine *engines[RING_FILES + 1];
	const unsigned int last = RING_FILES;
	unsigned int i;

	for (i = 0; i <= last; i++)
		open_image(&images[i], 1);
	for (i = 0; i < last; i++)
		assert_int_equal(make_engine(f, &images[i], NULL, &engines[i]),
				 0);
	assert_int_equal(make_engine(f, &images[i], NULL, &engines[i]),
			 -ENFILE);
	block_engine_destroy(engines[1]);
	assert_int_equal(make_engine(f, &images[i], NULL, &engines[i]), 0);
	/* Another queue of one that is there takes none. */
	assert_int_equal(make_engine(f, &images[0], NULL, &engines[1]), 0);
	for (i = 0; i <= last; i++) {
		block_engine_destroy(engines[i]);
		close_fd(&images[i].fd);
	}
}

/* Queues of one disk have its file once, until the last one goes. */
static void test_queues_of_a_disk(void **state)
{
	struct fixture *f = fixture_of(state);
	struct disk *d = &f->disks[0];
	struct block_engine *first;

	disk_start(f, d, 9);
	first = d->be;
	assert_int_equal(make_engine(f, &d->image, d, &d->be), 0);
	assert_int_equal(f->br->files[0].users, 2);
	assert_null(f->br->files[1].image);
	block_engine_destroy(first);
	disk_read(d);
	while (d->be->in_flight)
		block_engine_poll(d->be);
	disk_check(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_calls_are_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_only_registered_files,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_restrictions_stay, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_one_polls, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_come_and_go, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_too_many_files, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_queues_of_a_disk, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
