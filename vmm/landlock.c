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

/* Written by landlock_prepare(), before there are other threads. -1: none. */
static int landlock_ruleset = -1;

int landlock_prepare(void)
{
	struct landlock_rights rights = { .fs = FS_RIGHTS_1 };
	size_t len = offsetof(struct landlock_rights, net);
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 1)
		return 0;
	if (abi >= 2)
		rights.fs |= FS_REFER;
	if (abi >= 3)
		rights.fs |= FS_TRUNCATE;
	if (abi >= 4) {
		rights.net = NET_TCP;
		len = offsetof(struct landlock_rights, scoped);
	}
	if (abi >= 6) {
		rights.scoped = SCOPES;
		len = sizeof(rights);
	}
	landlock_ruleset =
		(int)syscall(SYS_landlock_create_ruleset, &rights, len, 0);
	return landlock_ruleset < 0 ? -errno : 0;
}

int landlock_thread(const char *name)
{
	static const char *const open[] = { "fs", "share", "spawn" };

	for (unsigned int i = 0; i < ARRAY_SIZE(open); i++)
		if (thread_is_kind(name, open[i]))
			return 0;
	if (landlock_ruleset < 0)
		return 0;
	return syscall(SYS_landlock_restrict_self, landlock_ruleset, 0) ? -errno
									: 0;
}
