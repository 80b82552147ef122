/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A driver without manners on a shared directory: the input is a row of requests,
 * whole ones that were changed, and bytes that are none. What must hold: each is
 * answered, or the device asks for its reset; a pause and a reset leave nothing in
 * flight, open or mapped; and what is beside the directory is as it was.
 */
#include <fcntl.h>
#include <ftw.h>
#include <sanitizer/lsan_interface.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/backend/fs_tree.h"
#include "devices/virtio/fs_device.h"
#include "tests/fuzz/stream.h"
#include "tests/lib/guest_fs.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define MAX_OPS 64u
#define SECRET "nobody of the guest's business"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct guest_fs g;
static struct gfs_request q;
static struct gfs_target target;

static struct fs *the_fs(void)
{
	return fs_of(container_of(g.dev, struct virtio_dev, device));
}

/* ---- beside the directory ---- */

/* All that tells of a change or of reading: the times are finer than a tick, and
 * nobody sets ctime. */
struct seen {
	struct timespec mtime, ctime, atime;
	off_t size;
	nlink_t nlink;
};

/* What is above the directory and beside it. */
static const char *const outside[] = { ".", "outside", "outside/secret" };
static struct seen before[ARRAY_SIZE(outside)];

static const char *beside(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", g.base, name);
	return path;
}

static void look(struct seen seen[ARRAY_SIZE(outside)])
{
	struct stat st;

	/* Padding, too, is compared. */
	memset(seen, 0, sizeof(before));
	for (unsigned int i = 0; i < ARRAY_SIZE(outside); i++) {
		require(!lstat(beside(outside[i]), &st));
		seen[i].mtime = st.st_mtim;
		seen[i].ctime = st.st_ctim;
		/* Of directories it is also set by who lists them here. */
		if (S_ISREG(st.st_mode))
			seen[i].atime = st.st_atim;
		seen[i].size = st.st_size;
		seen[i].nlink = st.st_nlink;
	}
}

static bool outside_is_same(void)
{
	struct seen now[ARRAY_SIZE(outside)];

	look(now);
	return memcmp(now, before, sizeof(before)) == 0;
}

/* Nothing but a touch, long enough after the last look for clocks to tell. */
static void check_the_check(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(outside); i++) {
		look(before);
		require(outside_is_same());
		usleep(20000);
		require(!chmod(beside(outside[i]), 0700));
		require(!outside_is_same());
	}
	look(before);
	usleep(20000);
}

static void make_outside(void)
{
	int fd;

	require(!mkdir(beside("outside"), 0755));
	fd = open(beside("outside/secret"), O_CREAT | O_WRONLY | O_CLOEXEC,
		  0600);
	require(fd >= 0 && write(fd, SECRET, sizeof(SECRET)) > 0);
	close(fd);
	check_the_check();
}

/* ---- in it ---- */

static int remove_one(const char *path, const struct stat *st unused_param,
		      int type unused_param, struct FTW *ftw)
{
	if (ftw->level)
		remove(path);
	return 0;
}

static void make_inside(void)
{
	char path[160], link[160];
	int fd;

	nftw(g.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	require(!chmod(g.dir, 0755));
	snprintf(path, sizeof(path), "%s/file", g.dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	require(fd >= 0 && write(fd, "in the file", 11) == 11);
	close(fd);
	snprintf(path, sizeof(path), "%s/link", g.dir);
	snprintf(link, sizeof(link), "%s/outside/secret", g.base);
	require(!symlink(link, path));
	snprintf(path, sizeof(path), "%s/up", g.dir);
	require(!symlink("../outside", path));
	snprintf(path, sizeof(path), "%s/fifo", g.dir);
	require(!mkfifo(path, 0600));
	snprintf(path, sizeof(path), "%s/dir", g.dir);
	require(!mkdir(path, 0755));
}

static void learn(void)
{
	struct fuse_entry_out entry;

	target = (struct gfs_target){ .dir = FUSE_ROOT_ID, .name = "name" };
	require(!gfs_init(&g, UINT64_MAX));
	require(!gfs_lookup(&g, FUSE_ROOT_ID, "file", &entry));
	target.file = entry.nodeid;
	require(!gfs_lookup(&g, FUSE_ROOT_ID, "link", &entry));
	target.link = entry.nodeid;
	require(!gfs_open(&g, target.file, O_RDWR, &target.fh));
	gfs_sample(&q, FUSE_OPENDIR, &target);
	require(!gfs_send(&g, &q));
	memcpy(&target.dir_fh, g.reply, 8);
}

static void start(void)
{
	guest_fs_start(&g);
	make_inside();
	learn();
}

/* ---- requests ---- */

static const char *take_name(struct stream *s)
{
	static const char *const names[] = {
		"name",	      "file",	   "link",   "up",  "fifo",
		"dir",	      "",	   ".",	     "..",  "/",
		"../x",	      "up/secret", "link/x", "new", "../outside/x",
		"../outside",
	};

	return names[stream_take(s, 1) % ARRAY_SIZE(names)];
}

/* What there is, or a number. */
static uint64_t take_id(struct stream *s)
{
	uint64_t what = stream_take(s, 1);

	switch (what % 8) {
	case 0:
		return target.dir;
	case 1:
		return target.file;
	case 2:
		return target.link;
	case 3:
		return target.fh;
	case 4:
		return target.dir_fh;
	case 5:
		return stream_take(s, 8);
	default:
		return what >> 3;
	}
}

static void change_bytes(struct stream *s)
{
	unsigned int n = (unsigned int)stream_take(s, 1) % 4;

	while (n--) {
		uint32_t at = (uint32_t)stream_take(s, 1);

		if (sizeof(struct fuse_in_header) + at < q.len)
			q.bytes[sizeof(struct fuse_in_header) + at] =
				(uint8_t)stream_take(s, 1);
	}
}

/* The answer, and what of it the guest goes on with. */
static void send(void)
{
	uint32_t opcode = gfs_head(&q)->opcode;
	int r = gfs_send_raw(&g, &q);

	if (gv_read(&g.gv, GV_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET) {
		start();
		return;
	}
	/* A lock that waits is in flight. */
	require(r != 1 || opcode == FUSE_SETLKW);
	if (r)
		return;
	if (opcode == FUSE_LOOKUP || opcode == FUSE_CREATE ||
	    opcode == FUSE_MKDIR || opcode == FUSE_SYMLINK)
		memcpy(&target.dir, g.reply, 8);
	if (opcode == FUSE_OPEN)
		memcpy(&target.fh, g.reply, 8);
	if (opcode == FUSE_DESTROY)
		start();
	if (opcode == FUSE_INIT)
		target.dir = FUSE_ROOT_ID;
}

static void request(struct stream *s)
{
	uint32_t opcode = (uint32_t)stream_take(s, 1) % (FS_OPS + 2);
	uint64_t odd = stream_take(s, 1);
	uint32_t cut;

	target.name = take_name(s);
	if (!gfs_sample(&q, opcode, &target))
		return;
	/* The time a lock is waited for is not the fuzzer's to wait. */
	if (opcode == FUSE_SETLKW)
		return;
	if (odd & 1)
		gfs_head(&q)->nodeid = take_id(s);
	if (odd & 2)
		change_bytes(s);
	if (odd & 4)
		gfs_head(&q)->total_extlen = (uint16_t)stream_take(s, 2);
	if (odd & 8) {
		cut = (uint32_t)stream_take(s, 1) % 64;
		q.len -= MIN(q.len, cut);
	}
	if (odd & 16)
		q.room = (uint32_t)stream_take(s, 2) % 8192;
	if (odd & 32)
		q.qidx = (unsigned int)stream_take(s, 1) % GFS_QUEUES;
	if (!q.len && !q.room)
		return;
	gfs_head(&q)->len = q.len;
	if (odd & 64)
		gfs_head(&q)->len += (uint32_t)stream_take(s, 4);
	gfs_head(&q)->uid = (uint32_t)odd & 128 ? 1000 : 0;
	send();
}

static void bytes(struct stream *s)
{
	uint32_t i, len = (uint32_t)stream_take(s, 1);

	gfs_begin(&q, (uint32_t)stream_take(s, 1) % FS_OPS, take_id(s), 4096);
	for (i = 0; i < len; i++)
		q.bytes[q.len++] = (uint8_t)stream_take(s, 1);
	gfs_head(&q)->len = q.len;
	if (gfs_head(&q)->opcode != FUSE_SETLKW)
		send();
}

static void pause_and_resume(void)
{
	g.dev->ops->quiesce(g.dev);
	guest_fs_turn(&g);
	require(g.dev->ops->is_quiet(g.dev));
	g.dev->ops->resume(g.dev);
	guest_fs_turn(&g);
}

static void step(struct stream *s)
{
	switch (stream_take(s, 1) % 32) {
	case 0 ... 3:
		bytes(s);
		break;
	case 4:
		pause_and_resume();
		break;
	case 5:
		start();
		break;
	default:
		request(s);
	}
}

/* ---- one machine for all inputs ---- */

static void remove_files(void)
{
	guest_fs_fini(&g);
}

/* What is reserved for the tables is not the allocator's: the leak check looks for
 * pointers there only when it is told to. */
static void show_tables_to_leak_check(const struct fs_tree *t)
{
	__lsan_register_root_region(t->table.inode,
				    FS_INODES_MAX * sizeof(*t->table.inode));
	__lsan_register_root_region(
		t->files.file, (t->files.max + 1) * sizeof(*t->files.file));
}

static void set_up(void)
{
	log_init(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_ERROR);
	guest_fs_init(&g, "id=share,locks=on,posix_acl=on,dax=4M");
	show_tables_to_leak_check(the_fs()->tree);
	make_outside();
	atexit(remove_files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream s = { data, size };
	struct fs_counts counts;
	struct window_map map;
	unsigned int i;

	if (!g.dev)
		set_up();
	start();
	for (i = 0; i < MAX_OPS && s.left; i++)
		step(&s);
	gv_write(&g.gv, GV_STATUS, 0, 1);
	guest_fs_turn(&g);
	require(gv_read(&g.gv, GV_STATUS, 1) == 0);
	fs_tree_count(the_fs()->tree, &counts);
	require(counts.inodes == 1 && !counts.files);
	require(!window_next(the_fs()->dev.window, 0, &map));
	require(outside_is_same());
	return 0;
}
