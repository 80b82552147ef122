/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What a tree knows and holds: counts under two threads, memory, descriptors. */
#include "tests/unit/fs_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/xattr.h>

static struct fs_counts counted(void)
{
	struct fs_counts counts;

	fs_tree_count(tree, &counts);
	return counts;
}

/* ---- two threads ---- */

#define ROUNDS 20000

static atomic_uint started;
static _Atomic uint64_t balance; /* lookups that were not forgotten */

/* Look up and forget, in pieces, never more than was looked up. */
static void *churn(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	char name[8];

	atomic_fetch_add(&started, 1);
	while (atomic_load(&started) < 2)
		;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct fs_entry e;
		struct statx attr;
		unsigned int more = 1 + rand_r(&seed) % 3;

		snprintf(name, sizeof(name), "f%d", rand_r(&seed) % 3);
		for (unsigned int j = 0; j < more; j++)
			if (fs_lookup(tree, FS_ROOT, name, &e))
				return "lookup";
		/* It is known, whatever the other thread forgets. */
		if (fs_getattr(tree, e.nodeid, 0, &attr))
			return "getattr";
		fs_forget(tree, e.nodeid, more);
	}
	return NULL;
}

static void test_two_threads(void **state unused_param)
{
	pthread_t thread[2];
	void *failed;

	host_write("f0", "");
	host_write("f1", "");
	host_write("f2", "");
	atomic_store(&started, 0);
	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, churn,
						(void *)(i + 1)),
				 0);
	for (unsigned int i = 0; i < 2; i++) {
		pthread_join(thread[i], &failed);
		if (failed)
			fail_msg("%s", (char *)failed);
	}
	assert_int_equal(counted().inodes, 1);
	assert_int_equal(counted().fds, 2);
}

/* The same lookups, forgotten by the other thread: none is lost or made. */
static void *forget_all_of_it(void *arg)
{
	uint64_t nodeid = *(uint64_t *)arg;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		while (!atomic_load(&balance))
			sched_yield();
		atomic_fetch_sub(&balance, 1);
		fs_forget(tree, nodeid, 1);
	}
	return NULL;
}

static void test_exact(void **state unused_param)
{
	struct fs_entry e;
	struct statx attr;
	pthread_t thread;
	uint64_t nodeid;

	host_write("f", "");
	nodeid = look("f").nodeid;
	atomic_store(&balance, 0);
	assert_int_equal(
		pthread_create(&thread, NULL, forget_all_of_it, &nodeid), 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		e = look("f");
		assert_int_equal(e.nodeid, nodeid);
		atomic_fetch_add(&balance, 1);
	}
	pthread_join(thread, NULL);
	assert_int_equal(fs_getattr(tree, nodeid, 0, &attr), 0);
	fs_forget(tree, nodeid, 1);
	assert_int_equal(fs_getattr(tree, nodeid, 0, &attr), -ESTALE);
}

/* Opening, using and releasing beside a guest that releases too early. */
static _Atomic uint64_t open_fh;

static void *release_any(void *arg unused_param)
{
	for (unsigned int i = 0; i < ROUNDS / 4; i++)
		fs_release(tree, atomic_load(&open_fh));
	return NULL;
}

static void test_release_early(void **state unused_param)
{
	pthread_t thread;
	uint64_t nodeid;
	char buf[8];

	host_write("f", "text");
	nodeid = look("f").nodeid;
	assert_int_equal(pthread_create(&thread, NULL, release_any, NULL), 0);
	for (unsigned int i = 0; i < ROUNDS / 4; i++) {
		ssize_t n;

		atomic_store(&open_fh, guest_open(nodeid, O_RDONLY));
		n = guest_read(atomic_load(&open_fh), buf, sizeof(buf));
		assert_true(n == 4 || n == -EBADF);
		fs_release(tree, atomic_load(&open_fh));
	}
	pthread_join(thread, NULL);
	assert_int_equal(counted().files, 0);
}

/* All is forgotten while another thread goes on: nothing but errors. */
static void *look_on(void *arg unused_param)
{
	struct fs_opened o;
	struct fs_entry e;

	for (unsigned int i = 0; i < ROUNDS / 4; i++) {
		if (fs_lookup(tree, FS_ROOT, "f", &e))
			return "lookup";
		if (!fs_open(tree, &as_root, e.nodeid, O_RDONLY, &o))
			fs_release(tree, o.fh);
		fs_forget(tree, e.nodeid, 1);
	}
	return NULL;
}

static void test_forget_all_beside(void **state unused_param)
{
	pthread_t thread;
	void *failed;

	host_write("f", "text");
	assert_int_equal(pthread_create(&thread, NULL, look_on, NULL), 0);
	for (unsigned int i = 0; i < 200; i++)
		fs_tree_forget_all(tree);
	pthread_join(thread, &failed);
	assert_null(failed);
}

/* ---- memory ---- */

#define MANY 20000

static void make_many(unsigned int nr)
{
	char name[32];

	for (unsigned int i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "file-number-%06u", i);
		host_write(name, "");
	}
}

static void look_many(unsigned int nr)
{
	char name[32];

	for (unsigned int i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "file-number-%06u", i);
		look(name);
	}
}

/* A million are 100 bytes each: the table has no other cost that grows. */
static void test_memory(void **state unused_param)
{
	struct fs_counts few = counted(), many, after;

	make_many(MANY);
	look_many(MANY);
	many = counted();
	assert_int_equal(many.inodes, MANY + 1);
	printf("# %.1f bytes an inode\n",
	       (double)(many.bytes - few.bytes) / MANY);
	assert_true(many.bytes - few.bytes <= 100ull * MANY);
	assert_true(many.fds <= 2 + 4096);
	fs_tree_forget_all(tree);
	after = counted();
	assert_int_equal(after.inodes, 1);
	/* Back, but for the smallest hash and the chunks' own few bytes. */
	assert_true(after.bytes <= few.bytes + 16 * 1024);
}

/* ---- descriptors ---- */

/* Directories and files beyond the cache: all are reached, none too many open. */
static void test_bounded(void **state unused_param)
{
	uint64_t nodeid[200];
	struct statx attr;
	char name[16];

	config.max_fds = 64;
	open_tree_with(&config);
	for (unsigned int i = 0; i < 200; i++) {
		struct fs_make make = make_in(FS_ROOT, name, 0755);
		struct fs_entry e;

		snprintf(name, sizeof(name), "d%u", i);
		assert_int_equal(fs_mkdir(tree, &as_root, &make, &e), 0);
		nodeid[i] = e.nodeid;
		host_write("d0/x", "");
		assert_true(counted().fds <= 64 + 2);
	}
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 200; i++) {
			assert_int_equal(fs_getattr(tree, nodeid[i], 0, &attr),
					 0);
			assert_true(counted().fds <= 64 + 2);
		}
	}
	assert_int_equal(
		fs_lookup(tree, nodeid[0], "x", &(struct fs_entry){ 0 }), 0);
}

/* Open files come before what is cached, and have an end themselves. */
static void test_budget(void **state unused_param)
{
	struct fs_opened o[100];
	struct fs_entry e;
	struct statx attr;
	unsigned int nr;
	int r = 0;

	config.max_fds = 64;
	open_tree_with(&config);
	make_many(100);
	look_many(100);
	e = look("file-number-000000");
	for (nr = 0; nr < 100 && !r; nr++)
		r = fs_open(tree, &as_root, e.nodeid, O_RDONLY, &o[nr]);
	assert_int_equal(r, -ENFILE);
	assert_int_equal(nr, 65);
	assert_int_equal(counted().files, 64);
	assert_int_equal(fs_opendir(tree, FS_ROOT, &o[99]), -ENFILE);
	/* All else goes on. */
	assert_int_equal(
		fs_getattr(tree, look("file-number-000001").nodeid, 0, &attr),
		0);
	assert_int_equal(fs_release(tree, o[0].fh), 0);
	assert_int_equal(fs_open(tree, &as_root, e.nodeid, O_RDONLY, &o[0]), 0);
}

/* A guest that unlinks what it knows takes descriptors until it forgets. */
static void test_pinned(void **state unused_param)
{
	uint64_t nodeid[100];
	struct statx attr;
	unsigned int nr;
	char name[32];
	int r = 0;

	config.max_fds = 64;
	open_tree_with(&config);
	make_many(100);
	for (nr = 0; nr < 100 && !r; nr++) {
		snprintf(name, sizeof(name), "file-number-%06u", nr);
		nodeid[nr] = look(name).nodeid;
		r = fs_unlink(tree, &as_root, FS_ROOT, name);
	}
	assert_int_equal(r, -ENFILE);
	assert_true(host_has(name));
	for (unsigned int i = 0; i < nr - 1; i++) {
		assert_int_equal(fs_getattr(tree, nodeid[i], 0, &attr), 0);
		assert_int_equal(attr.stx_nlink, 0);
		fs_forget(tree, nodeid[i], 1);
	}
	assert_int_equal(fs_unlink(tree, &as_root, FS_ROOT, name), 0);
}

/* What cannot be removed keeps no descriptor for that. */
static void test_not_pinned(void **state unused_param)
{
	struct fs_entry d;
	uint64_t fds;

	config.max_fds = 64;
	open_tree_with(&config);
	assert_int_equal(mkdir(at("d"), 0755), 0);
	host_write("d/f", "");
	d = look("d");
	for (unsigned int i = 0; i < 200; i++)
		assert_int_equal(fs_rmdir(tree, FS_ROOT, "d"), -ENOTEMPTY);
	fds = counted().fds;
	make_many(100);
	look_many(100);
	assert_true(counted().fds <= fds + 64);
	fs_forget(tree, d.nodeid, 1);
}

/* However often a guest takes the name of what it knows away. */
static void test_pinned_often(void **state unused_param)
{
	const struct fs_rename self = { FS_ROOT, "f", FS_ROOT, "f", 0 };
	struct fs_entry f;
	struct statx attr;
	char name[32];

	config.max_fds = 64;
	open_tree_with(&config);
	host_write("f", "");
	f = look("f");
	for (unsigned int i = 0; i < 255; i++)
		assert_int_equal(fs_rename(tree, &as_root, &self), 0);
	assert_int_equal(fs_unlink(tree, &as_root, FS_ROOT, "f"), 0);
	make_many(100);
	for (unsigned int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "file-number-%06u", i);
		assert_int_equal(fs_getattr(tree, look(name).nodeid, 0, &attr),
				 0);
	}
	assert_int_equal(fs_getattr(tree, f.nodeid, 0, &attr), 0);
	fs_forget(tree, f.nodeid, 1);
}

/* A chain of directories that is longer than the cache. */
static void test_deep(void **state unused_param)
{
	uint64_t parent = FS_ROOT;
	struct fs_entry e, f;
	struct fs_opened o;
	struct statx attr;
	char cmd[256];

	config.max_fds = 16;
	open_tree_with(&config);
	for (unsigned int i = 0; i < 150; i++) {
		struct fs_make make = make_in(parent, "d", 0755);

		assert_int_equal(fs_mkdir(tree, &as_root, &make, &e), 0);
		parent = e.nodeid;
	}
	{
		struct fs_make make = make_in(parent, "f", 0644);

		assert_int_equal(fs_create(tree, &as_root, &make, &f, &o), 0);
		assert_int_equal(fs_release(tree, o.fh), 0);
	}
	/* Push all of it out. */
	make_many(50);
	look_many(50);
	assert_int_equal(fs_getattr(tree, f.nodeid, 0, &attr), 0);
	assert_int_equal(fs_getattr(tree, look("d").nodeid, 0, &attr), 0);
	assert_int_equal(fs_unlink(tree, &as_root, parent, "f"), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s/d", base);
	assert_int_equal(system(cmd), 0);
	assert_true(counted().fds <= 16 + 2);
}

/* The host renames a parent of what was closed: found, or known to be lost. */
static void test_host_renames(void **state unused_param)
{
	struct fs_entry d, f;
	struct statx attr;
	int r;

	config.max_fds = 8;
	open_tree_with(&config);
	assert_int_equal(mkdir(at("d"), 0755), 0);
	host_write("d/f", "inner");
	d = look("d");
	f = look_in(d.nodeid, "f");
	make_many(50);
	look_many(50);
	assert_int_equal(rename(at("d"), at("e")), 0);
	assert_int_equal(mkdir(at("d"), 0755), 0);
	host_write("d/f", "other");
	r = fs_getattr(tree, f.nodeid, 0, &attr);
	assert_true(!r || r == -ESTALE);
	if (!r)
		assert_int_equal(attr.stx_ino, f.attr.stx_ino);
	/* By name it is there at once, by its old number. */
	assert_int_equal(look("e").nodeid, d.nodeid);
	assert_int_equal(look_in(d.nodeid, "f").nodeid, f.nodeid);
	assert_int_equal(fs_getattr(tree, f.nodeid, 0, &attr), 0);
}

/* Seen at different times, each of two directories is in the other. */
static void test_circle(void **state unused_param)
{
	struct fs_entry x, y;
	struct statx attr;
	int r;

	config.max_fds = 8;
	open_tree_with(&config);
	assert_int_equal(mkdir(at("x"), 0755), 0);
	assert_int_equal(mkdir(at("y"), 0755), 0);
	y = look("y");
	assert_int_equal(rename(at("x"), at("y/x")), 0);
	x = look_in(y.nodeid, "x");
	assert_int_equal(fs_getattr(tree, x.nodeid, 0, &attr), 0);
	assert_int_equal(rename(at("y/x"), at("x")), 0);
	assert_int_equal(rename(at("y"), at("x/y")), 0);
	assert_int_equal(look_in(x.nodeid, "y").nodeid, y.nodeid);
	make_many(50);
	look_many(50);
	r = fs_getattr(tree, y.nodeid, 0, &attr);
	assert_true(!r || (geteuid() && r < 0));
	/* A look from above sets it right. */
	assert_int_equal(look("x").nodeid, x.nodeid);
	assert_int_equal(fs_getattr(tree, y.nodeid, 0, &attr), 0);
	/* And once more a circle, to be forgotten. */
	assert_int_equal(rename(at("x/y"), at("y")), 0);
	assert_int_equal(rename(at("x"), at("y/x")), 0);
	look_in(y.nodeid, "x");
}

/* The host puts one file after another in a name's place: who looks gets one or
 * the other, whole, and never -ESTALE. */
static atomic_bool replacing;

static void *replace(void *arg unused_param)
{
	while (atomic_load(&replacing)) {
		host_write("next", "22");
		if (rename(at("next"), at("f")))
			return "rename";
	}
	return NULL;
}

static void test_host_replaces(void **state unused_param)
{

	pthread_t thread;
	void *failed;

	host_write("f", "22");

	atomic_store(&replacing, true);
	assert_int_equal(pthread_create(&thread, NULL, replace, NULL), 0);
	for (unsigned int i = 0; i < ROUNDS / 4; i++) {
		struct fs_entry e = look("f");

		assert_true(S_ISREG(e.attr.stx_mode));
		fs_forget(tree, e.nodeid, 1);
	}
	atomic_store(&replacing, false);
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(counted().inodes, 1);
}

/* RLIMIT_NOFILE leaves the monitor some. */
static void test_rlimit(void **state unused_param)
{
	struct rlimit old, few = { 64, 0 };
	struct fs_opened o;
	struct fs_entry e;
	unsigned int nr = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	open_tree_with(&config);
	host_write("f", "");
	e = look("f");
	while (!fs_open(tree, &as_root, e.nodeid, O_RDONLY, &o))
		nr++;
	assert_in_range(nr, 20, 48);
	assert_true(count_fds() <= 64 - 8);
	setrlimit(RLIMIT_NOFILE, &old);
}

/* find(1) over more than may be open, all of it known at the end: as a user with
 * 1024 descriptors too, whose inodes have no handles. */
static void test_walk(void **state unused_param)
{
	struct rlimit old, few = { 1024, 0 };
	char name[32];
	struct statx attr;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	open_tree_with(&config);
	for (unsigned int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		assert_int_equal(mkdir(at(name), 0755), 0);
		for (unsigned int j = 0; j < 8; j++) {
			snprintf(name, sizeof(name), "d%u/f%u", i, j);
			host_write(name, "");
		}
	}
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < 500; i++) {
			struct fs_entry d, f;

			snprintf(name, sizeof(name), "d%u", i);
			d = look(name);
			for (unsigned int j = 0; j < 8; j++) {
				snprintf(name, sizeof(name), "f%u", j);
				f = look_in(d.nodeid, name);
				assert_int_equal(
					fs_getattr(tree, f.nodeid, 0, &attr),
					0);
			}
		}
	}
	assert_int_equal(counted().inodes, 1 + 500 * 9);
	assert_true(counted().fds <= 768 + 2);
	setrlimit(RLIMIT_NOFILE, &old);
}

static int group(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(test_two_threads),   FS_TEST(test_exact),
		FS_TEST(test_release_early), FS_TEST(test_forget_all_beside),
		FS_TEST(test_memory),	     FS_TEST(test_bounded),
		FS_TEST(test_budget),	     FS_TEST(test_pinned),
		FS_TEST(test_pinned_often),  FS_TEST(test_not_pinned),
		FS_TEST(test_deep),	     FS_TEST(test_host_renames),
		FS_TEST(test_host_replaces), FS_TEST(test_walk),
		FS_TEST(test_circle),	     FS_TEST(test_rlimit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fs_run_everywhere(group);
}
