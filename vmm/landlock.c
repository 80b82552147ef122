/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/thread_kind.h"
#include "vmm/util.h"

/* By number, as the headers of Debian 12 end with the first ABI. */
#define FS_RIGHTS_1 ((1ull << 13) - 1)
#define FS_REFER (1ull << 13) /* ABI 2 */
#define FS_TRUNCATE (1ull << 14) /* 3 */
#define NET_TCP 3ull /* 4: bind, connect */
#define FS_IOCTL_DEV \
	(1ull << 15) /* 5: not asked for, devices are opened before */
/* 6: abstract sockets. Signals are not asked for: before Linux 6.15 threads of
 * one process could not wake each other then. */
#define SCOPES 1ull

/* As of ABI 6; older kernels take the beginning of it. */
struct landlock_rights {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

/* Of plain files; the others are of directories. */
#define FS_OF_FILES                                                     \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	 FS_TRUNCATE)
#define FS_TO_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* What nobody here needs is never allowed: to run what is there, to make device
 * files, and to move between directories. */
#define FS_TO_WRITE                                                       \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE |                    \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |      \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |    \
	 LANDLOCK_ACCESS_FS_MAKE_SYM)

/* Written by landlock_prepare(), before there are other threads. -1: none. */
static int landlock_ruleset = -1;

/* What this kernel knows; *len: of it. 0 or -errno. */
static int landlock_find_rights(struct landlock_rights *rights, size_t *len)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   LANDLOCK_CREATE_RULESET_VERSION);

	*rights = (struct landlock_rights){ .fs = FS_RIGHTS_1 };
	*len = offsetof(struct landlock_rights, net);
	if (abi < 1)
		return abi < 0 ? -errno : -ENOSYS;
	if (abi >= 2)
		rights->fs |= FS_REFER;
	if (abi >= 3)
		rights->fs |= FS_TRUNCATE;
	if (abi >= 4) {
		rights->net = NET_TCP;
		*len = offsetof(struct landlock_rights, scoped);
	}
	if (abi >= 6) {
		rights->scoped = SCOPES;
		*len = sizeof(*rights);
	}
	return 0;
}

int landlock_create(struct landlock_domain *domain)
{
	struct landlock_rights rights;
	size_t len;
	int r = landlock_find_rights(&rights, &len);

	domain->fd = -1;
	if (r)
		return r;
	domain->rights = rights.fs;
	domain->fd = (int)syscall(SYS_landlock_create_ruleset, &rights, len, 0);
	return domain->fd < 0 ? -errno : 0;
}

int landlock_allow(const struct landlock_domain *domain,
		   const struct landlock_place *place)
{
	struct landlock_path_beneath_attr rule = { .parent_fd = place->fd };

	rule.allowed_access = (place->read ? FS_TO_READ : 0) |
			      (place->write ? FS_TO_WRITE : 0);
	rule.allowed_access &= domain->rights;
	if (!place->is_dir)
		rule.allowed_access &= FS_OF_FILES;
	return syscall(SYS_landlock_add_rule, domain->fd,
		       LANDLOCK_RULE_PATH_BENEATH, &rule, 0)
		       ? -errno
		       : 0;
}

int landlock_enter(int fd)
{
	return syscall(SYS_landlock_restrict_self, fd, 0) ? -errno : 0;
}

int landlock_prepare(void)
{
	struct landlock_domain domain;
	int r = landlock_create(&domain);

	landlock_ruleset = domain.fd;
	/* Not there, or not turned on. */
	return r == -ENOSYS || r == -EOPNOTSUPP ? 0 : r;
}

int landlock_thread(const char *name)
{
	static const char *const open[] = { "fs", "share", "spawn" };

	for (unsigned int i = 0; i < ARRAY_SIZE(open); i++)
		if (thread_is_kind(name, open[i]))
			return 0;
	return landlock_ruleset < 0 ? 0 : landlock_enter(landlock_ruleset);
}
