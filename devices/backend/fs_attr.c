/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/util.h"

/* An inode that the guest names, and a descriptor: its open file's, if it names
 * one too. */
struct attr_use {
	struct fs_inode *inode;
	struct fs_use use;
	struct fs_ref ref;
	bool by_file;
	int fd;
};

static int attr_get(struct fs_tree *t, uint64_t nodeid, uint64_t fh,
		    struct attr_use *a)
{
	int r;

	*a = (struct attr_use){ .by_file = fh };
	if (fh) {
		r = fs_use_get(t, nodeid, fh, false, &a->use);
		a->inode = a->use.inode;
		a->fd = a->use.fd;
		return r;
	}
	r = fs_node_get(t, nodeid, &a->inode, &a->ref);
	a->fd = a->ref.fd;
	return r;
}

static void attr_put(struct fs_tree *t, struct attr_use *a)
{
	if (a->by_file)
		fs_use_put(t, &a->use);
	else
		fs_node_put(t, a->inode, &a->ref);
}

int fs_getattr(struct fs_tree *t, uint64_t nodeid, uint64_t fh,
	       struct statx *attr)
{
	struct attr_use a;
	int r = attr_get(t, nodeid, fh, &a);

	if (r)
		return r;
	r = fs_stat(a.fd, "", attr);
	if (!r)
		fs_stat_to_guest(t, attr);
	attr_put(t, &a);
	return r;
}

/* ---- changing ---- */

static int set_mode(const struct fs_tree *t, const struct attr_use *a,
		    uint32_t mode)
{
	mode &= 07777;
	if (S_ISLNK(fs_inode_mode(a->inode)))
		return -EOPNOTSUPP;
	if (a->by_file)
		return fchmod(a->fd, mode) ? -errno : 0;
#ifdef SYS_fchmodat2
	if (!syscall(SYS_fchmodat2, a->fd, "", mode, AT_EMPTY_PATH))
		return 0;
	if (errno != ENOSYS)
		return -errno;
#endif
	return fchmodat(t->proc, fs_proc_name(a->fd).text, mode, 0) ? -errno
								    : 0;
}

static int set_owner(const struct fs_tree *t, const struct attr_use *a,
		     const struct fs_setattr *set)
{
	uint32_t uid = UINT32_MAX, gid = UINT32_MAX;
	int r = 0;

	if (set->set & FS_SET_UID)
		r = fs_id_to_host(&t->config.uids, set->uid, &uid);
	if (!r && set->set & FS_SET_GID)
		r = fs_id_to_host(&t->config.gids, set->gid, &gid);
	if (r)
		return r;
	if (!fchownat(a->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return 0;
	/* An id that the mount or the user namespace has not. */
	return errno == EINVAL || errno == EOVERFLOW ? -EPERM : -errno;
}

static int set_size_of(int fd, const struct fs_call *call, uint64_t size)
{
	struct statx stx;
	int r;

	if (size > INT64_MAX)
		return -EINVAL;
	r = fs_stat(fd, "", &stx);
	if (r)
		return r;
	if (!call->may_wait && fs_cut_is_long(&stx, size))
		return -EAGAIN;
	return ftruncate(fd, (off_t)size) ? -errno : 0;
}

static int set_size(struct fs_tree *t, const struct fs_call *call,
		    const struct attr_use *a, uint64_t size)
{
	int fd, r;

	if (!S_ISREG(fs_inode_mode(a->inode)))
		return S_ISDIR(fs_inode_mode(a->inode)) ? -EISDIR : -EINVAL;
	if (a->by_file && (fcntl(a->fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
		return set_size_of(a->fd, call, size);
	fd = fs_node_open(t, a->inode, O_WRONLY);
	if (fd < 0)
		return fd;
	r = set_size_of(fd, call, size);
	close(fd);
	return r;
}

static int set_times(const struct fs_tree *t, const struct attr_use *a,
		     const struct fs_setattr *set)
{
	struct timespec times[2] = { set->atime, set->mtime };

	if (!(set->set & FS_SET_ATIME))
		times[0].tv_nsec = UTIME_OMIT;
	if (!(set->set & FS_SET_MTIME))
		times[1].tv_nsec = UTIME_OMIT;
	if (!utimensat(a->fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* Linux 5.8 has the above. */
	return utimensat(t->proc, fs_proc_name(a->fd).text, times, 0) ? -errno
								      : 0;
}

/* The size first: it may have to wait, and then nothing has been done. */
static int set_all(struct fs_tree *t, const struct fs_call *call,
		   const struct attr_use *a, const struct fs_setattr *set)
{
	int r = 0;

	if (set->set & FS_SET_SIZE) {
		fs_caller_keeps_bits(t, !call->kill_priv);
		r = set_size(t, call, a, set->size);
	}
	fs_caller_keeps_bits(t, true);
	if (set->set & (FS_SET_SIZE | FS_SET_UID | FS_SET_GID))
		fs_xattr_drop_caps(t, a->inode, a->fd);
	if (!r && set->set & (FS_SET_UID | FS_SET_GID))
		r = set_owner(t, a, set);
	if (!r && set->set & FS_SET_MODE)
		r = set_mode(t, a, set->mode);
	if (!r && set->set & (FS_SET_ATIME | FS_SET_MTIME))
		r = set_times(t, a, set);
	fs_caller_leave(t);
	return r;
}

int fs_setattr(struct fs_tree *t, const struct fs_call *call,
	       const struct fs_setattr *set, struct statx *attr)
{
	struct attr_use a;
	int r;

	if (t->config.readonly)
		return -EROFS;
	r = attr_get(t, set->nodeid, set->fh, &a);
	if (r)
		return r;
	r = set_all(t, call, &a, set);
	if (!r)
		r = fs_stat(a.fd, "", attr);
	if (!r)
		fs_stat_to_guest(t, attr);
	attr_put(t, &a);
	return r;
}

/* ---- others ---- */

ssize_t fs_readlink(struct fs_tree *t, uint64_t nodeid, char *buf, size_t size)
{
	struct attr_use a;
	ssize_t r = attr_get(t, nodeid, 0, &a);

	if (r)
		return r;
	r = S_ISLNK(fs_inode_mode(a.inode)) ? readlinkat(a.fd, "", buf, size)
					    : -1;
	if (r < 0)
		r = S_ISLNK(fs_inode_mode(a.inode)) ? -errno : -EINVAL;
	attr_put(t, &a);
	return r;
}

int fs_statfs(struct fs_tree *t, uint64_t nodeid, struct statvfs *st)
{
	struct attr_use a;
	int r = attr_get(t, nodeid, 0, &a);

	if (r)
		return r;
	r = fstatvfs(a.fd, st) ? -errno : 0;
	attr_put(t, &a);
	return r;
}

int fs_syncfs(struct fs_tree *t, const struct fs_call *call, uint64_t nodeid)
{
	struct fs_inode *inode;
	int fd, r;

	if (!call->may_wait)
		return -EAGAIN;
	inode = fs_inode_get(t, nodeid);
	if (!inode)
		return -ESTALE;
	fd = fs_node_open(t, inode, O_RDONLY);
	r = fd < 0 ? fd : 0;
	if (!r && syncfs(fd))
		r = -errno;
	close_fd(&fd);
	fs_inode_put(t, inode);
	return r;
}
