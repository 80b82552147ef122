/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/nowait.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "vmm/few.h"

/* Two writers to one description: the second must find the flags as they were. */
static pthread_mutex_t nowait_flags = PTHREAD_MUTEX_INITIALIZER;

static int nowait_open_again(int fd, int access)
{
	unsigned int number;
	char path[32];
	struct stat st;

	/* To open the main side of a pseudo-terminal makes another pair. */
	if (few_fstat(fd, &st) || !(S_ISFIFO(st.st_mode) || isatty(fd)) ||
	    !ioctl(fd, TIOCGPTN, &number))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Written before there are other threads. */
static struct {
	bool taken;
	int fds[STDERR_FILENO + 1]; /* -1: none */
	bool slow[STDERR_FILENO + 1];
	pid_t group; /* of this process */
} kept;

int nowait_reopen(int fd, int access)
{
	if (!kept.taken)
		return nowait_open_again(fd, access);
	if (fd < 0 || fd > STDERR_FILENO || kept.fds[fd] < 0)
		return -1;
	return fcntl(kept.fds[fd], F_DUPFD_CLOEXEC, 0);
}

/* Not an overlay: what is below it, it does not say. */
bool nowait_is_local(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return false;
	return fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC ||
	       fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == TMPFS_MAGIC;
}

bool nowait_is_slow(int fd)
{
	struct stat st;

	if (kept.taken && fd <= STDERR_FILENO)
		return fd >= 0 && kept.slow[fd];
	return !few_fstat(fd, &st) && S_ISREG(st.st_mode) &&
	       !nowait_is_local(fd);
}

void nowait_keep(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		kept.fds[fd] = nowait_open_again(
			fd, fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
		kept.slow[fd] = nowait_is_slow(fd);
	}
	kept.group = getpgrp();
	kept.taken = true;
}

int nowait_has_terminal(int fd)
{
	pid_t owner = tcgetpgrp(fd);

	return owner < 0 ? -errno
			 : owner == (kept.taken ? kept.group : getpgrp());
}

int nowait_create(const char *path, int flags)
{
	return open(path,
		    flags | O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY |
			    O_NONBLOCK,
		    0600);
}

void nowait_open(struct nowait *nw, int fd)
{
	nw->fd = fd;
	nw->own = nowait_reopen(fd, O_WRONLY);
}

void nowait_close(struct nowait *nw)
{
	if (nw->own >= 0)
		close(nw->own);
	nw->fd = nw->own = -1;
}

int nowait_fd(const struct nowait *nw)
{
	return nw->own >= 0 ? nw->own : nw->fd;
}

/* A terminal polls writable when it has room for a byte, and a blocking write
 * to it returns when it has taken all. */
static ssize_t nowait_write_terminal(int fd, const void *data, size_t len)
{
	int flags, code;
	ssize_t n;

	pthread_mutex_lock(&nowait_flags);
	flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	n = write(fd, data, len);
	code = errno;
	fcntl(fd, F_SETFL, flags);
	pthread_mutex_unlock(&nowait_flags);
	errno = code;
	return n;
}

ssize_t nowait_write(const struct nowait *nw, const void *data, size_t len)
{
	struct pollfd p = { .fd = nw->fd, .events = POLLOUT };

	if (nw->own >= 0)
		return write(nw->own, data, len);
	if (few_poll(&p, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	/* A pipe that polls writable takes a page. */
	return isatty(nw->fd) ? nowait_write_terminal(nw->fd, data, len)
			      : write(nw->fd, data, len);
}
