/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/util.h"

/*
 * A thread's credentials while it makes something for a caller of the guest. By
 * raw system calls, as the C library would change all threads; and only what
 * differs from the last caller's. A thread that serves others too is put back.
 *
 * With SECBIT_NO_SETUID_FIXUP the thread keeps its capabilities whoever it acts
 * for: permissions were the guest's to check. CAP_FSETID is what lets a caller
 * keep setuid and setgid bits, so it is in force for the guest's root only.
 */

#define CALLER_GROUPS_MAX 64

/* What a thread acts as now, and what it was. */
struct caller {
	bool own; /* of a file system: need not be put back */
	bool ready;
	bool changed; /* differs from what it was */
	bool bits; /* CAP_FSETID is in force */
	bool fixed; /* SECBIT_NO_SETUID_FIXUP is */
	bool bare; /* ... refused: it has no rights while it acts for others */
	uint32_t uid, gid, umask;
	int nr_groups; /* -1: too many to be put back, or not ours to set */
	uint32_t group; /* if it is 1 and changed */
	uint32_t old_uid, old_gid, old_umask;
	int old_nr_groups;
	uint32_t old_groups[CALLER_GROUPS_MAX];
	int securebits;
	struct __user_cap_data_struct caps[2];
};
static _Thread_local struct caller caller;

static struct __user_cap_header_struct caps_header(void)
{
	return (struct __user_cap_header_struct){
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
}

static bool caller_has(uint32_t need)
{
	struct __user_cap_header_struct header = caps_header();
	struct __user_cap_data_struct data[2] = { 0 };

	return !syscall(SYS_capget, &header, data) &&
	       (data[0].effective & need) == need;
}

bool fs_caller_can_change(void)
{
	return caller_has(1u << CAP_SETUID | 1u << CAP_SETGID |
			  1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE |
			  1u << CAP_FOWNER);
}

bool fs_caller_can_read(void)
{
	return caller_has(1u << CAP_DAC_READ_SEARCH);
}

void fs_thread_own(void)
{
	caller.own = true;
	/* Its umask is its own, whatever others of the process have. */
	unshare(CLONE_FS);
	umask(0);
}

/* The first time on this thread. */
static void caller_init(const struct fs_tree *t)
{
	struct __user_cap_header_struct header = caps_header();
	struct caller *c = &caller;

	/* The umask is this thread's alone from now on. */
	unshare(CLONE_FS);
	c->ready = true;
	c->old_umask = (uint32_t)umask(0);
	umask(c->old_umask);
	c->umask = c->old_umask;
	if (t->single_user)
		return;
	c->old_uid = (uint32_t)syscall(SYS_setfsuid, -1);
	c->old_gid = (uint32_t)syscall(SYS_setfsgid, -1);
	c->uid = c->old_uid;
	c->gid = c->old_gid;
	c->old_nr_groups =
		(int)syscall(SYS_getgroups, CALLER_GROUPS_MAX, c->old_groups);
	c->nr_groups = c->old_nr_groups;
	c->group = c->nr_groups == 1 ? c->old_groups[0] : 0;
	syscall(SYS_capget, &header, c->caps);
	c->bits = c->caps[0].effective >> CAP_FSETID & 1;
	c->securebits = prctl(PR_GET_SECUREBITS);
}

static void caller_set_bits(struct caller *c, bool bits)
{
	const uint32_t fsetid = 1u << CAP_FSETID;
	struct __user_cap_header_struct header = caps_header();
	struct __user_cap_data_struct data[2];

	if (c->bits == bits || !(c->caps[0].permitted & fsetid))
		return;
	memcpy(data, c->caps, sizeof(data));
	data[0].effective &= ~fsetid;
	data[0].effective |= bits ? fsetid : 0;
	if (!syscall(SYS_capset, &header, data))
		c->bits = bits;
	c->changed = true;
}

static int caller_set_groups(struct caller *c, const struct fs_call *call,
			     uint32_t group)
{
	int nr = call->has_group;

	if (c->nr_groups < 0 ||
	    (c->nr_groups == nr && (!nr || c->group == group)))
		return 0;
	if (syscall(SYS_setgroups, nr, &group)) {
		if (errno != EPERM)
			return -errno;
		/* A user made the user namespace: groups stay as they are. */
		c->nr_groups = -1;
		return 0;
	}
	c->nr_groups = nr;
	c->group = group;
	c->changed = true;
	return 0;
}

static int caller_set_ids(struct caller *c, uint32_t uid, uint32_t gid)
{
	if (!c->fixed && !(c->securebits & SECBIT_NO_SETUID_FIXUP))
		c->bare = prctl(PR_SET_SECUREBITS,
				c->securebits | SECBIT_NO_SETUID_FIXUP) < 0;
	c->fixed = true;
	c->changed = true;
	if (c->gid != gid) {
		syscall(SYS_setfsgid, gid);
		c->gid = (uint32_t)syscall(SYS_setfsgid, -1);
	}
	if (c->uid != uid) {
		syscall(SYS_setfsuid, uid);
		c->uid = (uint32_t)syscall(SYS_setfsuid, -1);
	}
	/* In a user namespace an id may not be there. */
	return c->gid == gid && c->uid == uid ? 0 : -EPERM;
}

static void caller_set_umask(struct caller *c, uint32_t mask)
{
	if (c->umask == mask)
		return;
	umask(mask);
	c->umask = mask;
	c->changed = true;
}

int fs_caller_enter(const struct fs_tree *t, const struct fs_call *call)
{
	struct caller *c = &caller;
	uint32_t uid, gid, group = 0;
	int r;

	r = fs_id_to_host(&t->config.uids, call->uid, &uid);
	if (!r)
		r = fs_id_to_host(&t->config.gids, call->gid, &gid);
	if (!r && call->has_group && !t->single_user)
		r = fs_id_to_host(&t->config.gids, call->group, &group);
	if (r)
		return r;
	if (!c->ready)
		caller_init(t);
	/* A default ACL counts in the umask's place: the kernel knows. */
	caller_set_umask(c, t->config.posix_acl ? call->umask & 0777 : 0);
	if (t->single_user)
		return 0;
	if (c->uid != uid || c->gid != gid)
		r = caller_set_ids(c, uid, gid);
	if (!r)
		r = caller_set_groups(c, call, group);
	if (!r)
		caller_set_bits(c, !call->uid);
	if (r)
		fs_caller_leave(t);
	return r;
}

void fs_caller_keeps_bits(const struct fs_tree *t, bool keep)
{
	if (t->single_user || (keep && !caller.ready))
		return;
	if (!caller.ready)
		caller_init(t);
	caller_set_bits(&caller, keep);
}

void fs_caller_leave(const struct fs_tree *t)
{
	struct caller *c = &caller;

	if ((c->own && !c->bare) || !c->changed)
		return;
	caller_set_umask(c, c->old_umask);
	if (!t->single_user) {
		if (c->uid != c->old_uid || c->gid != c->old_gid)
			caller_set_ids(c, c->old_uid, c->old_gid);
		if (c->nr_groups >= 0 &&
		    !syscall(SYS_setgroups, c->old_nr_groups, c->old_groups)) {
			c->nr_groups = c->old_nr_groups;
			c->group = c->old_groups[0];
		}
		caller_set_bits(c, c->caps[0].effective >> CAP_FSETID & 1);
		if (c->fixed)
			prctl(PR_SET_SECUREBITS, c->securebits);
		c->fixed = false;
	}
	c->changed = false;
}
