/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "vmm/util.h"

/*
 * What makes, removes and renames. What was made is identified by a descriptor
 * of it, not by its name once more. What the guest knows and is about to lose
 * its name gets a descriptor first, which stays until the guest forgets it.
 */

#define FS_MADE_FLAGS (O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* A directory in which something is about to change. */
struct change_dir {
	struct fs_inode *inode;
	struct fs_ref ref;
};

static int dir_begin(struct fs_tree *t, uint64_t nodeid, const char *name,
		     struct change_dir *d)
{
	int r = name ? fs_name_check(name) : 0;

	if (!r && t->config.readonly)
		r = -EROFS;
	return r ? r : fs_node_dir(t, nodeid, &d->inode, &d->ref);
}

static void dir_end(struct fs_tree *t, struct change_dir *d)
{
	fs_node_put(t, d->inode, &d->ref);
}

/* ---- making ---- */

/* fd is what was made as name: the guest knows it now. */
static int made_enter(struct fs_tree *t, struct change_dir *d, const char *name,
		      struct fs_entry *entry)
{
	int fd = openat(d->ref.fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = fs_node_enter(t, d->inode, d->ref.fd, name, fd, entry, NULL);
	close(fd);
	return r;
}

/* An id that a mount does not map is one that the caller may not use. */
static int make_error(int code)
{
	return code == EOVERFLOW ? -EPERM : -code;
}

/* Make one by fn, for the caller. */
static int make_name(struct fs_tree *t, const struct fs_call *call,
		     const struct fs_make *make,
		     int (*fn)(const struct fs_make *make, int dirfd),
		     struct fs_entry *entry)
{
	struct change_dir d;
	int r = dir_begin(t, make->parent, make->name, &d);

	if (r)
		return r;
	r = fs_caller_enter(t, call);
	if (!r) {
		r = fn(make, d.ref.fd) ? make_error(errno) : 0;
		fs_caller_leave(t);
	}
	if (!r)
		r = made_enter(t, &d, make->name, entry);
	dir_end(t, &d);
	return r;
}

static int make_mkdir(const struct fs_make *make, int dirfd)
{
	return mkdirat(dirfd, make->name, make->mode & 07777);
}

static int make_mknod(const struct fs_make *make, int dirfd)
{
	/* As the kernel encodes it for itself: 12 bits and 20. */
	dev_t dev = makedev(make->rdev >> 8 & 0xfff,
			    (make->rdev & 0xff) | (make->rdev >> 12 & 0xfff00));

	return mknodat(dirfd, make->name, make->mode & (S_IFMT | 07777), dev);
}

static int make_symlink(const struct fs_make *make, int dirfd)
{
	return symlinkat(make->target, dirfd, make->name);
}

int fs_mkdir(struct fs_tree *t, const struct fs_call *call,
	     const struct fs_make *make, struct fs_entry *entry)
{
	return make_name(t, call, make, make_mkdir, entry);
}

int fs_mknod(struct fs_tree *t, const struct fs_call *call,
	     const struct fs_make *make, struct fs_entry *entry)
{
	return make_name(t, call, make, make_mknod, entry);
}

int fs_symlink(struct fs_tree *t, const struct fs_call *call,
	       const struct fs_make *make, struct fs_entry *entry)
{
	return make_name(t, call, make, make_symlink, entry);
}

/* ---- making and opening ---- */

static int open_access(const struct fs_tree *t, int flags)
{
	int access = flags & O_ACCMODE;

	return t->config.writeback && access == O_WRONLY ? O_RDWR : access;
}

/* Without a name there is no other way to it than a descriptor. */
static int made_keep(struct fs_tree *t, struct fs_inode *inode, int fd)
{
	int path = openat(t->proc, fs_proc_name(fd).text, O_PATH | O_CLOEXEC);
	struct fs_ref ref;
	int r;

	if (path < 0)
		return -errno;
	fs_fds_add(t, inode, path, &ref);
	r = fs_fds_keep(t, inode, &ref);
	if (!r)
		fs_fds_unkeep(t, &ref, true);
	fs_ref_put(t, &ref);
	return r;
}

/* fd, charged, was made and opened: into both tables. */
static int made_open(struct fs_tree *t, struct change_dir *d, int fd,
		     const struct fs_make *make, struct fs_entry *entry,
		     struct fs_opened *opened)
{
	int flags = make->flags, r;
	struct fs_inode *inode;

	r = fs_node_enter(t, d->inode, d->ref.fd, make->name ? make->name : "",
			  fd, entry, &inode);
	if (r)
		return r;
	opened->keep_cache = t->config.cache == FS_CACHE_ALWAYS;
	opened->direct = t->config.cache == FS_CACHE_NEVER;
	if (!make->name)
		r = made_keep(t, inode, fd);
	/* Asked for at open, it might fail with the file made already. */
	if (make->flags & O_DIRECT &&
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_DIRECT))
		flags &= ~O_DIRECT;
	if (!r)
		r = fs_file_add(t, inode, fd, flags, &opened->fh);
	if (r) {
		fs_forget(t, entry->nodeid, 1);
		fs_inode_put(t, inode);
	}
	return r;
}

/* Make and open a file of the caller's by openat(2). */
static int make_open(struct fs_tree *t, const struct fs_call *call,
		     struct change_dir *d, const struct fs_make *make,
		     struct fs_entry *entry, struct fs_opened *opened)
{
	int flags = open_access(t, make->flags) | FS_MADE_FLAGS |
		    (make->flags & (O_SYNC | O_DSYNC));
	int fd = -1, r = fs_fds_charge(t);

	if (r)
		return r;
	flags |= make->name ? O_CREAT | O_EXCL : O_TMPFILE;
	if ((flags & O_ACCMODE) == O_ACCMODE)
		r = -EINVAL;
	if (!r)
		r = fs_caller_enter(t, call);
	if (!r) {
		fd = openat(d->ref.fd, make->name ? make->name : ".", flags,
			    make->mode & 07777);
		r = fd < 0 ? make_error(errno) : 0;
		fs_caller_leave(t);
	}
	if (!r)
		r = made_open(t, d, fd, make, entry, opened);
	if (r) {
		close_fd(&fd);
		fs_fds_uncharge(t);
	}
	return r;
}

/* Open what the host has put there. It is opened as what it is. */
static int open_found(struct fs_tree *t, const struct fs_call *call,
		      struct change_dir *d, const struct fs_make *make,
		      struct fs_entry *entry, struct fs_opened *opened)
{
	int r = fs_node_enter(t, d->inode, d->ref.fd, make->name, -1, entry,
			      NULL);

	if (r)
		return r;
	r = fs_open(t, call, entry->nodeid, make->flags, opened);
	if (r)
		fs_forget(t, entry->nodeid, 1);
	return r;
}

int fs_create(struct fs_tree *t, const struct fs_call *call,
	      const struct fs_make *make, struct fs_entry *entry,
	      struct fs_opened *opened)
{
	struct change_dir d;
	int r = dir_begin(t, make->parent, make->name, &d);

	if (r)
		return r;
	r = make_open(t, call, &d, make, entry, opened);
	if (r == -EEXIST && !(make->flags & O_EXCL))
		r = open_found(t, call, &d, make, entry, opened);
	dir_end(t, &d);
	return r;
}

int fs_tmpfile(struct fs_tree *t, const struct fs_call *call,
	       const struct fs_make *make, struct fs_entry *entry,
	       struct fs_opened *opened)
{
	struct fs_make nameless = *make;
	struct change_dir d;
	int r = dir_begin(t, make->parent, NULL, &d);

	if (r)
		return r;
	nameless.name = NULL;
	/* It has to be opened for writing. */
	if ((make->flags & O_ACCMODE) == O_RDONLY)
		r = -EINVAL;
	if (!r)
		r = make_open(t, call, &d, &nameless, entry, opened);
	dir_end(t, &d);
	return r;
}

/* ---- links ---- */

static int link_fd(const struct fs_tree *t, int fd, int dirfd, const char *name)
{
	if (!linkat(fd, "", dirfd, name, AT_EMPTY_PATH))
		return 0;
	/* That takes CAP_DAC_READ_SEARCH. */
	if (errno != ENOENT && errno != EPERM)
		return -errno;
	return linkat(t->proc, fs_proc_name(fd).text, dirfd, name,
		      AT_SYMLINK_FOLLOW)
		       ? -errno
		       : 0;
}

int fs_link(struct fs_tree *t, uint64_t nodeid, uint64_t parent,
	    const char *name, struct fs_entry *entry)
{
	struct fs_inode *inode;
	struct change_dir d;
	struct fs_ref ref;
	int r = dir_begin(t, parent, name, &d);

	if (r)
		return r;
	r = fs_node_get(t, nodeid, &inode, &ref);
	if (!r) {
		r = link_fd(t, ref.fd, d.ref.fd, name);
		if (!r)
			r = fs_node_enter(t, d.inode, d.ref.fd, name, ref.fd,
					  entry, NULL);
		fs_node_put(t, inode, &ref);
	}
	dir_end(t, &d);
	return r;
}

/* ---- what loses its name ---- */

/* What the guest knows by a name, held so that it outlives it. */
struct change_victim {
	struct fs_inode *inode; /* NULL: nothing needs to be held */
	struct fs_ref ref;
};

static void victim_put(struct fs_tree *t, struct change_victim *v)
{
	fs_ref_put(t, &v->ref);
	fs_inode_put(t, v->inode);
	v->inode = NULL;
}

/* Only what is held lives on, so that all is quick; the host may take its time to
 * free anything else. -EAGAIN: for such there is no time. */
static int victim_hold(struct fs_tree *t, const struct fs_call *call,
		       struct change_dir *d, const char *name,
		       struct change_victim *v)
{
	struct statx stx;
	int r = -EAGAIN;

	/* Again, where another thread has just given it a descriptor. */
	while (r == -EAGAIN) {
		v->inode = fs_node_hold(t, d->inode, d->ref.fd, name, &v->ref,
					&stx);
		r = v->inode ? fs_fds_keep(t, v->inode, &v->ref) : 0;
		if (r)
			victim_put(t, v);
	}
	if (!r && !v->inode && !call->may_wait && stx.stx_nlink == 1 &&
	    fs_cut_is_long(&stx, 0))
		r = -EAGAIN;
	return r;
}

/* If it still has its name, it can be opened again by that. */
static void victim_end(struct fs_tree *t, struct change_victim *v, bool removed)
{
	if (!v->inode)
		return;
	fs_fds_unkeep(t, &v->ref, removed);
	victim_put(t, v);
}

static int remove_name(struct fs_tree *t, const struct fs_call *call,
		       uint64_t parent, const char *name, int flags)
{
	struct change_victim v;
	struct change_dir d;
	int r = dir_begin(t, parent, name, &d);

	if (r)
		return r;
	r = victim_hold(t, call, &d, name, &v);
	if (!r) {
		r = unlinkat(d.ref.fd, name, flags) ? -errno : 0;
		victim_end(t, &v, !r);
	}
	dir_end(t, &d);
	return r;
}

int fs_unlink(struct fs_tree *t, const struct fs_call *call, uint64_t parent,
	      const char *name)
{
	return remove_name(t, call, parent, name, 0);
}

int fs_rmdir(struct fs_tree *t, uint64_t parent, const char *name)
{
	return remove_name(t, &(struct fs_call){ 0 }, parent, name,
			   AT_REMOVEDIR);
}

/* ---- renaming ---- */

/* Rename, and tell inodes that are found by name of theirs. */
static int rename_known(struct fs_tree *t, const struct fs_call *call,
			struct change_dir *from, struct change_dir *to,
			const struct fs_rename *r)
{
	const struct fs_call stays = { .may_wait = true };
	bool exchange = r->flags & RENAME_EXCHANGE;
	struct change_victim moved = { .inode = NULL }, v = { .inode = NULL };
	int ret = 0;

	if (!t->mounts.mount[from->inode->mount].handles)
		ret = victim_hold(t, &stays, from, r->from_name, &moved);
	if (!ret)
		ret = victim_hold(t, call, to, r->to_name, &v);
	/* A whiteout is made for the caller. */
	if (!ret && r->flags & RENAME_WHITEOUT)
		ret = fs_caller_enter(t, call);
	if (!ret) {
		ret = renameat2(from->ref.fd, r->from_name, to->ref.fd,
				r->to_name, r->flags)
			      ? make_error(errno)
			      : 0;
		fs_caller_leave(t);
	}
	if (!ret && moved.inode)
		fs_inode_rename(t, moved.inode, to->inode, r->to_name);
	if (!ret && exchange && v.inode)
		fs_inode_rename(t, v.inode, from->inode, r->from_name);
	victim_end(t, &v, !ret && !exchange);
	victim_end(t, &moved, false);
	return ret;
}

int fs_rename(struct fs_tree *t, const struct fs_call *call,
	      const struct fs_rename *r)
{
	const unsigned int known = RENAME_NOREPLACE | RENAME_EXCHANGE |
				   RENAME_WHITEOUT;
	struct change_dir from, to;
	int ret = dir_begin(t, r->from, r->from_name, &from);

	if (ret)
		return ret;
	ret = r->flags & ~known ? -EINVAL
				: dir_begin(t, r->to, r->to_name, &to);
	if (!ret) {
		ret = rename_known(t, call, &from, &to, r);
		dir_end(t, &to);
	}
	dir_end(t, &from);
	return ret;
}
