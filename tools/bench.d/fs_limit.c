/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The calls of the host that a shared directory is made of, by a plain program:
 * the limit of a monitor's. DIR has `data`, of SPAN bytes, and `dir`.
 *
 *   fs_limit getattr|lookup|create|readdirplus DIR MS
 *   fs_limit read|write DIR MS LEN BUFFERS     at random places of `data`
 *   fs_limit copy DIR MS LEN BUFFERS           of memory, as a mapped file is read
 */
#include <dirent.h>
#include <stdbool.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "limit.h"

#define SPAN (64u << 20)
#define LIST_LEN 65536u

struct job {
	int dir; /* the directory itself */
	int data, list; /* `data` and `dir` */
	size_t len;
	unsigned nr; /* buffers */
	uint8_t *area;
	uint64_t random;
	unsigned turn;
};

static off_t next_offset(struct job *j)
{
	j->random ^= j->random << 13;
	j->random ^= j->random >> 7;
	j->random ^= j->random << 17;
	return (off_t)(j->random % (SPAN / j->len) * j->len);
}

static unsigned do_getattr(struct job *j)
{
	struct statx sx;

	if (statx(j->data, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME,
		  &sx))
		err(1, "statx");
	return 1;
}

static unsigned do_lookup(struct job *j)
{
	struct {
		struct file_handle head;
		unsigned char bytes[MAX_HANDLE_SZ];
	} fh = { .head.handle_bytes = MAX_HANDLE_SZ };
	struct statx sx;
	int mount;

	if (statx(j->dir, "data", AT_SYMLINK_NOFOLLOW,
		  STATX_BASIC_STATS | STATX_BTIME, &sx))
		err(1, "statx");
	if (name_to_handle_at(j->dir, "data", &fh.head, &mount, 0))
		err(1, "name_to_handle_at");
	return 1;
}

static unsigned do_io(struct job *j, bool write)
{
	struct iovec iov = { j->area + j->turn * j->len, j->len };
	off_t off = next_offset(j);
	ssize_t n = write ? pwritev(j->data, &iov, 1, off)
			  : preadv(j->data, &iov, 1, off);

	if (n != (ssize_t)j->len)
		err(1, write ? "pwritev" : "preadv");
	j->turn = (j->turn + 1) % j->nr;
	return 1;
}

static unsigned do_read(struct job *j)
{
	return do_io(j, false);
}

static unsigned do_write(struct job *j)
{
	return do_io(j, true);
}

static unsigned do_create(struct job *j)
{
	struct stat st;
	int fd = openat(j->dir, "made",
			O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC,
			0600);

	if (fd < 0 || fstat(fd, &st))
		err(1, "made");
	close(fd);
	if (unlinkat(j->dir, "made", 0))
		err(1, "unlink");
	return 1;
}

/* All entries, with the attributes of each. */
static unsigned do_readdirplus(struct job *j)
{
	static char buf[LIST_LEN];
	unsigned nr = 0;
	long n;

	lseek(j->list, 0, SEEK_SET);
	while ((n = syscall(SYS_getdents64, j->list, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n; nr++) {
			const struct dirent64 *d = (const void *)(buf + at);
			struct statx sx;

			if (statx(j->list, d->d_name, AT_SYMLINK_NOFOLLOW,
				  STATX_BASIC_STATS | STATX_BTIME, &sx))
				err(1, "%s", d->d_name);
			at += d->d_reclen;
		}
	}
	return nr;
}

static unsigned do_copy(struct job *j)
{
	static uint8_t *from;

	if (!from)
		from = buffers(1, SPAN);
	memcpy(j->area + j->turn * j->len, from + next_offset(j), j->len);
	j->turn = (j->turn + 1) % j->nr;
	return 1;
}

static const struct {
	const char *name;
	unsigned (*run)(struct job *j);
} modes[] = {
	{ "getattr", do_getattr }, { "lookup", do_lookup },
	{ "read", do_read },	   { "write", do_write },
	{ "create", do_create },   { "readdirplus", do_readdirplus },
	{ "copy", do_copy },
};

static void measure(struct job *j, unsigned (*run)(struct job *j), unsigned ms)
{
	uint64_t start = now_ns(), end = start + ms * NS_PER_MS;
	uint64_t cpu = cpu_ns(), nr = 0;

	do {
		nr += run(j);
	} while (now_ns() < end);
	say_stream("ops", nr, start, cpu);
}

int main(int argc, char **argv)
{
	struct job j = { .len = 4096, .nr = 1, .random = 88172645463325252ull };

	if (argc != 4 && argc != 6)
		errx(2, "usage: see the top of fs_limit.c");
	if (argc == 6) {
		j.len = number(argv[4]);
		j.nr = number(argv[5]);
	}
	j.dir = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	j.data = openat(j.dir, "data", O_RDWR | O_CLOEXEC);
	j.list = openat(j.dir, "dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j.dir < 0 || j.data < 0 || j.list < 0)
		err(1, "%s", argv[2]);
	j.area = buffers(j.nr, j.len);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, argv[1]))
			continue;
		measure(&j, modes[i].run, number(argv[3]));
		return 0;
	}
	errx(2, "%s: no such mode", argv[1]);
}
