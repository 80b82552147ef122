/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/thread_kind.h"

/* Written by privilege_keep(), before there are other threads. */
static struct {
	const char *name; /* NULL: nothing is done */
	uint32_t mask;
} privilege;

int privilege_set(uint32_t effective, uint32_t permitted)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{ .effective = effective, .permitted = permitted },
	};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

void privilege_keep(const char *name, uint32_t mask)
{
	privilege.name = name;
	privilege.mask = mask;
}

bool privilege_is_kept(void)
{
	return privilege.name && privilege.mask;
}

uint32_t privilege_lacks(uint32_t mask)
{
	return privilege.name ? mask & ~privilege.mask : 0;
}

int privilege_thread(const char *name)
{
	if (!privilege_is_kept())
		return 0;
	if (thread_is_kind(name, privilege.name))
		return privilege_set(privilege.mask, privilege.mask);
	if (thread_is_kind(name, "share") || thread_is_kind(name, "spawn"))
		return privilege_set(0, privilege.mask);
	return privilege_set(0, 0);
}

void privilege_narrow(uint32_t mask)
{
	if (privilege_is_kept())
		privilege_set(mask & privilege.mask, mask & privilege.mask);
}

void privilege_raise(uint32_t mask)
{
	if (privilege_is_kept())
		privilege_set(mask & privilege.mask, privilege.mask);
}

void privilege_lower(void)
{
	privilege_raise(0);
}
