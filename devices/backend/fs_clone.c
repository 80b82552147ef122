/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/util.h"

/*
 * A tree of mounts of our own: a detached copy, from which no path leads out,
 * which stays as it is, and for which the kernel itself sees to read-only, to
 * ids, and that nothing is a device or followed as a link.
 */

/* A line of uid_map: what is stored, what is seen, how many. */
static int clone_write_map(int proc, const char *file,
			   const struct fs_id_map *map)
{
	char text[4096];
	size_t len = 0;
	int fd, r;

	for (unsigned int i = 0; i < map->nr; i++) {
		int n = snprintf(text + len, sizeof(text) - len, "%u %u %u\n",
				 map->range[i].host, map->range[i].guest,
				 map->range[i].count);

		if (n < 0 || (size_t)n >= sizeof(text) - len)
			return -EINVAL;
		len += (size_t)n;
	}
	if (!map->nr)
		len = (size_t)snprintf(text, sizeof(text), "0 0 4294967295\n");
	fd = openat(proc, file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* The kernel takes it in one piece or not at all. */
	r = write(fd, text, len) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* The child: it is there, and does nothing. */
static int clone_wait(void *arg unused_param)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
	return 0;
}

/* A user namespace that has the maps: a child is made for it, and ended. */
static int clone_namespace(const struct fs_tree_config *c)
{
	char stack[16384] __attribute__((aligned(16))), path[32];
	int proc, fd = -1, r = 0;
	/* On our memory, of which it needs no copy. */
	int child = clone(clone_wait, stack + sizeof(stack),
			  CLONE_VM | CLONE_NEWUSER | SIGCHLD, NULL);

	if (child < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%d", child);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		r = -errno;
	if (!r)
		r = clone_write_map(proc, "uid_map", &c->uids);
	if (!r)
		r = clone_write_map(proc, "gid_map", &c->gids);
	if (!r) {
		fd = openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? -errno : 0;
	}
	close_fd(&proc);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return r ? r : fd;
}

static int clone_set(int fd, uint64_t set, int userns)
{
	struct mount_attr attr = { .attr_set = set,
				   .userns_fd = (uint64_t)userns };

	return syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE,
		       &attr, sizeof(attr))
		       ? -errno
		       : 0;
}

/* Have the kernel translate ids, if it will. */
static bool clone_map_ids(int fd, const struct fs_tree_config *c)
{
	int userns, r;

	if (!c->uids.nr && !c->gids.nr)
		return false;
	userns = clone_namespace(c);
	if (userns < 0)
		return false;
	r = clone_set(fd, MOUNT_ATTR_IDMAP, userns);
	close(userns);
	return !r;
}

int fs_clone_open(const struct fs_tree_config *c, int root, bool *mapped)
{
	uint64_t set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID |
		       MOUNT_ATTR_NOSYMFOLLOW;
	int r, fd = (int)syscall(SYS_open_tree, root, "",
				 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
					 AT_RECURSIVE | AT_EMPTY_PATH);

	*mapped = false;
	if (fd < 0)
		return -errno;
	if (c->readonly)
		set |= MOUNT_ATTR_RDONLY;
	r = clone_set(fd, set, 0);
	if (r) {
		close(fd);
		return r;
	}
	*mapped = clone_map_ids(fd, c);
	return fd;
}
