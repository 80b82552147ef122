/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Extended attributes of a shared directory: which the host keeps by what name. */
#include "tests/unit/fs_fixture.h"

#include <linux/capability.h>
#include <linux/posix_acl_xattr.h>
#include <sys/xattr.h>

/* Does the file system keep user.* at all? That of tmpfs is newer than some. */
static bool has_user_xattrs(void)
{
	host_write("probe", "");
	return !setxattr(at("probe"), "user.probe", "", 0, 0);
}

static void with_xattr(enum fs_xattr xattr)
{
	config.xattr = xattr;
	open_tree_with(&config);
}

static int set_text(uint64_t nodeid, const char *name, const char *text)
{
	struct fs_setxattr set = { .nodeid = nodeid,
				   .name = name,
				   .value = text,
				   .size = strlen(text) };

	return fs_setxattr(tree, &set);
}

static void assert_text(uint64_t nodeid, const char *name, const char *text)
{
	char buf[64] = "";

	assert_int_equal(fs_getxattr(tree, nodeid, name, NULL, 0),
			 strlen(text));
	assert_int_equal(fs_getxattr(tree, nodeid, name, buf, sizeof(buf)),
			 strlen(text));
	assert_string_equal(buf, text);
}

/* Is a name in the guest's list? */
static bool is_listed(uint64_t nodeid, const char *name)
{
	char list[1024];
	ssize_t n = fs_listxattr(tree, nodeid, list, sizeof(list));

	assert_true(n >= 0);
	assert_int_equal(fs_listxattr(tree, nodeid, NULL, 0), n);
	for (char *p = list; p < list + n; p += strlen(p) + 1)
		if (!strcmp(p, name))
			return true;
	return false;
}

static void test_off(void **state unused_param)
{
	char buf[8];

	assert_int_equal(set_text(FS_ROOT, "user.a", "x"), -EOPNOTSUPP);
	assert_int_equal(fs_getxattr(tree, FS_ROOT, "user.a", buf, 8),
			 -EOPNOTSUPP);
	assert_int_equal(fs_listxattr(tree, FS_ROOT, buf, 8), -EOPNOTSUPP);
	assert_int_equal(fs_removexattr(tree, FS_ROOT, "user.a"), -EOPNOTSUPP);
}

static void test_user(void **state unused_param)
{
	struct fs_entry e;
	char buf[2];

	if (!has_user_xattrs())
		skip();
	with_xattr(FS_XATTR_ON);
	host_write("f", "");
	e = look("f");
	assert_int_equal(set_text(e.nodeid, "user.a", "value"), 0);
	assert_text(e.nodeid, "user.a", "value");
	assert_int_equal(fs_getxattr(tree, e.nodeid, "user.a", buf, 2),
			 -ERANGE);
	assert_true(is_listed(e.nodeid, "user.a"));
	assert_int_equal(fs_listxattr(tree, e.nodeid, buf, 2), -ERANGE);
	assert_int_equal(fs_removexattr(tree, e.nodeid, "user.a"), 0);
	assert_int_equal(fs_removexattr(tree, e.nodeid, "user.a"), -ENODATA);
	assert_false(is_listed(e.nodeid, "user.a"));
	/* The root, whose descriptor is another kind. */
	assert_int_equal(set_text(FS_ROOT, "user.r", "r"), 0);
	assert_text(FS_ROOT, "user.r", "r");
}

/* The host's overlayfs must not believe what a guest writes. */
static void test_trusted(void **state unused_param)
{
	const char *name = "trusted.overlay.redirect";
	char host[64] = "";
	struct fs_entry e;

	if (!has_user_xattrs())
		skip();
	with_xattr(FS_XATTR_ON);
	host_write("f", "");
	e = look("f");
	assert_int_equal(set_text(e.nodeid, name, "/etc"), 0);
	assert_text(e.nodeid, name, "/etc");
	assert_true(is_listed(e.nodeid, name));
	assert_true(getxattr(at("f"), name, host, sizeof(host)) < 0);
	assert_int_equal(getxattr(at("f"), "user.vmm.trusted.overlay.redirect",
				  host, sizeof(host)),
			 4);
	/* By its other name it is not there. */
	assert_false(is_listed(e.nodeid, "user.vmm.trusted.overlay.redirect"));
	assert_int_equal(fs_getxattr(tree, e.nodeid,
				     "user.vmm.trusted.overlay.redirect", host,
				     sizeof(host)),
			 -ENODATA);
	assert_int_equal(set_text(e.nodeid, "user.vmm.trusted.x", "y"), -EPERM);
	assert_int_equal(set_text(e.nodeid, "user.vmm.x", "y"), -EPERM);
	assert_int_equal(fs_removexattr(tree, e.nodeid,
					"user.vmm.trusted.overlay.redirect"),
			 -ENODATA);
	/* What the host has itself is the host's. */
	if (!geteuid()) {
		assert_int_equal(setxattr(at("f"), "trusted.own", "h", 1, 0),
				 0);
		assert_false(is_listed(e.nodeid, "trusted.own"));
		assert_int_equal(fs_getxattr(tree, e.nodeid, "trusted.own",
					     host, sizeof(host)),
				 -ENODATA);
	}
	assert_int_equal(fs_removexattr(tree, e.nodeid, name), 0);
	assert_false(is_listed(e.nodeid, name));
}

static void test_where_it_cannot_be(void **state unused_param)
{
	char name[300] = "trusted.";

	if (!has_user_xattrs())
		skip();
	with_xattr(FS_XATTR_ON);
	assert_int_equal(symlink("x", at("link")), 0);
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	assert_int_equal(set_text(look("link").nodeid, "trusted.a", "b"),
			 -EOPNOTSUPP);
	assert_int_equal(set_text(look("fifo").nodeid, "trusted.a", "b"),
			 -EOPNOTSUPP);
	memset(name + 8, 'n', 240);
	assert_int_equal(set_text(FS_ROOT, name, "b"), -EOPNOTSUPP);
	memset(name + 8, 'n', 260);
	assert_int_equal(set_text(FS_ROOT, name, "b"), -ERANGE);
	assert_int_equal(set_text(FS_ROOT, "", "b"), -ERANGE);
	assert_int_equal(set_text(FS_ROOT, "system.nfs4_acl", "b"),
			 -EOPNOTSUPP);
	assert_int_equal(set_text(FS_ROOT, "system.posix_acl_access", "b"),
			 -EOPNOTSUPP);
	assert_int_equal(set_text(FS_ROOT, "other.x", "b"), -EOPNOTSUPP);
}

/* A capability that the host does not know goes as one that it knows would. */
static void test_mapped_caps(void **state unused_param)
{
	const char *caps = "security.capability";
	struct fs_setattr chown_it = { .set = FS_SET_UID };
	struct fs_setattr cut = { .set = FS_SET_SIZE };
	struct statx attr;
	struct fs_entry e;
	char buf[64];
	uint64_t fh;

	if (!has_user_xattrs())
		skip();
	with_xattr(FS_XATTR_MAP);
	host_write("f", "text");
	e = look("f");
	chown_it.nodeid = e.nodeid;
	cut.nodeid = e.nodeid;
	assert_int_equal(set_text(e.nodeid, caps, "caps"), 0);
	assert_text(e.nodeid, caps, "caps");
	assert_true(getxattr(at("f"), caps, buf, sizeof(buf)) < 0);
	fh = guest_open(e.nodeid, O_RDWR);
	assert_int_equal(guest_write(fh, "x"), 1);
	assert_int_equal(fs_getxattr(tree, e.nodeid, caps, buf, 64), -ENODATA);
	assert_int_equal(set_text(e.nodeid, caps, "caps"), 0);
	assert_int_equal(guest_write(fh, "x"), 1);
	assert_int_equal(fs_getxattr(tree, e.nodeid, caps, buf, 64), -ENODATA);
	assert_int_equal(set_text(e.nodeid, caps, "caps"), 0);
	assert_int_equal(fs_setattr(tree, &as_root, &cut, &attr), 0);
	assert_int_equal(fs_getxattr(tree, e.nodeid, caps, buf, 64), -ENODATA);
	assert_int_equal(set_text(e.nodeid, caps, "caps"), 0);
	assert_int_equal(fs_setattr(tree, &as_root, &chown_it, &attr), 0);
	assert_int_equal(fs_getxattr(tree, e.nodeid, caps, buf, 64), -ENODATA);
	assert_int_equal(set_text(e.nodeid, caps, "caps"), 0);
	guest_open(e.nodeid, O_RDWR);
	assert_text(e.nodeid, caps, "caps");
	guest_write(guest_open(e.nodeid, O_RDWR), "text");
	assert_int_equal(set_text(e.nodeid, caps, "caps"), 0);
	guest_open(e.nodeid, O_RDWR | O_TRUNC);
	assert_int_equal(fs_getxattr(tree, e.nodeid, caps, buf, 64), -ENODATA);
}

/* Without a map the real one is what counts, and the kernel drops it. */
static void test_real_caps(void **state unused_param)
{
	struct vfs_cap_data cap = { .magic_etc = VFS_CAP_REVISION_2 };
	struct fs_setxattr set = { .name = "security.capability",
				   .value = &cap,
				   .size = sizeof(cap) };
	struct fs_entry e;
	char buf[64];

	if (geteuid())
		skip();
	with_xattr(FS_XATTR_ON);
	host_write("f", "text");
	e = look("f");
	set.nodeid = e.nodeid;
	cap.data[0].permitted = 1;
	assert_int_equal(fs_setxattr(tree, &set), 0);
	assert_int_equal(getxattr(at("f"), set.name, buf, sizeof(buf)),
			 sizeof(cap));
	assert_true(is_listed(e.nodeid, set.name));
	assert_int_equal(guest_write(guest_open(e.nodeid, O_RDWR), "x"), 1);
	assert_int_equal(fs_getxattr(tree, e.nodeid, set.name, buf, 64),
			 -ENODATA);
}

/* user::rwx group::r-x mask::rwx other::--- and another user. */
static const struct {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entry[5];
} acl = {
	.header.a_version = POSIX_ACL_XATTR_VERSION,
	.entry = {
		{ 0x01, 6, UINT32_MAX },
		{ 0x02, 7, 1234 },
		{ 0x04, 4, UINT32_MAX },
		{ 0x10, 6, UINT32_MAX },
		{ 0x20, 0, UINT32_MAX },
	},
};

static void test_acl(void **state unused_param)
{
	struct fs_setxattr set = { .name = "system.posix_acl_access",
				   .value = &acl,
				   .size = sizeof(acl) };
	struct statx attr;
	char buf[128];

	config.posix_acl = true;
	if (geteuid()) {
		struct error err = { "" };

		fs_tree_close(tree);
		assert_int_equal(fs_tree_open(&tree, &config, &err), -EINVAL);
		assert_non_null(strstr(err.msg, "posix_acl"));
		config.posix_acl = false;
		open_tree_with(&config);
		return;
	}
	with_xattr(FS_XATTR_ON);
	host_write("f", "text");
	assert_int_equal(chmod(at("f"), 02755), 0);
	set.nodeid = look("f").nodeid;
	assert_int_equal(fs_setxattr(tree, &set), 0);
	assert_int_equal(fs_getattr(tree, set.nodeid, 0, &attr), 0);
	assert_int_equal(attr.stx_mode & 07777, 02660);
	set.kill_sgid = true;
	assert_int_equal(fs_setxattr(tree, &set), 0);
	assert_int_equal(fs_getattr(tree, set.nodeid, 0, &attr), 0);
	assert_int_equal(attr.stx_mode & 07777, 0660);
	assert_int_equal(
		fs_getxattr(tree, set.nodeid, set.name, buf, sizeof(buf)),
		sizeof(acl));
	assert_memory_equal(buf, &acl, sizeof(acl));
	assert_true(is_listed(set.nodeid, set.name));
}

/* A default ACL counts in the place of the caller's umask. */
static void test_default_acl(void **state unused_param)
{
	struct fs_setxattr set = { .nodeid = FS_ROOT,
				   .name = "system.posix_acl_default",
				   .value = &acl,
				   .size = sizeof(acl) };
	const struct fs_call call = { .umask = 077 };
	struct fs_make make = make_in(FS_ROOT, "a", 0666);
	struct fs_opened o;
	struct fs_entry e;

	if (geteuid())
		skip();
	config.posix_acl = true;
	with_xattr(FS_XATTR_OFF);
	assert_int_equal(fs_create(tree, &call, &make, &e, &o), 0);
	assert_int_equal(e.attr.stx_mode & 07777, 0600);
	assert_int_equal(fs_setxattr(tree, &set), 0);
	make.name = "b";
	assert_int_equal(fs_create(tree, &call, &make, &e, &o), 0);
	assert_int_equal(e.attr.stx_mode & 07777, 0660);
}

static int group(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(test_off),	   FS_TEST(test_user),
		FS_TEST(test_trusted),	   FS_TEST(test_where_it_cannot_be),
		FS_TEST(test_mapped_caps), FS_TEST(test_real_caps),
		FS_TEST(test_acl),	   FS_TEST(test_default_acl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fs_run_everywhere(group);
}
