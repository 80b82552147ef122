/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * One suite for every engine on every kind of file: buffered and O_DIRECT on
 * the disk, and a memfd, which cannot zero a range without writing it.
 */
#include "devices/backend/block_mechanism.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/lib/io_loop.h"
#include "vmm/iov.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define FILE_LEN (4 * MIB)
#define BUF_LEN (2 * MIB)
#define REQS_MAX 600
#define IOV_MAX_HERE 2000

enum file_kind {
	FILE_BUFFERED,
	FILE_DIRECT,
	FILE_MEMFD,
};

struct variant {
	const struct block_mechanism *mechanism;
	enum file_kind file;
	bool fixed; /* half of the buffer is registered */
};

struct fixture {
	const struct variant *v;
	struct loop *loop;
	struct block_image image;
	int check_fd; /* the same file, buffered */
	struct block_engine *be;
	uint8_t *buf; /* page aligned */
	struct block_memory memory; /* half of it */
	uint8_t model[FILE_LEN]; /* what the file holds */
	struct iovec iov[IOV_MAX_HERE];
	struct block_req reqs[REQS_MAX];
	bool inside; /* submit() or commit() runs */
	unsigned int nr_done;
	/* done() submits again this often */
	unsigned int again;
	bool quit_when_idle; /* the loop runs */
	struct loop_timer deadline;
};

static void on_done(void *opaque, struct block_req *req)
{
	struct fixture *f = opaque;

	assert_false(f->inside);
	assert_true(loop_is_current(f->loop) || !f->quit_when_idle);
	f->nr_done++;
	if (f->again) {
		f->again--;
		f->inside = true;
		block_engine_submit(f->be, req);
		block_engine_commit(f->be);
		f->inside = false;
	}
	if (f->quit_when_idle && !f->be->in_flight)
		loop_quit(f->loop);
}

static void fill(uint8_t *p, size_t len)
{
	static uint64_t x = 88172645463325252ull;
	size_t i;

	for (i = 0; i + sizeof(x) <= len; i += sizeof(x)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(p + i, &x, sizeof(x));
	}
}

static void open_files(struct fixture *f)
{
	char path[] = "/var/tmp/vmm-engine-XXXXXX";
	int flags = O_RDWR | O_CLOEXEC;

	if (f->v->file == FILE_MEMFD) {
		f->image.fd = memfd_create("disk", MFD_CLOEXEC);
		f->check_fd = dup(f->image.fd);
	} else {
		f->check_fd = mkostemp(path, O_CLOEXEC);
		if (f->v->file == FILE_DIRECT)
			flags |= O_DIRECT;
		f->image.fd = open(path, flags);
		unlink(path);
	}
	if (f->image.fd >= 0)
		assert_int_equal(pwrite(f->check_fd, f->model, FILE_LEN, 0),
				 FILE_LEN);
	f->image.size = FILE_LEN;
	f->image.is_local = true;
	f->image.pool.max = 4;
	f->image.logical_block = 512;
	f->image.direct = f->v->file == FILE_DIRECT;
	f->image.memory_align = f->image.direct ? 512 : 1;
}

static int try_engine(struct fixture *f, unsigned int depth)
{
	struct block_engine_config config = {
		.image = &f->image,
		.depth = depth,
		.loop = f->loop,
		.done = on_done,
		.opaque = f,
		.memory = f->v->fixed ? &f->memory : NULL,
	};

	if (f->be)
		block_engine_destroy(f->be);
	f->be = NULL;
	return block_engine_make(&f->be, f->v->mechanism, &config);
}

static void start_engine(struct fixture *f, unsigned int depth)
{
	assert_int_equal(try_engine(f, depth), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->v = *state;
	f->loop = io_loop_create();
	f->buf = mmap(NULL, BUF_LEN, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(f->buf != MAP_FAILED);
	srand(1);
	fill(f->model, FILE_LEN);
	f->iov[0] = (struct iovec){ f->buf, BUF_LEN / 2 };
	assert_int_equal(block_memory_add(&f->memory, f->iov), 0);
	block_memory_change(&f->memory, f->iov, true);
	open_files(f);
	*state = f;
	/* Refused by the host, or no O_DIRECT here: the tests are skipped. */
	if (f->image.fd >= 0)
		try_engine(f, 64);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->be)
		block_engine_destroy(f->be);
	close_fd(&f->image.fd);
	close_fd(&f->check_fd);
	loop_destroy(f->loop);
	block_memory_fini(&f->memory);
	munmap(f->buf, BUF_LEN);
	free(f);
	return 0;
}

/* No engine: the host refuses it, or O_DIRECT on this file system. */
static struct fixture *fixture_of(void **state)
{
	struct fixture *f = *state;

	if (!f->be)
		skip();
	return f;
}

/* ---- doing things ---- */

static void submit(struct fixture *f, struct block_req *req)
{
	f->inside = true;
	block_engine_submit(f->be, req);
	f->inside = false;
}

static void commit(struct fixture *f)
{
	f->inside = true;
	block_engine_commit(f->be);
	f->inside = false;
}

static void wait_idle(struct fixture *f)
{
	uint64_t end = loop_now_ns() + 20000000000ull;

	while (f->be->in_flight) {
		assert_true(loop_now_ns() < end);
		block_engine_poll(f->be);
		loop_quit(f->loop);
		loop_run(f->loop);
	}
	assert_false(block_engine_poll(f->be));
}

static int run_one(struct fixture *f, struct block_req *req)
{
	f->nr_done = 0;
	req->result = 12345;
	submit(f, req);
	assert_int_equal(f->be->in_flight, 1);
	commit(f);
	assert_int_equal(f->nr_done, 0);
	wait_idle(f);
	assert_int_equal(f->nr_done, 1);
	return req->result;
}

static int run_op(struct fixture *f, enum block_op op, uint64_t offset,
		  uint64_t len, unsigned int flags)
{
	struct block_req req = {
		.op = op, .offset = offset, .len = len, .flags = flags
	};

	return run_one(f, &req);
}

static int run_data(struct fixture *f, enum block_op op, uint64_t offset,
		    unsigned int nr_iov)
{
	f->reqs[0] = (struct block_req){
		.op = op,
		.offset = offset,
		.len = iov_len(f->iov, nr_iov),
		.iov = f->iov,
		.nr_iov = nr_iov,
	};
	return run_one(f, &f->reqs[0]);
}

/* Cut len bytes of the buffer into pieces of up to max; returns how many. */
static unsigned int cut(struct fixture *f, size_t start, size_t len,
			unsigned int max, unsigned int unit)
{
	unsigned int nr = 0;
	size_t n;

	while (len && nr < IOV_MAX_HERE - 1) {
		n = (size_t)rand() % (max / unit + 1) * unit;
		n = MIN(n, len);
		f->iov[nr++] = (struct iovec){ f->buf + start, n };
		start += n;
		len -= n;
	}
	if (len)
		f->iov[nr++] = (struct iovec){ f->buf + start, len };
	return nr;
}

/* The file holds what the model says. */
static void check_file(struct fixture *f)
{
	uint8_t *file = malloc(FILE_LEN);

	assert_non_null(file);
	assert_int_equal(pread(f->check_fd, file, FILE_LEN, 0), FILE_LEN);
	assert_memory_equal(file, f->model, FILE_LEN);
	free(file);
}

/* ---- the suite ---- */

static void test_splits(void **state)
{
	/* Piece size and unit; odd units cannot go by O_DIRECT as they are. */
	static const struct {
		unsigned int max, unit;
	} cuts[] = { { BUF_LEN, 512 }, { 65536, 4096 }, { 1024, 512 },
		     { 5000, 1 },      { 700, 1 },	{ 4096, 4096 } };
	struct fixture *f = fixture_of(state);
	unsigned int round, nr;
	uint64_t offset;
	size_t len, start;

	for (round = 0; round < 60; round++) {
		unsigned int k = round % ARRAY_SIZE(cuts);

		len = ((size_t)rand() % 600 + 1) * 512;
		offset = (uint64_t)rand() % ((FILE_LEN - len) / 512) * 512;
		start = (size_t)rand() % ((BUF_LEN - len) / 512) * 512;
		fill(f->buf + start, len);
		nr = cut(f, start, len, cuts[k].max, cuts[k].unit);
		assert_int_equal(run_data(f, BLOCK_WRITE, offset, nr), 0);
		memcpy(f->model + offset, f->buf + start, len);
		memset(f->buf + start, 0, len);
		k = (unsigned int)rand() % ARRAY_SIZE(cuts);
		nr = cut(f, start, len, cuts[k].max, cuts[k].unit);
		assert_int_equal(run_data(f, BLOCK_READ, offset, nr), 0);
		assert_memory_equal(f->buf + start, f->model + offset, len);
	}
	check_file(f);
}

/* More pieces than one system call takes. */
static void test_many_pieces(void **state)
{
	struct fixture *f = fixture_of(state);
	unsigned int i;

	fill(f->buf, BUF_LEN);
	for (i = 0; i < 1500; i++)
		f->iov[i] = (struct iovec){ f->buf + i * 1024, 512 };
	assert_int_equal(run_data(f, BLOCK_WRITE, 512, 1500), 0);
	for (i = 0; i < 1500; i++)
		memcpy(f->model + 512 + i * 512, f->buf + i * 1024, 512);
	check_file(f);
	memset(f->buf, 0, BUF_LEN);
	assert_int_equal(run_data(f, BLOCK_READ, 512, 1500), 0);
	for (i = 0; i < 1500; i++)
		assert_memory_equal(f->buf + i * 1024, f->model + 512 + i * 512,
				    512);
}

static void test_nothing(void **state)
{
	struct fixture *f = fixture_of(state);

	assert_int_equal(run_data(f, BLOCK_READ, 512, 0), 0);
	f->iov[0] = (struct iovec){ f->buf, 0 };
	assert_int_equal(run_data(f, BLOCK_WRITE, 512, 1), 0);
	commit(f); /* an empty batch */
	check_file(f);
}

/* A batch of everything at once, of every size up to more than the ring. */
static void test_batches(void **state)
{
	static const unsigned int sizes[] = { 1, 2, 3, 64, 255, 256, 257, 600 };
	struct fixture *f = fixture_of(state);
	unsigned int s, i, nr;

	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		nr = sizes[s];
		start_engine(f, nr);
		fill(f->buf, BUF_LEN);
		f->nr_done = 0;
		for (i = 0; i < nr; i++) {
			struct block_req *req = &f->reqs[i];

			f->iov[i] = (struct iovec){ f->buf + i * 2048, 2048 };
			*req = (struct block_req){
				.op = i % 3 ? BLOCK_READ : BLOCK_WRITE,
				.offset = (i * 7 % nr) * 2048,
				.len = 2048,
				.iov = &f->iov[i],
				.nr_iov = 1,
			};
			if (i % 3 == 0)
				memcpy(f->model + req->offset,
				       f->iov[i].iov_base, 2048);
			submit(f, req);
		}
		assert_int_equal(f->be->in_flight, nr);
		commit(f);
		wait_idle(f);
		assert_int_equal(f->nr_done, nr);
		for (i = 0; i < nr; i++) {
			assert_int_equal(f->reqs[i].result, 0);
			if (nr % 7 && i % 3)
				assert_memory_equal(
					f->iov[i].iov_base,
					f->model + f->reqs[i].offset, 2048);
		}
		if (nr % 7)
			check_file(f);
	}
}

static void test_file_got_shorter(void **state)
{
	struct fixture *f = fixture_of(state);
	unsigned int nr;

	assert_int_equal(ftruncate(f->check_fd, MIB), 0);
	nr = cut(f, 0, 65536, 65536, 65536);
	assert_int_equal(run_data(f, BLOCK_READ, MIB, nr), -EIO);
	f->iov[0] = (struct iovec){ f->buf, 65536 };
	assert_int_equal(run_data(f, BLOCK_READ, MIB - 32768, 1), -EIO);
	nr = cut(f, 0, 65536, 4096, 512);
	assert_int_equal(run_data(f, BLOCK_READ, MIB - 32768, nr), -EIO);
	assert_int_equal(run_data(f, BLOCK_READ, MIB - 65536, nr), 0);
	assert_memory_equal(f->buf, f->model + MIB - 65536, 65536);
}

/* A write that the kernel takes a part of is continued, and then fails. */
static void test_short_write(void **state)
{
	struct fixture *f = fixture_of(state);
	struct rlimit old, limit;
	unsigned int nr;
	int r;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = MIB;
	setrlimit(RLIMIT_FSIZE, &limit);
	fill(f->buf, BUF_LEN);
	nr = cut(f, 0, 65536, 4096, 512);
	r = run_data(f, BLOCK_WRITE, MIB - 32768, nr);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(r, -EFBIG);
	memcpy(f->model + MIB - 32768, f->buf, 32768);
	check_file(f);
}

static void test_flush(void **state)
{
	struct fixture *f = fixture_of(state);

	assert_int_equal(run_op(f, BLOCK_FLUSH, 0, 0, 0), 0);
	assert_int_equal(run_op(f, BLOCK_FLUSH, 512, 4096, 0), 0);
}

static void test_discard(void **state)
{
	struct fixture *f = fixture_of(state);

	assert_int_equal(run_op(f, BLOCK_DISCARD, 8192, 65536, 0), 0);
	memset(f->model + 8192, 0, 65536);
	check_file(f);
	assert_int_equal(lseek(f->check_fd, 0, SEEK_HOLE), 8192);
}

static void test_write_zeroes(void **state)
{
	struct fixture *f = fixture_of(state);

	assert_int_equal(run_op(f, BLOCK_WRITE_ZEROES, 512, 200 * 1024, 0), 0);
	memset(f->model + 512, 0, 200 * 1024);
	check_file(f);
	assert_int_equal(run_op(f, BLOCK_WRITE_ZEROES, MIB, 512, 0), 0);
	memset(f->model + MIB, 0, 512);
	check_file(f);
	assert_int_equal(run_op(f, BLOCK_WRITE_ZEROES, 2 * MIB, MIB,
				BLOCK_ZERO_MAY_UNMAP),
			 0);
	memset(f->model + 2 * MIB, 0, MIB);
	check_file(f);
	assert_int_equal(lseek(f->check_fd, 2 * MIB - 4096, SEEK_HOLE),
			 2 * MIB);
}

/* The host's errors arrive as they are; the engine goes on. */
static void test_errors(void **state)
{
	struct fixture *f = fixture_of(state);
	char path[64];
	int fd;

	f->iov[0] = (struct iovec){ f->buf, 4096 };
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->image.fd);
	fd = open(path,
		  O_RDONLY | O_CLOEXEC | (f->image.direct ? O_DIRECT : 0));
	assert_true(fd >= 0);
	assert_true(dup2(fd, f->image.fd) >= 0);
	close(fd);
	start_engine(f, 4);
	assert_int_equal(run_data(f, BLOCK_WRITE, 0, 1), -EBADF);
	assert_int_equal(run_op(f, BLOCK_DISCARD, 0, 4096, 0), -EBADF);
	assert_int_equal(run_op(f, BLOCK_WRITE_ZEROES, 0, 4096, 0), -EBADF);
	assert_int_equal(run_op(f, BLOCK_FLUSH, 0, 0, 0), 0);
	assert_int_equal(run_data(f, BLOCK_READ, 4096, 1), 0);
	assert_memory_equal(f->buf, f->model + 4096, 4096);
	f->iov[0].iov_base = (void *)4096; /* not there */
	assert_int_equal(run_data(f, BLOCK_READ, 4096, 1), -EFAULT);
	check_file(f);
}

/* done() may submit and commit; it is never called from inside of those. */
static void test_again_from_done(void **state)
{
	struct fixture *f = fixture_of(state);
	unsigned int i;

	for (i = 0; i < 4; i++) {
		f->iov[i] = (struct iovec){ f->buf + i * 4096, 4096 };
		f->reqs[i] = (struct block_req){
			.op = i % 2 ? BLOCK_WRITE : BLOCK_READ,
			.offset = i * 4096,
			.len = 4096,
			.iov = &f->iov[i],
			.nr_iov = 1,
		};
	}
	f->again = 500;
	submit(f, &f->reqs[0]);
	commit(f);
	wait_idle(f);
	assert_int_equal(f->nr_done, 501);
	f->again = 500;
	for (i = 0; i < 4; i++)
		submit(f, &f->reqs[i]);
	commit(f);
	wait_idle(f);
	assert_int_equal(f->nr_done, 501 + 504);
}

static void on_deadline(struct loop_timer *lt)
{
	loop_quit(container_of(lt, struct fixture, deadline)->loop);
}

/* Run the loop until nothing is in flight. */
static void run_loop(struct fixture *f)
{
	f->quit_when_idle = true;
	f->deadline.on_expire = on_deadline;
	loop_timer_set(f->loop, &f->deadline, loop_now_ns() + 10000000000ull);
	loop_run(f->loop);
	loop_timer_cancel(&f->deadline);
	assert_int_equal(f->be->in_flight, 0);
	f->quit_when_idle = false;
}

/* Nobody polls: events of the loop bring every completion. */
static void test_events(void **state)
{
	struct fixture *f = fixture_of(state);
	static const enum block_op ops[] = { BLOCK_READ, BLOCK_WRITE,
					     BLOCK_FLUSH, BLOCK_DISCARD,
					     BLOCK_WRITE_ZEROES };
	unsigned int i, nr = 10;

	for (i = 0; i < nr; i++) {
		f->iov[i] = (struct iovec){ f->buf + i * 4096, 4096 };
		f->reqs[i] = (struct block_req){
			.op = ops[i % 5],
			.offset = i * 4096,
			.len = 4096,
			.iov = &f->iov[i],
			.nr_iov = i % 5 < 2 ? 1 : 0,
		};
	}
	f->again = 100;
	for (i = 0; i < nr; i++)
		submit(f, &f->reqs[i]);
	commit(f);
	run_loop(f);
	assert_int_equal(f->nr_done, 100 + nr);

	/* Off, and on again when all has completed: not lost. */
	for (i = 0; i < nr; i++) {
		block_engine_events(f->be, false);
		submit(f, &f->reqs[i]);
		commit(f);
		usleep(2000);
		block_engine_events(f->be, true);
		run_loop(f);
	}
}

/* What is not in the page cache comes all the same. */
static void test_uncached(void **state)
{
	struct fixture *f = fixture_of(state);
	unsigned int i;

	assert_int_equal(fsync(f->check_fd), 0);
	assert_int_equal(posix_fadvise(f->check_fd, 0, 0, POSIX_FADV_DONTNEED),
			 0);
	for (i = 0; i < 64; i++) {
		uint64_t offset = (i * 37 % 64) * 65536ull;

		f->iov[0] = (struct iovec){ f->buf, 16384 };
		f->iov[1] = (struct iovec){ f->buf + 16384, 16384 };
		assert_int_equal(run_data(f, BLOCK_READ, offset, 2), 0);
		assert_memory_equal(f->buf, f->model + offset, 32768);
	}
}

/* Nobody polls, nothing is cached, one at a time: no event may get lost. */
static void test_lone_events(void **state)
{
	struct fixture *f = fixture_of(state);
	unsigned int i;

	assert_int_equal(fsync(f->check_fd), 0);
	assert_int_equal(posix_fadvise(f->check_fd, 0, 0, POSIX_FADV_DONTNEED),
			 0);
	f->iov[0] = (struct iovec){ f->buf, 4096 };
	for (i = 0; i < 30; i++) {
		f->reqs[0] = (struct block_req){
			.op = i % 3 ? BLOCK_READ : BLOCK_FLUSH,
			.offset = (i * 37 % 64) * 65536ull,
			.len = 4096,
			.iov = f->iov,
			.nr_iov = 1,
		};
		if (i == 15)
			start_engine(f, 1);
		if (i % 2)
			block_engine_events(f->be, false);
		submit(f, &f->reqs[0]);
		commit(f);
		if (i % 4 == 1)
			usleep(1000);
		block_engine_events(f->be, true);
		run_loop(f);
		assert_int_equal(f->reqs[0].result, 0);
		if (i % 3)
			assert_memory_equal(f->buf,
					    f->model + f->reqs[0].offset, 4096);
	}
}

/* ---- choosing ---- */

/* From now on this process is told that io_uring does not exist for it. */
static void forbid_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(77);
}

/* The engine that kind leads to here; "?" and more on failure. */
static const char *engine_made(struct fixture *f, enum block_engine_kind kind)
{
	const struct block_engine_config config = {
		.image = &f->image,
		.depth = 8,
		.loop = f->loop,
		.done = on_done,
		.opaque = f,
	};
	struct block_engine *be;
	const char *name;

	if (block_engine_create(&be, kind, &config))
		return "?";
	name = be->mechanism->name;
	block_engine_destroy(be);
	return name;
}

/* In a child process; returns the number of the check that failed. */
static int check_fallback(struct fixture *f)
{
#ifdef VMM_NO_AIO
	const char *next = "sync", *said = "disks use plain system calls";
#else
	const char *next = "aio", *said = "disks use Linux AIO";
#endif
	int log_fd = memfd_create("log", 0);
	char log[1024] = "";

	log_init(log_fd, LOG_WARN);
	forbid_io_uring();
	f->loop = io_loop_create();
	for (int direct = 0; direct < 2; direct++) {
		f->image.direct = direct;
		if (strcmp(engine_made(f, BLOCK_ENGINE_AUTO), next) ||
		    strcmp(engine_made(f, BLOCK_ENGINE_URING), next))
			return 1;
	}
	/* It says so once, however often it was asked for. */
	if (pread(log_fd, log, sizeof(log) - 1, 0) <= 0 ||
	    !strstr(log, "io_uring") || !strstr(log, said))
		return 2;
	return strchr(log, '\n')[1] ? 3 : 0;
}

static void test_fallback(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(check_fallback(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_choice(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(engine_made(f, BLOCK_ENGINE_SYNC), "sync");
#ifndef VMM_NO_AIO
	assert_string_equal(engine_made(f, BLOCK_ENGINE_AIO), "aio");
#endif
	if (f->be)
		assert_string_equal(engine_made(f, BLOCK_ENGINE_AUTO),
				    f->be->mechanism->name);
}

/* ---- every test with every engine on every file ---- */

static const struct {
	const char *name;
	CMUnitTestFunction fn;
} suite[] = {
	{ "splits", test_splits },
	{ "many pieces", test_many_pieces },
	{ "nothing", test_nothing },
	{ "batches", test_batches },
	{ "file got shorter", test_file_got_shorter },
	{ "short write", test_short_write },
	{ "flush", test_flush },
	{ "discard", test_discard },
	{ "write zeroes", test_write_zeroes },
	{ "errors", test_errors },
	{ "again from done", test_again_from_done },
	{ "events", test_events },
	{ "lone events", test_lone_events },
	{ "uncached", test_uncached },
};

static struct variant variants[] = {
	{ &block_sync, FILE_BUFFERED, false },
	{ &block_sync, FILE_DIRECT, false },
	{ &block_sync, FILE_MEMFD, false },
#ifndef VMM_NO_AIO
	{ &block_aio, FILE_BUFFERED, false },
	{ &block_aio, FILE_DIRECT, false },
	{ &block_aio, FILE_MEMFD, false },
#endif
#ifndef VMM_NO_URING
	{ &block_uring, FILE_BUFFERED, false },
	{ &block_uring, FILE_DIRECT, false },
	{ &block_uring, FILE_MEMFD, false },
	{ &block_uring, FILE_BUFFERED, true },
	{ &block_uring, FILE_DIRECT, true },
#endif
};

int main(void)
{
	static const char *const files[] = { "buffered", "direct", "memfd" };
	static struct CMUnitTest
		tests[ARRAY_SIZE(variants) * ARRAY_SIZE(suite) + 2];
	static char names[ARRAY_SIZE(tests)][64];
	unsigned int v, t, n = 0;

	for (v = 0; v < ARRAY_SIZE(variants); v++) {
		for (t = 0; t < ARRAY_SIZE(suite); t++, n++) {
			snprintf(names[n], sizeof(names[n]), "%s %s%s: %s",
				 variants[v].mechanism->name,
				 files[variants[v].file],
				 variants[v].fixed ? " fixed" : "",
				 suite[t].name);
			tests[n] = (struct CMUnitTest){ names[n], suite[t].fn,
							setup, teardown,
							&variants[v] };
		}
	}
	/* The last but one is what AUTO leads to. "fallback" comes first: it
	 * expects that this process has not warned yet. */
	v = ARRAY_SIZE(variants) - 2;
	tests[n++] = (struct CMUnitTest){ "fallback", test_fallback, setup,
					  teardown, &variants[v] };
	tests[n] = (struct CMUnitTest){ "choice", test_choice, setup, teardown,
					&variants[v] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
