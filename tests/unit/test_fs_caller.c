/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Whose things are: callers of a guest, ids that are mapped, a single user. */
#include "tests/unit/fs_fixture.h"

#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#define CALL(u, g) (&(struct fs_call){ .uid = (u), .gid = (g) })

static struct fs_entry create_as(const struct fs_call *call, const char *name,
				 uint32_t mode)
{
	struct fs_make make = make_in(FS_ROOT, name, mode);
	struct fs_entry e = { 0 };
	struct fs_opened o;
	int r = fs_create(tree, call, &make, &e, &o);

	if (r)
		fail_msg("create %s: %s", name, strerror(-r));
	return e;
}

static void assert_owner(const char *name, uint32_t uid, uint32_t gid)
{
	struct stat st;

	assert_int_equal(lstat(at(name), &st), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
}

/* A field of this thread's status. */
static void assert_status(const char *field, const char *want)
{
	char line[256];
	FILE *f = fopen("/proc/thread-self/status", "r");
	bool found = false;

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, field, strlen(field)))
			continue;
		found = true;
		if (!strstr(line, want))
			fail_msg("%s is not %s", line, want);
	}
	assert_true(found);
	fclose(f);
}

static void test_owners(void **state unused_param)
{
	struct fs_make make = make_in(FS_ROOT, "d", 0755);
	struct fs_entry e;

	if (geteuid())
		skip();
	create_as(CALL(1000, 1001), "a", 0644);
	assert_owner("a", 1000, 1001);
	create_as(CALL(0, 0), "b", 0644);
	assert_owner("b", 0, 0);
	create_as(CALL(1000, 1001), "c", 0600);
	assert_owner("c", 1000, 1001);
	assert_int_equal(fs_mkdir(tree, CALL(5, 6), &make, &e), 0);
	assert_owner("d", 5, 6);
	make.name = "l";
	make.target = "x";
	assert_int_equal(fs_symlink(tree, CALL(7, 8), &make, &e), 0);
	assert_owner("l", 7, 8);
	make.name = "p";
	make.mode = S_IFIFO | 0600;
	assert_int_equal(fs_mknod(tree, CALL(9, 10), &make, &e), 0);
	assert_owner("p", 9, 10);
	/* Permissions were checked in the guest: not again here. */
	assert_int_equal(chmod(base, 0700), 0);
	create_as(CALL(1000, 1001), "e", 0);
	assert_owner("e", 1000, 1001);
}

/* A thread that is the pool's is afterwards as it was. */
static void *run_on_pool(void *arg unused_param)
{
	create_as(CALL(1234, 1235), "f", 0666);
	assert_owner("f", 1234, 1235);
	assert_status("Uid:", "0\t0\t0\t0");
	assert_status("Gid:", "0\t0\t0\t0");
	assert_int_equal(umask(022), 022);
	return NULL;
}

static void *run_on_own(void *arg unused_param)
{
	fs_thread_own();
	create_as(CALL(1234, 1235), "g", 0666);
	assert_status("Uid:", "0\t0\t0\t1234");
	create_as(CALL(0, 0), "h", 0666);
	assert_owner("h", 0, 0);
	return NULL;
}

static void test_threads(void **state unused_param)
{
	void *(*const runs[])(void *) = { run_on_pool, run_on_own };
	pthread_t thread;
	struct stat st;

	if (geteuid())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
		assert_int_equal(pthread_create(&thread, NULL, runs[i], NULL),
				 0);
		pthread_join(thread, NULL);
	}
	assert_status("Uid:", "0\t0\t0\t0");
	/* Neither's umask counted, and this thread's is what it was. */
	assert_int_equal(stat(at("f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	assert_int_equal(umask(022), 022);
}

/* CVE-2022-0358: a setgid file of a group that the caller is not in. */
static void test_setgid_directory(void **state unused_param)
{
	struct fs_call call = { .uid = 1000, .gid = 1001 };
	struct fs_entry e;

	if (geteuid())
		skip();
	assert_int_equal(chown(base, 0, 77), 0);
	assert_int_equal(chmod(base, 02777), 0);
	e = create_as(&call, "a", 02755);
	assert_int_equal(e.attr.stx_mode & 07777, 0755);
	assert_int_equal(e.attr.stx_gid, 77);
	/* One who is in it, by the request's one more group. */
	call.has_group = true;
	call.group = 77;
	e = create_as(&call, "b", 02755);
	assert_int_equal(e.attr.stx_mode & 07777, 02755);
	call.has_group = false;
	e = create_as(&call, "c", 02755);
	assert_int_equal(e.attr.stx_mode & 07777, 0755);
	e = create_as(CALL(0, 0), "d", 02755);
	assert_int_equal(e.attr.stx_mode & 07777, 02755);
}

/* setuid and setgid bits go by a write of one who may not keep them. */
static void test_kill_priv(void **state unused_param)
{
	const struct fs_call kill = { .kill_priv = true, .may_wait = true };
	struct fs_setattr cut = { .set = FS_SET_SIZE };
	char text[] = "x";
	struct iovec iov = { text, 1 };
	struct fs_io io = { .iov = &iov, .nr = 1 };
	struct statx attr;

	if (geteuid())
		skip();
	host_write("f", "text");
	cut.nodeid = look("f").nodeid;
	io.fh = guest_open(cut.nodeid, O_RDWR);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(chmod(at("f"), 06755), 0);
		assert_int_equal(fs_write(tree, &as_root, &io), 1);
		assert_int_equal(fs_getattr(tree, cut.nodeid, 0, &attr), 0);
		assert_int_equal(attr.stx_mode & 07777, 06755);
		assert_int_equal(fs_write(tree, &kill, &io), 1);
		assert_int_equal(fs_getattr(tree, cut.nodeid, 0, &attr), 0);
		assert_int_equal(attr.stx_mode & 07777, 0755);
	}
	assert_int_equal(chmod(at("f"), 06755), 0);
	assert_int_equal(fs_setattr(tree, &as_root, &cut, &attr), 0);
	assert_int_equal(attr.stx_mode & 07777, 06755);
	cut.size = 7;
	assert_int_equal(fs_setattr(tree, &kill, &cut, &attr), 0);
	assert_int_equal(attr.stx_mode & 07777, 0755);
}

static void test_maps(void **state unused_param)
{
	static const struct fs_id_range uids[] = { { 0, 100000, 1000 },
						   { 5000, 7, 1 } };
	static const struct fs_id_range gids[] = { { 0, 200000, 1000 } };
	struct fs_setattr set = { .set = FS_SET_UID | FS_SET_GID };
	struct fs_make make = make_in(FS_ROOT, "x", 0644);
	struct fs_opened o;
	struct statx attr;
	struct fs_entry e;

	if (geteuid())
		skip();
	config.uids = (struct fs_id_map){ uids, 2 };
	config.gids = (struct fs_id_map){ gids, 1 };
	for (unsigned int i = 0; i < 2; i++) {
		open_tree_with(&config);
		e = create_as(CALL(0, 999), "a", 0644);
		assert_owner("a", 100000, 200999);
		assert_int_equal(e.attr.stx_uid, 0);
		assert_int_equal(e.attr.stx_gid, 999);
		create_as(CALL(5000, 0), "b", 0644);
		assert_owner("b", 7, 200000);
		assert_int_equal(fs_create(tree, CALL(1000, 0), &make, &e, &o),
				 -EPERM);
		assert_int_equal(fs_create(tree, CALL(0, 5000), &make, &e, &o),
				 -EPERM);
		host_write("h", "");
		assert_int_equal(look("h").attr.stx_uid, 65534);
		set.nodeid = look("a").nodeid;
		set.uid = 5;
		set.gid = 6;
		assert_int_equal(fs_setattr(tree, &as_root, &set, &attr), 0);
		assert_int_equal(attr.stx_uid, 5);
		assert_owner("a", 100005, 200006);
		set.uid = 1000;
		assert_int_equal(fs_setattr(tree, &as_root, &set, &attr),
				 -EPERM);
		assert_owner("a", 100005, 200006);
		/* The kernel's own way, where it will, does the same. */
		config.frozen = true;
		fs_tree_close(tree);
		tree = NULL;
		remove_base();
		assert_int_equal(mkdir(base, 0777), 0);
		/* Who owns the directory must be somebody there. */
		assert_int_equal(chown(base, 100000, 200000), 0);
	}
	open_tree_with(&config);
}

static void assert_refused(const char *word)
{
	struct error err = { "" };

	fs_tree_close(tree);
	assert_int_equal(fs_tree_open(&tree, &config, &err), -EINVAL);
	assert_null(tree);
	if (!strstr(err.msg, word))
		fail_msg("%s", err.msg);
}

static void test_bad_maps(void **state unused_param)
{
	struct fs_id_range r[2] = { { 0, 100000, 0 }, { 5, 0, 1 } };

	config.uids = (struct fs_id_map){ r, 1 };
	assert_refused("uidmap=0:100000:0");
	r[0].count = UINT32_MAX;
	assert_refused("uidmap=0:100000:4294967295");
	r[0].count = 10;
	config.uids.nr = 2;
	assert_refused("uidmap=5:0:1");
	r[1] = (struct fs_id_range){ 10, 100009, 1 };
	assert_refused("uidmap=10:100009:1");
	config.gids = config.uids;
	config.uids.nr = 0;
	assert_refused("gidmap=10:100009:1");
	config.gids.nr = 1;
	config.posix_acl = true;
	assert_refused("posix_acl");
	config = (struct fs_tree_config){ .path = base };
	open_tree_with(&config);
}

/* One who cannot act for others is the guest's root, and there is nobody else. */
static void test_single_user(void **state unused_param)
{
	struct fs_make make = make_in(FS_ROOT, "x", 0644);
	struct fs_setattr set = { .set = FS_SET_UID };
	struct fs_opened o;
	struct statx attr;
	struct fs_entry e;

	if (!geteuid())
		skip();
	e = create_as(CALL(0, 0), "a", 0666);
	assert_owner("a", geteuid(), getegid());
	assert_int_equal(e.attr.stx_uid, 0);
	assert_int_equal(e.attr.stx_gid, 0);
	assert_int_equal(e.attr.stx_mode & 07777, 0666);
	assert_int_equal(umask(022), 022);
	assert_int_equal(fs_create(tree, CALL(1, 0), &make, &e, &o), -EPERM);
	assert_int_equal(fs_create(tree, CALL(0, 1), &make, &e, &o), -EPERM);
	set.nodeid = look("a").nodeid;
	assert_int_equal(fs_setattr(tree, &as_root, &set, &attr), 0);
	set.uid = 1;
	assert_int_equal(fs_setattr(tree, &as_root, &set, &attr), -EPERM);
}

/* A thread that may not keep its rights while it acts for a user has them again
 * afterwards. */
static void *run_without_setpcap(void *arg unused_param)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	struct fs_entry d = look("d");

	syscall(SYS_capget, &h, data);
	data[0].effective &= ~(1u << CAP_SETPCAP);
	data[0].permitted &= ~(1u << CAP_SETPCAP);
	syscall(SYS_capset, &h, data);
	fs_thread_own();
	create_as(CALL(1000, 1000), "users", 0644);
	look_in(d.nodeid, "f");
	create_as(CALL(0, 0), "roots", 0644);
	return NULL;
}

static void test_no_setpcap(void **state unused_param)
{
	pthread_t thread;

	if (geteuid())
		skip();
	assert_int_equal(chmod(base, 0777), 0);
	assert_int_equal(mkdir(at("d"), 0700), 0);
	host_write("d/f", "");
	/* Not even root's by its owner. */
	assert_int_equal(chown(at("d"), 1234, 1234), 0);
	assert_int_equal(
		pthread_create(&thread, NULL, run_without_setpcap, NULL), 0);
	pthread_join(thread, NULL);
	assert_owner("users", 1000, 1000);
	assert_owner("roots", 0, 0);
}

static void write_proc(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* In a user namespace that a user has made, groups cannot be set. */
static void test_user_namespace(void **state unused_param)
{
	char map[32];
	pid_t child;
	int status;

	if (!geteuid())
		skip();
	snprintf(map, sizeof(map), "0 %u 1", geteuid());
	fs_tree_close(tree);
	child = fork();
	if (!child) {
		if (unshare(CLONE_NEWUSER))
			_exit(0); /* nor may anybody make one here */
		write_proc("/proc/self/setgroups", "deny");
		write_proc("/proc/self/uid_map", map);
		write_proc("/proc/self/gid_map", map);
		tree = NULL;
		open_tree_with(&config);
		create_as(&(struct fs_call){ .has_group = true }, "f", 0644);
		fs_tree_close(tree);
		_exit(0);
	}
	tree = NULL;
	open_tree_with(&config);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static int group(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(test_owners),
		FS_TEST(test_threads),
		FS_TEST(test_setgid_directory),
		FS_TEST(test_kill_priv),
		FS_TEST(test_maps),
		FS_TEST(test_bad_maps),
		FS_TEST(test_single_user),
		FS_TEST(test_no_setpcap),
		FS_TEST(test_user_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fs_run_everywhere(group);
}
