/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Files of a shared directory that the guest maps, and what it must not put into
 * its window. */
#include "tests/lib/guest_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/pci/pci.h"
#include "devices/virtio/fs_device.h"
#include "devices/virtio/virtio.h"
#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/window.h"

#define PAGE 4096ull
#define DAX (6 * MIB)
#define SHM_BAR 2u

static struct guest_fs g;
static struct gfs_request q;
static struct fuse_entry_out file;
static gpa_t window;
static int through[2]; /* a pipe */

static const char *path_of(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", g.dir, name);
	return path;
}

/* A file of this size, whose pages say which they are. */
static void make_file(const char *name, uint64_t size)
{
	int fd = open(path_of(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	for (uint64_t off = 0; off < size; off += PAGE) {
		uint8_t c = (uint8_t)(off / PAGE + 1);

		assert_int_equal(pwrite(fd, &c, 1, (off_t)off), 1);
	}
	close(fd);
}

static void begin(void)
{
	assert_int_equal(gfs_init(&g, UINT64_MAX), 0);
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "file", &file), 0);
}

static void setup_with(const char *options)
{
	log_init(STDERR_FILENO, LOG_ERROR);
	guest_fs_init(&g, options);
	make_file("file", 64 * PAGE);
	window = fake_cfg_read(&g.fv, 1, PCI_BASE_ADDRESS_0 + 4 * SHM_BAR, 8) &
		 ~0xfull;
	assert_int_equal(pipe(through), 0);
	begin();
}

static int setup(void **state unused_param)
{
	setup_with("dax=6M");
	return 0;
}

static int setup_readonly(void **state unused_param)
{
	setup_with("dax=6M,readonly=on");
	return 0;
}

static int setup_without(void **state unused_param)
{
	setup_with("");
	return 0;
}

static int teardown(void **state unused_param)
{
	guest_fs_fini(&g);
	close(through[0]);
	close(through[1]);
	return 0;
}

/* The byte that the guest finds at off of the window, or -EFAULT. */
static int peek(uint64_t off)
{
	enum gmem_kind kind;
	uint64_t len = 1;
	uint8_t c, *p = gmem_span(&g.fv.board.gmem, window + off, &len, &kind);

	assert_non_null(p);
	assert_int_equal(kind, GMEM_WINDOW);
	if (write(through[1], p, 1) != 1)
		return -errno;
	assert_int_equal(read(through[0], &c, 1), 1);
	return c;
}

static int poke(uint64_t off, uint8_t c)
{
	enum gmem_kind kind;
	uint64_t len = 1;
	uint8_t *p = gmem_span(&g.fv.board.gmem, window + off, &len, &kind);

	assert_int_equal(write(through[1], &c, 1), 1);
	if (read(through[0], p, 1) == 1)
		return 0;
	assert_int_equal(read(through[0], &c, 1), 1);
	return -EFAULT;
}

static int map(uint64_t nodeid, uint64_t off, uint64_t len, uint64_t file_off,
	       uint64_t flags)
{
	const struct fuse_setupmapping_in in = { .fh = UINT64_MAX,
						 .foffset = file_off,
						 .len = len,
						 .flags = flags,
						 .moffset = off };

	gfs_begin(&q, FUSE_SETUPMAPPING, nodeid, 0);
	gfs_add(&q, &in, sizeof(in));
	return gfs_send(&g, &q);
}

#define READ FUSE_SETUPMAPPING_FLAG_READ
#define WRITE (FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE)

static int unmap(const struct fuse_removemapping_one *one, uint32_t nr,
		 uint32_t count)
{
	gfs_begin(&q, FUSE_REMOVEMAPPING, file.nodeid, 0);
	gfs_add(&q, &count, sizeof(count));
	gfs_add(&q, one, nr * (uint32_t)sizeof(*one));
	return gfs_send(&g, &q);
}

static uint64_t counter;

static void take_counter(void *arg, const char *name, uint64_t value)
{
	if (strcmp(name, arg) == 0)
		counter = value;
}

static uint64_t count(const char *name)
{
	char copy[32];

	snprintf(copy, sizeof(copy), "%s", name);
	g.dev->ops->counters(g.dev, take_counter, copy);
	return counter;
}

static struct fuse_init_out init_out(void)
{
	struct fuse_init_out out;

	assert_int_equal(gfs_init(&g, UINT64_MAX), 0);
	memcpy(&out, g.reply, sizeof(out));
	return out;
}

static void test_init(void **state unused_param)
{
	struct fuse_init_out out = init_out();
	struct fuse_attr attr;

	assert_true(out.flags & FUSE_MAP_ALIGNMENT);
	assert_int_equal(1u << out.map_alignment, PAGE);
	assert_true(out.flags2 & FUSE_HAS_INODE_DAX >> 32);
	/* Large files, and nothing else. */
	make_file("small", 64 * KIB - 1);
	assert_int_equal(mkdir(path_of("dir"), 0755), 0);
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "file", &file), 0);
	assert_true(file.attr.flags & FUSE_ATTR_DAX);
	assert_int_equal(gfs_getattr(&g, file.nodeid, &attr), 0);
	assert_true(attr.flags & FUSE_ATTR_DAX);
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "small", &file), 0);
	assert_false(file.attr.flags & FUSE_ATTR_DAX);
	make_file("small", 64 * KIB);
	assert_int_equal(gfs_getattr(&g, file.nodeid, &attr), 0);
	assert_true(attr.flags & FUSE_ATTR_DAX);
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "dir", &file), 0);
	assert_false(file.attr.flags & FUSE_ATTR_DAX);
	/* A guest that did not ask. */
	assert_int_equal(gfs_init(&g, 0), 0);
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "file", &file), 0);
	assert_false(file.attr.flags & FUSE_ATTR_DAX);
}

static void test_without(void **state unused_param)
{
	const struct fuse_removemapping_one one = { .len = PAGE };
	struct fuse_init_out out = init_out();

	assert_false(out.flags & FUSE_MAP_ALIGNMENT);
	assert_int_equal(out.map_alignment, 0);
	assert_false(out.flags2 & FUSE_HAS_INODE_DAX >> 32);
	begin();
	assert_false(file.attr.flags & FUSE_ATTR_DAX);
	assert_int_equal(map(file.nodeid, 0, PAGE, 0, READ), -ENOSYS);
	assert_int_equal(unmap(&one, 1, 1), -ENOSYS);
	assert_int_equal(window, 0);
}

static void test_map(void **state unused_param)
{
	const struct fuse_removemapping_one ones[] = {
		{ .moffset = PAGE, .len = PAGE },
		{ .moffset = 2 * MIB, .len = 2 * MIB },
	};
	int fd = open(path_of("file"), O_RDWR | O_CLOEXEC);
	uint8_t c = 99;

	assert_int_equal(peek(0), 0);
	assert_int_equal(map(file.nodeid, 0, 3 * PAGE, 5 * PAGE, READ), 0);
	assert_int_equal(peek(0), 6);
	assert_int_equal(peek(2 * PAGE), 8);
	assert_int_equal(poke(0, 9), -EFAULT);
	/* Linux asks for 2 MiB whatever the file has, and again to write. */
	assert_int_equal(map(file.nodeid, 2 * MIB, 2 * MIB, 0, READ), 0);
	assert_int_equal(map(file.nodeid, 2 * MIB, 2 * MIB, 0, WRITE), 0);
	assert_int_equal(poke(2 * MIB + 6 * PAGE, 42), 0);
	assert_int_equal(pread(fd, &c, 1, 6 * PAGE), 1);
	assert_int_equal(c, 42);
	assert_int_equal(peek(PAGE), 42);
	assert_int_equal(count("open_files"), 0);
	assert_int_equal(unmap(ones, 2, 2), 0);
	assert_int_equal(peek(PAGE), 0);
	assert_int_equal(peek(2 * MIB), 0);
	assert_int_equal(peek(2 * PAGE), 8);
	assert_int_equal(unmap(ones, 2, 2), 0); /* nothing is there */
	/* A file that has no name any more. */
	unlink(path_of("file"));
	assert_int_equal(peek(2 * PAGE), 8);
	close(fd);
}

static void test_refused(void **state unused_param)
{
	const struct {
		uint64_t off, len, file_off;
	} bad[] = {
		{ 0, 0, 0 },
		{ 8, PAGE, 0 },
		{ 0, PAGE - 8, 0 },
		{ 0, PAGE, 8 },
		{ DAX, PAGE, 0 },
		{ DAX - PAGE, 2 * PAGE, 0 },
		{ -PAGE, PAGE, 0 },
		{ -PAGE, 2 * PAGE, 0 },
		{ PAGE, -PAGE, 0 },
		{ 2 * PAGE, UINT64_MAX - PAGE + 1, 0 },
		{ 0, PAGE, -PAGE },
		{ 0, PAGE, 1ull << 63 },
		{ 1ull << 63, PAGE, 0 },
	};
	struct fuse_removemapping_one one = { .len = PAGE };
	struct fuse_entry_out other;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(map(file.nodeid, bad[i].off, bad[i].len,
				     bad[i].file_off, WRITE),
				 -EINVAL);
		one = (struct fuse_removemapping_one){ bad[i].off, bad[i].len };
		if (!bad[i].file_off)
			assert_int_equal(unmap(&one, 1, 1), -EINVAL);
	}
	one = (struct fuse_removemapping_one){ 0, PAGE };
	assert_int_equal(unmap(&one, 1, 0), -EINVAL);
	assert_int_equal(unmap(&one, 1, 2), -EINVAL);
	assert_int_equal(unmap(&one, 1, UINT32_MAX), -EINVAL);
	assert_int_equal(unmap(&one, 0, 0), 0);
	/* Only files, and those that are known. */
	assert_int_equal(map(FUSE_ROOT_ID, 0, PAGE, 0, READ), -EISDIR);
	assert_int_equal(map(12345, 0, PAGE, 0, READ), -ESTALE);
	assert_int_equal(symlink("/etc/passwd", path_of("link")), 0);
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "link", &other), 0);
	assert_true(map(other.nodeid, 0, PAGE, 0, READ) < 0);
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "fifo", &other), 0);
	assert_true(map(other.nodeid, 0, PAGE, 0, READ) < 0);
	assert_int_equal(peek(0), 0);
}

static void test_readonly(void **state unused_param)
{
	assert_int_equal(map(file.nodeid, 0, PAGE, 0, WRITE), -EROFS);
	assert_int_equal(map(file.nodeid, 0, PAGE, 0, READ), 0);
	assert_int_equal(peek(0), 1);
	assert_int_equal(poke(0, 9), -EFAULT);
}

/* Nothing stays mapped, nor any descriptor. */
static void test_sessions_end(void **state unused_param)
{
	uint64_t fds;

	begin();
	fds = count("descriptors");
	assert_int_equal(map(file.nodeid, 0, 2 * MIB, 0, WRITE), 0);
	assert_int_equal(peek(0), 1);
	begin();
	assert_int_equal(peek(0), 0);
	assert_int_equal(map(file.nodeid, 0, 2 * MIB, 0, WRITE), 0);
	gfs_begin(&q, FUSE_DESTROY, 0, 0);
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_int_equal(peek(0), 0);
	begin();
	assert_int_equal(map(file.nodeid, 0, 2 * MIB, 0, WRITE), 0);
	guest_fs_start(&g);
	assert_int_equal(peek(0), 0);
	begin();
	assert_int_equal(count("descriptors"), fds);
}

/* ---- requests in the window ---- */

/* A READ of one page: the header of the reply and the data at these addresses. */
static int read_into(gpa_t head, gpa_t data)
{
	struct guest_ring *r = &g.rings[1];
	const struct fuse_read_in in = { .fh = 0, .size = PAGE };
	const gpa_t out = GFS_OUT;
	uint64_t fh;

	assert_int_equal(gfs_open(&g, file.nodeid, O_RDWR, &fh), 0);
	gfs_begin(&q, FUSE_READ, file.nodeid, PAGE);
	gfs_add(&q, &in, sizeof(in));
	((struct fuse_read_in *)(void *)(q.bytes + 40))->fh = fh;
	gfs_head(&q)->len = q.len;
	memcpy(guest_mem(&g.fv.board.gmem, out, q.len), q.bytes, q.len);
	guest_ring_desc(r, 0, out, q.len, RING_NEXT, 1);
	guest_ring_desc(r, 1, head, 16, RING_WRITE | RING_NEXT, 2);
	guest_ring_desc(r, 2, data, PAGE, RING_WRITE, 0);
	guest_ring_offer(r, 0);
	gv_kick(&g.gv, 1);
	guest_fs_turn(&g);
	return gfs_take(&g, 1) ? (int)g.written : -1;
}

static int write_from(gpa_t head, gpa_t data)
{
	struct guest_ring *r = &g.rings[1];
	struct fuse_write_in in = { .size = PAGE };
	const gpa_t out = GFS_OUT;

	assert_int_equal(gfs_open(&g, file.nodeid, O_RDWR, &in.fh), 0);
	gfs_begin(&q, FUSE_WRITE, file.nodeid, 0);
	gfs_add(&q, &in, sizeof(in));
	gfs_head(&q)->len = q.len + (uint32_t)PAGE;
	memcpy(guest_mem(&g.fv.board.gmem, out, q.len), q.bytes, q.len);
	guest_ring_desc(r, 0, head ? head : out, 40, RING_NEXT, 1);
	guest_ring_desc(r, 1, out + 40, q.len - 40, RING_NEXT, 2);
	guest_ring_desc(r, 2, data, PAGE, RING_NEXT, 3);
	guest_ring_desc(r, 3, GFS_IN, 24, RING_WRITE, 0);
	guest_ring_offer(r, 0);
	gv_kick(&g.gv, 1);
	guest_fs_turn(&g);
	return gfs_take(&g, 1) ? (int)g.written : -1;
}

/* A file is read into another that is mapped, and written from there. */
static void test_payload(void **state unused_param)
{
	struct fuse_entry_out other;
	int fd;
	uint8_t c;

	make_file("other", 64 * PAGE);
	assert_int_equal(gfs_lookup(&g, FUSE_ROOT_ID, "other", &other), 0);
	assert_int_equal(map(other.nodeid, 0, 16 * PAGE, 0, WRITE), 0);
	assert_int_equal(peek(8 * PAGE), 9);
	assert_int_equal(read_into(GFS_IN, window + 8 * PAGE), 16 + PAGE);
	assert_int_equal(g.head.error, 0);
	assert_int_equal(peek(8 * PAGE), 1);
	assert_int_equal(poke(3 * PAGE, 77), 0);
	assert_int_equal(write_from(0, window + 3 * PAGE), 24);
	assert_int_equal(g.head.error, 0);
	fd = open(path_of("file"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, &c, 1, 0), 1);
	assert_int_equal(c, 77);
	close(fd);
	/* It is cut meanwhile: an error, not our end. */
	assert_int_equal(truncate(path_of("other"), PAGE), 0);
	assert_int_equal(read_into(GFS_IN, window + 8 * PAGE), 16);
	assert_int_equal(g.head.error, -EFAULT);
	assert_int_equal(write_from(0, window + 3 * PAGE), 16);
	assert_int_equal(g.head.error, -EFAULT);
	/* As is what was never mapped. */
	assert_int_equal(read_into(GFS_IN, window + 4 * MIB), 16);
	assert_int_equal(g.head.error, -EFAULT);
}

/* What this process looks at must not lie where a file may be cut. */
static void test_headers(void **state unused_param)
{
	assert_int_equal(map(file.nodeid, 0, 16 * PAGE, 0, WRITE), 0);
	assert_int_equal(truncate(path_of("file"), 0), 0);
	assert_int_equal(read_into(window, GFS_IN), 0);
	assert_true(gv_read(&g.gv, GV_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET);
	guest_fs_start(&g);
	begin();
	assert_int_equal(map(file.nodeid, 0, 16 * PAGE, 0, WRITE), 0);
	assert_int_equal(write_from(window, GFS_OUT + PAGE), 16);
	assert_int_equal(g.head.error, -EINVAL);
	assert_int_equal(gfs_getattr(&g, FUSE_ROOT_ID, NULL), 0);
}

/* The guest looks where the file was cut; see vmm/window.h. */
static void test_faults(void **state unused_param)
{
	unsigned int seen = 0;

	assert_int_equal(map(file.nodeid, 0, 16 * PAGE, 0, WRITE), 0);
	assert_int_equal(truncate(path_of("file"), 2 * PAGE), 0);
	assert_int_equal(peek(2 * PAGE), -EFAULT);
	assert_int_equal(count("dax_faults"), 0);
	assert_true(
		windows_mend(&g.fv.board.windows, window + 2 * PAGE, &seen));
	assert_int_equal(peek(2 * PAGE), 0);
	assert_int_equal(peek(PAGE), 2);
	assert_int_equal(count("dax_faults"), 1);
}

static bool is_seen(void *arg unused_param)
{
	guest_fs_turn(&g);
	return count("dax_faults") == 1;
}

/* Or does not look, or KVM does not say. */
static void test_watch(void **state unused_param)
{
	assert_int_equal(map(file.nodeid, 0, 16 * PAGE, 0, WRITE), 0);
	assert_int_equal(truncate(path_of("file"), 2 * PAGE), 0);
	assert_true(fake_vm_turn_until(&g.fv, is_seen, NULL));
	assert_int_equal(peek(2 * PAGE), 0);
	assert_int_equal(peek(PAGE), 2);
}

/* The guest cuts its file, and that is seen. */
static void cut(void)
{
	const struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = PAGE };

	struct virtio_dev *virtio =
		container_of(g.dev, struct virtio_dev, device);

	gfs_begin(&q, FUSE_SETATTR, file.nodeid, sizeof(struct fuse_attr_out));
	gfs_add(&q, &in, sizeof(in));
	assert_int_equal(gfs_send(&g, &q), 0);
	assert_true(window_look(virtio->window));
	assert_int_equal(peek(8 * PAGE), 0);
}

/* It has made it longer: what it writes now is there. */
static void check_grown(uint8_t c)
{
	int fd = open(path_of("file"), O_RDONLY | O_CLOEXEC);
	uint8_t have = 0;

	assert_int_equal(poke(8 * PAGE, c), 0);
	assert_int_equal(pread(fd, &have, 1, 8 * PAGE), 1);
	assert_int_equal(have, c);
	close(fd);
}

static void test_grown(void **state unused_param)
{
	struct fuse_setattr_in set = { .valid = FATTR_SIZE, .size = 9 * PAGE };
	struct fuse_write_in wr = { .offset = 9 * PAGE, .size = 1 };
	struct fuse_fallocate_in fa = { .length = 9 * PAGE };
	struct fuse_copy_file_range_in copy = { .off_out = 9 * PAGE, .len = 1 };

	assert_int_equal(map(file.nodeid, 0, 16 * PAGE, 0, WRITE), 0);
	assert_int_equal(gfs_open(&g, file.nodeid, O_RDWR, &wr.fh), 0);
	cut();
	gfs_begin(&q, FUSE_SETATTR, file.nodeid, sizeof(struct fuse_attr_out));
	gfs_add(&q, &set, sizeof(set));
	assert_int_equal(gfs_send(&g, &q), 0);
	check_grown(10);
	cut();
	gfs_begin(&q, FUSE_WRITE, file.nodeid, sizeof(struct fuse_write_out));
	gfs_add(&q, &wr, sizeof(wr));
	gfs_add(&q, "x", 1);
	assert_int_equal(gfs_send(&g, &q), 0);
	check_grown(11);
	cut();
	fa.fh = wr.fh;
	gfs_begin(&q, FUSE_FALLOCATE, file.nodeid, 0);
	gfs_add(&q, &fa, sizeof(fa));
	assert_int_equal(gfs_send(&g, &q), 0);
	check_grown(12);
	cut();
	copy.fh_in = copy.fh_out = wr.fh;
	copy.nodeid_out = file.nodeid;
	gfs_begin(&q, FUSE_COPY_FILE_RANGE, file.nodeid,
		  sizeof(struct fuse_write_out));
	gfs_add(&q, &copy, sizeof(copy));
	assert_int_equal(gfs_send(&g, &q), 0);
	check_grown(13);
}

#define UNIT(t, with) cmocka_unit_test_setup_teardown(t, with, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_init, setup),
		UNIT(test_without, setup_without),
		UNIT(test_map, setup),
		UNIT(test_refused, setup),
		UNIT(test_readonly, setup_readonly),
		UNIT(test_sessions_end, setup),
		UNIT(test_payload, setup),
		UNIT(test_headers, setup),
		UNIT(test_faults, setup),
		UNIT(test_watch, setup),
		UNIT(test_grown, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
