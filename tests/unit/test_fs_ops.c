/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * What virtio-fs makes of requests for the host side, and of its answers for the
 * guest: on whose behalf, with which flags, and for how long it may be believed.
 */
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
#include <unistd.h>

#include <cmocka.h>

#include "devices/backend/fs.h"
#include "devices/registry.h"
#include "vmm/util.h"

static struct guest_fs g;
static struct gfs_request q;
static struct gfs_target target;

/* ---- what the host side is asked ---- */

static struct fs_call call; /* of the last one */
static struct fs_io io;
static size_t io_len;
static uint64_t copy_len;

int __wrap_fs_mkdir(struct fs_tree *t, const struct fs_call *c,
		    const struct fs_make *make, struct fs_entry *entry);
ssize_t __wrap_fs_write(struct fs_tree *t, const struct fs_call *c,
			const struct fs_io *i);
ssize_t __wrap_fs_copy_range(struct fs_tree *t, const struct fs_call *c,
			     const struct fs_io *from, const struct fs_io *to,
			     uint64_t len);

int __wrap_fs_mkdir(struct fs_tree *t unused_param, const struct fs_call *c,
		    const struct fs_make *make, struct fs_entry *entry)
{
	call = *c;
	*entry = (struct fs_entry){
		.nodeid = 77,
		.generation = 5,
		.submount = make->mode & 1,
		.attr = { .stx_ino = 1ull << 40,
			  .stx_size = 3,
			  .stx_mode = 0100644,
			  .stx_uid = 1,
			  .stx_gid = 2,
			  .stx_rdev_major = 0x123,
			  .stx_rdev_minor = 0x45678,
			  .stx_mtime = { .tv_sec = -5, .tv_nsec = 6 },
			  .stx_blksize = 4096 },
	};
	return 0;
}

ssize_t __wrap_fs_write(struct fs_tree *t unused_param, const struct fs_call *c,
			const struct fs_io *i)
{
	unsigned int n;

	call = *c;
	io = *i;
	for (n = 0, io_len = 0; n < i->nr; n++)
		io_len += i->iov[n].iov_len;
	return (ssize_t)io_len;
}

ssize_t __wrap_fs_copy_range(struct fs_tree *t unused_param,
			     const struct fs_call *c, const struct fs_io *from,
			     const struct fs_io *to, uint64_t len)
{
	call = *c;
	io = *from;
	assert_int_equal(to->nodeid, target.link);
	copy_len = len;
	return (ssize_t)len;
}

/* ---- the guest ---- */

static void start(const char *options)
{
	memset(&call, 0xff, sizeof(call));
	guest_fs_init(&g, options);
	target = (struct gfs_target){ .dir = FUSE_ROOT_ID,
				      .file = 12,
				      .link = 13,
				      .fh = 14,
				      .name = "name" };
	assert_int_equal(gfs_init(&g, UINT64_MAX), 0);
}

static int teardown(void **state unused_param)
{
	guest_fs_fini(&g);
	return 0;
}

static void begin_mkdir(uint32_t mode, uint32_t umask)
{
	const struct fuse_mkdir_in in = { .mode = mode, .umask = umask };

	gfs_begin(&q, FUSE_MKDIR, FUSE_ROOT_ID, sizeof(struct fuse_entry_out));
	gfs_head(&q)->uid = 1000;
	gfs_head(&q)->gid = 2000;
	gfs_add(&q, &in, sizeof(in));
	gfs_add_name(&q, "name");
}

/* An extension with this many groups, padded. */
static void add_groups(uint32_t nr, uint32_t size)
{
	const struct fuse_ext_header h = { .size = size,
					   .type = FS_EXT_GROUPS };
	uint32_t groups[6] = { nr, 3000, 3001, 3002 };

	gfs_add(&q, &h, sizeof(h));
	gfs_add(&q, groups, size - (uint32_t)sizeof(h));
	gfs_head(&q)->total_extlen += (uint16_t)(size / 8);
}

static void test_caller(void **state unused_param)
{
	start("posix_acl=on");
	begin_mkdir(0777, 027);
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_int_equal(call.uid, 1000);
	assert_int_equal(call.gid, 2000);
	assert_int_equal(call.umask, 027);
	assert_false(call.has_group);
	assert_false(call.may_wait);
	begin_mkdir(0777, 0);
	add_groups(1, 16);
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_true(call.has_group);
	assert_int_equal(call.group, 3000);
	/* More than one is never sent, and none is none. */
	begin_mkdir(0777, 0);
	add_groups(2, 24);
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_false(call.has_group);
	begin_mkdir(0777, 0);
	add_groups(0, 16);
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_false(call.has_group);
	/* Behind another one, and one without its end. */
	begin_mkdir(0777, 0);
	gfs_add(&q, &(struct fuse_ext_header){ .size = 8, .type = 99 }, 8);
	gfs_head(&q)->total_extlen = 1;
	add_groups(1, 16);
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_int_equal(call.group, 3000);
	begin_mkdir(0777, 0);
	gfs_add(&q, &(struct fuse_ext_header){ .size = 0, .type = 32 }, 8);
	gfs_head(&q)->total_extlen = 1;
	assert_int_equal(gfs_send(&g, &q), -EINVAL);
	begin_mkdir(0777, 0);
	gfs_add(&q, &(struct fuse_ext_header){ .size = 16, .type = 32 }, 8);
	gfs_head(&q)->total_extlen = 1;
	assert_int_equal(gfs_send(&g, &q), -EINVAL);
}

/* Without lists of its own the guest has masked the mode before. */
static void test_umask(void **state unused_param)
{
	start("");
	begin_mkdir(0777, 027);
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_int_equal(call.umask, 0);
}

static void test_entry(void **state unused_param)
{
	struct fuse_entry_out out;

	start("");
	begin_mkdir(0, 0);
	assert_int_equal(gfs_send(&g, &q), 0);
	memcpy(&out, g.reply, sizeof(out));
	assert_int_equal(out.nodeid, 77);
	assert_int_equal(out.generation, 5);
	assert_int_equal(out.entry_valid, 1);
	assert_int_equal(out.attr_valid, 1);
	assert_int_equal(out.attr.ino, 1ull << 40);
	assert_int_equal(out.attr.mode, 0100644);
	assert_int_equal(out.attr.rdev, 0x45612378);
	assert_int_equal((int64_t)out.attr.mtime, -5);
	assert_int_equal(out.attr.mtimensec, 6);
	assert_int_equal(out.attr.flags, 0);
	begin_mkdir(1, 0);
	assert_int_equal(gfs_send(&g, &q), 0);
	memcpy(&out, g.reply, sizeof(out));
	assert_int_equal(out.attr.flags, FUSE_ATTR_SUBMOUNT);
	/* One that knows of none is told of none. */
	assert_int_equal(gfs_init(&g, 0), 0);
	begin_mkdir(1, 0);
	assert_int_equal(gfs_send(&g, &q), 0);
	memcpy(&out, g.reply, sizeof(out));
	assert_int_equal(out.attr.flags, 0);
}

static int send_write(uint32_t flags, uint32_t write_flags, uint32_t size,
		      uint32_t len)
{
	const struct fuse_write_in in = { .fh = 9,
					  .offset = 1000,
					  .size = size,
					  .write_flags = write_flags,
					  .flags = flags };
	static const char data[64];

	gfs_begin(&q, FUSE_WRITE, 12, sizeof(struct fuse_write_out));
	gfs_add(&q, &in, sizeof(in));
	gfs_add(&q, data, len);
	return gfs_send(&g, &q);
}

static void test_write(void **state unused_param)
{
	start("");
	assert_int_equal(send_write(0, 0, 64, 64), 0);
	assert_int_equal(
		((const struct fuse_write_out *)(const void *)g.reply)->size,
		64);
	assert_int_equal(io.nodeid, 12);
	assert_int_equal(io.fh, 9);
	assert_int_equal(io.offset, 1000);
	assert_int_equal(io_len, 64);
	assert_false(io.append);
	assert_false(call.kill_priv);
	assert_int_equal(send_write(O_APPEND, FUSE_WRITE_KILL_SUIDGID, 7, 7),
			 0);
	assert_true(io.append);
	assert_true(call.kill_priv);
	assert_int_equal(io_len, 7);
	/* The guest's cache knows where it belongs. */
	assert_int_equal(send_write(O_APPEND, FUSE_WRITE_CACHE, 7, 7), 0);
	assert_false(io.append);
	/* More or less than there is. */
	assert_int_equal(send_write(0, 0, 8, 7), -EINVAL);
	assert_int_equal(send_write(0, 0, 6, 7), -EINVAL);
	assert_int_equal(send_write(0, 0, UINT32_MAX, 7), -EINVAL);
	assert_int_equal(send_write(0, 0, 0, 0), 0);
}

/* A copy is done in parts that nobody waits for too long. */
static void test_copy(void **state unused_param)
{
	struct fuse_copy_file_range_in in = { .fh_in = 3,
					      .nodeid_out = 13,
					      .len = UINT64_MAX };

	start("");
	gfs_begin(&q, FUSE_COPY_FILE_RANGE, 12, 8);
	gfs_add(&q, &in, sizeof(in));
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_int_equal(copy_len, 64 << 20);
	in.flags = 1;
	gfs_begin(&q, FUSE_COPY_FILE_RANGE, 12, 8);
	gfs_add(&q, &in, sizeof(in));
	assert_int_equal(gfs_send(&g, &q), -EINVAL);
}

/* A small ring has no room for large requests. */
static void test_small_queue(void **state unused_param)
{
	struct fuse_init_out out;

	start("queue_size=64");
	memcpy(&out, g.reply, sizeof(out));
	assert_int_equal(out.max_pages, 60);
	assert_int_equal(out.max_write, 60 * 4096);
}

static void expect_error(const char *options, const char *want)
{
	const struct device_class *class = &fs_class;
	void *config = calloc(1, class->params->size);
	struct error err = { "" };

	param_defaults(class->params, config);
	assert_int_not_equal(param_parse(class->params, config, options, &err),
			     0);
	if (!strstr(err.msg, want))
		fail_msg("%s: %s", options, err.msg);
	param_free(class->params, config);
	free(config);
}

static void test_options(void **state unused_param)
{
	start("");
	expect_error("path=/tmp", "tag is missing");
	expect_error("tag=1234567890123456789012345678901234567,path=/tmp",
		     "36");
	expect_error("tag=t,path=/tmp,num_queues=65", "64");
	expect_error("tag=t,path=/tmp,queue_size=100", "power of two");
	expect_error("tag=t,path=/tmp,cache=some", "auto");
	expect_error("tag=t,path=/tmp,writeback=on,readonly=on", "readonly=on");
	expect_error("tag=t,path=/tmp,writeback=on,cache=never", "never");
	expect_error("tag=t,path=/tmp,posix_acl=on,xattr=off", "xattr=off");
}

#define UNIT(t) cmocka_unit_test_teardown(t, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_caller),  UNIT(test_umask), UNIT(test_entry),
		UNIT(test_write),   UNIT(test_copy),  UNIT(test_small_queue),
		UNIT(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
