/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Mounts of the host below a shared directory, which come and go. In a mount
 * namespace of the test's own; a user makes a user namespace for it. */
#include "tests/unit/fs_fixture.h"

#include <sched.h>
#include <sys/mount.h>

#include "devices/backend/fs_tree.h"
#include "tests/lib/hung_file.h"

static void mount_tmpfs(const char *name)
{
	assert_int_equal(mount("vmm-test", at(name), "tmpfs", 0, NULL), 0);
}

/* What a device does every half second, twice: all that is idle goes. */
static void idle_a_second(void)
{
	fs_tree_trim(tree, false);
	fs_tree_trim(tree, false);
}

static void test_comes_and_goes(void **state unused_param)
{
	struct fs_entry before, root, dir, file, after;
	struct fs_counts counts;
	struct statx attr;

	assert_int_equal(mkdir(at("sub"), 0755), 0);
	before = look("sub");
	assert_false(before.submount);
	assert_false(fs_tree_wants_trim(tree));
	mount_tmpfs("sub");
	assert_int_equal(mkdir(at("sub/dir"), 0755), 0);
	host_write("sub/dir/file", "inside");
	root = look("sub");
	assert_true(root.submount);
	assert_int_not_equal(root.nodeid, before.nodeid);
	dir = look_in(root.nodeid, "dir");
	assert_false(dir.submount);
	file = look_in(dir.nodeid, "file");
	assert_int_equal(fs_getattr(tree, file.nodeid, 0, &attr), 0);
	assert_int_equal(attr.stx_size, 6);
	/* No descriptor is in the way, and what was closed opens again. */
	idle_a_second();
	assert_int_equal(fs_getattr(tree, file.nodeid, 0, &attr), 0);
	assert_int_equal(umount(at("sub")), -1);
	assert_true(fs_tree_wants_trim(tree));
	idle_a_second();
	/* Nothing is left to be looked after. */
	assert_false(fs_tree_wants_trim(tree));
	assert_int_equal(umount(at("sub")), 0);
	assert_int_equal(fs_getattr(tree, file.nodeid, 0, &attr), -ESTALE);
	assert_int_equal(fs_getattr(tree, root.nodeid, 0, &attr), -ESTALE);
	after = look("sub");
	assert_false(after.submount);
	assert_int_equal(after.nodeid, before.nodeid);
	fs_forget(tree, file.nodeid, 1);
	fs_forget(tree, dir.nodeid, 1);
	fs_forget(tree, root.nodeid, 1);
	assert_false(fs_tree_wants_trim(tree));
	fs_tree_count(tree, &counts);
	assert_int_equal(counts.inodes, 2);
}

/* What cannot be removed is a mount's root: its handles can be opened still. */
static void test_not_removed(void **state unused_param)
{
	struct fs_entry root, file;
	uint64_t fh;

	assert_int_equal(mkdir(at("sub"), 0755), 0);
	mount_tmpfs("sub");
	host_write("sub/file", "");
	root = look("sub");
	file = look_in(root.nodeid, "file");
	idle_a_second();
	assert_int_equal(fs_rmdir(tree, FS_ROOT, "sub"), -EBUSY);
	fh = guest_open(file.nodeid, O_RDONLY);
	assert_int_equal(fs_release(tree, fh), 0);
	idle_a_second();
	assert_int_equal(umount(at("sub")), 0);
}

/* What is used stays for half a second at least. */
static void test_in_use(void **state unused_param)
{
	struct fs_counts before, after;
	struct fs_entry root;
	struct statx attr;
	uint64_t fh;
	char buf[8];

	assert_int_equal(mkdir(at("sub"), 0755), 0);
	mount_tmpfs("sub");
	host_write("sub/file", "data");
	root = look("sub");
	fs_tree_trim(tree, false);
	assert_int_equal(fs_getattr(tree, root.nodeid, 0, &attr), 0);
	fs_tree_count(tree, &before);
	fs_tree_trim(tree, false);
	fs_tree_count(tree, &after);
	assert_int_equal(before.fds, after.fds);
	/* The guest's own open files keep the mount, as a program's would. */
	fh = guest_open(look_in(root.nodeid, "file").nodeid, O_RDONLY);
	idle_a_second();
	assert_int_equal(umount(at("sub")), -1);
	assert_int_equal(guest_read(fh, buf, sizeof(buf)), 4);
	assert_int_equal(fs_release(tree, fh), 0);
	idle_a_second();
	assert_int_equal(umount(at("sub")), 0);
}

/* A pause closes all that no call uses, however lately it was used. */
static void test_pause(void **state unused_param)
{
	struct statx attr;
	uint64_t file;

	assert_int_equal(mkdir(at("sub"), 0755), 0);
	mount_tmpfs("sub");
	host_write("sub/file", "data");
	file = look_in(look("sub").nodeid, "file").nodeid;
	assert_int_equal(fs_getattr(tree, file, 0, &attr), 0);
	assert_true(fs_tree_wants_trim(tree));
	fs_tree_trim(tree, true);
	assert_false(fs_tree_wants_trim(tree));
	assert_int_equal(umount(at("sub")), 0);
}

/* Another mount in the same place is another one, whatever its numbers. */
static void test_mounted_again(void **state unused_param)
{
	struct fs_entry first, second;
	struct statx attr;

	assert_int_equal(mkdir(at("sub"), 0755), 0);
	for (unsigned int i = 0; i < 5; i++) {
		mount_tmpfs("sub");
		host_write("sub/f", "");
		first = look_in(look("sub").nodeid, "f");
		idle_a_second();
		assert_int_equal(umount(at("sub")), 0);
		mount_tmpfs("sub");
		host_write("sub/f", "second");
		second = look_in(look("sub").nodeid, "f");
		assert_int_not_equal(first.nodeid, second.nodeid);
		assert_int_equal(fs_getattr(tree, first.nodeid, 0, &attr),
				 -ESTALE);
		assert_int_equal(fs_getattr(tree, second.nodeid, 0, &attr), 0);
		assert_int_equal(attr.stx_size, 6);
		idle_a_second();
		assert_int_equal(umount(at("sub")), 0);
	}
}

static void test_nested(void **state unused_param)
{
	struct fs_entry a, b, f;
	struct fs_counts counts;
	struct statx attr;

	assert_int_equal(mkdir(at("a"), 0755), 0);
	mount_tmpfs("a");
	assert_int_equal(mkdir(at("a/b"), 0755), 0);
	mount_tmpfs("a/b");
	host_write("a/b/f", "deep");
	a = look("a");
	b = look_in(a.nodeid, "b");
	assert_true(b.submount);
	f = look_in(b.nodeid, "f");
	fs_forget(tree, a.nodeid, 1);
	idle_a_second();
	assert_int_equal(fs_getattr(tree, f.nodeid, 0, &attr), 0);
	idle_a_second();
	assert_int_equal(umount(at("a/b")), 0);
	assert_int_equal(umount(at("a")), 0);
	assert_int_equal(fs_getattr(tree, f.nodeid, 0, &attr), -ESTALE);
	/* The mount above goes with the one below it. */
	fs_forget(tree, b.nodeid, 1);
	fs_forget(tree, f.nodeid, 1);
	fs_tree_count(tree, &counts);
	assert_int_equal(counts.inodes, 1);
}

/* A file may be a mount too, as container runtimes do with resolv.conf. */
static void test_file(void **state unused_param)
{
	struct fs_entry under, over;
	struct statx attr;
	uint64_t fh;
	char buf[8];

	host_write("under", "u");
	host_write("over", "over");
	under = look("under");
	assert_int_equal(mount(at("over"), at("under"), NULL, MS_BIND, NULL),
			 0);
	over = look("under");
	assert_false(over.submount);
	assert_int_not_equal(over.nodeid, under.nodeid);
	assert_int_equal(over.attr.stx_size, 4);
	assert_int_equal(fs_unlink(tree, &as_root, FS_ROOT, "under"), -EBUSY);
	fh = guest_open(over.nodeid, O_RDONLY);
	assert_int_equal(guest_read(fh, buf, sizeof(buf)), 4);
	assert_int_equal(fs_release(tree, fh), 0);
	idle_a_second();
	assert_int_equal(fs_getattr(tree, over.nodeid, 0, &attr), 0);
	idle_a_second();
	assert_int_equal(umount(at("under")), 0);
	assert_int_equal(look("under").nodeid, under.nodeid);
}

/* The same directory twice: two mounts, two inodes. */
static void test_bind(void **state unused_param)
{
	struct fs_entry one, two;

	assert_int_equal(mkdir(at("one"), 0755), 0);
	assert_int_equal(mkdir(at("two"), 0755), 0);
	host_write("one/f", "");
	assert_int_equal(mount(at("one"), at("two"), NULL, MS_BIND, NULL), 0);
	one = look_in(look("one").nodeid, "f");
	two = look_in(look("two").nodeid, "f");
	assert_int_equal(one.attr.stx_ino, two.attr.stx_ino);
	assert_int_not_equal(one.nodeid, two.nodeid);
	idle_a_second();
	assert_int_equal(umount(at("two")), 0);
}

/* Files that nobody opened by name are not in the way either. */
static void test_implicit(void **state unused_param)
{
	struct iovec iov;
	struct fs_io io = { .iov = &iov, .nr = 1 };
	char buf[8];

	config.cache = FS_CACHE_ALWAYS;
	open_tree_with(&config);
	assert_int_equal(mkdir(at("sub"), 0755), 0);
	mount_tmpfs("sub");
	host_write("sub/f", "data");
	io.nodeid = look_in(look("sub").nodeid, "f").nodeid;
	iov = (struct iovec){ buf, sizeof(buf) };
	assert_int_equal(fs_read(tree, &as_root, &io), 4);
	assert_int_equal(umount(at("sub")), -1);
	fs_tree_trim(tree, false);
	assert_int_equal(fs_read(tree, &as_root, &io), 4);
	fs_tree_trim(tree, false);
	assert_int_equal(umount(at("sub")), -1);
	fs_tree_trim(tree, false);
	assert_int_equal(umount(at("sub")), 0);
	assert_int_equal(fs_read(tree, &as_root, &io), -ESTALE);
}

/* Mounts as they were when the tree was opened. */
static void test_frozen(void **state unused_param)
{
	struct fs_entry e;

	assert_int_equal(mkdir(at("was"), 0755), 0);
	assert_int_equal(mkdir(at("comes"), 0755), 0);
	mount_tmpfs("was");
	host_write("was/f", "");
	config.frozen = true;
	open_tree_with(&config);
	mount_tmpfs("comes");
	host_write("comes/f", "");
	e = look("was");
	assert_true(e.submount);
	look_in(e.nodeid, "f");
	e = look("comes");
	assert_false(e.submount);
	assert_int_equal(fs_lookup(tree, e.nodeid, "f", &e), -ENOENT);
	/* The host's own are not in use, though the guest sees the clone. */
	assert_int_equal(umount(at("was")), 0);
	look_in(look("was").nodeid, "f");
	assert_int_equal(umount(at("comes")), 0);
	host_write("later", "");
	look("later");
}

/* Read-only by the kernel, not by our checks alone. */
static void test_frozen_readonly(void **state unused_param)
{
	struct fs_opened o;

	host_write("f", "text");
	config.frozen = true;
	config.readonly = true;
	open_tree_with(&config);
	assert_int_equal(fs_open(tree, &as_root, look("f").nodeid, O_RDWR, &o),
			 -EROFS);
	guest_open(look("f").nodeid, O_RDONLY);
}

static bool own_namespace(void)
{
	char map[32];
	unsigned int uid = getuid(), gid = getgid();
	int fd;

	if (unshare(uid ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS))
		return false;
	if (uid) {
		fd = open("/proc/self/setgroups", O_WRONLY);
		if (fd < 0 || write(fd, "deny", 4) != 4)
			return false;
		close(fd);
		snprintf(map, sizeof(map), "0 %u 1", uid);
		fd = open("/proc/self/uid_map", O_WRONLY);
		if (fd < 0 || write(fd, map, strlen(map)) < 0)
			return false;
		close(fd);
		snprintf(map, sizeof(map), "0 %u 1", gid);
		fd = open("/proc/self/gid_map", O_WRONLY);
		if (fd < 0 || write(fd, map, strlen(map)) < 0)
			return false;
		close(fd);
	}
	return !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* A file system in whose server a number is this file's today and another's
 * tomorrow: files are found by name there, and are the same. */
static void test_fuse(void **state unused_param)
{
	struct hung_file hf;
	struct statx attr;
	struct fs_entry e;
	int fd;

	if (getuid() || !hung_file_start(&hf, 1))
		skip();
	fd = open(hf.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_false(fs_node_has_handles(fd));
	close(fd);
	config.path = hf.dir;
	open_tree_with(&config);
	e = look("disk");
	assert_int_equal(look("disk").nodeid, e.nodeid);
	idle_a_second();
	assert_int_equal(fs_getattr(tree, e.nodeid, 0, &attr), 0);
	assert_int_equal(attr.stx_size, MIB);
	fs_forget(tree, e.nodeid, 2);
	config.path = base;
	open_tree_with(&config);
	hung_file_stop(&hf);
}

static int group(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(test_comes_and_goes),
		FS_TEST(test_not_removed),
		FS_TEST(test_in_use),
		FS_TEST(test_mounted_again),
		FS_TEST(test_pause),
		FS_TEST(test_nested),
		FS_TEST(test_file),
		FS_TEST(test_bind),
		FS_TEST(test_implicit),
		FS_TEST(test_frozen),
		FS_TEST(test_frozen_readonly),
		FS_TEST(test_fuse),
	};

	if (!own_namespace()) {
		printf("# skipped: no mount namespace here\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fs_run_everywhere(group);
}
