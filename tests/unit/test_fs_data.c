/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Data of a shared directory: what may wait, what the guest may keep, requests
 * without a handle, lent descriptors. */
#include "tests/unit/fs_fixture.h"

#include <linux/falloc.h>
#include <sys/mman.h>
#include <time.h>

static const struct fs_call at_once;

static struct fs_io io_of(uint64_t fh, struct iovec *iov)
{
	return (struct fs_io){ .fh = fh, .iov = iov, .nr = 1 };
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ 0, ms * 1000000 }, NULL);
}

/* What is not in the page cache is not waited for. */
static void test_nowait(void **state unused_param)
{
	char *text = calloc(1, 1 << 20);
	struct iovec iov = { text, 1 << 20 };
	struct fs_io io;
	ssize_t n;
	int fd;

	assert_int_equal(mknod(at("f"), S_IFREG | 0644, 0), 0);
	fd = open(at("f"), O_RDWR);
	memset(text, 'x', 1 << 20);
	assert_int_equal(write(fd, text, 1 << 20), 1 << 20);
	assert_int_equal(fsync(fd), 0);
	io = io_of(guest_open(look("f").nodeid, O_RDWR), &iov);
	assert_int_equal(fs_read(tree, &at_once, &io), 1 << 20);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	n = fs_read(tree, &at_once, &io);
	assert_true(n == -EAGAIN || n == 1 << 20);
	assert_int_equal(fs_read(tree, &as_root, &io), 1 << 20);
	assert_int_equal(fs_read(tree, &at_once, &io), 1 << 20);
	/* The end is the end, and no reason to wait. */
	io.offset = (1 << 20) - 3;
	assert_int_equal(fs_read(tree, &at_once, &io), 3);
	io.offset = 1 << 20;
	assert_int_equal(fs_read(tree, &at_once, &io), 0);
	io.offset = INT64_MAX - (1 << 20);
	assert_int_equal(fs_read(tree, &at_once, &io), 0);
	io.offset = (uint64_t)INT64_MAX + 1;
	assert_int_equal(fs_read(tree, &at_once, &io), -EINVAL);
	assert_int_equal(fs_write(tree, &at_once, &io), -EINVAL);
	close(fd);
	free(text);
}

/* What always waits says so, having done nothing. */
static void test_waits(void **state unused_param)
{
	struct fs_setattr cut = { .set = FS_SET_SIZE };
	struct fs_opened o;
	struct iovec iov;
	struct statx attr;
	char text[] = "x";
	struct fs_io io;
	uint64_t nodeid;

	host_write("f", "text");
	nodeid = look("f").nodeid;
	iov = (struct iovec){ text, 1 };
	io = io_of(guest_open(nodeid, O_RDWR | O_SYNC), &iov);
	assert_int_equal(fs_write(tree, &at_once, &io), -EAGAIN);
	assert_int_equal(fs_read(tree, &at_once, &io), -EAGAIN);
	assert_int_equal(fs_write(tree, &as_root, &io), 1);
	assert_int_equal(fs_fsync(tree, &at_once, nodeid, io.fh, false),
			 -EAGAIN);
	assert_int_equal(fs_fsync(tree, &as_root, nodeid, io.fh, false), 0);
	assert_int_equal(fs_fsync(tree, &as_root, nodeid, io.fh, true), 0);
	assert_int_equal(fs_syncfs(tree, &at_once, nodeid), -EAGAIN);
	assert_int_equal(fs_syncfs(tree, &as_root, nodeid), 0);
	assert_int_equal(fs_fallocate(tree, &at_once, &io, 0, 10), -EAGAIN);
	assert_int_equal(fs_copy_range(tree, &at_once, &io, &io, 1), -EAGAIN);
	/* Much that is cut off. */
	assert_int_equal(truncate(at("f"), 64 << 20), 0);
	cut.nodeid = nodeid;
	assert_int_equal(fs_setattr(tree, &at_once, &cut, &attr), -EAGAIN);
	assert_int_equal(fs_open(tree, &at_once, nodeid, O_RDWR | O_TRUNC, &o),
			 -EAGAIN);
	assert_int_equal(fs_getattr(tree, nodeid, 0, &attr), 0);
	assert_int_equal(attr.stx_size, 64 << 20);
	assert_int_equal(fs_open(tree, &as_root, nodeid, O_RDWR | O_TRUNC, &o),
			 0);
	assert_int_equal(fs_getattr(tree, nodeid, 0, &attr), 0);
	assert_int_equal(attr.stx_size, 0);
}

/* O_DIRECT where it can be, and what cannot be done so is done all the same. */
static void test_direct(void **state unused_param)
{
	char *page = aligned_alloc(4096, 4096);
	struct iovec iov = { page, 4096 };
	struct fs_io io;

	host_write("f", "text");
	io = io_of(guest_open(look("f").nodeid, O_RDWR | O_DIRECT), &iov);
	assert_int_equal(fs_read(tree, &at_once, &io), -EAGAIN);
	assert_int_equal(fs_read(tree, &as_root, &io), 4);
	iov = (struct iovec){ page + 1, 3 };
	assert_int_equal(fs_read(tree, &as_root, &io), 3);
	assert_int_equal(fs_write(tree, &as_root, &io), 3);
	free(page);
}

/* Memory that is not there is an error, not the end of the process. */
static void test_no_memory(void **state unused_param)
{
	char *gone =
		mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov = { gone, 4096 };
	struct fs_io io;

	host_write("f", "text");
	io = io_of(guest_open(look("f").nodeid, O_RDWR), &iov);
	assert_int_equal(fs_read(tree, &as_root, &io), -EFAULT);
	assert_int_equal(fs_read(tree, &at_once, &io), -EFAULT);
	assert_int_equal(fs_write(tree, &as_root, &io), -EFAULT);
	munmap(gone, 4096);
}

static void test_holes(void **state unused_param)
{
	struct fs_io io = { 0 }, to = { 0 };
	struct statx attr;
	uint64_t off, fh;
	char buf[8];

	host_write("f", "text");
	host_write("g", "");
	io.fh = guest_open(look("f").nodeid, O_RDWR);
	to.fh = guest_open(look("g").nodeid, O_RDWR);
	assert_int_equal(fs_lseek(tree, &at_once, &io, SEEK_DATA, &off), 0);
	assert_int_equal(off, 0);
	assert_int_equal(fs_lseek(tree, &at_once, &io, SEEK_HOLE, &off), 0);
	assert_int_equal(off, 4);
	io.offset = 4;
	assert_int_equal(fs_lseek(tree, &at_once, &io, SEEK_DATA, &off),
			 -ENXIO);
	assert_int_equal(fs_lseek(tree, &at_once, &io, SEEK_SET, &off),
			 -EINVAL);
	io.offset = UINT64_MAX;
	assert_int_equal(fs_lseek(tree, &at_once, &io, SEEK_DATA, &off),
			 -EINVAL);
	io.offset = 0;
	assert_int_equal(fs_copy_range(tree, &as_root, &io, &to, 100), 4);
	assert_int_equal(guest_read(to.fh, buf, sizeof(buf)), 4);
	assert_string_equal(buf, "text");
	assert_int_equal(fs_fallocate(tree, &as_root, &io, 0, 8192), 0);
	assert_int_equal(fs_getattr(tree, 0, io.fh, &attr), 0);
	assert_int_equal(attr.stx_size, 8192);
	assert_int_equal(
		fs_fallocate(tree, &as_root, &io,
			     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096),
		0);
	assert_int_equal(fs_fallocate(tree, &as_root, &io,
				      FALLOC_FL_COLLAPSE_RANGE, 4096),
			 -EOPNOTSUPP);
	assert_int_equal(fs_fallocate(tree, &as_root, &io, 0, UINT64_MAX),
			 -EINVAL);
	fh = guest_open(look("f").nodeid, O_RDONLY);
	io.fh = fh;
	assert_int_equal(fs_fallocate(tree, &as_root, &io, 0, 1), -EBADF);
}

/* Much of it goes piece by piece, is all there at the end, and can be stopped
 * between. */
static void test_allocate_much(void **state unused_param)
{
	const uint64_t start = 5, len = 300 * MIB;
	atomic_bool stop = true;
	const struct fs_call stopped = { .may_wait = true, .stop = &stop };
	struct fs_io io = { .offset = start };
	struct statx attr;
	uint64_t off;

	host_write("f", "text");
	io.fh = guest_open(look("f").nodeid, O_RDWR);
	/* Nobody waits for what can only fail. */
	assert_int_equal(fs_fallocate(tree, &as_root, &io, 0, INT64_MAX),
			 -EFBIG);
	assert_int_equal(fs_fallocate(tree, &stopped, &io, 0, len), -EINTR);
	assert_int_equal(fs_getattr(tree, 0, io.fh, &attr), 0);
	assert_int_equal(attr.stx_size, 4);
	stop = false;
	io.offset = 128 * MIB - 4096;
	assert_int_equal(fs_fallocate(tree, &stopped, &io, 0, 8192), 0);
	assert_int_equal(fs_getattr(tree, 0, io.fh, &attr), 0);
	assert_int_equal(attr.stx_size, 128 * MIB + 4096);
	assert_in_range(attr.stx_blocks, 16, 256);
	io.offset = start;
	/* Holes, so that this needs no room on the disk. */
	assert_int_equal(truncate(at("f"), 3 * (off_t)GIB), 0);
	assert_int_equal(
		fs_fallocate(tree, &stopped, &io,
			     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, len),
		0);
	io.offset = 0;
	assert_int_equal(fs_lseek(tree, &at_once, &io, SEEK_HOLE, &off),
			 -EAGAIN);
	assert_int_equal(fs_lseek(tree, &as_root, &io, SEEK_HOLE, &off), 0);
	assert_in_range(off, 5, 4096 * 16);
}

/* ---- what the guest may keep ---- */

static bool may_keep(uint64_t nodeid)
{
	struct fs_opened o = { 0 };

	if (nodeid == FS_ROOT)
		assert_int_equal(fs_opendir(tree, nodeid, &o), 0);
	else
		assert_int_equal(fs_open(tree, &as_root, nodeid, O_RDONLY, &o),
				 0);
	assert_int_equal(fs_release(tree, o.fh), 0);
	return o.keep_cache;
}

static void test_stamps(void **state unused_param)
{
	struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };
	uint64_t nodeid;

	host_write("f", "one");
	nodeid = look("f").nodeid;
	/* Too young to be believed. */
	may_keep(nodeid);
	assert_false(may_keep(nodeid));
	sleep_ms(60);
	may_keep(nodeid);
	assert_true(may_keep(nodeid));
	assert_true(may_keep(nodeid));
	/* The same size and, by all appearances, time. */
	host_write("f", "two");
	assert_int_equal(utimensat(AT_FDCWD, at("f"), old, 0), 0);
	sleep_ms(60);
	assert_false(may_keep(nodeid));
	assert_true(may_keep(nodeid));
	host_write("f", "six");
	assert_int_equal(utimensat(AT_FDCWD, at("f"), old, 0), 0);
	assert_false(may_keep(nodeid));
	/* Directories as well. */
	sleep_ms(60);
	may_keep(FS_ROOT);
	assert_true(may_keep(FS_ROOT));
	host_write("g", "");
	assert_false(may_keep(FS_ROOT));
}

static void test_never_always(void **state unused_param)
{
	struct fs_opened o;
	struct fs_entry e;

	host_write("f", "");
	config.cache = FS_CACHE_NEVER;
	open_tree_with(&config);
	e = look("f");
	assert_int_equal(fs_open(tree, &as_root, e.nodeid, O_RDONLY, &o), 0);
	assert_true(o.direct);
	assert_false(o.keep_cache);
	config.cache = FS_CACHE_ALWAYS;
	open_tree_with(&config);
	e = look("f");
	assert_int_equal(fs_open(tree, &as_root, e.nodeid, O_RDONLY, &o), 0);
	assert_false(o.direct);
	assert_true(o.keep_cache);
}

/* ---- without a handle ---- */

static bool fits_any(struct fs_reader *reader unused_param,
		     size_t len unused_param)
{
	return true;
}

static unsigned int added;

static void add_one(struct fs_reader *reader unused_param,
		    const struct fs_dirent *d unused_param,
		    const struct fs_entry *entry unused_param)
{
	added++;
}

static void test_implicit(void **state unused_param)
{
	struct fs_reader reader = { .fits = fits_any, .add = add_one };
	char buf[8] = "", text[] = "new!";
	struct iovec iov = { buf, sizeof(buf) };
	struct fs_io io = { .iov = &iov, .nr = 1 };
	struct fs_counts counts;

	host_write("f", "text");
	io.nodeid = look("f").nodeid;
	assert_int_equal(fs_read(tree, &at_once, &io), -EBADF);
	config.cache = FS_CACHE_ALWAYS;
	open_tree_with(&config);
	io.nodeid = look("f").nodeid;
	assert_int_equal(fs_read(tree, &at_once, &io), 4);
	assert_string_equal(buf, "text");
	/* One file serves all requests, and a better one those that write. */
	assert_int_equal(fs_read(tree, &at_once, &io), 4);
	iov = (struct iovec){ text, 4 };
	assert_int_equal(fs_write(tree, &at_once, &io), 4);
	iov = (struct iovec){ buf, sizeof(buf) };
	assert_int_equal(fs_read(tree, &at_once, &io), 4);
	assert_string_equal(buf, "new!");
	fs_tree_count(tree, &counts);
	assert_int_equal(counts.files, 1);
	assert_int_equal(fs_fsync(tree, &as_root, io.nodeid, 0, false), 0);
	assert_int_equal(fs_readdir(tree, FS_ROOT, 0, 0, &reader), 0);
	assert_int_equal(added, 3);
	assert_int_equal(fs_readdir(tree, io.nodeid, 0, 0, &reader), -ENOTDIR);
	/* Removed, but known: it can still be read. */
	assert_int_equal(fs_unlink(tree, &as_root, FS_ROOT, "f"), 0);
	assert_int_equal(fs_read(tree, &at_once, &io), 4);
	fs_forget(tree, io.nodeid, 1);
	assert_int_equal(fs_read(tree, &at_once, &io), -ESTALE);
	fs_tree_count(tree, &counts);
	assert_int_equal(counts.files, 1); /* the root's */
	assert_int_equal(counts.inodes, 1);
}

/* More files than are kept open, and the budget holds. */
static void test_implicit_many(void **state unused_param)
{
	char buf[8], name[16];
	struct iovec iov = { buf, sizeof(buf) };
	struct fs_io io = { .iov = &iov, .nr = 1 };
	struct fs_counts counts;

	config.cache = FS_CACHE_ALWAYS;
	open_tree_with(&config);
	for (unsigned int i = 0; i < 1200; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		host_write(name, name);
	}
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < 1200; i++) {
			snprintf(name, sizeof(name), "f%u", i);
			io.nodeid = look(name).nodeid;
			assert_int_equal(fs_read(tree, &at_once, &io),
					 strlen(name));
			assert_memory_equal(buf, name, strlen(name));
		}
	}
	fs_tree_count(tree, &counts);
	assert_true(counts.files <= 512);
}

/* ---- lending ---- */

static void test_lend(void **state unused_param)
{
	uint64_t nodeid;
	int fd;

	host_write("f", "text");
	assert_int_equal(mkfifo(at("p"), 0644), 0);
	nodeid = look("f").nodeid;
	fd = fs_lend(tree, nodeid, true);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	fs_lend_end(tree, fd);
	assert_int_equal(fs_lend(tree, look("p").nodeid, false), -EACCES);
	assert_int_equal(fs_lend(tree, FS_ROOT, false), -EISDIR);
	assert_int_equal(fs_lend(tree, 12345, false), -ESTALE);
	config.readonly = true;
	open_tree_with(&config);
	nodeid = look("f").nodeid;
	assert_int_equal(fs_lend(tree, nodeid, true), -EROFS);
	fd = fs_lend(tree, nodeid, false);
	assert_true(fd >= 0);
	fs_lend_end(tree, fd);
}

static int group(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(test_nowait),	     FS_TEST(test_waits),
		FS_TEST(test_direct),	     FS_TEST(test_no_memory),
		FS_TEST(test_holes),	     FS_TEST(test_stamps),
		FS_TEST(test_allocate_much), FS_TEST(test_never_always),
		FS_TEST(test_implicit),	     FS_TEST(test_implicit_many),
		FS_TEST(test_lend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fs_run_everywhere(group);
}
