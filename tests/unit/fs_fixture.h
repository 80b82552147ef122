/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_UNIT_FS_FIXTURE_H
#define TESTS_UNIT_FS_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/backend/fs.h"
#include "vmm/util.h"

/*
 * Trees for tests of shared directories. Each test runs in a process of its own
 * kind: on tmpfs and on a disk's file system, as root, where inodes have handles,
 * and as a user, who may not use them. The latter is that of the checkout, or
 * where VMM_TEST_DISK is, in a lab that shares the checkout. A test gets a directory
 * "base" with an open tree on it; what a test leaves there is removed.
 */

#define FS_USER 1000

static char base[128]; /* path of the directory */
static struct fs_tree *tree;
static struct fs_tree_config config;
static const struct fs_call as_root = { .may_wait = true };

/* A path below the base, in one of four buffers. */
static inline const char *at(const char *name)
{
	static char path[4][512];
	static unsigned int next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", base, name);
	return p;
}

static inline void open_tree_with(const struct fs_tree_config *c)
{
	struct error err = { "" };

	fs_tree_close(tree);
	if (fs_tree_open(&tree, c, &err))
		fail_msg("%s", err.msg);
}

static inline int fs_setup(void **state unused_param)
{
	snprintf(base, sizeof(base), "%s/base", getenv("FS_PLACE"));
	if (mkdir(base, 0777))
		return -1;
	config = (struct fs_tree_config){ .path = base, .fd = -1 };
	open_tree_with(&config);
	return 0;
}

static inline void remove_base(void)
{
	char cmd[2 * sizeof(base) + 32];

	snprintf(cmd, sizeof(cmd), "chmod -R u+rwx %s; rm -rf %s", base, base);
	if (system(cmd))
		fail_msg("%s", cmd);
}

/* All descriptors of the process. */
static inline unsigned int count_fds(void)
{
	unsigned int nr = 0;

	for (int fd = 0; fd < 2000; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

/* After forgetting all, nothing is left but the root. */
static inline int fs_teardown(void **state unused_param)
{
	struct fs_counts counts;

	fs_tree_forget_all(tree);
	fs_tree_count(tree, &counts);
	assert_int_equal(counts.inodes, 1);
	assert_int_equal(counts.files, 0);
	assert_in_range(counts.fds, 2, config.frozen ? 3 : 2);
	fs_tree_close(tree);
	tree = NULL;
	remove_base();
	return 0;
}

/* ---- the host's side ---- */

static inline void host_write(const char *name, const char *text)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static inline bool host_has(const char *name)
{
	struct stat st;

	return !lstat(at(name), &st);
}

/* ---- the guest's side ---- */

static inline struct fs_entry look_in(uint64_t parent, const char *name)
{
	struct fs_entry e = { 0 };
	int r = fs_lookup(tree, parent, name, &e);

	if (r)
		fail_msg("lookup of %s: %s", name, strerror(-r));
	return e;
}

static inline struct fs_entry look(const char *name)
{
	return look_in(FS_ROOT, name);
}

static inline uint64_t guest_open(uint64_t nodeid, int flags)
{
	struct fs_opened o = { 0 };
	int r = fs_open(tree, &as_root, nodeid, flags, &o);

	if (r)
		fail_msg("open: %s", strerror(-r));
	return o.fh;
}

static inline ssize_t guest_read(uint64_t fh, char *buf, size_t len)
{
	struct iovec iov = { buf, len };
	struct fs_io io = { .fh = fh, .iov = &iov, .nr = 1 };

	memset(buf, 0, len);
	return fs_read(tree, &as_root, &io);
}

static inline ssize_t guest_write(uint64_t fh, const char *text)
{
	char copy[64];
	struct iovec iov = { copy, strlen(text) };
	struct fs_io io = { .fh = fh, .iov = &iov, .nr = 1 };

	memcpy(copy, text, strlen(text));
	return fs_write(tree, &as_root, &io);
}

static inline struct fs_make make_in(uint64_t parent, const char *name,
				     uint32_t mode)
{
	return (struct fs_make){
		.parent = parent, .name = name, .mode = mode, .flags = O_RDWR
	};
}

/* ---- running ---- */

/* One place and one user: a child, so that it can give up its rights. */
static inline int fs_run_as(const char *place, uid_t uid, int (*group)(void))
{
	char dir[128];
	pid_t child;
	int status;

	snprintf(dir, sizeof(dir), "%s/test_fs.XXXXXX", place);
	if (!mkdtemp(dir) || chown(dir, uid, uid))
		return 1;
	fflush(NULL);
	child = fork();
	if (!child) {
		setenv("FS_PLACE", dir, 1);
		umask(022);
		if (uid &&
		    (setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
			exit(1);
		/* Its own /proc/self is its own again. */
		prctl(PR_SET_DUMPABLE, 1);
		if (access(dir, W_OK))
			exit(0); /* somebody else's checkout */
		printf("# %s, uid %u\n", dir, (unsigned int)getuid());
		exit(group());
	}
	if (waitpid(child, &status, 0) != child)
		status = 1;
	rmdir(dir);
	return status != 0;
}

static inline int fs_run_everywhere(int (*group)(void))
{
	const char *disk = getenv("VMM_TEST_DISK");
	const char *const places[] = { "/dev/shm", disk ? disk : "." };
	char here[64];
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char *full = realpath(places[i], NULL);

		if (!full || strlen(full) >= sizeof(here))
			return 1;
		if (!geteuid())
			failed |= fs_run_as(full, 0, group);
		failed |=
			fs_run_as(full, geteuid() ? geteuid() : FS_USER, group);
		free(full);
	}
	return failed;
}

#define FS_TEST(fn) cmocka_unit_test_setup_teardown(fn, fs_setup, fs_teardown)

#endif
