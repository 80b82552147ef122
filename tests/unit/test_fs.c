/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* virtio-fs as a device: configuration, sessions, and requests that are none. */
#include "tests/lib/guest_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/virtio/virtio.h"
#include "vmm/util.h"

static struct guest_fs g;
static struct gfs_request q;
static struct gfs_target target;

static const char *path_of(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", g.dir, name);
	return path;
}

static void make_file(const char *name, const char *text)
{
	int fd = open(path_of(name), O_CREAT | O_WRONLY | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static uint64_t status(void)
{
	return gv_read(&g.gv, GV_STATUS, 1);
}

/* What samples are about: a file that is open, a directory, a link. */
static void make_target(void)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open_out;

	make_file("file", "what is in the file");
	assert_int_equal(symlink("file", path_of("link")), 0);
	assert_int_equal(gfs_init(&g, UINT64_MAX), 0);
	target.dir = FUSE_ROOT_ID;
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "link", &entry), 0);
	target.link = entry.nodeid;
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "file", &entry), 0);
	target.file = entry.nodeid;
	target.name = "name";
	assert_int_equal(gfs_open(&g, target.file, O_RDWR, &target.fh), 0);
	gfs_sample(&q, FUSE_OPENDIR, &target);
	assert_int_equal(gfs_send(&g, &q), 0);
	memcpy(&open_out, g.reply, sizeof(open_out));
	target.dir_fh = open_out.fh;
}

static int setup(void **state unused_param)
{
	guest_fs_init(&g, "id=share");
	return 0;
}

static int setup_locks(void **state unused_param)
{
	guest_fs_init(&g, "id=share,locks=on");
	return 0;
}

static int teardown(void **state unused_param)
{
	guest_fs_fini(&g);
	return 0;
}

static void test_config_space(void **state unused_param)
{
	static const char tag[36] = "share";
	unsigned int i;

	for (i = 0; i < sizeof(tag); i++)
		assert_int_equal(gv_config(&g.gv, i, 1), tag[i]);
	assert_int_equal(gv_config(&g.gv, 36, 4), 2);
	assert_int_equal(gv_read(&g.gv, GV_NUM_QUEUES, 2), GFS_QUEUES);
	assert_int_equal(gv_features(&g.gv) & 0xffffff, 0);
}

/* ---- sessions ---- */

static struct fuse_init_out init_with(uint32_t major, uint32_t minor,
				      uint32_t flags, uint32_t flags2)
{
	const struct fuse_init_in in = { .major = major,
					 .minor = minor,
					 .max_readahead = 12345,
					 .flags = flags,
					 .flags2 = flags2 };
	struct fuse_init_out out;

	gfs_begin(&q, FUSE_INIT, 0, sizeof(out));
	gfs_add(&q, &in, sizeof(in));
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_int_equal(g.reply_len, sizeof(out));
	memcpy(&out, g.reply, sizeof(out));
	return out;
}

static void test_init(void **state unused_param)
{
	struct fuse_init_out out = init_with(7, 99, UINT32_MAX, UINT32_MAX);

	assert_int_equal(out.major, 7);
	assert_int_equal(out.minor, FS_PROTO_MINOR);
	assert_int_equal(out.max_readahead, 12345);
	assert_int_equal(out.max_write, 1u << 20);
	assert_int_equal(out.max_pages, 256);
	assert_int_equal(out.time_gran, 1);
	assert_true(out.max_background > 1000);
	assert_true(out.flags & FUSE_AUTO_INVAL_DATA);
	assert_true(out.flags & FUSE_MAX_PAGES);
	assert_true(out.flags & FUSE_DO_READDIRPLUS);
	assert_true(out.flags & FUSE_HANDLE_KILLPRIV_V2);
	assert_true(out.flags & FUSE_SUBMOUNTS);
	assert_false(out.flags & FUSE_EXPORT_SUPPORT);
	assert_false(out.flags & FUSE_WRITEBACK_CACHE);
	assert_false(out.flags & FUSE_POSIX_ACL);
	assert_false(out.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS));
	assert_int_equal(out.flags2,
			 (FS_INIT_CREATE_SUPP_GROUP | FS_INIT_ALLOW_IDMAP) >>
				 32);
	/* Only what is offered is taken. */
	out = init_with(7, 38, FUSE_ASYNC_READ, UINT32_MAX);
	assert_int_equal(out.minor, 38);
	assert_int_equal(out.flags, FUSE_ASYNC_READ);
	assert_int_equal(out.flags2, 0);
}

/* On an idmapped mount of the guest nobody removes and looks. */
static void test_nobody(void **state unused_param)
{
	make_file("victim", "");
	assert_int_equal(gfs_init(&g, UINT64_MAX), 0);
	gfs_begin(&q, FUSE_LOOKUP, FUSE_ROOT_ID, sizeof(struct fuse_entry_out));
	gfs_add_name(&q, "victim");
	gfs_head(&q)->uid = gfs_head(&q)->gid = UINT32_MAX;
	assert_int_equal(gfs_send(&g, &q), 0);
	gfs_begin(&q, FUSE_UNLINK, FUSE_ROOT_ID, 0);
	gfs_add_name(&q, "victim");
	gfs_head(&q)->uid = gfs_head(&q)->gid = UINT32_MAX;
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_int_not_equal(access(path_of("victim"), F_OK), 0);
}

static void test_init_versions(void **state unused_param)
{
	struct fuse_init_out out = init_with(8, 1, 0, 0);

	/* It asks again; there is no session yet. */
	assert_int_equal(out.major, 7);
	assert_int_equal(gfs_getattr(&g, FUSE_ROOT_ID, NULL), -ENOTCONN);
	gfs_begin(&q, FUSE_INIT, 0, sizeof(out));
	gfs_add(&q, &(struct fuse_init_in){ .major = 6 },
		sizeof(struct fuse_init_in));
	assert_int_equal(gfs_send(&g, &q), -EPROTO);
	gfs_begin(&q, FUSE_INIT, 0, sizeof(out));
	gfs_add(&q, &(struct fuse_init_in){ .major = 7, .minor = 30 },
		sizeof(struct fuse_init_in));
	assert_int_equal(gfs_send(&g, &q), -EPROTO);
	/* The short form of old guests. */
	gfs_begin(&q, FUSE_INIT, 0, sizeof(out));
	gfs_add(&q, &(struct fuse_init_in){ .major = 7, .minor = 31 }, 16);
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_int_equal(gfs_getattr(&g, FUSE_ROOT_ID, NULL), 0);
}

/* What the guest knew is unknown after the end of its session. */
static void test_sessions_end(void **state unused_param)
{
	struct fuse_attr attr;

	assert_int_equal(gfs_getattr(&g, FUSE_ROOT_ID, &attr), -ENOTCONN);
	make_target();
	assert_int_equal(gfs_getattr(&g, target.file, &attr), 0);
	assert_int_equal(attr.size, 19);
	assert_int_equal(gfs_init(&g, 0), 0);
	assert_int_equal(gfs_getattr(&g, target.file, &attr), -ESTALE);
	assert_int_equal(gfs_getattr(&g, FUSE_ROOT_ID, &attr), 0);
	gfs_sample(&q, FUSE_READ, &target);
	assert_int_equal(gfs_send(&g, &q), -EBADF);

	unlink(path_of("link"));
	make_target();
	gfs_sample(&q, FUSE_DESTROY, &target);
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_int_equal(gfs_getattr(&g, FUSE_ROOT_ID, &attr), -ENOTCONN);

	unlink(path_of("link"));
	make_target();
	guest_fs_start(&g);
	assert_int_equal(gfs_getattr(&g, FUSE_ROOT_ID, &attr), -ENOTCONN);
	assert_int_equal(gfs_init(&g, 0), 0);
	assert_int_equal(gfs_getattr(&g, target.file, &attr), -ESTALE);
}

/* ---- counters ---- */

static uint64_t nr_inodes, nr_requests;

static void on_counter(void *arg unused_param, const char *name, uint64_t value)
{
	if (!strcmp(name, "inodes"))
		nr_inodes = value;
	if (!strcmp(name, "requests"))
		nr_requests = value;
}

/* They can be had while what it shares is let go of, too. */
static void test_counters(void **state unused_param)
{
	make_target();
	g.dev->ops->counters(g.dev, on_counter, NULL);
	assert_int_equal(nr_inodes, 3);
	assert_int_equal(nr_requests, 5);
	g.dev->ops->quiesce(g.dev);
	guest_fs_turn(&g);
	g.dev->ops->release(g.dev);
	g.dev->ops->counters(g.dev, on_counter, NULL);
	assert_int_equal(nr_inodes, 0);
	assert_int_equal(nr_requests, 5);
}

/* ---- requests that are none ---- */

/* The device is broken until it is reset; it works then. */
static void expect_broken(void)
{
	assert_true(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	guest_fs_start(&g);
	assert_false(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	unlink(path_of("link"));
	make_target();
}

static bool is_silent(uint32_t opcode)
{
	return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET ||
	       opcode == FUSE_INTERRUPT;
}

/* Each request, and as much of it as there is: what is cut off is refused. */
static void test_short(void **state unused_param)
{
	unsigned int nr = 0;
	uint32_t opcode;

	make_target();
	for (opcode = 1; opcode < FS_OPS; opcode++) {
		uint32_t whole, len;

		if (!gfs_sample(&q, opcode, &target))
			continue;
		nr++;
		whole = opcode == FUSE_INIT ? 40 + 16 : q.len;
		q.room = 4096;
		for (len = 1; len < whole; len++) {
			q.len = len;
			assert_int_equal(gfs_send(&g, &q), -EINVAL);
		}
	}
	assert_int_equal(nr, 45);
	assert_int_equal(gfs_getattr(&g, target.file, NULL), 0);
	assert_false(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* The length of the header is not that of the request. */
static void test_wrong_len(void **state unused_param)
{
	static const int32_t wrong[] = { -1, 1, -40, 4096, INT32_MIN, 7 };
	uint32_t opcode;
	unsigned int i;

	make_target();
	for (opcode = 1; opcode < FS_OPS; opcode++) {
		if (!gfs_sample(&q, opcode, &target))
			continue;
		q.room = 4096;
		for (i = 0; i < ARRAY_SIZE(wrong); i++) {
			gfs_head(&q)->len = q.len + (uint32_t)wrong[i];
			assert_int_equal(gfs_send_raw(&g, &q), -EINVAL);
		}
		gfs_head(&q)->len = 0;
		assert_int_equal(gfs_send_raw(&g, &q), -EINVAL);
		/* More than there is room for names. */
		if (opcode == FUSE_WRITE || opcode == FUSE_INIT)
			continue;
		gfs_add(&q, "\0junk behind it", 15);
		assert_int_not_equal(gfs_send(&g, &q), 0);
	}
	assert_int_equal(gfs_getattr(&g, target.file, NULL), 0);
}

static void test_extensions(void **state unused_param)
{
	static const uint16_t lens[] = { 1, 2, 129, 0x8000, 0xffff };
	uint32_t opcode;
	unsigned int i;

	make_target();
	for (opcode = 1; opcode < FS_OPS; opcode++) {
		if (!gfs_sample(&q, opcode, &target))
			continue;
		q.room = 4096;
		for (i = 0; i < ARRAY_SIZE(lens); i++) {
			gfs_head(&q)->total_extlen = lens[i];
			assert_int_equal(gfs_send(&g, &q), -EINVAL);
		}
	}
}

/* There is no room for the reply: for nothing of it, or for the end. */
static void test_no_room(void **state unused_param)
{
	static const uint8_t fixed[] = {
		FUSE_LOOKUP,  FUSE_GETATTR, FUSE_CREATE, FUSE_MKDIR,
		FUSE_MKNOD,   FUSE_SYMLINK, FUSE_LINK,	 FUSE_OPEN,
		FUSE_OPENDIR, FUSE_WRITE,   FUSE_STATFS, FUSE_LSEEK,
		FUSE_INIT,    FS_OP_STATX
	};
	uint32_t opcode;
	unsigned int i;

	make_target();
	for (i = 0; i < sizeof(fixed); i++) {
		gfs_sample(&q, fixed[i], &target);
		q.room = 16 + 7;
		assert_int_equal(gfs_send(&g, &q), -EINVAL);
	}
	/* Nothing was made that the guest has not heard of. */
	assert_int_equal(access(path_of("name"), F_OK), -1);
	for (opcode = 1; opcode < FS_OPS; opcode++) {
		if (!gfs_sample(&q, opcode, &target) || is_silent(opcode))
			continue;
		q.room = opcode % 16;
		assert_int_equal(gfs_send(&g, &q), 2);
		expect_broken();
	}
	assert_int_equal(access(path_of("name"), F_OK), -1);
}

static void test_unknown(void **state unused_param)
{
	static const uint32_t unknown[] = {
		0,	   7,	       19,	  FUSE_ACCESS,
		FUSE_BMAP, FUSE_IOCTL, FUSE_POLL, FUSE_NOTIFY_REPLY,
		54,	   4096,       UINT32_MAX
	};
	unsigned int i;

	make_target();
	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		gfs_begin(&q, unknown[i], FUSE_ROOT_ID, 64);
		assert_int_equal(gfs_send(&g, &q), -ENOSYS);
	}
	gfs_begin(&q, FUSE_INTERRUPT, 0, 0);
	gfs_add(&q, &(uint64_t){ 5 }, 8);
	q.qidx = 0;
	assert_int_equal(gfs_send(&g, &q), -ENOSYS);
	q.room = 0;
	assert_int_equal(gfs_send(&g, &q), 2);
	assert_false(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* Only what must not wait goes that way. */
	gfs_sample(&q, FUSE_GETATTR, &target);
	q.qidx = 0;
	assert_int_equal(gfs_send(&g, &q), -EINVAL);
}

/* Lookups are given back by either way, and on either kind of queue. */
static void test_forget(void **state unused_param)
{
	struct fuse_batch_forget_in batch = { .count = UINT32_MAX };
	unsigned int i;

	make_target();
	gfs_sample(&q, FUSE_FORGET, &target);
	q.qidx = 0;
	assert_int_equal(gfs_send(&g, &q), 2);
	assert_int_equal(gfs_getattr(&g, target.link, NULL), 0);
	gfs_head(&q)->nodeid = target.link;
	assert_int_equal(gfs_send(&g, &q), 2);
	assert_int_equal(gfs_getattr(&g, target.link, NULL), -ESTALE);
	/* Once more, and what never was. */
	assert_int_equal(gfs_send(&g, &q), 2);
	gfs_head(&q)->nodeid = UINT64_MAX;
	assert_int_equal(gfs_send(&g, &q), 2);
	gfs_head(&q)->nodeid = FUSE_ROOT_ID;
	assert_int_equal(gfs_send(&g, &q), 2);
	assert_int_equal(gfs_getattr(&g, FUSE_ROOT_ID, NULL), 0);
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "link", NULL), 0);
	/* Counts that do not match what there is. */
	for (i = 0; i < 3; i++) {
		gfs_begin(&q, FUSE_BATCH_FORGET, 0, 16);
		batch.count = i == 1 ? 0 : i == 2 ? 2 : UINT32_MAX;
		gfs_add(&q, &batch, sizeof(batch));
		gfs_add(&q, &(struct fuse_forget_one){ target.link, 1 }, 16);
		assert_int_equal(gfs_send(&g, &q), -EINVAL);
	}
	gfs_sample(&q, FUSE_BATCH_FORGET, &target);
	q.qidx = 0;
	assert_int_equal(gfs_send(&g, &q), 2);
	assert_false(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* Without a session there is nothing to be forgotten. */
	gfs_sample(&q, FUSE_DESTROY, &target);
	assert_int_equal(gfs_send(&g, &q), 0);
	gfs_sample(&q, FUSE_FORGET, &target);
	assert_int_equal(gfs_send(&g, &q), 2);
	assert_false(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(gfs_init(&g, 0), 0);
	/* Half a request, and no room to say so. */
	gfs_sample(&q, FUSE_FORGET, &target);
	q.len -= 3;
	assert_int_equal(gfs_send(&g, &q), 2);
	expect_broken();
}

/* ---- names ---- */

static const uint8_t named[] = {
	FUSE_LOOKUP, FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR,  FUSE_CREATE,
	FUSE_LINK,   FUSE_UNLINK,  FUSE_RMDIR, FUSE_RENAME, FUSE_RENAME2,
};

/* Each name in each request that has one, also as the second of two. */
static void expect_name(const char *name, uint32_t len, int error)
{
	struct gfs_target t = target;
	unsigned int i;

	t.name = "";
	for (i = 0; i < sizeof(named); i++) {
		gfs_sample(&q, named[i], &t);
		/* In front of what there is, instead of "". */
		if (named[i] == FUSE_SYMLINK)
			q.len = sizeof(struct fuse_in_header);
		else if (named[i] == FUSE_RENAME || named[i] == FUSE_RENAME2)
			q.len -= 2;
		else
			q.len -= 1;
		gfs_add(&q, name, len);
		if (named[i] == FUSE_SYMLINK)
			gfs_add_name(&q, "target");
		else if (named[i] == FUSE_RENAME || named[i] == FUSE_RENAME2)
			gfs_add_name(&q, "other");
		assert_int_equal(gfs_send(&g, &q), error);
		if (named[i] != FUSE_RENAME && named[i] != FUSE_RENAME2)
			continue;
		gfs_sample(&q, named[i], &t);
		q.len -= 2;
		gfs_add_name(&q, "file");
		gfs_add(&q, name, len);
		assert_int_equal(gfs_send(&g, &q), error);
	}
}

static void test_names(void **state unused_param)
{
	static char name[1200];

	make_target();
	expect_name("", 1, -EINVAL);
	expect_name(".", 2, -EINVAL);
	expect_name("..", 3, -EINVAL);
	expect_name("/", 2, -EINVAL);
	expect_name("../x", 5, -EINVAL);
	expect_name("a/b", 4, -EINVAL);
	expect_name("/etc/passwd", 12, -EINVAL);
	expect_name("file/", 6, -EINVAL);
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	expect_name(name, 257, -ENAMETOOLONG);
	memset(name, 'n', sizeof(name));
	name[1024] = '\0';
	expect_name(name, 1025, -ENAMETOOLONG);
	/* More than any guest sends. */
	memset(name, 'n', sizeof(name));
	gfs_begin(&q, FUSE_LOOKUP, FUSE_ROOT_ID, 128);
	gfs_add(&q, name, sizeof(name));
	assert_int_equal(gfs_send(&g, &q), -ENAMETOOLONG);
	/* Without an end, and with one in the middle. */
	gfs_begin(&q, FUSE_LOOKUP, FUSE_ROOT_ID, 128);
	gfs_add(&q, "file", 4);
	assert_int_equal(gfs_send(&g, &q), -EINVAL);
	gfs_begin(&q, FUSE_LOOKUP, FUSE_ROOT_ID, 128);
	gfs_add(&q, "file\0file", 10);
	assert_int_equal(gfs_send(&g, &q), -EINVAL);
	gfs_begin(&q, FUSE_LOOKUP, FUSE_ROOT_ID, 128);
	assert_int_equal(gfs_send(&g, &q), -EINVAL);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_config_space),
		UNIT(test_init),
		UNIT(test_init_versions),
		UNIT(test_nobody),
		UNIT(test_sessions_end),
		UNIT(test_counters),
		cmocka_unit_test_setup_teardown(test_short, setup_locks,
						teardown),
		cmocka_unit_test_setup_teardown(test_wrong_len, setup_locks,
						teardown),
		UNIT(test_extensions),
		cmocka_unit_test_setup_teardown(test_no_room, setup_locks,
						teardown),
		UNIT(test_unknown),
		UNIT(test_forget),
		UNIT(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
