/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Locks of a guest's programs, against each other and the host's. */
#include "tests/unit/fs_fixture.h"

#include <sys/file.h>

static int setup(void **state)
{
	int r = fs_setup(state);

	config.locks = true;
	open_tree_with(&config);
	host_write("file", "0123456789");
	return r;
}

static struct fs_lock range(uint64_t owner, short type, uint64_t start,
			    uint64_t end)
{
	return (struct fs_lock){ .nodeid = look("file").nodeid,
				 .owner = owner,
				 .type = type,
				 .start = start,
				 .end = end };
}

static int lock(uint64_t owner, short type, uint64_t start, uint64_t end)
{
	struct fs_lock l = range(owner, type, start, end);

	return fs_lock_set(tree, &l);
}

static int flock_as(uint64_t owner, short type)
{
	struct fs_lock l = range(owner, type, 0, INT64_MAX);

	l.flock = true;
	return fs_lock_set(tree, &l);
}

static void test_owners(void **state unused_param)
{
	struct fs_lock get;

	assert_int_equal(lock(1, F_WRLCK, 0, 4), 0);
	assert_int_equal(lock(2, F_WRLCK, 4, 9), -EAGAIN);
	assert_int_equal(lock(2, F_RDLCK, 0, 0), -EAGAIN);
	assert_int_equal(lock(2, F_WRLCK, 5, 9), 0);
	get = range(2, F_RDLCK, 0, INT64_MAX);
	assert_int_equal(fs_lock_get(tree, &get), 0);
	assert_int_equal(get.type, F_WRLCK);
	assert_int_equal(get.start, 0);
	assert_int_equal(get.end, 4);
	/* Who has none asks too. */
	get = range(3, F_RDLCK, 5, INT64_MAX);
	assert_int_equal(fs_lock_get(tree, &get), 0);
	assert_int_equal(get.type, F_WRLCK);
	assert_int_equal(get.start, 5);
	get = range(3, F_WRLCK, 100, INT64_MAX);
	assert_int_equal(fs_lock_get(tree, &get), 0);
	assert_int_equal(get.type, F_UNLCK);
	assert_int_equal(lock(1, F_UNLCK, 0, 1), 0);
	assert_int_equal(lock(2, F_WRLCK, 0, 1), 0);
	assert_int_equal(lock(2, F_WRLCK, 2, 2), -EAGAIN);
}

/* Neither opening and closing the file, nor descriptors that come and go, drop a
 * lock; its owner's release does. */
static void test_lasts(void **state unused_param)
{
	uint64_t nodeid = look("file").nodeid;
	struct fs_counts before, after;

	fs_tree_count(tree, &before);
	assert_int_equal(lock(1, F_WRLCK, 0, INT64_MAX), 0);
	assert_int_equal(fs_release(tree, guest_open(nodeid, O_RDWR)), 0);
	assert_int_equal(lock(2, F_WRLCK, 0, 0), -EAGAIN);
	fs_lock_release(tree, nodeid, 3);
	assert_int_equal(lock(2, F_WRLCK, 0, 0), -EAGAIN);
	fs_lock_release(tree, nodeid, 1);
	assert_int_equal(lock(2, F_WRLCK, 0, 0), 0);
	assert_int_equal(lock(2, F_UNLCK, 0, INT64_MAX), 0);
	fs_tree_count(tree, &after);
	assert_true(after.fds <= before.fds + 1); /* that of the inode */
}

/* The host's own locks count, and the host sees the guest's. */
static void test_host(void **state unused_param)
{
	struct flock host = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(at("file"), O_RDWR);

	assert_int_equal(fcntl(fd, F_SETLK, &host), 0);
	assert_int_equal(lock(1, F_RDLCK, 3, 3), -EAGAIN);
	host.l_type = F_UNLCK;
	assert_int_equal(fcntl(fd, F_SETLK, &host), 0);
	assert_int_equal(lock(1, F_RDLCK, 3, 3), 0);
	host.l_type = F_WRLCK;
	assert_int_equal(fcntl(fd, F_SETLK, &host), -1);
	fs_tree_forget_all(tree);
	assert_int_equal(fcntl(fd, F_SETLK, &host), 0);
	close(fd);
}

static void test_flock(void **state unused_param)
{
	int fd = open(at("file"), O_RDWR);

	assert_int_equal(flock_as(1, F_RDLCK), 0);
	assert_int_equal(flock_as(2, F_RDLCK), 0);
	assert_int_equal(flock_as(2, F_WRLCK), -EAGAIN);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	assert_int_equal(flock_as(1, F_UNLCK), 0);
	/* Linux gives a lock up before it fails to upgrade it. */
	assert_int_equal(flock_as(2, F_WRLCK), 0);
	assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
	/* A POSIX lock is another matter. */
	assert_int_equal(lock(3, F_WRLCK, 0, 0), 0);
	fs_lock_release(tree, look("file").nodeid, 2);
	assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
	close(fd);
}

static void test_hostile(void **state unused_param)
{
	struct fs_lock l = range(1, F_WRLCK, 5, 4);

	assert_int_equal(fs_lock_set(tree, &l), -EINVAL);
	assert_int_equal(fs_lock_get(tree, &l), -EINVAL);
	l = range(1, F_WRLCK, 0, UINT64_MAX);
	assert_int_equal(fs_lock_set(tree, &l), -EINVAL);
	l = range(1, 77, 0, 1);
	assert_int_equal(fs_lock_set(tree, &l), -EINVAL);
	l = range(1, F_WRLCK, 0, 1);
	l.nodeid = 99;
	assert_int_equal(fs_lock_set(tree, &l), -ESTALE);
	fs_lock_release(tree, 99, 1);
	l = range(1, F_UNLCK, 0, 1);
	assert_int_equal(fs_lock_set(tree, &l), 0);
}

/* Each owner takes a descriptor, so there is an end to them. */
static void test_budget(void **state unused_param)
{
	int r = 0;

	config.max_fds = 32;
	open_tree_with(&config);
	for (uint64_t i = 1; i < 100 && !r; i++)
		r = lock(i, F_RDLCK, 0, 0);
	assert_int_equal(r, -ENOLCK);
	fs_lock_release(tree, look("file").nodeid, 1);
	assert_int_equal(lock(200, F_RDLCK, 0, 0), 0);
}

/* Ranges are memory of the host's kernel: there is an end to them as well, and
 * none for who locks and unlocks. */
static void test_ranges(void **state unused_param)
{
	unsigned int nr;
	int r = 0;

	for (unsigned int i = 0; i < 3000; i++) {
		assert_int_equal(lock(1, F_WRLCK, 10, 19), 0);
		assert_int_equal(lock(1, F_UNLCK, 12, 13), 0);
		assert_int_equal(lock(1, F_UNLCK, 10, 19), 0);
	}
	for (nr = 0; nr < 20000 && !r; nr++)
		r = lock(2, F_WRLCK, 100 + 2 * nr, 100 + 2 * nr);
	assert_int_equal(r, -ENOLCK);
	assert_in_range(nr, 4096, 8192);
	assert_int_equal(lock(3, F_WRLCK, 1, 1), -ENOLCK);
	fs_lock_release(tree, look("file").nodeid, 2);
	assert_int_equal(lock(3, F_WRLCK, 1, 1), 0);
}

static int group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_owners, setup,
						fs_teardown),
		cmocka_unit_test_setup_teardown(test_lasts, setup, fs_teardown),
		cmocka_unit_test_setup_teardown(test_host, setup, fs_teardown),
		cmocka_unit_test_setup_teardown(test_flock, setup, fs_teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup,
						fs_teardown),
		cmocka_unit_test_setup_teardown(test_ranges, setup,
						fs_teardown),
		cmocka_unit_test_setup_teardown(test_budget, setup,
						fs_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fs_run_everywhere(group);
}
