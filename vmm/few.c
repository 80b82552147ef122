/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/few.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

int few_fstat(int fd, struct stat *st)
{
	return (int)syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
}

int few_open(const char *path, int flags, mode_t mode)
{
	const struct open_how how = { .flags = (unsigned int)flags | O_CLOEXEC,
				      .mode = mode };

	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

int few_poll(struct pollfd *fds, unsigned int nr, int timeout_ms)
{
	const struct timespec timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000l,
	};

	return ppoll(fds, nr, timeout_ms < 0 ? NULL : &timeout, NULL);
}

void few_sleep_us(unsigned int us)
{
	const struct timespec ts = { .tv_sec = us / 1000000,
				     .tv_nsec = us % 1000000 * 1000l };

	ppoll(NULL, 0, &ts, NULL);
}

/* The kernel only reads what is sent or written. */
static struct iovec few_iov(const void *buf, size_t len)
{
	return (struct iovec){ (void *)(uintptr_t)buf, len };
}

ssize_t few_pread(int fd, void *buf, size_t len, off_t off)
{
	const struct iovec iov = few_iov(buf, len);

	return preadv(fd, &iov, 1, off);
}

ssize_t few_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	const struct iovec iov = few_iov(buf, len);

	return pwritev(fd, &iov, 1, off);
}

ssize_t few_recv(int fd, void *buf, size_t len, int flags)
{
	struct iovec iov = few_iov(buf, len);
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return recvmsg(fd, &msg, flags);
}

ssize_t few_send(int fd, const void *buf, size_t len, int flags)
{
	struct iovec iov = few_iov(buf, len);
	const struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return sendmsg(fd, &msg, flags);
}
