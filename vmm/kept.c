/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/few.h"
#include "vmm/util.h"

/* Of one in /proc with the path of a file; what one read(2) of theirs gives. */
#define KEPT_LINE_MAX 8192u

static const struct {
	const char *path;
	int flags;
} files[KEPT_NR] = {
	[KEPT_KVM] = { "/dev/kvm", O_RDWR | O_CLOEXEC },
	[KEPT_FD_DIR] = { "/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC },
	[KEPT_FDINFO_DIR] = { "/proc/self/fdinfo",
			      O_PATH | O_DIRECTORY | O_CLOEXEC },
	[KEPT_SMAPS] = { "/proc/self/smaps", O_RDONLY | O_CLOEXEC },
	[KEPT_STATUS] = { "/proc/self/status", O_RDONLY | O_CLOEXEC },
	[KEPT_MEMINFO] = { "/proc/meminfo", O_RDONLY | O_CLOEXEC },
};

/* Written by kept_take(), before there are other threads. */
static struct {
	bool taken[KEPT_NR];
	int fd[KEPT_NR]; /* or -errno */
} kept;

int kept_open(enum kept which)
{
	int fd;

	if (!kept.taken[which])
		fd = open(files[which].path, files[which].flags);
	else if (kept.fd[which] >= 0)
		fd = fcntl(kept.fd[which], F_DUPFD_CLOEXEC, 0);
	else
		return kept.fd[which];
	return fd < 0 ? -errno : fd;
}

/* Call fn for the whole lines in text; returns how long they are. */
static size_t kept_lines(char *text, size_t len,
			 void (*fn)(void *arg, const char *line), void *arg)
{
	char *line = text, *end;

	while ((end = memchr(line, '\n', len - (size_t)(line - text)))) {
		*end = '\0';
		fn(arg, line);
		line = end + 1;
	}
	return (size_t)(line - text);
}

void kept_read(enum kept which, void (*fn)(void *arg, const char *line),
	       void *arg)
{
	cleanup_fd int fd = kept_open(which);
	char text[KEPT_LINE_MAX];
	size_t len = 0, done;
	off_t off = 0;
	ssize_t n;

	/* Copies have one place in the file between them. */
	while ((n = few_pread(fd, text + len, sizeof(text) - len, off)) > 0) {
		off += n;
		len += (size_t)n;
		done = kept_lines(text, len, fn, arg);
		len -= done;
		memmove(text, text + done, len);
		/* Longer than any that the kernel writes. */
		if (len == sizeof(text))
			len = 0;
	}
}

bool kept_is_there(enum kept which)
{
	return kept.taken[which] && kept.fd[which] >= 0;
}

static void kept_take_one(unsigned int i)
{
	int fd = -1;

	/* A mount of its own has nothing above it. */
	if (files[i].flags & O_DIRECTORY)
		fd = (int)syscall(SYS_open_tree, AT_FDCWD, files[i].path,
				  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0)
		fd = open(files[i].path, files[i].flags);
	kept.fd[i] = fd < 0 ? -errno : fd;
}

void kept_take(bool dirs)
{
	for (unsigned int i = 0; i < KEPT_NR; i++) {
		kept.taken[i] = true;
		kept.fd[i] = -ENOENT;
		if (dirs || !(files[i].flags & O_DIRECTORY))
			kept_take_one(i);
	}
}

void kept_take_files(void)
{
	for (unsigned int i = 0; i < KEPT_NR; i++) {
		kept.taken[i] = !(files[i].flags & O_DIRECTORY);
		if (kept.taken[i])
			kept_take_one(i);
	}
}
