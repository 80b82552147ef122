/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Windows on real files. Nothing here reads what may not be there: system calls
 * do, and say -EFAULT. */
#include "vmm/window.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/log.h"
#include "vmm/util.h"

#define PAGE 4096ull
#define GPA 0x100000000ull
#define LEN (64 * MIB)
#define FILE_LEN (32 * MIB)

static struct gmem gm;
static struct windows all;
static struct window *w;
static int file;
static int through[2]; /* a pipe */

static int setup(void **state unused_param)
{
	const struct gmem_config gc = { .size = 2 * MIB };

	log_init(STDERR_FILENO, LOG_ERROR);
	memset(&all, 0, sizeof(all));
	gmem_init(&gm, &gc);
	assert_int_equal(gmem_add(&gm, 0, 2 * MIB, NULL), 0);
	assert_int_equal(window_create(&w, &all, &gm, "fs0", LEN, NULL), 0);
	assert_int_equal(window_place(w, GPA, NULL), 0);
	file = memfd_create("file", MFD_CLOEXEC);
	assert_int_equal(ftruncate(file, (off_t)FILE_LEN), 0);
	assert_int_equal(pipe(through), 0);
	return 0;
}

static int teardown(void **state unused_param)
{
	window_destroy(w);
	gmem_fini(&gm);
	assert_int_equal(atomic_load(&all.nr_maps), 0);
	close(file);
	close(through[0]);
	close(through[1]);
	return 0;
}

static uint8_t *at(uint64_t off)
{
	uint64_t len = 1;
	enum gmem_kind kind;
	uint8_t *p = gmem_span(&gm, GPA + off, &len, &kind);

	assert_non_null(p);
	assert_int_equal(kind, GMEM_WINDOW);
	return p;
}

/* The byte that the guest finds at off, or -EFAULT. */
static int peek(uint64_t off)
{
	uint8_t c;

	if (write(through[1], at(off), 1) != 1)
		return -errno;
	assert_int_equal(read(through[0], &c, 1), 1);
	return c;
}

static int poke(uint64_t off, char c)
{
	char back;

	assert_int_equal(write(through[1], &c, 1), 1);
	if (read(through[0], at(off), 1) == 1)
		return 0;
	assert_int_equal(errno, EFAULT);
	assert_int_equal(read(through[0], &back, 1), 1);
	return -EFAULT;
}

static void fill(int fd, uint64_t off, const char *text)
{
	assert_int_equal(pwrite(fd, text, strlen(text), (off_t)off),
			 strlen(text));
}

static int map_fd(int fd, uint64_t off, uint64_t len, uint64_t file_off,
		  bool writable)
{
	const struct window_map map = { .off = off,
					.len = len,
					.file = 7,
					.file_off = file_off,
					.writable = writable };

	return window_map(w, &map, fd);
}

static int map(uint64_t off, uint64_t len, uint64_t file_off, bool writable)
{
	return map_fd(file, off, len, file_off, writable);
}

/* All maps, as pages: "0+2@5 7+1@0w ". */
static const char *maps(void)
{
	static char text[512];
	struct window_map m = { 0 };
	size_t n = 0;

	text[0] = '\0';
	while (window_next(w, m.off + m.len, &m)) {
		assert_int_equal(m.file, 7);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%u+%u@%u%s ",
				      (unsigned int)(m.off / PAGE),
				      (unsigned int)(m.len / PAGE),
				      (unsigned int)(m.file_off / PAGE),
				      m.writable ? "w" : "");
	}
	return text;
}

static void test_empty(void **state unused_param)
{
	assert_int_equal(window_len(w), LEN);
	assert_string_equal(maps(), "");
	assert_int_equal(peek(0), 0);
	assert_int_equal(peek(LEN - 1), 0);
	assert_int_equal(poke(5, 'x'), -EFAULT);
	assert_null(gmem_ptr(&gm, GPA, 1));
}

static void test_refused(void **state unused_param)
{
	const uint64_t end = LEN;
	const struct {
		uint64_t off, len, file_off;
	} bad[] = {
		{ 0, 0, 0 },
		{ 1, PAGE, 0 },
		{ 0, PAGE + 1, 0 },
		{ 0, PAGE, 512 },
		{ end, PAGE, 0 },
		{ end - PAGE, 2 * PAGE, 0 },
		{ 0, end + PAGE, 0 },
		{ -PAGE, 2 * PAGE, 0 },
		{ PAGE, -PAGE, 0 },
		{ -PAGE, PAGE, 0 },
		{ 0, -PAGE, 0 },
		{ 0, PAGE, -PAGE },
		{ 0, PAGE, 1ull << 63 },
		{ 0, 2 * PAGE, INT64_MAX & ~(PAGE - 1) },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(
			map(bad[i].off, bad[i].len, bad[i].file_off, false),
			-EINVAL);
		if (!bad[i].file_off)
			assert_int_equal(
				window_unmap(w, bad[i].off, bad[i].len),
				-EINVAL);
	}
	assert_int_equal(map_fd(through[0], 0, PAGE, 0, false), -EINVAL);
	assert_int_equal(map_fd(-1, 0, PAGE, 0, false), -EBADF);
	assert_string_equal(maps(), "");
}

static void test_map(void **state unused_param)
{
	fill(file, 3 * PAGE, "three");
	assert_int_equal(map(8 * PAGE, 2 * PAGE, 3 * PAGE, false), 0);
	assert_int_equal(peek(8 * PAGE), 't');
	assert_int_equal(poke(8 * PAGE, 'T'), -EFAULT);
	/* The same again, to write. */
	assert_int_equal(map(8 * PAGE, 2 * PAGE, 3 * PAGE, true), 0);
	assert_int_equal(poke(8 * PAGE, 'T'), 0);
	assert_string_equal(maps(), "8+2@3w ");
	fill(file, 3 * PAGE + 1, "H");
	assert_int_equal(peek(8 * PAGE + 1), 'H');
	assert_int_equal(peek(10 * PAGE), 0);
	assert_int_equal(window_unmap(w, 8 * PAGE, 2 * PAGE), 0);
	assert_string_equal(maps(), "");
	assert_int_equal(peek(8 * PAGE), 0);
	assert_int_equal(poke(8 * PAGE, 'x'), -EFAULT);
	/* A descriptor that cannot write. */
	close(through[0]);
	close(through[1]);
	through[0] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	through[1] = -1;
	assert_int_equal(map_fd(through[0], 0, PAGE, 0, true), -EACCES);
	assert_int_equal(map_fd(through[0], 0, PAGE, 0, false), 0);
}

/* A map takes the place of what is there, in pieces. */
static void test_replace(void **state unused_param)
{
	assert_int_equal(map(0, 8 * PAGE, 0, true), 0);
	assert_int_equal(window_unmap(w, 3 * PAGE, PAGE), 0);
	assert_string_equal(maps(), "0+3@0w 4+4@4w ");
	assert_int_equal(map(2 * PAGE, 3 * PAGE, 100 * PAGE, false), 0);
	assert_string_equal(maps(), "0+2@0w 2+3@100 5+3@5w ");
	assert_int_equal(atomic_load(&all.nr_maps), 3);
	fill(file, 5 * PAGE, "5");
	fill(file, 102 * PAGE, "c");
	assert_int_equal(peek(4 * PAGE), 'c');
	assert_int_equal(peek(5 * PAGE), '5');
	assert_int_equal(map(PAGE, 6 * PAGE, 50 * PAGE, true), 0);
	assert_string_equal(maps(), "0+1@0w 1+6@50w 7+1@7w ");
	assert_int_equal(window_unmap(w, 0, LEN), 0);
	assert_string_equal(maps(), "");
	/* The last page, and all. */
	assert_int_equal(map(LEN - PAGE, PAGE, 0, true), 0);
	assert_int_equal(map(0, LEN, 0, false), 0);
	assert_string_equal(maps(), "0+16384@0 ");
	window_forget(w);
	assert_string_equal(maps(), "");
	assert_int_equal(peek(5 * PAGE), 0);
}

static void test_cut_file(void **state unused_param)
{
	fill(file, 0, "zero");
	fill(file, 2 * PAGE, "two");
	assert_int_equal(map(0, 4 * PAGE, 0, true), 0);
	assert_int_equal(map(2 * MIB, 2 * PAGE, 2 * PAGE, false), 0);
	assert_int_equal(peek(2 * PAGE), 't');
	assert_false(window_mend(w, 2 * PAGE));
	assert_int_equal(window_faults(w), 0);

	assert_int_equal(ftruncate(file, 100), 0);
	assert_int_equal(peek(2 * PAGE), -EFAULT);
	assert_int_equal(poke(2 * PAGE, 'x'), -EFAULT);
	assert_int_equal(peek(2 * MIB), -EFAULT);
	assert_true(window_mend(w, WINDOW_NOWHERE));
	assert_int_equal(window_faults(w), 1);
	assert_int_equal(peek(0), 'z');
	assert_int_equal(peek(PAGE), 0);
	assert_int_equal(peek(2 * PAGE), 0);
	assert_int_equal(peek(2 * MIB + PAGE), 0);
	/* Memory of the guest's own. */
	assert_int_equal(poke(2 * PAGE, 'x'), 0);
	assert_int_equal(peek(2 * PAGE), 'x');
	assert_int_equal(peek(2 * MIB), 0);
	/* It is what was mapped all the same, and not looked for twice. */
	assert_string_equal(maps(), "0+4@0w 512+2@2 ");
	assert_false(window_mend(w, 2 * PAGE));
	/* It is the file's when that is long enough again. */
	assert_int_equal(ftruncate(file, 3 * PAGE), 0);
	fill(file, 2 * PAGE, "2");
	assert_int_equal(peek(2 * PAGE), 'x');
	assert_true(window_look(w));
	assert_int_equal(peek(2 * PAGE), '2');
	assert_int_equal(poke(2 * PAGE, '3'), 0);
	assert_int_equal(peek(2 * MIB), '3');
	assert_int_equal(poke(2 * MIB, '4'), -EFAULT);
	assert_int_equal(ftruncate(file, 4 * PAGE), 0);
	assert_int_equal(map(0, 4 * PAGE, 0, true), 0);
	assert_int_equal(peek(2 * PAGE), '3');
	/* Shorter, and shorter still; pieces have their part of it. */
	assert_int_equal(ftruncate(file, 3 * PAGE), 0);
	assert_true(window_mend(w, 3 * PAGE));
	assert_int_equal(window_unmap(w, PAGE, PAGE), 0);
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(peek(0), -EFAULT);
	assert_int_equal(peek(2 * PAGE), -EFAULT);
	assert_int_equal(peek(3 * PAGE), 0);
	assert_true(window_mend(w, 0));
	assert_int_equal(peek(0), 0);
	assert_int_equal(peek(2 * PAGE), 0);
	assert_int_equal(window_faults(w), 3);
}

/* Seen without a fault: what is cut, and not what was never there. */
static void test_look(void **state unused_param)
{
	assert_false(window_look(w));
	assert_int_equal(ftruncate(file, 4 * PAGE), 0);
	fill(file, 2 * PAGE, "2");
	assert_int_equal(map(0, 2 * MIB, 0, false), 0);
	assert_int_equal(map(2 * MIB, 2 * MIB, 0, true), 0);
	assert_true(window_look(w));
	assert_int_equal(window_faults(w), 0);
	assert_int_equal(peek(4 * PAGE), -EFAULT);
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(peek(2 * PAGE), -EFAULT);
	assert_true(window_look(w));
	assert_int_equal(window_faults(w), 1);
	assert_int_equal(peek(2 * PAGE), 0);
	assert_int_equal(poke(2 * MIB + 2 * PAGE, 'x'), 0);
	assert_true(window_look(w));
	assert_int_equal(window_faults(w), 1);
	/* Another takes its place, as when a file is written anew. */
	assert_int_equal(ftruncate(file, 3 * PAGE), 0);
	fill(file, 2 * PAGE, "new");
	assert_true(window_look(w));
	assert_int_equal(peek(2 * PAGE), 'n');
	assert_int_equal(poke(2 * MIB + 2 * PAGE, 'N'), 0);
	assert_int_equal(peek(2 * PAGE), 'N');
	assert_int_equal(poke(2 * PAGE, 'x'), -EFAULT);
	window_forget(w);
	assert_false(window_look(w));
}

/* By the guest, which then writes at once. */
static void test_grew(void **state unused_param)
{
	char c = 0;

	assert_int_equal(ftruncate(file, 4 * PAGE), 0);
	assert_int_equal(map(0, 2 * MIB, 0, true), 0);
	window_grew(w, 7); /* nothing was cut */
	assert_int_equal(ftruncate(file, PAGE), 0);
	assert_true(window_look(w));
	assert_int_equal(window_faults(w), 1);
	assert_int_equal(poke(2 * PAGE, 'x'), 0);
	assert_int_equal(ftruncate(file, 3 * PAGE), 0);
	window_grew(w, 8); /* another file */
	assert_int_equal(peek(2 * PAGE), 'x');
	window_grew(w, 7);
	assert_int_equal(peek(2 * PAGE), 0);
	assert_int_equal(poke(2 * PAGE, 'y'), 0);
	assert_true(window_look(w));
	assert_int_equal(pread(file, &c, 1, 2 * PAGE), 1);
	assert_int_equal(c, 'y');
	assert_int_equal(peek(2 * PAGE), 'y');
	/* No more than it has. */
	assert_int_equal(peek(3 * PAGE), 0);
	assert_int_equal(window_faults(w), 1);
}

/* Beyond the end from the start. */
static void test_past_end(void **state unused_param)
{
	assert_int_equal(ftruncate(file, PAGE + 1), 0);
	assert_int_equal(map(0, 2 * MIB, 0, true), 0);
	assert_int_equal(peek(PAGE), 0);
	assert_int_equal(peek(2 * PAGE), -EFAULT);
	/* The file may grow before the guest looks. */
	assert_int_equal(ftruncate(file, 3 * PAGE), 0);
	fill(file, 2 * PAGE, "grown");
	assert_int_equal(peek(2 * PAGE), 'g');
	assert_true(window_mend(w, 3 * PAGE));
	assert_int_equal(peek(2 * PAGE), 'g');
	assert_int_equal(peek(3 * PAGE), 0);
	/* All of a map is behind it. */
	assert_int_equal(map(4 * MIB, PAGE, 16 * MIB, true), 0);
	assert_int_equal(peek(4 * MIB), -EFAULT);
	assert_true(window_mend(w, WINDOW_NOWHERE));
	assert_int_equal(peek(4 * MIB), 0);
}

/* What the guest writes where nothing is takes no memory to speak of. */
static void test_scrap(void **state unused_param)
{
	const uint64_t scrap = 2 * MIB;

	fill(file, 0, "f");
	assert_int_equal(map(4 * MIB, 2 * MIB, 0, true), 0);
	assert_int_equal(poke(8 * MIB, 'x'), -EFAULT);
	assert_true(window_mend(w, 8 * MIB));
	assert_int_equal(poke(8 * MIB + 7, 'x'), 0);
	assert_int_equal(poke(LEN - 1, 'y'), 0);
	assert_int_equal(poke(0, 'z'), 0);
	assert_int_equal(peek(8 * MIB + 7 + scrap), 'x');
	assert_int_equal(peek(4 * MIB), 'f');
	assert_false(window_mend(w, 8 * MIB));
	assert_int_equal(window_faults(w), 1);
	/* What is unmapped later reads as zero until it is written to. */
	assert_int_equal(window_unmap(w, 4 * MIB, 2 * MIB), 0);
	assert_int_equal(peek(4 * MIB + 7), 0);
	assert_int_equal(poke(4 * MIB, 'x'), -EFAULT);
	assert_true(window_mend(w, WINDOW_NOWHERE));
	assert_int_equal(poke(4 * MIB, 'x'), 0);
	window_forget(w);
	assert_int_equal(peek(8 * MIB + 7), 0);
	assert_int_equal(poke(8 * MIB, 'x'), -EFAULT);
	/* And nothing of it comes back. */
	assert_true(window_mend(w, 0));
	assert_int_equal(peek(8 * MIB + 7), 0);
}

/* Nor do zeroes behind files. */
static void test_zeroes_are_bounded(void **state unused_param)
{
	assert_int_equal(map(0, 16 * MIB, 0, true), 0);
	assert_int_equal(map(16 * MIB, 16 * MIB, 16 * MIB, true), 0);
	assert_int_equal(ftruncate(file, 0), 0);
	assert_true(window_mend(w, 0));
	assert_int_equal(poke(0, 'x'), 0);
	assert_int_equal(peek(2 * MIB), 0);
	assert_int_equal(poke(16 * MIB, 'y'), 0);
	assert_int_equal(peek(18 * MIB), 'y');
}

/* More files than there are descriptors for: their pages are tried. */
static void test_many_files(void **state unused_param)
{
	enum { NR = 300 };
	int fds[NR];

	for (unsigned int i = 0; i < NR; i++) {
		fds[i] = memfd_create("one", MFD_CLOEXEC);
		assert_int_equal(ftruncate(fds[i], 2 * PAGE), 0);
		fill(fds[i], 0, "a");
		fill(fds[i], PAGE, "b");
		assert_int_equal(
			map_fd(fds[i], 4 * PAGE * i, 2 * PAGE, 0, true), 0);
	}
	assert_int_equal(ftruncate(fds[NR - 1], PAGE), 0);
	assert_int_equal(ftruncate(fds[NR - 2], PAGE), 0);
	assert_int_equal(peek(4 * PAGE * (NR - 1) + PAGE), -EFAULT);
	/* The one page, then any. */
	assert_true(window_mend(w, 4 * PAGE * (NR - 1) + PAGE));
	assert_int_equal(peek(4 * PAGE * (NR - 1) + PAGE), 0);
	assert_int_equal(peek(4 * PAGE * (NR - 1)), 'a');
	assert_int_equal(peek(4 * PAGE * (NR - 2) + PAGE), -EFAULT);
	assert_true(window_mend(w, WINDOW_NOWHERE));
	assert_int_equal(peek(4 * PAGE * (NR - 2) + PAGE), 0);
	assert_int_equal(peek(4 * PAGE * (NR - 2)), 'a');
	assert_int_equal(peek(4 * PAGE * 5 + PAGE), 'b');
	for (unsigned int i = 0; i < NR; i++)
		close(fds[i]);
}

/* A file system that has no room left fails the pages of a sparse file, as a
 * device that is broken would. A mount of our own. */
static int broken_file(void)
{
	static const char dir[] = "/tmp/vmm-window-XXXXXX";
	char path[64], mount_point[sizeof(dir)];
	static char rest[64 * PAGE];
	int fd, other;

	if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return -1;
	memcpy(mount_point, dir, sizeof(dir));
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !mkdtemp(mount_point))
		return -1;
	if (mount("tmpfs", mount_point, "tmpfs", 0, "size=64k,huge=never"))
		return -1;
	snprintf(path, sizeof(path), "%s/sparse", mount_point);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 16 * PAGE), 0);
	fill(fd, 0, "first");
	fill(fd, 3 * PAGE, "fourth");
	snprintf(path, sizeof(path), "%s/rest", mount_point);
	other = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	while (write(other, rest, sizeof(rest)) > 0)
		;
	close(other);
	umount2(mount_point, MNT_DETACH);
	rmdir(mount_point);
	return fd;
}

/* ---- a device whose reads fail, beside a kernel that tries again ---- */

static struct {
	char dir[32];
	pid_t pid;
	FILE *to, *from;
} failing;

static bool failing_says(const char *want)
{
	char line[16] = "";

	return fgets(line, sizeof(line), failing.from) && !strcmp(line, want);
}

/* A file of 8 MiB that can be read so far. False: nobody may mount here. */
static bool failing_start(void)
{
	int in[2], out[2];

	snprintf(failing.dir, sizeof(failing.dir), "/tmp/vmm-window-XXXXXX");
	assert_non_null(mkdtemp(failing.dir));
	assert_int_equal(pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC), 0);
	failing.pid = fork();
	if (!failing.pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execl(getenv("HUNGFS"), "hungfs", failing.dir, "8", "cached",
		      NULL);
		_exit(1);
	}
	close(in[0]);
	close(out[1]);
	failing.to = fdopen(in[1], "w");
	failing.from = fdopen(out[0], "r");
	setvbuf(failing.to, NULL, _IONBF, 0);
	return failing_says("ready\n");
}

static void failing_end(void)
{
	fclose(failing.to);
	fclose(failing.from);
	waitpid(failing.pid, NULL, 0);
	rmdir(failing.dir);
}

/* KVM may try to read a page for ever, and nobody says that it does: what the host
 * could not read is found, and nothing is read that nobody wanted. */
static void test_look_at_pages(void **state unused_param)
{
	bool can = failing_start();
	char path[64];
	int fd;

	/* cachestat(2) is Linux 6.5. */
	if (!can || (syscall(451, -1, NULL, NULL, 0) && errno == ENOSYS)) {
		failing_end();
		skip();
	}
	snprintf(path, sizeof(path), "%s/disk", failing.dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(map_fd(fd, 0, 4 * MIB, 0, false), 0);
	assert_int_equal(map_fd(fd, 8 * MIB, 4 * MIB, 4 * MIB, false), 0);
	assert_int_equal(peek(8 * MIB), 0);
	assert_true(window_look(w));
	fputs("fail\n", failing.to);
	assert_true(failing_says("ok\n"));
	assert_true(window_look(w));
	assert_int_equal(window_faults(w), 0);
	assert_int_equal(peek(2 * MIB + 5 * PAGE), -EFAULT);
	assert_true(window_look(w));
	assert_int_equal(window_faults(w), 1);
	assert_int_equal(peek(2 * MIB + 5 * PAGE), 0);
	/* What was read before is there. */
	assert_int_equal(poke(8 * MIB, 'x'), -EFAULT);
	assert_int_equal(peek(8 * MIB), 0);
	close(fd);
	window_forget(w);
	failing_end();
}

static void test_broken_device(void **state unused_param)
{
	int fd = broken_file();

	if (fd < 0)
		skip(); /* who may not mount */
	assert_int_equal(map_fd(fd, 0, 8 * PAGE, 0, true), 0);
	assert_int_equal(map_fd(fd, MIB, 8 * PAGE, 0, true), 0);
	assert_int_equal(peek(0), 'f');
	assert_int_equal(peek(PAGE), -EFAULT);
	/* Where KVM says where it was, and where not. */
	assert_true(window_mend(w, PAGE + 7));
	assert_int_equal(peek(PAGE), 0);
	assert_int_equal(poke(PAGE, 'x'), 0);
	assert_int_equal(peek(2 * PAGE), -EFAULT);
	assert_true(window_mend(w, WINDOW_NOWHERE));
	for (unsigned int i = 1; i < 8; i++) {
		int c = i == 3 ? 'f' : i == 1 ? 'x' : 0;

		assert_int_equal(peek(i * PAGE), c);
		assert_int_equal(peek(MIB + i * PAGE), i == 1 ? 0 : c);
	}
	assert_int_equal(peek(MIB), 'f');
	assert_false(window_mend(w, 2 * PAGE));
	close(fd);
}

/* KVM gives up: each vCPU has a try for what another has mended, but no two. */
static void test_vcpus(void **state unused_param)
{
	unsigned int a = 0, b = 0;

	assert_int_equal(map(0, 2 * PAGE, 0, true), 0);
	/* RAM, or nothing: not ours. */
	assert_false(windows_mend(&all, 0, &a));
	assert_false(windows_mend(&all, GPA + LEN, &a));
	assert_int_equal(ftruncate(file, 0), 0);
	assert_true(windows_mend(&all, GPA + PAGE, &a));
	assert_true(windows_mend(&all, GPA + PAGE, &b));
	assert_false(windows_mend(&all, GPA + PAGE, &b));
	assert_false(windows_mend(&all, GPA + PAGE, &a));
	/* Another change, another try. */
	assert_int_equal(window_unmap(w, 0, PAGE), 0);
	assert_true(windows_mend(&all, GPA + PAGE, &a));
	assert_false(windows_mend(&all, GPA + PAGE, &a));
	/* Unknown: scrap, then a try, then the end. */
	assert_true(windows_mend(&all, WINDOW_NOWHERE, &a));
	assert_true(windows_mend(&all, WINDOW_NOWHERE, &b));
	assert_false(windows_mend(&all, WINDOW_NOWHERE, &b));
	window_displace(w);
	assert_false(windows_mend(&all, GPA, &a));
}

/* Too many, for the machine and in all. */
static void test_limits(void **state unused_param)
{
	struct window *more[GMEM_MAX_WINDOWS];
	struct error err = { "" };
	unsigned int i, n = 0;

	for (i = 0; i < GMEM_MAX_WINDOWS - 1; i++)
		assert_int_equal(window_create(&more[i], &all, &gm, "more",
					       2 * MIB, &err),
				 0);
	assert_int_equal(
		window_create(&more[i], &all, &gm, "more", 2 * MIB, &err),
		-ENOSPC);
	while (i > 0)
		window_destroy(more[--i]);
	window_destroy(NULL);
	/* Every other page. */
	for (n = 0; n < LEN / PAGE / 2; n++)
		assert_int_equal(map(2 * PAGE * n, PAGE, 0, false), 0);
	assert_int_equal(window_create(&more[0], &all, &gm, "more", LEN, &err),
			 0);
	for (n = 0; n < LEN / PAGE / 2; n++) {
		const struct window_map m = { .off = 2 * PAGE * n,
					      .len = PAGE };

		assert_int_equal(window_map(more[0], &m, file), 0);
	}
	assert_int_equal(map(PAGE, PAGE, 0, false), -ENOSPC);
	window_destroy(more[0]);
	assert_int_equal(map(PAGE, PAGE, 0, false), 0);
}

/* Somebody has a pointer into it when it goes. */
static void holder_removed(struct gmem_listener *gl unused_param,
			   const struct gmem_range *range)
{
	gmem_hold(&gm, range->slot);
}

static void test_held(void **state unused_param)
{
	struct gmem_listener holder = { .removed = holder_removed };
	struct window *other;
	uint64_t len = 1;
	enum gmem_kind kind;
	uint8_t *p;

	assert_int_equal(gmem_listen(&gm, &holder, NULL), 0);
	assert_int_equal(
		window_create(&other, &all, &gm, "other", 2 * MIB, NULL), 0);
	assert_int_equal(window_place(other, 2 * GPA, NULL), 0);
	p = gmem_span(&gm, 2 * GPA, &len, &kind);
	window_destroy(other);
	assert_null(gmem_span(&gm, 2 * GPA, &len, &kind));
	assert_int_equal(*p, 0);
	gmem_release(&gm, GMEM_MAX_RAM + GMEM_MAX_DIMMS + 1);
	assert_int_equal(write(through[1], p, 1), -1);
	gmem_unlisten(&holder);
}

/* Devices map while the guest's threads mend. */
static void *mend_run(void *arg)
{
	atomic_bool *stop = arg;

	while (!atomic_load(stop)) {
		window_mend(w, WINDOW_NOWHERE);
		window_mend(w, 3 * PAGE);
	}
	return NULL;
}

static void test_threads(void **state unused_param)
{
	atomic_bool stop = false;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, mend_run, &stop), 0);
	for (unsigned int i = 0; i < 3000; i++) {
		assert_int_equal(map(PAGE * (i % 7), 8 * PAGE, 0, i % 2), 0);
		if (i % 3 == 0)
			assert_int_equal(ftruncate(file, PAGE * (i % 5)), 0);
		if (i % 11 == 0)
			assert_int_equal(window_unmap(w, 2 * PAGE, 3 * PAGE),
					 0);
		if (i % 100 == 0)
			window_forget(w);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	window_mend(w, WINDOW_NOWHERE);
	for (unsigned int i = 0; i < 20; i++)
		assert_true(peek(i * PAGE) >= 0);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_empty),	  UNIT(test_refused),
		UNIT(test_map),		  UNIT(test_replace),
		UNIT(test_cut_file),	  UNIT(test_look),
		UNIT(test_grew),	  UNIT(test_past_end),
		UNIT(test_scrap),	  UNIT(test_zeroes_are_bounded),
		UNIT(test_many_files),	  UNIT(test_look_at_pages),
		UNIT(test_broken_device), UNIT(test_vcpus),
		UNIT(test_limits),	  UNIT(test_held),
		UNIT(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
