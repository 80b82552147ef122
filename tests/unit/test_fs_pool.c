/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Requests of virtio-fs that are in flight: on the pool, which does what the test
 * says when it says so, or waiting for a lock; and what a pause and a reset make of
 * them.
 */
#include "tests/lib/guest_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/virtio/fs_device.h"
#include "vmm/util.h"

#define JOBS_MAX 16u

static struct guest_fs g;
static struct gfs_request q;
static struct gfs_target target;

/* ---- a pool that is slow ---- */

static struct pool_job *jobs[JOBS_MAX]; /* that were submitted, in order */
static unsigned int nr_jobs, nr_begun; /* the first ones */
static bool is_slow, is_closed;

int __real_pool_submit(struct pool_owner *owner, struct pool_job *job);
int __wrap_pool_submit(struct pool_owner *owner, struct pool_job *job);
bool __wrap_pool_cancel(struct pool_job *job);

int __wrap_pool_submit(struct pool_owner *owner, struct pool_job *job)
{
	if (is_closed)
		return -ESHUTDOWN;
	if (!is_slow)
		return __real_pool_submit(owner, job);
	assert_true(nr_jobs < JOBS_MAX);
	job->owner = owner;
	jobs[nr_jobs++] = job;
	return 0;
}

bool __wrap_pool_cancel(struct pool_job *job)
{
	unsigned int i = nr_begun;

	while (i < nr_jobs && jobs[i] != job)
		i++;
	if (i == nr_jobs)
		return false;
	memmove(&jobs[i], &jobs[i + 1], (--nr_jobs - i) * sizeof(jobs[0]));
	return true;
}

/* The first one is done. */
static void finish_job(void)
{
	struct pool_job *job = jobs[0];

	memmove(jobs, jobs + 1, --nr_jobs * sizeof(jobs[0]));
	nr_begun -= nr_begun > 0;
	job->run(job);
	job->done(job);
}

/* ---- a host whose files are not in its cache ---- */

static unsigned int nr_inline; /* calls that may not wait */

ssize_t __real_fs_read(struct fs_tree *t, const struct fs_call *call,
		       const struct fs_io *io);
ssize_t __wrap_fs_read(struct fs_tree *t, const struct fs_call *call,
		       const struct fs_io *io);

ssize_t __wrap_fs_read(struct fs_tree *t, const struct fs_call *call,
		       const struct fs_io *io)
{
	if (call->may_wait)
		return __real_fs_read(t, call, io);
	nr_inline++;
	return -EAGAIN;
}

/* ---- a host with mounts below the directory ---- */

static bool has_mounts; /* with something open there */

void __real_fs_tree_trim(struct fs_tree *t, bool all);
void __wrap_fs_tree_trim(struct fs_tree *t, bool all);
bool __wrap_fs_tree_wants_trim(const struct fs_tree *t);

void __wrap_fs_tree_trim(struct fs_tree *t, bool all)
{
	__real_fs_tree_trim(t, all);
	has_mounts &= !all;
}

bool __wrap_fs_tree_wants_trim(const struct fs_tree *t unused_param)
{
	return has_mounts;
}

/* ---- the guest ---- */

static int setup(void **state unused_param)
{
	char path[PATH_MAX];
	struct fuse_entry_out entry;
	int fd;

	nr_jobs = nr_begun = nr_inline = 0;
	is_slow = is_closed = has_mounts = false;
	guest_fs_init(&g, "id=share,locks=on");
	snprintf(path, sizeof(path), "%s/file", g.dir);
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	close(fd);
	assert_int_equal(gfs_init(&g, FUSE_POSIX_LOCKS), 0);
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "file", &entry), 0);
	target.dir = FUSE_ROOT_ID;
	target.file = entry.nodeid;
	assert_int_equal(gfs_open(&g, target.file, O_RDWR, &target.fh), 0);
	is_slow = true;
	return 0;
}

static int teardown(void **state unused_param)
{
	is_slow = false;
	guest_fs_fini(&g);
	return 0;
}

static void offer_read(unsigned int at, uint64_t offset)
{
	const struct fuse_read_in in = { .fh = target.fh,
					 .offset = offset,
					 .size = 4 };

	gfs_begin(&q, FUSE_READ, target.file, 4);
	gfs_add(&q, &in, sizeof(in));
	gfs_offer(&g, &q, at);
}

static void kick(void)
{
	gv_kick(&g.gv, 1);
	guest_fs_turn(&g);
}

static void expect_read(const char *want)
{
	assert_true(gfs_take(&g, 1));
	assert_int_equal(g.head.error, 0);
	assert_int_equal(g.reply_len, 4);
	assert_memory_equal(g.reply, want, 4);
}

static bool is_quiet(void)
{
	return g.dev->ops->is_quiet(g.dev);
}

/* ---- the pool ---- */

/* What would wait is done elsewhere, and others are not held up. */
static void test_pool(void **state unused_param)
{
	offer_read(0, 0);
	offer_read(4, 4);
	kick();
	assert_int_equal(nr_inline, 2);
	assert_int_equal(nr_jobs, 2);
	assert_false(gfs_take(&g, 1));
	/* In front of them, as they are not done. */
	gfs_begin(&q, FUSE_STATFS, FUSE_ROOT_ID,
		  sizeof(struct fuse_statfs_out));
	gfs_offer(&g, &q, 8);
	kick();
	assert_true(gfs_take(&g, 1));
	assert_int_equal(g.head.error, 0);
	finish_job();
	expect_read("0123");
	finish_job();
	expect_read("4567");
	assert_false(gfs_take(&g, 1));
}

/* FORGET is done whatever else there is. */
static void test_forget_does_not_wait(void **state unused_param)
{
	offer_read(0, 0);
	kick();
	gfs_sample(&q, FUSE_FORGET, &target);
	q.qidx = 0;
	gfs_offer(&g, &q, 4);
	gv_kick(&g.gv, 0);
	guest_fs_turn(&g);
	assert_true(gfs_take(&g, 0));
	assert_int_equal(g.written, 0);
	finish_job();
	expect_read("0123");
}

static void test_pool_is_closed(void **state unused_param)
{
	is_closed = true;
	offer_read(0, 0);
	kick();
	assert_true(gfs_take(&g, 1));
	assert_int_equal(g.head.error, -EIO);
}

/* A pause waits for what has begun; what has not is done after it. */
static void test_pause(void **state unused_param)
{
	offer_read(0, 0);
	offer_read(4, 2);
	offer_read(8, 4);
	kick();
	assert_int_equal(nr_jobs, 3);
	nr_begun = 1;
	g.dev->ops->quiesce(g.dev);
	guest_fs_turn(&g);
	assert_false(is_quiet());
	assert_int_equal(nr_jobs, 1);
	finish_job();
	guest_fs_turn(&g);
	assert_true(is_quiet());
	expect_read("0123");
	assert_false(gfs_take(&g, 1));
	g.dev->ops->resume(g.dev);
	guest_fs_turn(&g);
	assert_int_equal(nr_jobs, 2);
	finish_job();
	finish_job();
	expect_read("2345");
	expect_read("4567");
}

/* Nor does it wait for what may take as long as the guest likes: that is begun
 * again after it. */
static void test_pause_stops(void **state unused_param)
{
	const struct fuse_fallocate_in in = { .fh = target.fh, .length = 4096 };

	gfs_begin(&q, FUSE_FALLOCATE, target.file, 0);
	gfs_add(&q, &in, sizeof(in));
	gfs_offer(&g, &q, 0);
	kick();
	assert_int_equal(nr_jobs, 1);
	nr_begun = 1;
	g.dev->ops->quiesce(g.dev);
	guest_fs_turn(&g);
	assert_false(is_quiet());
	finish_job();
	guest_fs_turn(&g);
	assert_true(is_quiet());
	assert_false(gfs_take(&g, 1));
	g.dev->ops->resume(g.dev);
	guest_fs_turn(&g);
	finish_job();
	assert_true(gfs_take(&g, 1));
	assert_int_equal(g.head.error, 0);
}

/* What is open in mounts of the host is closed before a pause is complete. */
static void test_pause_leaves_mounts(void **state unused_param)
{
	has_mounts = true;
	g.dev->ops->quiesce(g.dev);
	guest_fs_turn(&g);
	assert_false(is_quiet());
	while (nr_jobs)
		finish_job();
	guest_fs_turn(&g);
	assert_true(is_quiet());
	assert_false(has_mounts);
}

/* A reset is acknowledged when nothing is in flight; nothing comes later. */
static void test_reset(void **state unused_param)
{
	offer_read(0, 0);
	offer_read(4, 2);
	kick();
	nr_begun = 1;
	gv_write(&g.gv, GV_STATUS, 0, 1);
	guest_fs_turn(&g);
	assert_int_not_equal(gv_read(&g.gv, GV_STATUS, 1), 0);
	is_slow = false; /* what ends the session */
	finish_job();
	guest_fs_turn(&g);
	assert_int_equal(gv_read(&g.gv, GV_STATUS, 1), 0);
	assert_int_equal(nr_jobs, 0);
	guest_fs_start(&g);
	assert_int_equal(gfs_getattr(&g, FUSE_ROOT_ID, NULL), -ENOTCONN);
	assert_int_equal(gfs_init(&g, 0), 0);
	assert_int_equal(gfs_getattr(&g, target.file, NULL), -ESTALE);
}

/* ---- large files, which the host takes its time to free ---- */

static void make_large(const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", g.dir, name);
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	assert_int_equal(ftruncate(fd, 5 * (off_t)MIB), 0);
	close(fd);
}

static bool host_has(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", g.dir, name);
	return !access(path, F_OK);
}

/* Is there a descriptor of a file of that name that has been removed? */
static bool is_held(const char *name)
{
	char path[32], link[PATH_MAX], want[64];
	ssize_t n;

	snprintf(want, sizeof(want), "/%s (deleted)", name);
	for (int fd = 0; fd < 1000; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = '\0';
		if (strstr(link, want))
			return true;
	}
	return false;
}

static void offer_unlink(const char *name)
{
	gfs_begin(&q, FUSE_UNLINK, FUSE_ROOT_ID, 0);
	gfs_add_name(&q, name);
	gfs_offer(&g, &q, 0);
	kick();
}

static void offer_rename(const char *from, const char *to)
{
	const struct fuse_rename_in in = { .newdir = FUSE_ROOT_ID };

	gfs_begin(&q, FUSE_RENAME, FUSE_ROOT_ID, 0);
	gfs_add(&q, &in, sizeof(in));
	gfs_add_name(&q, from);
	gfs_add_name(&q, to);
	gfs_offer(&g, &q, 0);
	kick();
}

static void expect_done(int error)
{
	assert_true(gfs_take(&g, 1));
	assert_int_equal(g.head.error, error);
}

/* The end of a name that nobody holds is the end of the file. */
static void test_large_unlink(void **state unused_param)
{
	make_large("large");
	make_large("other");
	offer_unlink("large");
	assert_int_equal(nr_jobs, 1);
	assert_true(host_has("large"));
	assert_false(gfs_take(&g, 1));
	finish_job();
	expect_done(0);
	assert_false(host_has("large"));
	offer_rename("file", "other");
	assert_int_equal(nr_jobs, 1);
	assert_true(host_has("file"));
	finish_job();
	expect_done(0);
	/* Neither of a small one, nor of another name. */
	offer_rename("other", "file");
	expect_done(0);
	offer_unlink("file");
	expect_done(0);
	assert_int_equal(nr_jobs, 0);
}

/* What is allocated behind the end counts as well. */
static void test_large_by_blocks(void **state unused_param)
{
	const struct fuse_open_in in = { .flags = O_WRONLY | O_TRUNC };
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/file", g.dir);
	fd = open(path, O_WRONLY);
	assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 5 * (off_t)MIB),
			 0);
	close(fd);
	gfs_begin(&q, FUSE_OPEN, target.file, sizeof(struct fuse_open_out));
	gfs_add(&q, &in, sizeof(in));
	gfs_offer(&g, &q, 0);
	kick();
	assert_int_equal(nr_jobs, 1);
	finish_job();
	expect_done(0);
}

static void forget(uint64_t nodeid)
{
	const struct fuse_forget_in in = { .nlookup = 1 };

	gfs_begin(&q, FUSE_FORGET, nodeid, 0);
	gfs_add(&q, &in, sizeof(in));
	q.qidx = 0;
	q.room = 0;
	assert_int_equal(gfs_send(&g, &q), 2);
}

/* What was known outlives its name until it is forgotten, and then the pool closes
 * it: FORGET does not wait, nor does a pause. */
static void test_large_forget(void **state unused_param)
{
	struct fuse_entry_out entry;

	make_large("large");
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "large", &entry), 0);
	offer_unlink("large");
	expect_done(0);
	assert_int_equal(nr_jobs, 0);
	forget(entry.nodeid);
	assert_true(is_held("large"));
	assert_int_equal(nr_jobs, 1);
	assert_ptr_equal(jobs[0]->owner, &g.dev->pool);
	nr_begun = 1;
	g.dev->ops->quiesce(g.dev);
	guest_fs_turn(&g);
	assert_true(is_quiet());
	finish_job();
	assert_false(is_held("large"));
}

/* The same of what the host has removed while it was open. */
static void test_large_release(void **state unused_param)
{
	struct fuse_release_in in = { 0 };
	struct fuse_entry_out entry;
	char path[PATH_MAX];

	make_large("large");
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "large", &entry), 0);
	assert_int_equal(gfs_open(&g, entry.nodeid, O_RDONLY, &in.fh), 0);
	snprintf(path, sizeof(path), "%s/large", g.dir);
	assert_int_equal(unlink(path), 0);
	gfs_begin(&q, FUSE_RELEASE, entry.nodeid, 0);
	gfs_add(&q, &in, sizeof(in));
	gfs_offer(&g, &q, 0);
	kick();
	expect_done(0);
	forget(entry.nodeid);
	assert_true(is_held("large"));
	assert_int_equal(nr_jobs, 1);
	/* A second one while the first is under way. */
	make_large("late");
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "late", &entry), 0);
	offer_unlink("late");
	expect_done(0);
	forget(entry.nodeid);
	assert_int_equal(nr_jobs, 1);
	while (nr_jobs)
		finish_job();
	assert_false(is_held("large"));
	assert_false(is_held("late"));
}

/* ---- sessions ---- */

/* The end of one is in front of the beginning of the next, however long the
 * host takes, and a late one ends nothing of the next. */
static void test_sessions_in_turn(void **state unused_param)
{
	struct fuse_init_in in = { .major = 7, .minor = 38 };
	struct fs *fs = fs_of(container_of(g.dev, struct virtio_dev, device));

	guest_fs_start(&g);
	assert_int_equal(nr_jobs, 1);
	assert_ptr_equal(jobs[0]->owner, &g.dev->pool);
	gfs_begin(&q, FUSE_INIT, 0, sizeof(struct fuse_init_out));
	gfs_add(&q, &in, sizeof(in));
	gfs_offer(&g, &q, 0);
	kick();
	assert_int_equal(nr_jobs, 2);
	assert_ptr_equal(jobs[1]->owner, &g.dev->pool);
	/* Another reset while the first one's is on its way: once is enough,
	 * and INIT is taken back. */
	guest_fs_start(&g);
	assert_int_equal(nr_jobs, 1);
	finish_job();
	while (nr_jobs)
		finish_job();
	assert_int_equal(atomic_load(&fs->forgets), 0);
	is_slow = false;
	assert_int_equal(gfs_init(&g, 0), 0);
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "file", NULL), 0);
}

/* ---- locks ---- */

static void lock_request(uint32_t opcode, uint64_t owner, uint32_t type)
{
	const struct fuse_lk_in in = { .fh = target.fh,
				       .owner = owner,
				       .lk = { .end = 99, .type = type } };

	gfs_begin(&q, opcode, target.file, 0);
	gfs_add(&q, &in, sizeof(in));
}

static int lock(uint32_t opcode, uint64_t owner, uint32_t type)
{
	lock_request(opcode, owner, type);
	return gfs_send(&g, &q);
}

static bool has_reply(void *arg unused_param)
{
	guest_fs_turn(&g);
	return gfs_take(&g, 1);
}

static void test_lock_waits(void **state unused_param)
{
	assert_int_equal(lock(FUSE_SETLK, 1, F_WRLCK), 0);
	assert_int_equal(lock(FUSE_SETLK, 2, F_WRLCK), -EAGAIN);
	lock_request(FUSE_SETLKW, 2, F_WRLCK);
	gfs_offer(&g, &q, 4);
	kick();
	assert_false(gfs_take(&g, 1));
	/* A pause gives it back, and it waits on after it. */
	g.dev->ops->quiesce(g.dev);
	guest_fs_turn(&g);
	assert_true(is_quiet());
	g.dev->ops->resume(g.dev);
	guest_fs_turn(&g);
	assert_false(gfs_take(&g, 1));
	lock_request(FUSE_SETLK, 1, F_UNLCK);
	q.qidx = 2;
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_true(fake_vm_turn_until(&g.fv, has_reply, NULL));
	assert_int_equal(g.head.error, 0);
	assert_int_equal(lock(FUSE_SETLK, 1, F_RDLCK), -EAGAIN);
	assert_int_equal(nr_jobs, 0);
}

/* There is an end to how many wait. */
static void test_lock_limit(void **state unused_param)
{
	struct fs *fs = fs_of(container_of(g.dev, struct virtio_dev, device));

	assert_int_equal(lock(FUSE_SETLK, 1, F_WRLCK), 0);
	atomic_store(&fs->nr_lockers, FS_LOCK_WAITS);
	assert_int_equal(lock(FUSE_SETLKW, 2, F_WRLCK), -ENOLCK);
	atomic_store(&fs->nr_lockers, FS_LOCK_WAITS - 1);
	assert_int_equal(lock(FUSE_SETLKW, 2, F_WRLCK), 1);
	assert_int_equal(atomic_load(&fs->nr_lockers), FS_LOCK_WAITS);
	/* A reset is not held up by one that waits. */
	gv_write(&g.gv, GV_STATUS, 0, 1);
	is_slow = false;
	guest_fs_turn(&g);
	assert_int_equal(gv_read(&g.gv, GV_STATUS, 1), 0);
	assert_int_equal(atomic_load(&fs->nr_lockers), FS_LOCK_WAITS - 1);
	atomic_store(&fs->nr_lockers, 0);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_pool),
		UNIT(test_forget_does_not_wait),
		UNIT(test_pool_is_closed),
		UNIT(test_pause),
		UNIT(test_reset),
		UNIT(test_sessions_in_turn),
		UNIT(test_lock_waits),
		UNIT(test_lock_limit),
		UNIT(test_large_unlink),
		UNIT(test_large_by_blocks),
		UNIT(test_large_forget),
		UNIT(test_large_release),
		UNIT(test_pause_leaves_mounts),
		UNIT(test_pause_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
