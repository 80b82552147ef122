/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Messages that eventfds send, by a real KVM. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/unit/kvm_fixture.h"

#define FDS 40u

static int fds[FDS];

static int setup(void **state unused_param)
{
	kvm_setup();
	for (unsigned int i = 0; i < FDS; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return 0;
}

static int teardown(void **state unused_param)
{
	for (unsigned int i = 0; i < FDS; i++)
		close(fds[i]);
	kvm_teardown();
	return 0;
}

static void sends(unsigned int i, uint32_t data)
{
	const struct board_msi msi = { .data = data, .addr = 0xfee00000 };

	assert_int_equal(board_msi_fd(&board, fds[i], &msi), 0);
}

static void ends(unsigned int i)
{
	assert_int_equal(board_msi_fd(&board, fds[i], NULL), 0);
}

/* Somebody takes the signal, and it is not left to be read. */
static bool takes(unsigned int i)
{
	eventfd_t n;

	assert_int_equal(eventfd_write(fds[i], 1), 0);
	return eventfd_read(fds[i], &n) < 0 && errno == EAGAIN;
}

static void test_takes(void **state unused_param)
{
	assert_false(takes(0));
	ends(0); /* none is fine */
	sends(0, 0x41);
	assert_true(takes(0));
	assert_false(takes(1));
	sends(0, 0x42); /* another message */
	assert_true(takes(0));
	ends(0);
	assert_false(takes(0));
	sends(0, 0x43);
	assert_true(takes(0));
	ends(0);
}

static void test_many(void **state unused_param)
{
	for (unsigned int turn = 0; turn < 2; turn++) {
		for (unsigned int i = 0; i < FDS; i++)
			sends(i, 0x40 + i);
		for (unsigned int i = 0; i < FDS; i += 2)
			ends(i);
		for (unsigned int i = 0; i < FDS; i++)
			assert_int_equal(takes(i), i % 2);
		for (unsigned int i = 1; i < FDS; i += 2)
			ends(i);
	}
	/* Places are used again. */
	assert_in_range(kvm.nr_senders, FDS, 2 * FDS);
}

/* A machine that is built anew knows none. */
static void test_rebuilt(void **state unused_param)
{
	struct error err;

	sends(0, 0x41);
	kvm_unbuild(&kvm);
	assert_false(takes(0));
	assert_int_equal(kvm_build(&kvm, 1, &err), 0);
	assert_false(takes(0));
	ends(0);
	sends(0, 0x41);
	assert_true(takes(0));
}

static void test_refused(void **state unused_param)
{
	const struct board_msi msi = { .data = 0x41, .addr = 0xfee00000 };
	int not_an_eventfd = dup(STDERR_FILENO);

	assert_true(board_msi_fd(&board, not_an_eventfd, &msi) < 0);
	close(not_an_eventfd);
	sends(0, 0x41);
	assert_true(takes(0));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_takes),
		TEST(test_many),
		TEST(test_rebuilt),
		TEST(test_refused),
	};

	return cmocka_run_group_tests_name("kvm_irqfd", tests, NULL, NULL);
}
