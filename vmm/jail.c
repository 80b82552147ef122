/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The order is that of what each step needs: mounts need the capabilities that
 * the last steps give away, limits are raised before the user changes, and what
 * a change of the user undoes (dumpable, the signal at a parent's death) is
 * done after it.
 */
#include "vmm/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/kept.h"
#include "vmm/landlock.h"
#include "vmm/privilege.h"
#include "vmm/util.h"

/* Made by jail_own_users(), once. */
static bool jail_has_users;

/* ---- capabilities ---- */

static bool jail_may(unsigned int first, unsigned int second)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { 0 };
	uint32_t need = 1u << first | 1u << second;

	return !syscall(SYS_capget, &header, data) &&
	       (data[0].effective & need) == need;
}

/* No others are left, and none can be had again. */
static int jail_drop_capabilities(uint32_t kept, struct error *err)
{
	int r;

	/* Who acts for another user keeps what it has. */
	if (kept)
		prctl(PR_SET_SECUREBITS,
		      prctl(PR_GET_SECUREBITS) | SECBIT_NO_SETUID_FIXUP);

	/* Where this is not allowed, no_new_privs says the same. */
	for (int cap = 0; !prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); cap++)
		;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	r = privilege_set(0, kept);
	return r ? error_set(err, r, "--jail: cannot give up capabilities: %s",
			     strerror(-r))
		 : 0;
}

/* ---- namespaces ---- */

int jail_write(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);

	if (fd < 0)
		return -errno;
	return write(fd, text, len) == (ssize_t)len ? 0 : -errno;
}

/* A user namespace that has this user and this group, as they are. */
int jail_own_users(struct error *err)
{
	unsigned int uid = geteuid(), gid = getegid();
	char text[48];
	int r;

	if (jail_has_users || jail_may(CAP_SYS_ADMIN, CAP_SYS_ADMIN))
		return 0;
	if (unshare(CLONE_NEWUSER))
		return error_set(
			err, errno,
			"--jail: user %u can make no user namespace: %s; allow it with sysctl (user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns), leave a chroot, in which nobody can, or start as root",
			uid, strerror(errno));
	jail_has_users = true;
	/* Kernels before 3.19 have no such file. */
	r = jail_write("/proc/self/setgroups", "deny");
	snprintf(text, sizeof(text), "%u %u 1", uid, uid);
	if (!r || r == -ENOENT)
		r = jail_write("/proc/self/uid_map", text);
	snprintf(text, sizeof(text), "%u %u 1", gid, gid);
	if (!r)
		r = jail_write("/proc/self/gid_map", text);
	return r ? error_set(
			   err, r,
			   "--jail: the user namespace gets no user: %s; mount /proc, or start as root",
			   strerror(-r))
		 : 0;
}

static int jail_unshare(int flag, const char *what, struct error *err)
{
	if (!unshare(flag))
		return 0;
	return error_set(
		err, errno,
		"--jail: cannot make %s: %s; see the limits in /proc/sys/user, and whether this host's kernel has such namespaces",
		what, strerror(errno));
}

static int jail_make_namespaces(const struct jail_config *jc, struct error *err)
{
	int r = jail_own_users(err);

	/* All at once is fastest; one after the other says which cannot be had. */
	if (r || !unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
			  (jc->newnet ? CLONE_NEWNET : 0)))
		return r;
	r = jail_unshare(CLONE_NEWNS, "a mount namespace", err);
	if (!r)
		r = jail_unshare(CLONE_NEWIPC, "an IPC namespace", err);
	if (!r)
		r = jail_unshare(CLONE_NEWUTS, "a UTS namespace", err);
	if (!r && jc->newnet)
		r = jail_unshare(CLONE_NEWNET,
				 "a network namespace (newnet=on)", err);
	return r;
}

/* ---- the root ---- */

/* A descriptor of an empty file system that is mounted nowhere; -errno. */
static int jail_make_root(void)
{
	const unsigned int attr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
				  MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	cleanup_fd int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0555", 0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attr);
	return fd < 0 ? -errno : fd;
}

/* Root and current directory: it comes on top of the old root, which is then
 * put on top of it, and goes with all that is mounted there. */
static int jail_change_root(int root)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    syscall(SYS_move_mount, root, "", AT_FDCWD, "/",
		    MOVE_MOUNT_F_EMPTY_PATH) ||
	    fchdir(root) || syscall(SYS_pivot_root, ".", ".") ||
	    umount2(".", MNT_DETACH) || chdir("/"))
		return -errno;
	return 0;
}

static int jail_empty_root(struct error *err)
{
	cleanup_fd int root = jail_make_root();
	int r = root < 0 ? root : jail_change_root(root);

	return r ? error_set(
			   err, r,
			   "--jail: cannot have an empty root: %s; it needs Linux 5.2 with tmpfs, and a root that is no initramfs",
			   strerror(-r))
		 : 0;
}

/* ---- limits ---- */

static int jail_limit(int resource, const char *key, uint64_t value,
		      struct error *err)
{
	const struct rlimit limit = { value, value };
	struct rlimit now;

	if (!value || !setrlimit((__rlimit_resource_t)resource, &limit))
		return 0;
	getrlimit((__rlimit_resource_t)resource, &now);
	return error_set(
		err, errno,
		"--jail %s=%llu: %s; the limit is %llu: give no more, or start with CAP_SYS_RESOURCE",
		key, llu(value), strerror(errno), llu(now.rlim_max));
}

static int jail_limits(const struct jail_config *jc, struct error *err)
{
	const struct rlimit none = { 0, 0 };
	int r = jail_limit(RLIMIT_NOFILE, "nofile", jc->nofile, err);

	if (!r)
		r = jail_limit(RLIMIT_FSIZE, "fsize", jc->fsize, err);
	if (!r)
		r = jail_limit(RLIMIT_MEMLOCK, "memlock", jc->memlock, err);
	if (!r && setrlimit(RLIMIT_CORE, &none))
		r = error_set(err, errno, "--jail: no limit of core files: %s",
			      strerror(errno));
	return r;
}

/* ---- who ---- */

static int jail_become(const struct jail_ids *ids, struct error *err)
{
	if (!ids->change)
		return 0;
	if (setgroups(0, NULL) || setresgid(ids->gid, ids->gid, ids->gid) ||
	    setresuid(ids->uid, ids->uid, ids->uid))
		return error_set(err, errno,
				 "--jail: cannot become user %u, group %u: %s",
				 ids->uid, ids->gid, strerror(errno));
	return 0;
}

int jail_check_ids(const struct jail_ids *ids, struct error *err)
{
	if (!ids->change || (jail_may(CAP_SETUID, CAP_SETGID) &&
			     jail_may(CAP_SYS_ADMIN, CAP_SYS_ADMIN)))
		return 0;
	return error_set(
		err, EPERM,
		"--jail user=%u,group=%u: only root can become another user; start as root, or leave user= and group= out",
		ids->uid, ids->gid);
}

int jail_drop(const struct jail_ids *ids, uint32_t kept, struct error *err)
{
	int r = jail_become(ids, err);

	if (!r)
		r = jail_drop_capabilities(kept, err);
	if (!r && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		   prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)))
		r = error_set(err, errno, "--jail: prctl: %s", strerror(errno));
	return r;
}

/* A user, and who becomes one, is the only one whose files there are. */
static int jail_check_shares(const struct jail_config *jc, bool is_root,
			     struct error *err)
{
	if (!jc->shares || is_root)
		return 0;
	return error_set(
		err, EPERM,
		"--jail shares=on: only root that stays root has capabilities for it; a user shares what is its own: leave it out");
}

int jail_enter(const struct jail_config *jc, const char *name, uint32_t kept,
	       struct error *err)
{
	struct jail_ids ids;
	bool is_root;
	int r;

	if (!jc->on)
		return 0;
	r = jail_find_ids(jc, &ids, err);
	if (!r)
		r = jail_check_ids(&ids, err);
	if (r)
		return r;
	is_root = jail_may(CAP_SYS_ADMIN, CAP_SYS_ADMIN) && !ids.change;
	if (is_root)
		privilege_keep(name, kept);
	else
		kept = 0;
	r = jail_check_shares(jc, is_root, err);
	if (!r)
		r = jail_make_namespaces(jc, err);
	if (r)
		return r;
	kept_take(name != NULL);
	r = jail_empty_root(err);
	if (!r)
		r = jail_limits(jc, err);
	if (!r)
		r = jail_drop(&ids, kept, err);
	if (!r) {
		r = landlock_prepare();
		if (r)
			error_set(err, r, "--jail: landlock: %s", strerror(-r));
	}
	if (!r && jc->pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return r;
}
