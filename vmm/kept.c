/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *path;
	int flags;
} files[KEPT_NR] = {
	[KEPT_KVM] = { "/dev/kvm", O_RDWR | O_CLOEXEC },
	[KEPT_FD_DIR] = { "/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC },
	[KEPT_FDINFO_DIR] = { "/proc/self/fdinfo",
			      O_PATH | O_DIRECTORY | O_CLOEXEC },
};

/* Written by kept_take(), before there are other threads. */
static struct {
	bool taken;
	int fd[KEPT_NR]; /* or -errno */
} kept;

int kept_open(enum kept which)
{
	int fd = kept.taken ? kept.fd[which]
			    : open(files[which].path, files[which].flags);

	if (kept.taken && fd < 0)
		return fd;
	if (kept.taken)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

bool kept_is_there(enum kept which)
{
	return kept.taken && kept.fd[which] >= 0;
}

void kept_take(bool dirs)
{
	for (unsigned int i = 0; i < KEPT_NR; i++) {
		bool is_dir = files[i].flags & O_DIRECTORY;
		int fd = -1;

		kept.fd[i] = -ENOENT;
		if (is_dir && !dirs)
			continue;
		/* A mount of its own has nothing above it. */
		if (is_dir)
			fd = (int)syscall(SYS_open_tree, AT_FDCWD,
					  files[i].path,
					  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (fd < 0)
			fd = open(files[i].path, files[i].flags);
		kept.fd[i] = fd < 0 ? -errno : fd;
	}
	kept.taken = true;
}
