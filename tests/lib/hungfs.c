/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A file system that stops answering when it is told to: what a dead NFS server
 * or a dying disk is to whoever uses its files.
 *
 *   hungfs MOUNTPOINT SIZE_MIB [cached|grows]
 *
 * mounts itself there (as root) with one file in it, "disk", of that size, and
 * says "ready"; with "cached" the kernel keeps its pages, and may map them; one
 * that "grows" is empty at first, and has that size at most. Each line on its
 * standard input is a command; the answer is a line as well:
 *
 *   hang    "ok"; from now on every request is taken and kept unanswered
 *   fail    "ok"; from now on every read fails (EIO)
 *   go      "ok"; what was kept is answered, in order, and so is what comes
 *   held    the number of requests that are kept
 *   quit    (or the end of input) unmounts and ends
 *
 * Whoever waits for a request that was taken cannot even be killed, until the
 * request is answered or this program ends, be it by SIGKILL: then the kernel
 * answers with ECONNABORTED. Status 77 and a reason where mounting is not
 * permitted. The protocol is that of <linux/fuse.h>, spoken on /dev/fuse.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vmm/util.h"

#define FILE_NAME "disk"
#define FILE_ID 2u /* inode; the directory is FUSE_ROOT_ID */
#define WRITE_MAX (128 * KIB)
#define REQUEST_MAX (WRITE_MAX + 4096)
#define HELD_MAX 4096u

static int fuse_fd = -1;
static char *data; /* of the file */
static uint64_t data_len, data_max;
static char request[REQUEST_MAX];
static bool hung, failing, cached, grows;
static void *held[HELD_MAX];
static unsigned int nr_held;

static void die(int status, const char *what)
{
	fprintf(stderr, "hungfs: %s: %s\n", what, strerror(errno));
	exit(status);
}

static void answer(uint64_t id, int error, const void *body, size_t len)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + len),
		.error = error,
		.unique = id,
	};
	struct iovec iov[2] = { { &out, sizeof(out) },
				{ (void *)(uintptr_t)body, len } };

	/* ENOENT: whoever asked has given up. */
	if (writev(fuse_fd, iov, 2) < 0 && errno != ENOENT)
		die(1, "answer");
}

static struct fuse_attr attr_of(uint64_t node)
{
	return (struct fuse_attr){
		.ino = node,
		.mode = node == FILE_ID ? S_IFREG | 0600 : S_IFDIR | 0700,
		.nlink = 1,
		.size = node == FILE_ID ? data_len : 0,
		.blocks = node == FILE_ID ? data_len / 512 : 0,
		.blksize = 4096,
	};
}

static void do_init(uint64_t id, const struct fuse_init_in *in)
{
	const struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = MIN(in->minor, FUSE_KERNEL_MINOR_VERSION),
		.flags = in->flags &
			 (FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO |
			  FUSE_PARALLEL_DIROPS | FUSE_EXPORT_SUPPORT),
		.max_readahead = in->max_readahead,
		.max_background = 64,
		.congestion_threshold = 48,
		.max_write = WRITE_MAX,
		.time_gran = 1,
	};

	answer(id, 0, &out, sizeof(out));
}

/* Names and attributes are never good for later: each use asks again. */
static void do_lookup(uint64_t id, const char *name)
{
	const struct fuse_entry_out out = { .nodeid = FILE_ID,
					    .attr = attr_of(FILE_ID) };

	if (strcmp(name, FILE_NAME))
		answer(id, -ENOENT, NULL, 0);
	else
		answer(id, 0, &out, sizeof(out));
}

static void do_read(uint64_t id, const struct fuse_read_in *in)
{
	uint64_t offset = MIN(in->offset, data_len);

	if (failing) {
		answer(id, -EIO, NULL, 0);
		return;
	}
	answer(id, 0, data + offset, MIN(in->size, data_len - offset));
}

static void do_write(uint64_t id, const struct fuse_write_in *in)
{
	struct fuse_write_out out = { 0 };

	if (in->offset > data_max || in->size > data_max - in->offset) {
		answer(id, -EFBIG, NULL, 0);
		return;
	}
	memcpy(data + in->offset, in + 1, in->size);
	data_len = MAX(data_len, in->offset + in->size);
	out.size = in->size;
	answer(id, 0, &out, sizeof(out));
}

/* What is cut off is zero afterwards; the size stays, if it does not grow. */
static void do_setattr(uint64_t id, uint64_t node,
		       const struct fuse_setattr_in *in)
{
	struct fuse_attr_out attr = { 0 };

	if (in->valid & FATTR_SIZE && in->size < data_len) {
		memset(data + in->size, 0, data_len - in->size);
		data_len = grows ? in->size : data_len;
	}
	attr.attr = attr_of(node);
	answer(id, 0, &attr, sizeof(attr));
}

static void serve(const struct fuse_in_header *in)
{
	const struct fuse_attr_out attr = { .attr = attr_of(in->nodeid) };
	/* Without the page cache each read and write comes here. */
	const struct fuse_open_out opened = {
		.open_flags = cached ? FOPEN_KEEP_CACHE : FOPEN_DIRECT_IO
	};
	const void *arg = in + 1;

	switch (in->opcode) {
	case FUSE_INIT:
		do_init(in->unique, arg);
		break;
	case FUSE_LOOKUP:
		do_lookup(in->unique, arg);
		break;
	case FUSE_GETATTR:
		answer(in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_SETATTR:
		do_setattr(in->unique, in->nodeid, arg);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		answer(in->unique, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		do_read(in->unique, arg);
		break;
	case FUSE_WRITE:
		do_write(in->unique, arg);
		break;
	case FUSE_FLUSH:
	case FUSE_FSYNC:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		answer(in->unique, 0, NULL, 0);
		break;
	default:
		answer(in->unique, -ENOSYS, NULL, 0);
	}
}

static void on_request(void)
{
	const struct fuse_in_header *in = (const void *)request;
	ssize_t n = read(fuse_fd, request, sizeof(request));

	if (n < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
		return; /* the request was taken back */
	if (n < 0)
		die(errno == ENODEV ? 0 : 1, "unmounted");
	/* These have no answer; to hold on to an interrupt is the point. */
	if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET ||
	    in->opcode == FUSE_INTERRUPT)
		return;
	if (!hung || nr_held == HELD_MAX) {
		serve(in);
		return;
	}
	held[nr_held] = malloc((size_t)n);
	if (!held[nr_held])
		die(1, "memory");
	memcpy(held[nr_held++], request, (size_t)n);
}

/* False: the end. */
static bool on_command(void)
{
	char line[64];
	unsigned int i;

	if (!fgets(line, sizeof(line), stdin) || !strcmp(line, "quit\n"))
		return false;
	if (!strcmp(line, "held\n")) {
		printf("%u\n", nr_held);
		return true;
	}
	hung = !strcmp(line, "hang\n");
	failing = !strcmp(line, "fail\n");
	for (i = 0; !hung && i < nr_held; i++) {
		serve(held[i]);
		free(held[i]);
	}
	nr_held = hung ? nr_held : 0;
	puts("ok");
	return true;
}

static void mount_at(const char *dir)
{
	char options[96];

	fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fuse_fd < 0)
		die(77, "/dev/fuse");
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=%u,group_id=%u,allow_other",
		 fuse_fd, getuid(), getgid());
	if (mount("hungfs", dir, "fuse", MS_NOSUID | MS_NODEV, options))
		die(errno == EPERM || errno == ENODEV ? 77 : 1, "mount");
}

int main(int argc, char **argv)
{
	struct pollfd fds[2] = { { .events = POLLIN, .fd = STDIN_FILENO },
				 { .events = POLLIN } };

	cached = argc == 4 && !strcmp(argv[3], "cached");
	grows = argc == 4 && !strcmp(argv[3], "grows");
	if (argc != 3 && !cached && !grows) {
		fprintf(stderr,
			"usage: hungfs MOUNTPOINT SIZE_MIB [cached|grows]\n");
		return 2;
	}
	/* One command a poll(): none may wait in a buffer unseen. */
	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	data_max = strtoull(argv[2], NULL, 10) * MIB;
	data_len = grows ? 0 : data_max;
	data = calloc(1, data_max);
	if (!data)
		die(1, "memory");
	mount_at(argv[1]);
	puts("ready");
	fds[1].fd = fuse_fd;
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die(1, "poll");
		if (fds[1].revents)
			on_request();
		if (fds[0].revents && !on_command())
			break;
	}
	/* Closed first, so that nobody can wait for us in the unmounting. */
	close_fd(&fuse_fd);
	umount2(argv[1], MNT_DETACH);
	return 0;
}
