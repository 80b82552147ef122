/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* A shared directory, as a guest uses it: names, files, directories. */
#include "tests/unit/fs_fixture.h"

#include <linux/fs.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "devices/backend/fs_tree.h"

/* ---- finding ---- */

static void test_lookup(void **state unused_param)
{
	struct fs_entry e, again;
	struct statx attr;

	host_write("file", "hello");
	assert_int_equal(fs_lookup(tree, FS_ROOT, "absent", &e), -ENOENT);
	e = look("file");
	assert_int_equal(e.attr.stx_size, 5);
	assert_true(S_ISREG(e.attr.stx_mode));
	assert_false(e.submount);
	again = look("file");
	assert_int_equal(again.nodeid, e.nodeid);
	assert_int_equal(fs_getattr(tree, e.nodeid, 0, &attr), 0);
	assert_int_equal(attr.stx_ino, e.attr.stx_ino);
	/* Known twice: the number is good until it was forgotten twice. */
	fs_forget(tree, e.nodeid, 1);
	assert_int_equal(fs_getattr(tree, e.nodeid, 0, &attr), 0);
	fs_forget(tree, e.nodeid, 1);
	assert_int_equal(fs_getattr(tree, e.nodeid, 0, &attr), -ESTALE);
	fs_forget(tree, e.nodeid, 1);
	again = look("file");
	assert_int_not_equal(again.nodeid, e.nodeid);
	assert_int_equal(fs_getattr(tree, e.nodeid, 0, &attr), -ESTALE);
}

static void test_root(void **state unused_param)
{
	struct statx attr;

	assert_int_equal(fs_getattr(tree, FS_ROOT, 0, &attr), 0);
	assert_true(S_ISDIR(attr.stx_mode));
	fs_forget(tree, FS_ROOT, 5);
	assert_int_equal(fs_getattr(tree, FS_ROOT, 0, &attr), 0);
}

static void test_no_such_number(void **state unused_param)
{
	static const uint64_t numbers[] = {
		0,	    2,	     UINT32_MAX, UINT64_MAX, 1ull << 32 | 1,
		1ull << 63, 1 << 24,
	};
	struct fs_opened o;
	struct statx attr;
	struct fs_entry e;
	char buf[8];

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t n = numbers[i];

		fs_forget(tree, n, 1);
		assert_int_equal(fs_getattr(tree, n, 0, &attr), -ESTALE);
		assert_int_equal(fs_lookup(tree, n, "x", &e), -ESTALE);
		assert_int_equal(fs_open(tree, &as_root, n, O_RDONLY, &o),
				 -ESTALE);
		assert_int_equal(fs_opendir(tree, n, &o), -ESTALE);
		assert_int_equal(fs_release(tree, n), -EBADF);
		assert_int_equal(guest_read(n, buf, sizeof(buf)), -EBADF);
	}
}

/* No name leads anywhere but to an entry of its directory. */
static void test_names(void **state unused_param)
{
	char long_name[NAME_MAX + 2];
	const char *names[] = { "",   ".",    "..",   "/",	"a/b",
				"/a", "../x", "dir/", long_name };
	struct fs_opened o;
	struct fs_entry e;

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *n = names[i];
		int want = n == long_name ? -ENAMETOOLONG : -EINVAL;
		struct fs_make make = make_in(FS_ROOT, n, S_IFREG | 0644);
		struct fs_rename from = { FS_ROOT, n, FS_ROOT, "y", 0 };
		struct fs_rename to = { FS_ROOT, "y", FS_ROOT, n, 0 };

		make.target = "t";
		assert_int_equal(fs_lookup(tree, FS_ROOT, n, &e), want);
		assert_int_equal(fs_mkdir(tree, &as_root, &make, &e), want);
		assert_int_equal(fs_mknod(tree, &as_root, &make, &e), want);
		assert_int_equal(fs_symlink(tree, &as_root, &make, &e), want);
		assert_int_equal(fs_create(tree, &as_root, &make, &e, &o),
				 want);
		assert_int_equal(fs_link(tree, FS_ROOT, FS_ROOT, n, &e), want);
		assert_int_equal(fs_unlink(tree, &as_root, FS_ROOT, n), want);
		assert_int_equal(fs_rmdir(tree, FS_ROOT, n), want);
		assert_int_equal(fs_rename(tree, &as_root, &from), want);
		assert_int_equal(fs_rename(tree, &as_root, &to), want);
	}
}

static void test_host_replaces(void **state unused_param)
{
	struct fs_entry old, new;
	struct statx attr;

	host_write("file", "one");
	old = look("file");
	host_write("other", "three");
	assert_int_equal(rename(at("other"), at("file")), 0);
	new = look("file");
	assert_int_not_equal(new.nodeid, old.nodeid);
	assert_int_equal(new.attr.stx_size, 5);
	/* The old one is gone, or still there by a descriptor. */
	if (!fs_getattr(tree, old.nodeid, 0, &attr))
		assert_int_equal(attr.stx_size, 3);
}

/* ---- files ---- */

static void test_create_write_read(void **state unused_param)
{
	struct fs_make make = make_in(FS_ROOT, "new", 0640);
	struct fs_opened o;
	struct fs_entry e;
	char buf[16];

	assert_int_equal(fs_create(tree, &as_root, &make, &e, &o), 0);
	assert_int_equal(e.attr.stx_mode, S_IFREG | 0640);
	assert_int_equal(guest_write(o.fh, "hello"), 5);
	assert_int_equal(guest_read(o.fh, buf, sizeof(buf)), 5);
	assert_string_equal(buf, "hello");
	assert_int_equal(look("new").nodeid, e.nodeid);
	assert_int_equal(fs_release(tree, o.fh), 0);
	assert_int_equal(fs_release(tree, o.fh), -EBADF);
	assert_int_equal(guest_read(o.fh, buf, sizeof(buf)), -EBADF);
	/* It is there: opened, or refused. */
	make.flags = O_RDWR | O_EXCL;
	assert_int_equal(fs_create(tree, &as_root, &make, &e, &o), -EEXIST);
	make.flags = O_RDWR | O_TRUNC;
	assert_int_equal(fs_create(tree, &as_root, &make, &e, &o), 0);
	assert_int_equal(guest_read(o.fh, buf, sizeof(buf)), 0);
}

static void test_append(void **state unused_param)
{
	char text[] = "two";
	struct iovec iov = { text, 3 };
	struct fs_io io = { .iov = &iov, .nr = 1, .append = true };
	char buf[16];

	host_write("file", "one");
	io.fh = guest_open(look("file").nodeid, O_RDWR | O_APPEND);
	assert_int_equal(fs_write(tree, &as_root, &io), 3);
	assert_int_equal(guest_read(io.fh, buf, sizeof(buf)), 6);
	assert_string_equal(buf, "onetwo");
}

/* Only regular files and directories are opened. */
static void test_special_files(void **state unused_param)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct fs_make make;
	struct fs_opened o;
	struct fs_entry e;
	int fd;

	assert_int_equal(mkfifo(at("fifo"), 0644), 0);
	assert_int_equal(symlink("/etc/passwd", at("link")), 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", at("socket"));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (const void *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(
		fs_open(tree, &as_root, look("fifo").nodeid, O_RDWR, &o),
		-EACCES);
	assert_int_equal(
		fs_open(tree, &as_root, look("socket").nodeid, O_RDWR, &o),
		-EACCES);
	assert_int_equal(
		fs_open(tree, &as_root, look("link").nodeid, O_RDONLY, &o),
		-ELOOP);
	assert_int_equal(fs_opendir(tree, look("link").nodeid, &o), -ENOTDIR);
	make = make_in(FS_ROOT, "fifo", 0644);
	assert_int_equal(fs_create(tree, &as_root, &make, &e, &o), -EACCES);
	make = make_in(FS_ROOT, "link", 0644);
	assert_int_equal(fs_create(tree, &as_root, &make, &e, &o), -ELOOP);
	assert_int_equal(fs_lookup(tree, look("link").nodeid, "x", &e),
			 -ENOTDIR);
}

/* A name was looked at twice, and another inode had taken its place and number
 * in between: what is in the table as a regular file is a FIFO by its handle. */
static void test_handle_of_other(void **state unused_param)
{
	struct {
		struct file_handle fh;
		char room[MAX_HANDLE_SZ];
	} h = { .fh = { .handle_bytes = MAX_HANDLE_SZ } };
	struct fs_identity id = { .type = S_IFREG >> 12 };
	struct fs_inode *inode;
	struct fs_opened o;
	struct statx stx;
	uint64_t nodeid;
	int mount;

	if (!tree->mounts.mount[0].handles)
		skip();
	assert_int_equal(mkfifo(at("fifo"), 0644), 0);
	assert_int_equal(fs_stat(AT_FDCWD, at("fifo"), &stx), 0);
	assert_int_equal(
		name_to_handle_at(AT_FDCWD, at("fifo"), &h.fh, &mount, 0), 0);
	id.ino = stx.stx_ino;
	id.handle_type = (uint8_t)h.fh.handle_type;
	id.handle_len = (uint8_t)h.fh.handle_bytes;
	id.handle = h.fh.f_handle;
	id.parent = FS_ROOT;
	assert_int_equal(fs_table_add(tree, &id, &inode), 0);
	nodeid = fs_inode_id(tree, inode);
	fs_inode_put(tree, inode);
	assert_int_equal(fs_open(tree, &as_root, nodeid, O_RDWR, &o), -ESTALE);
	assert_int_equal(fs_getattr(tree, nodeid, 0, &stx), -ESTALE);
	assert_int_equal(fs_open(tree, &as_root, nodeid, O_RDWR, &o), -ESTALE);
	fs_forget(tree, nodeid, 1);
}

static void test_readlink(void **state unused_param)
{
	struct fs_make make = make_in(FS_ROOT, "link", 0);
	struct fs_entry e;
	char buf[16];

	make.target = "some/where";
	assert_int_equal(fs_symlink(tree, &as_root, &make, &e), 0);
	assert_true(S_ISLNK(e.attr.stx_mode));
	assert_int_equal(fs_readlink(tree, e.nodeid, buf, sizeof(buf)), 10);
	assert_memory_equal(buf, "some/where", 10);
	assert_int_equal(fs_readlink(tree, FS_ROOT, buf, sizeof(buf)), -EINVAL);
}

static void test_mknod(void **state unused_param)
{
	struct fs_make make = make_in(FS_ROOT, "p", S_IFIFO | 0600);
	struct fs_entry e;

	assert_int_equal(fs_mknod(tree, &as_root, &make, &e), 0);
	assert_true(S_ISFIFO(e.attr.stx_mode));
	/* A whiteout, which needs no right. */
	make = make_in(FS_ROOT, "w", S_IFCHR | 0600);
	assert_int_equal(fs_mknod(tree, &as_root, &make, &e), 0);
	assert_true(S_ISCHR(e.attr.stx_mode));
	assert_int_equal(e.attr.stx_rdev_minor, 0);
	if (geteuid())
		return;
	make = make_in(FS_ROOT, "d", S_IFBLK | 0600);
	make.rdev = (0x5u << 20) | (0x12u << 8) | 0x67;
	assert_int_equal(fs_mknod(tree, &as_root, &make, &e), 0);
	assert_int_equal(e.attr.stx_rdev_major, 0x12);
	assert_int_equal(e.attr.stx_rdev_minor, 0x567);
}

/* ---- names that go ---- */

static void test_unlink_known(void **state unused_param)
{
	struct fs_entry e;
	struct statx attr;
	uint64_t fh;
	char buf[8];

	host_write("file", "text");
	e = look("file");
	assert_int_equal(fs_unlink(tree, &as_root, FS_ROOT, "file"), 0);
	assert_false(host_has("file"));
	/* The guest knows it: it is there, and can still be opened. */
	assert_int_equal(fs_getattr(tree, e.nodeid, 0, &attr), 0);
	assert_int_equal(attr.stx_nlink, 0);
	fh = guest_open(e.nodeid, O_RDONLY);
	assert_int_equal(guest_read(fh, buf, sizeof(buf)), 4);
	fs_forget(tree, e.nodeid, 1);
	/* By the file as long as that is open. */
	assert_int_equal(fs_getattr(tree, 0, fh, &attr), 0);
	assert_int_equal(fs_release(tree, fh), 0);
	assert_int_equal(fs_getattr(tree, e.nodeid, 0, &attr), -ESTALE);
}

static void test_rename_over_known(void **state unused_param)
{
	struct fs_rename r = { FS_ROOT, "new", FS_ROOT, "old", 0 };
	struct fs_entry old, new;
	struct statx attr;

	host_write("old", "old");
	host_write("new", "newer");
	old = look("old");
	new = look("new");
	assert_int_equal(fs_rename(tree, &as_root, &r), 0);
	assert_int_equal(fs_getattr(tree, old.nodeid, 0, &attr), 0);
	assert_int_equal(attr.stx_size, 3);
	assert_int_equal(fs_getattr(tree, new.nodeid, 0, &attr), 0);
	assert_int_equal(attr.stx_size, 5);
	assert_int_equal(look("old").nodeid, new.nodeid);
}

static void test_rename_flags(void **state unused_param)
{
	struct fs_rename r = { FS_ROOT, "a", FS_ROOT, "b", 0 };
	struct fs_entry a, b, w;

	host_write("a", "a");
	host_write("b", "bb");
	a = look("a");
	b = look("b");
	r.flags = RENAME_NOREPLACE;
	assert_int_equal(fs_rename(tree, &as_root, &r), -EEXIST);
	r.flags = RENAME_EXCHANGE;
	assert_int_equal(fs_rename(tree, &as_root, &r), 0);
	assert_int_equal(look("a").nodeid, b.nodeid);
	assert_int_equal(look("b").nodeid, a.nodeid);
	r.flags = RENAME_WHITEOUT;
	r.to_name = "c";
	assert_int_equal(fs_rename(tree, &as_root, &r), 0);
	w = look("a");
	assert_true(S_ISCHR(w.attr.stx_mode));
	r.flags = 1 << 10;
	assert_int_equal(fs_rename(tree, &as_root, &r), -EINVAL);
}

static void test_directories(void **state unused_param)
{
	struct fs_make make = make_in(FS_ROOT, "d", 0750);
	struct fs_rename r = { FS_ROOT, "d", FS_ROOT, "e", 0 };
	struct fs_entry d, f;
	struct fs_opened o;
	struct statx attr;

	assert_int_equal(fs_mkdir(tree, &as_root, &make, &d), 0);
	assert_int_equal(d.attr.stx_mode, S_IFDIR | 0750);
	make = make_in(d.nodeid, "f", 0644);
	assert_int_equal(fs_create(tree, &as_root, &make, &f, &o), 0);
	assert_int_equal(fs_release(tree, o.fh), 0);
	assert_int_equal(fs_rmdir(tree, FS_ROOT, "d"), -ENOTEMPTY);
	assert_int_equal(fs_unlink(tree, &as_root, FS_ROOT, "d"), -EISDIR);
	assert_int_equal(fs_rename(tree, &as_root, &r), 0);
	assert_int_equal(look_in(d.nodeid, "f").nodeid, f.nodeid);
	assert_int_equal(fs_getattr(tree, f.nodeid, 0, &attr), 0);
	assert_int_equal(fs_unlink(tree, &as_root, d.nodeid, "f"), 0);
	assert_int_equal(fs_rmdir(tree, FS_ROOT, "e"), 0);
	assert_int_equal(fs_getattr(tree, d.nodeid, 0, &attr), 0);
	make = make_in(d.nodeid, "x", 0644);
	assert_int_equal(fs_create(tree, &as_root, &make, &f, &o), -ENOENT);
}

static void test_link(void **state unused_param)
{
	struct fs_entry e, l;

	host_write("file", "x");
	assert_int_equal(symlink("nowhere", at("sym")), 0);
	e = look("file");
	assert_int_equal(fs_link(tree, e.nodeid, FS_ROOT, "more", &l), 0);
	assert_int_equal(l.nodeid, e.nodeid);
	assert_int_equal(l.attr.stx_nlink, 2);
	e = look("sym");
	assert_int_equal(fs_link(tree, e.nodeid, FS_ROOT, "sym2", &l), 0);
	assert_int_equal(l.nodeid, e.nodeid);
	assert_int_equal(fs_link(tree, FS_ROOT, FS_ROOT, "root", &l), -EPERM);
}

static void test_tmpfile(void **state unused_param)
{
	struct fs_make make = make_in(FS_ROOT, NULL, 0600);
	struct fs_entry e, l;
	struct fs_opened o;
	struct statx attr;

	assert_int_equal(fs_tmpfile(tree, &as_root, &make, &e, &o), 0);
	assert_int_equal(guest_write(o.fh, "abc"), 3);
	assert_int_equal(fs_getattr(tree, e.nodeid, 0, &attr), 0);
	assert_int_equal(attr.stx_nlink, 0);
	assert_int_equal(fs_link(tree, e.nodeid, FS_ROOT, "named", &l), 0);
	assert_int_equal(l.nodeid, e.nodeid);
	assert_int_equal(l.attr.stx_size, 3);
	make.flags = O_RDONLY;
	assert_int_equal(fs_tmpfile(tree, &as_root, &make, &e, &o), -EINVAL);
}

/* ---- reading directories ---- */

struct listing {
	struct fs_reader reader;
	unsigned int room; /* entries that fit */
	unsigned int nr;
	uint64_t off;
	char names[64][16];
	uint64_t nodeid[64];
};

static bool listing_fits(struct fs_reader *reader, size_t len unused_param)
{
	struct listing *l = container_of(reader, struct listing, reader);

	return l->room > 0;
}

static void listing_add(struct fs_reader *reader, const struct fs_dirent *d,
			const struct fs_entry *entry)
{
	struct listing *l = container_of(reader, struct listing, reader);

	assert_true(l->nr < 64);
	assert_int_equal(d->len, strlen(d->name));
	snprintf(l->names[l->nr], sizeof(l->names[0]), "%s", d->name);
	l->nodeid[l->nr++] = entry ? entry->nodeid : 0;
	l->off = d->off;
	l->room--;
}

static bool listed(const struct listing *l, const char *name, uint64_t *nodeid)
{
	bool found = false;

	for (unsigned int i = 0; i < l->nr; i++) {
		if (strcmp(l->names[i], name))
			continue;
		assert_false(found);
		found = true;
		if (nodeid)
			*nodeid = l->nodeid[i];
	}
	return found;
}

/* By `room` entries a call; each is there once. */
static void list_all(struct listing *l, uint64_t fh, unsigned int room)
{
	unsigned int before;

	l->reader.fits = listing_fits;
	l->reader.add = listing_add;
	do {
		before = l->nr;
		l->room = room;
		assert_int_equal(
			fs_readdir(tree, FS_ROOT, fh, l->off, &l->reader), 0);
	} while (l->nr > before);
}

static void test_readdir(void **state unused_param)
{
	struct listing l = { 0 }, plus = { .reader.plus = true };
	struct fs_opened o;
	uint64_t nodeid;
	char name[8];

	for (unsigned int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		host_write(name, "");
	}
	assert_int_equal(fs_opendir(tree, FS_ROOT, &o), 0);
	list_all(&l, o.fh, 3);
	assert_int_equal(l.nr, 22);
	assert_true(listed(&l, ".", NULL));
	assert_true(listed(&l, "..", NULL));
	list_all(&plus, o.fh, 7);
	assert_int_equal(plus.nr, 22);
	for (unsigned int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_true(listed(&l, name, NULL));
		assert_true(listed(&plus, name, &nodeid));
		assert_int_equal(look(name).nodeid, nodeid);
	}
	assert_true(listed(&plus, "..", &nodeid));
	assert_int_equal(nodeid, 0);
	/* Not what it is for. */
	assert_int_equal(guest_read(o.fh, name, sizeof(name)), -EISDIR);
	assert_int_equal(fs_release(tree, o.fh), 0);
	o.fh = guest_open(look("f0").nodeid, O_RDONLY);
	assert_int_equal(fs_readdir(tree, FS_ROOT, o.fh, 0, &l.reader),
			 -ENOTDIR);
}

/* ---- attributes ---- */

static void test_setattr(void **state unused_param)
{
	struct fs_setattr set = { .set = FS_SET_MODE | FS_SET_SIZE |
					 FS_SET_ATIME | FS_SET_MTIME,
				  .mode = 0600,
				  .size = 100,
				  .atime = { 1000, 1 },
				  .mtime = { 2000, 2 } };
	struct statx attr;

	host_write("file", "text");
	assert_int_equal(symlink("x", at("link")), 0);
	set.nodeid = look("file").nodeid;
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(fs_setattr(tree, &as_root, &set, &attr), 0);
		assert_int_equal(attr.stx_mode, S_IFREG | 0600);
		assert_int_equal(attr.stx_size, set.size);
		assert_int_equal(attr.stx_atime.tv_sec, 1000);
		assert_int_equal(attr.stx_mtime.tv_nsec, 2);
		set.fh = guest_open(set.nodeid, O_RDWR);
		set.size = 50;
	}
	set = (struct fs_setattr){ .nodeid = look("link").nodeid,
				   .set = FS_SET_MTIME,
				   .mtime = { 77, 0 } };
	assert_int_equal(fs_setattr(tree, &as_root, &set, &attr), 0);
	assert_int_equal(attr.stx_mtime.tv_sec, 77);
	set.set = FS_SET_MODE;
	assert_int_equal(fs_setattr(tree, &as_root, &set, &attr), -EOPNOTSUPP);
	set.set = FS_SET_SIZE;
	assert_int_equal(fs_setattr(tree, &as_root, &set, &attr), -EINVAL);
	set.nodeid = FS_ROOT;
	assert_int_equal(fs_setattr(tree, &as_root, &set, &attr), -EISDIR);
}

static void test_statfs(void **state unused_param)
{
	struct statvfs st, host;

	host_write("file", "");
	assert_int_equal(statvfs(base, &host), 0);
	assert_int_equal(fs_statfs(tree, look("file").nodeid, &st), 0);
	assert_int_equal(st.f_blocks, host.f_blocks);
	assert_int_equal(fs_statfs(tree, FS_ROOT, &st), 0);
	assert_int_equal(st.f_fsid, host.f_fsid);
}

static void test_readonly(void **state unused_param)
{
	struct fs_make make = make_in(FS_ROOT, "x", S_IFREG | 0644);
	struct fs_rename r = { FS_ROOT, "file", FS_ROOT, "b", 0 };
	struct fs_setattr set = { .set = FS_SET_MODE };
	struct fs_io io = { 0 };
	struct fs_opened o;
	struct statx attr;
	struct fs_entry e;

	host_write("file", "text");
	config.readonly = true;
	open_tree_with(&config);
	e = look("file");
	set.nodeid = e.nodeid;
	make.target = "t";
	assert_int_equal(fs_open(tree, &as_root, e.nodeid, O_RDWR, &o), -EROFS);
	assert_int_equal(fs_open(tree, &as_root, e.nodeid, O_TRUNC, &o),
			 -EROFS);
	io.fh = guest_open(e.nodeid, O_RDONLY);
	assert_int_equal(fs_write(tree, &as_root, &io), -EROFS);
	assert_int_equal(fs_fallocate(tree, &as_root, &io, 0, 1), -EROFS);
	assert_int_equal(fs_copy_range(tree, &as_root, &io, &io, 1), -EROFS);
	assert_int_equal(fs_setattr(tree, &as_root, &set, &attr), -EROFS);
	assert_int_equal(fs_mkdir(tree, &as_root, &make, &e), -EROFS);
	assert_int_equal(fs_mknod(tree, &as_root, &make, &e), -EROFS);
	assert_int_equal(fs_symlink(tree, &as_root, &make, &e), -EROFS);
	assert_int_equal(fs_create(tree, &as_root, &make, &e, &o), -EROFS);
	assert_int_equal(fs_tmpfile(tree, &as_root, &make, &e, &o), -EROFS);
	assert_int_equal(fs_link(tree, set.nodeid, FS_ROOT, "l", &e), -EROFS);
	assert_int_equal(fs_unlink(tree, &as_root, FS_ROOT, "file"), -EROFS);
	assert_int_equal(fs_rmdir(tree, FS_ROOT, "file"), -EROFS);
	assert_int_equal(fs_rename(tree, &as_root, &r), -EROFS);
	assert_true(host_has("file"));
}

static int group(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(test_lookup),
		FS_TEST(test_root),
		FS_TEST(test_no_such_number),
		FS_TEST(test_names),
		FS_TEST(test_host_replaces),
		FS_TEST(test_create_write_read),
		FS_TEST(test_append),
		FS_TEST(test_special_files),
		FS_TEST(test_readlink),
		FS_TEST(test_mknod),
		FS_TEST(test_handle_of_other),
		FS_TEST(test_unlink_known),
		FS_TEST(test_rename_over_known),
		FS_TEST(test_rename_flags),
		FS_TEST(test_directories),
		FS_TEST(test_link),
		FS_TEST(test_tmpfile),
		FS_TEST(test_readdir),
		FS_TEST(test_setattr),
		FS_TEST(test_statfs),
		FS_TEST(test_readonly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return fs_run_everywhere(group);
}
