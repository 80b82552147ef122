/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Many writes by one call: what became of each, and what the ring refuses. The TAP
 * is a socket of the test's.
 */
#include "devices/backend/tap_ring.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/io_loop.h"
#include "vmm/util.h"

#define NR TAP_RING_FRAMES
#define LEN 30000u

static struct loop *loop;
static struct tap_ring *tr;
static int ends[2]; /* the TAP, the wire */
static uint8_t data[LEN + NR], got[LEN + NR];
static struct iovec iov[NR][3];
static struct tap_frame frames[NR];

static int setup(void **state unused_param)
{
	loop = io_loop_create();
	tr = loop_local(loop, &tap_ring_local);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends);
}

static int teardown(void **state unused_param)
{
	close(ends[0]);
	close(ends[1]);
	loop_destroy(loop);
	return 0;
}

static void need_ring(void)
{
	if (!tr)
		skip();
}

/* Frame i has base + i bytes, in one to three pieces. */
static void make(unsigned int nr, size_t base)
{
	for (unsigned int i = 0; i < nr; i++) {
		unsigned int pieces = i % 3 + 1, k;
		size_t len = base + i, off = 0;

		for (k = 0; k < pieces; k++) {
			size_t part = k + 1 < pieces ? len / pieces : len - off;

			iov[i][k] = (struct iovec){ data + off, part };
			off += part;
		}
		frames[i] = (struct tap_frame){ iov[i], pieces, 1 };
	}
}

static void expect(size_t len)
{
	assert_int_equal(read(ends[1], got, sizeof(got)), len);
	assert_memory_equal(got, data, len);
}

static void test_in_order(void **state unused_param)
{
	need_ring();
	for (unsigned int nr = 1; nr <= NR; nr++) {
		make(nr, 60);
		assert_int_equal(tap_ring_write(tr, ends[0], frames, nr), 0);
		for (unsigned int i = 0; i < nr; i++) {
			assert_int_equal(frames[i].result, 60 + i);
			expect(60 + i);
		}
		assert_int_equal(read(ends[1], got, sizeof(got)), -1);
	}
}

/* It never waits for room, with a descriptor that would. */
static void test_no_room(void **state unused_param)
{
	unsigned int sent = 0, i;

	need_ring();
	assert_int_equal(fcntl(ends[0], F_SETFL, 0), 0);
	make(NR, LEN);
	assert_int_equal(tap_ring_write(tr, ends[0], frames, NR), 0);
	while (sent < NR && frames[sent].result > 0)
		sent++;
	assert_in_range(sent, 1, NR - 1);
	for (i = sent; i < NR; i++)
		assert_int_equal(frames[i].result, -EAGAIN);
	for (i = 0; i < sent; i++)
		expect(LEN + i);
	assert_int_equal(read(ends[1], got, sizeof(got)), -1);
	/* And goes on where it ended. */
	assert_int_equal(tap_ring_write(tr, ends[0], frames + sent, 1), 0);
	expect(LEN + sent);
}

static void test_errors(void **state unused_param)
{
	need_ring();
	make(3, 100);
	iov[1][0].iov_base = NULL;
	assert_int_equal(tap_ring_write(tr, ends[0], frames, 3), 0);
	assert_int_equal(frames[0].result, 100);
	assert_int_equal(frames[1].result, -EFAULT);
	assert_int_equal(frames[2].result, 102);
	assert_int_equal(tap_ring_write(tr, -1, frames, 2), 0);
	assert_int_equal(frames[0].result, -EBADF);
	assert_int_equal(frames[1].result, -EBADF);
}

/* A file whose kernel cannot say whether it would wait. */
static void test_unable(void **state unused_param)
{
	cleanup_fd int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	need_ring();
	assert_true(fd >= 0);
	make(4, 60);
	assert_int_equal(tap_ring_write(tr, fd, frames, 4), -EOPNOTSUPP);
	/* That is nothing to others. */
	assert_int_equal(tap_ring_write(tr, ends[0], frames, 4), 0);
	assert_int_equal(frames[3].result, 63);
}

static int result_of(struct io_uring_sqe *sqe)
{
	struct io_uring_cqe *cqe;
	int result;

	(void)sqe;
	assert_int_equal(io_uring_submit(&tr->ring), 1);
	assert_int_equal(io_uring_wait_cqe(&tr->ring, &cqe), 0);
	result = cqe->res;
	io_uring_cqe_seen(&tr->ring, cqe);
	return result;
}

static void test_refuses(void **state unused_param)
{
	struct sockaddr sa = { .sa_family = AF_UNIX };
	struct io_uring_sqe *sqe;

	need_ring();
	sqe = io_uring_get_sqe(&tr->ring);
	io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY, 0);
	assert_int_equal(result_of(sqe), -EACCES);
	sqe = io_uring_get_sqe(&tr->ring);
	io_uring_prep_connect(sqe, ends[0], &sa, sizeof(sa));
	assert_int_equal(result_of(sqe), -EACCES);
	for (unsigned int op = 0; op < IORING_OP_LAST; op++) {
		if (op == IORING_OP_WRITE || op == IORING_OP_WRITEV)
			continue;
		sqe = io_uring_get_sqe(&tr->ring);
		io_uring_prep_rw((int)op, sqe, ends[0], NULL, 0, 0);
		assert_int_equal(result_of(sqe), -EACCES);
	}
	/* Nothing may be asked for along with a write. */
	sqe = io_uring_get_sqe(&tr->ring);
	io_uring_prep_write(sqe, ends[0], data, 60, 0);
	sqe->flags |= IOSQE_IO_LINK;
	assert_int_equal(result_of(sqe), -EACCES);
	for (unsigned int op = 0; op < IORING_REGISTER_LAST; op++) {
		assert_int_equal(syscall(SYS_io_uring_register,
					 tr->ring.ring_fd, op, NULL, 0),
				 -1);
		/* Or this kernel has never heard of it. */
		assert_true(errno == EACCES || errno == EINVAL ||
			    errno == EBADFD);
	}
	assert_int_equal(read(ends[1], got, sizeof(got)), -1);
}

int main(void)
{
#define UNIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	static const struct CMUnitTest tests[] = {
		UNIT(test_in_order), UNIT(test_no_room), UNIT(test_errors),
		UNIT(test_unable),   UNIT(test_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
