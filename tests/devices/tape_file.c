/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/devices/tape_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "vmm/util.h"

struct tape_file {
	int fd;
	uint64_t recorded, played; /* bytes */
};

int tape_file_open(struct tape_file **out, const char *path, struct error *err)
{
	struct tape_file *tf = calloc(1, sizeof(*tf));

	if (!tf)
		return error_set(err, ENOMEM, "out of memory");
	tf->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (tf->fd < 0) {
		int r = error_set(err, errno, "path=%s: %s", path,
				  error_text(errno));

		free(tf);
		return r;
	}
	*out = tf;
	return 0;
}

void tape_file_close(struct tape_file *tf)
{
	if (tf)
		close_fd(&tf->fd);
	free(tf);
}

ssize_t tape_file_record(struct tape_file *tf, const struct iovec *iov,
			 unsigned int nr)
{
	ssize_t n = pwritev(tf->fd, iov, (int)nr, (off_t)tf->recorded);

	if (n < 0)
		return -errno;
	tf->recorded += (uint64_t)n;
	return n;
}

ssize_t tape_file_play(struct tape_file *tf, const struct iovec *iov,
		       unsigned int nr)
{
	ssize_t n = preadv(tf->fd, iov, (int)nr, (off_t)tf->played);

	if (n < 0)
		return -errno;
	tf->played += (uint64_t)n;
	return n;
}

uint64_t tape_file_left(const struct tape_file *tf)
{
	return tf->recorded - tf->played;
}
