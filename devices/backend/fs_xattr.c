/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "vmm/kept.h"
#include "vmm/util.h"

/*
 * Extended attributes. A guest's trusted.* would be believed by the host, whose
 * overlayfs may use the same directory: they are kept as user.vmm.trusted.*, and
 * so are, if asked for, those of security.*. Names that begin with user.vmm. are
 * nothing a guest sees or makes. As user.* they can be on regular files and
 * directories only.
 */

#define XATTR_HIDDEN "user.vmm."
#define XATTR_NAME_LEN 255
#define XATTR_CAPS "security.capability"

/* A path to what an O_PATH descriptor is open for, good for this thread. */
struct xattr_path {
	char text[32];
};

/* Where there is no /proc: the calling thread works in the directory of
 * descriptors from now on. */
static int xattr_go_there(const struct fs_tree *t)
{
	static _Thread_local bool is_there;

	if (!is_there && (unshare(CLONE_FS) || fchdir(t->proc)))
		return -errno;
	is_there = true;
	return 0;
}

static int xattr_path(const struct fs_tree *t, int fd, struct xattr_path *path)
{
	bool bare = kept_is_there(KEPT_FD_DIR);

	snprintf(path->text, sizeof(path->text),
		 bare ? "%d" : "/proc/self/fd/%d", fd);
	return bare ? xattr_go_there(t) : 0;
}

static bool begins(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static bool is_acl(const char *name)
{
	return !strcmp(name, "system.posix_acl_access") ||
	       !strcmp(name, "system.posix_acl_default");
}

/* Is it kept by another name? */
static bool is_mapped(const struct fs_tree *t, const char *name)
{
	return begins(name, "trusted.") ||
	       (t->config.xattr == FS_XATTR_MAP && begins(name, "security."));
}

/* The host's name for the guest's. -EOPNOTSUPP; -EPERM: not the guest's. */
static int xattr_to_host(const struct fs_tree *t, const char *name,
			 char host[XATTR_NAME_LEN + 1])
{
	size_t len = strnlen(name, XATTR_NAME_LEN + 1);
	bool mapped = is_mapped(t, name);
	int room = XATTR_NAME_LEN + 1, n;

	if (is_acl(name) ? !t->config.posix_acl
			 : t->config.xattr == FS_XATTR_OFF)
		return -EOPNOTSUPP;
	if (!len || len > XATTR_NAME_LEN)
		return -ERANGE;
	if (begins(name, XATTR_HIDDEN))
		return -EPERM;
	if (!mapped && !begins(name, "user.") && !begins(name, "security.") &&
	    !is_acl(name))
		return -EOPNOTSUPP;
	n = snprintf(host, (size_t)room, "%s%s", mapped ? XATTR_HIDDEN : "",
		     name);
	return n < room ? 0 : -EOPNOTSUPP;
}

/* What the guest sees of a name of the host, or NULL. */
static const char *xattr_to_guest(const struct fs_tree *t, const char *host)
{
	if (begins(host, XATTR_HIDDEN)) {
		host += strlen(XATTR_HIDDEN);
		return is_mapped(t, host) ? host : NULL;
	}
	if (is_mapped(t, host))
		return NULL;
	if (is_acl(host))
		return t->config.posix_acl ? host : NULL;
	return begins(host, "user.") || begins(host, "security.") ? host : NULL;
}

/* ---- requests ---- */

/* An inode, a path to it, and the host's name of an attribute. */
struct xattr_use {
	struct fs_inode *inode;
	struct fs_ref ref;
	struct xattr_path path;
	char name[XATTR_NAME_LEN + 1];
};

static int xattr_get(struct fs_tree *t, uint64_t nodeid, struct xattr_use *x)
{
	int r = fs_node_get(t, nodeid, &x->inode, &x->ref);

	if (r)
		return r;
	r = xattr_path(t, x->ref.fd, &x->path);
	if (r)
		fs_node_put(t, x->inode, &x->ref);
	return r;
}

ssize_t fs_getxattr(struct fs_tree *t, uint64_t nodeid, const char *name,
		    void *value, size_t size)
{
	struct xattr_use x;
	ssize_t r = xattr_to_host(t, name, x.name);

	if (r)
		return r == -EPERM ? -ENODATA : r;
	r = xattr_get(t, nodeid, &x);
	if (r)
		return r;
	r = getxattr(x.path.text, x.name, value, size);
	if (r < 0)
		r = -errno;
	fs_node_put(t, x.inode, &x.ref);
	return r;
}

/* All names of the host, in memory that the caller frees. */
static ssize_t list_host(const struct xattr_use *x, char **list)
{
	ssize_t n;

	*list = malloc(XATTR_LIST_MAX + 1);
	if (!*list)
		return -ENOMEM;
	n = listxattr(x->path.text, *list, XATTR_LIST_MAX);
	if (n < 0)
		return -errno;
	(*list)[n] = '\0';
	return n;
}

ssize_t fs_listxattr(struct fs_tree *t, uint64_t nodeid, char *list,
		     size_t size)
{
	char *host = NULL;
	struct xattr_use x;
	size_t total = 0;
	ssize_t n;

	if (t->config.xattr == FS_XATTR_OFF && !t->config.posix_acl)
		return -EOPNOTSUPP;
	n = xattr_get(t, nodeid, &x);
	if (n)
		return n;
	n = list_host(&x, &host);
	for (const char *p = host; n > 0 && p < host + n; p += strlen(p) + 1) {
		const char *name = xattr_to_guest(t, p);
		size_t len = name ? strlen(name) + 1 : 0;

		if (!len || (t->config.xattr == FS_XATTR_OFF && !is_acl(name)))
			continue;
		if (size && total + len > size) {
			n = -ERANGE;
			break;
		}
		if (size)
			memcpy(list + total, name, len);
		total += len;
	}
	free(host);
	fs_node_put(t, x.inode, &x.ref);
	return n < 0 ? n : (ssize_t)total;
}

/* May the host keep it on such an inode? */
static bool xattr_can_be(const struct xattr_use *x)
{
	uint32_t mode = fs_inode_mode(x->inode);

	return !begins(x->name, XATTR_HIDDEN) || S_ISREG(mode) || S_ISDIR(mode);
}

/* An ACL that the guest's caller may not set the setgid bit by. */
static int acl_kill_sgid(const struct fs_tree *t, const struct xattr_use *x)
{
	struct stat st;

	if (stat(x->path.text, &st))
		return -errno;
	if (!(st.st_mode & S_ISGID) || S_ISDIR(st.st_mode))
		return 0;
	return fchmodat(t->proc, fs_proc_name(x->ref.fd).text,
			st.st_mode & 07777 & ~S_ISGID, 0)
		       ? -errno
		       : 0;
}

int fs_setxattr(struct fs_tree *t, const struct fs_setxattr *set)
{
	struct xattr_use x;
	int r = t->config.readonly ? -EROFS
				   : xattr_to_host(t, set->name, x.name);

	if (!r)
		r = xattr_get(t, set->nodeid, &x);
	if (r)
		return r;
	fs_caller_keeps_bits(t, true);
	if (!xattr_can_be(&x))
		r = -EOPNOTSUPP;
	else if (setxattr(x.path.text, x.name, set->value, set->size,
			  set->flags))
		r = -errno;
	/* Now, not before: a write meanwhile looked for it in vain. */
	if (!strcmp(set->name, XATTR_CAPS))
		atomic_fetch_or(&x.inode->flags, FS_INODE_CAPS);
	if (!r && set->kill_sgid)
		r = acl_kill_sgid(t, &x);
	fs_caller_leave(t);
	fs_node_put(t, x.inode, &x.ref);
	return r;
}

int fs_removexattr(struct fs_tree *t, uint64_t nodeid, const char *name)
{
	struct xattr_use x;
	int r = t->config.readonly ? -EROFS : xattr_to_host(t, name, x.name);

	if (r)
		return r == -EPERM ? -ENODATA : r;
	r = xattr_get(t, nodeid, &x);
	if (r)
		return r;
	if (!xattr_can_be(&x))
		r = -EOPNOTSUPP;
	else if (removexattr(x.path.text, x.name))
		r = -errno;
	fs_node_put(t, x.inode, &x.ref);
	return r;
}

void fs_xattr_drop_caps(const struct fs_tree *t, struct fs_inode *inode, int fd)
{
	struct xattr_path path;

	if (t->config.xattr != FS_XATTR_MAP ||
	    !(atomic_load_explicit(&inode->flags, memory_order_relaxed) &
	      FS_INODE_CAPS))
		return;
	atomic_fetch_and(&inode->flags, (uint16_t)~FS_INODE_CAPS);
	if (!xattr_path(t, fd, &path))
		removexattr(path.text, XATTR_HIDDEN XATTR_CAPS);
}
