/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/lib/terminal.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>

int terminal_open(int *main_fd)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	int other;

	assert(fd >= 0 && !unlockpt(fd));
	other = open(ptsname(fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert(other >= 0);
	*main_fd = fd;
	return other;
}
