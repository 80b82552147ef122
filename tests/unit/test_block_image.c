/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/block.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/log.h"
#include "vmm/util.h"

/* A directory with one image in it; the log goes to a file. */
struct fixture {
	char dir[64];
	char path[96];
	int log_fd;
};

static bool sleeps; /* else a sleep takes no time */
static unsigned int slept_us;

/* In front of the C library's: without descriptors it is a sleep. */
int ppoll(struct pollfd *fds, nfds_t nr, const struct timespec *timeout,
	  const sigset_t *mask)
{
	struct timespec ts = timeout ? *timeout : (struct timespec){ 0, 0 };

	if (!nr)
		slept_us += (unsigned int)(ts.tv_nsec / 1000);
	if (!nr && !sleeps)
		return 0;
	return (int)syscall(SYS_ppoll, fds, nr, timeout ? &ts : NULL, mask,
			    _NSIG / 8);
}

static void make_file(const char *path, off_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/var/tmp/vmm-image-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/disk.img", f->dir);
	make_file(f->path, MIB);
	f->log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(f->log_fd >= 0);
	log_init(f->log_fd, LOG_WARN);
	sleeps = false;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_init(STDERR_FILENO, LOG_WARN);
	close(f->log_fd);
	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static bool log_has(const struct fixture *f, const char *text)
{
	char buf[1024] = "";

	assert_true(pread(f->log_fd, buf, sizeof(buf) - 1, 0) >= 0);
	return strstr(buf, text) != NULL;
}

static struct block_image_config by_path(const char *path)
{
	return (struct block_image_config){ .path = path, .fd = -1 };
}

static struct block_image_config by_fd(int fd)
{
	return (struct block_image_config){ .fd = fd };
}

/* Refused with r, and the message names all of these. */
static void expect_refusal(const struct block_image_config *config, int r,
			   const char *word1, const char *word2)
{
	struct block_image img;
	struct error err = { "" };

	assert_int_equal(block_image_open(&img, config, &err), r);
	assert_int_equal(img.fd, -1);
	if (!strstr(err.msg, word1) || !strstr(err.msg, word2))
		fail_msg("'%s' lacks '%s' or '%s'", err.msg, word1, word2);
	block_image_close(&img);
}

static void test_file(void **state)
{
	struct fixture *f = *state;
	struct block_image_config config = by_path(f->path);
	struct block_image img;

	assert_int_equal(block_image_open(&img, &config, NULL), 0);
	assert_int_equal(img.size, MIB);
	assert_int_equal(img.logical_block, 512);
	assert_int_equal(img.physical_block, 4096);
	assert_int_equal(img.memory_align, 1);
	assert_true(img.discard_granularity >= 4096);
	assert_false(img.is_blockdev);
	assert_true(fcntl(img.fd, F_GETFD) & FD_CLOEXEC);
	assert_false(fcntl(img.fd, F_GETFL) & O_NONBLOCK);
	assert_false(log_has(f, "disk image"));
	block_image_close(&img);
	assert_int_equal(img.fd, -1);
	block_image_close(&img);

	config.readonly = true;
	assert_int_equal(block_image_open(&img, &config, NULL), 0);
	assert_int_equal(img.discard_granularity, 0);
	assert_int_equal(fcntl(img.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	block_image_close(&img);
}

static void test_direct(void **state)
{
	struct fixture *f = *state;
	struct block_image_config config = by_path(f->path);
	struct block_image img;

	config.direct = true;
	if (block_image_open(&img, &config, NULL))
		skip(); /* not on this file system */
	assert_true(img.direct);
	assert_true(IS_POW2(img.memory_align));
	assert_true(img.logical_block >= 512);
	assert_true(img.physical_block >= img.logical_block);
	assert_true(fcntl(img.fd, F_GETFL) & O_DIRECT);
	block_image_close(&img);
}

static void test_part_sector(void **state)
{
	struct fixture *f = *state;
	struct block_image_config config = by_path(f->path);
	struct block_image img;

	make_file(f->path, 3 * 512 + 100);
	assert_int_equal(block_image_open(&img, &config, NULL), 0);
	assert_int_equal(img.size, 3 * 512);
	assert_true(log_has(f, "last 100 bytes"));
	block_image_close(&img);
}

static void test_resize(void **state)
{
	struct fixture *f = *state;
	struct block_image_config config = by_path(f->path);
	struct rlimit old, limit;
	struct block_image img;
	struct error err;
	struct stat st;

	assert_int_equal(block_image_open(&img, &config, NULL), 0);
	assert_int_equal(block_image_resize(&img, 2 * MIB, &err), 0);
	assert_int_equal(img.size, 2 * MIB);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, 2 * MIB);
	assert_int_equal(block_image_resize(&img, MIB / 2, &err), 0);
	assert_int_equal(img.size, MIB / 2);
	assert_int_equal(block_image_resize(&img, 0, &err), -EINVAL);
	assert_int_equal(block_image_resize(&img, MIB + 1, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "block of 512"));
	assert_int_equal(block_image_resize(&img, UINT64_MAX - 511, &err),
			 -EINVAL);
	/* Larger than a file may be; tmpfs itself takes any size. */
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){ MIB, old.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(block_image_resize(&img, 2 * MIB, &err), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(img.size, MIB / 2);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, MIB / 2);
	block_image_close(&img);
	assert_int_equal(block_image_resize(&img, MIB, &err), -EBADF);
}

/* Somebody else may give the file its size; we only look then. */
static void test_resize_readonly(void **state)
{
	struct fixture *f = *state;
	struct block_image_config config = by_path(f->path);
	struct block_image img;
	struct error err;

	config.readonly = true;
	assert_int_equal(block_image_open(&img, &config, NULL), 0);
	assert_int_equal(block_image_resize(&img, 2 * MIB, &err), -EROFS);
	assert_int_equal(img.size, MIB);
	assert_int_equal(truncate(f->path, 2 * MIB), 0);
	assert_int_equal(block_image_resize(&img, 2 * MIB, &err), 0);
	assert_int_equal(img.size, 2 * MIB);
	block_image_close(&img);
}

static void test_refused_files(void **state)
{
	struct fixture *f = *state;
	struct block_image_config config = by_path(f->dir);

	expect_refusal(&config, -EISDIR, f->dir, "block device");
	config.readonly = true;
	expect_refusal(&config, -EISDIR, f->dir, "directory");

	config = by_path(f->path);
	make_file(f->path, 0);
	expect_refusal(&config, -EINVAL, f->path, "is empty");
	make_file(f->path, 511);
	expect_refusal(&config, -EINVAL, "smaller than one block", "truncate");
	unlink(f->path);
	expect_refusal(&config, -ENOENT, f->path, "truncate");

	assert_int_equal(mkfifo(f->path, 0600), 0);
	expect_refusal(&config, -ENOTBLK, f->path, "a pipe");
	config.readonly = true;
	expect_refusal(&config, -ENOTBLK, f->path, "a pipe");

	config = by_path("/dev/null");
	expect_refusal(&config, -ENOTBLK, "/dev/null", "character device");
}

static void test_refused_socket(void **state)
{
	struct fixture *f = *state;
	struct block_image_config config = by_path(f->path);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	unlink(f->path);
	strcpy(addr.sun_path, f->path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	expect_refusal(&config, -ENOTBLK, f->path, "raw image file");
	config = by_fd(fd);
	expect_refusal(&config, -ENOTBLK, "fd ", "a socket");
	close(fd);
}

static void test_no_permission(void **state)
{
	struct fixture *f = *state;
	struct block_image_config config = by_path(f->path);
	uid_t user = geteuid(), nobody = user ? user : 65534;

	/* Root may do everything, and so it becomes another. */
	assert_int_equal(chown(f->dir, nobody, (gid_t)-1), 0);
	assert_int_equal(chown(f->path, nobody, (gid_t)-1), 0);
	assert_int_equal(seteuid(nobody), 0);
	assert_int_equal(chmod(f->path, 0400), 0);
	expect_refusal(&config, -EACCES, f->path, "readonly=on");
	assert_int_equal(chmod(f->path, 0), 0);
	config.readonly = true;
	expect_refusal(&config, -EACCES, f->path, "permissions");
	assert_int_equal(seteuid(user), 0);
}

/* A descriptor given twice is still one writer's; who comes second does not
 * take the lock with him. */
static void test_fd_lock(void **state)
{
	struct fixture *f = *state;
	int fd = open(f->path, O_RDWR | O_CLOEXEC);
	struct block_image_config given = by_fd(fd), named = by_path(f->path);
	struct block_image img, other;
	struct error err;

	assert_int_equal(block_image_open(&img, &given, &err), 0);
	expect_refusal(&given, -EBUSY, "fd ", "another disk");
	expect_refusal(&named, -EBUSY, f->path, "another disk");
	expect_refusal(&given, -EBUSY, "fd ", "another disk");
	block_image_close(&img);
	/* What the giver does with his is his affair. */
	assert_int_equal(block_image_open(&other, &named, &err), 0);
	expect_refusal(&given, -EBUSY, "fd ", "another disk");
	block_image_close(&other);
	close(fd);
}

static void test_fd(void **state)
{
	struct fixture *f = *state;
	int fd = open(f->path, O_RDWR | O_NONBLOCK);
	struct block_image_config config = by_fd(fd);
	struct block_image img;

	assert_int_equal(block_image_open(&img, &config, NULL), 0);
	assert_int_not_equal(img.fd, fd);
	assert_true(fcntl(img.fd, F_GETFD) & FD_CLOEXEC);
	assert_false(fcntl(img.fd, F_GETFL) & O_NONBLOCK);
	block_image_close(&img);
	assert_true(fcntl(fd, F_GETFD) >= 0); /* the caller's is open */
	close(fd);
	expect_refusal(&config, -EBADF, "fd ", "open");

	config.fd = open(f->path, O_RDONLY);
	expect_refusal(&config, -EACCES, "reading only", "readonly=on");
	config.readonly = true;
	assert_int_equal(block_image_open(&img, &config, NULL), 0);
	block_image_close(&img);
	close(config.fd);

	config.fd = open(f->path, O_WRONLY);
	expect_refusal(&config, -EACCES, "writing only", "both");
	close(config.fd);
	config = by_fd(open(f->path, O_RDWR | O_APPEND));
	expect_refusal(&config, -EINVAL, "O_APPEND", "without");
	close(config.fd);
	config = by_fd(open(f->path, O_PATH));
	expect_refusal(&config, -EBADF, "fd ", "open");
	close(config.fd);
}

static void test_lock(void **state)
{
	struct fixture *f = *state;
	struct block_image_config writer = by_path(f->path);
	struct block_image_config reader = by_path(f->path);
	struct block_image a, b;

	reader.readonly = true;
	assert_int_equal(block_image_open(&a, &writer, NULL), 0);
	expect_refusal(&writer, -EBUSY, f->path, "another disk or process");
	expect_refusal(&reader, -EBUSY, f->path, "being written");
	block_image_close(&a);

	/* Readers share, and keep writers out. */
	assert_int_equal(block_image_open(&a, &reader, NULL), 0);
	assert_int_equal(block_image_open(&b, &reader, NULL), 0);
	expect_refusal(&writer, -EBUSY, f->path, "readonly=on");
	block_image_close(&a);
	expect_refusal(&writer, -EBUSY, f->path, "readonly=on");
	block_image_close(&b);
	assert_int_equal(block_image_open(&a, &writer, NULL), 0);
	block_image_close(&a);
}

/* A process that has the image open for so long, if it is not killed. */
static pid_t hold_lock(const struct block_image_config *config,
		       unsigned int seconds)
{
	struct block_image img;
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (block_image_open(&img, config, NULL) ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		sleep(seconds);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/* Also against another process, and only as long as that one lives. */
static void test_lock_of_process(void **state)
{
	struct fixture *f = *state;
	struct block_image_config config = by_path(f->path);
	struct block_image img;
	pid_t pid = hold_lock(&config, 1000);
	int status;

	expect_refusal(&config, -EBUSY, f->path, "another disk or process");
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(block_image_open(&img, &config, NULL), 0);
	block_image_close(&img);
}

/* One that dies while we wait: it is told, and then all is well. */
static void test_lock_of_dying_process(void **state)
{
	struct fixture *f = *state;
	struct block_image_config config = by_path(f->path);
	struct block_image img;
	pid_t pid = hold_lock(&config, 1);
	int status;

	sleeps = true;
	slept_us = 0;
	assert_int_equal(block_image_open(&img, &config, NULL), 0);
	/* Where the machine is busy each sleep takes longer. */
	assert_in_range(slept_us, 10000, 2000000);
	assert_true(log_has(f, "is in use: waiting up to 4 s"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	block_image_close(&img);
}

/* Nobody lets go: that is four seconds' work. */
static void test_lock_patience(void **state)
{
	struct fixture *f = *state;
	struct block_image_config config = by_path(f->path);
	struct block_image img;

	assert_int_equal(block_image_open(&img, &config, NULL), 0);
	assert_false(log_has(f, "in use"));
	slept_us = 0;
	expect_refusal(&config, -EBUSY, f->path, "another disk or process");
	assert_int_equal(slept_us, 4000000);
	block_image_close(&img);
}

static uint64_t bytes_held(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* Not sparse: the host's blocks are there before the guest writes any. */
static void test_allocate(void **state)
{
	struct fixture *f = *state;
	struct block_image_config config = by_path(f->path);
	struct block_image img;
	struct error err;

	assert_int_equal(block_image_open(&img, &config, NULL), 0);
	block_image_close(&img);
	assert_true(bytes_held(f->path) < MIB);
	config.allocate = true;
	config.readonly = true;
	assert_int_equal(block_image_open(&img, &config, NULL), 0);
	block_image_close(&img);
	assert_true(bytes_held(f->path) < MIB);
	config.readonly = false;
	assert_int_equal(block_image_open(&img, &config, &err), 0);
	assert_true(bytes_held(f->path) >= MIB);
	assert_int_equal(block_image_resize(&img, 3 * MIB, &err), 0);
	assert_int_equal(img.size, 3 * MIB);
	assert_true(bytes_held(f->path) >= 3 * MIB);
	assert_int_equal(block_image_resize(&img, MIB, &err), 0);
	assert_int_equal(img.size, MIB);
	/* More than any host has: nothing has changed. */
	assert_true(block_image_resize(&img, 1ull << 50, &err) < 0);
	assert_int_equal(img.size, MIB);
	assert_in_range(bytes_held(f->path), MIB, 2 * MIB);
	block_image_close(&img);
}

static void test_no_room(void **state)
{
	struct fixture *f = *state;
	struct block_image_config config = by_path(f->path);
	struct block_image img;

	/* A file system of one MiB. */
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", f->dir, "tmpfs", 0, "size=1m"))
		skip();
	make_file(f->path, 4 * MIB);
	config.allocate = true;
	expect_refusal(&config, -ENOSPC, f->path, "make room");
	config.allocate = false;
	assert_int_equal(block_image_open(&img, &config, NULL), 0);
	block_image_close(&img);
	umount2(f->dir, MNT_DETACH);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_file),
		TEST(test_direct),
		TEST(test_part_sector),
		TEST(test_resize),
		TEST(test_resize_readonly),
		TEST(test_refused_files),
		TEST(test_refused_socket),
		TEST(test_no_permission),
		TEST(test_fd),
		TEST(test_fd_lock),
		TEST(test_lock),
		TEST(test_lock_of_process),
		TEST(test_lock_of_dying_process),
		TEST(test_lock_patience),
		TEST(test_allocate),
		TEST(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
