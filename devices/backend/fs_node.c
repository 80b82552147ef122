/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/util.h"

/*
 * From names to inodes and from inodes to descriptors. What a name is takes two
 * calls and opens nothing: statx() and name_to_handle_at(). Where the kernel
 * has, or allows, no handles that last, an inode is opened again by its parent
 * and name, and must then be what it was: device, number, birth time, type.
 */

/* A birth time that is younger may be another inode's as well. */
#define FS_SURE_NS 20000000
/* Parents that are opened one after the other to reach a named inode. */
#define FS_DEPTH_MAX 1024

#define FS_PATH_FLAGS (O_PATH | O_NOFOLLOW | O_CLOEXEC)

/* ---- names ---- */

int fs_name_check(const char *name)
{
	size_t len = strnlen(name, NAME_MAX + 1);

	if (!len || !strcmp(name, ".") || !strcmp(name, "..") ||
	    strchr(name, '/'))
		return -EINVAL;
	return len > NAME_MAX ? -ENAMETOOLONG : 0;
}

struct fs_proc_name fs_proc_name(int fd)
{
	struct fs_proc_name name;

	snprintf(name.text, sizeof(name.text), "%d", fd);
	return name;
}

int fs_stat(int fd, const char *name, struct statx *stx)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;

	return statx(fd, name, *name ? flags : flags | AT_EMPTY_PATH, FS_MASK,
		     stx)
		       ? -errno
		       : 0;
}

/* Open one component: never above fd, and through no link of any kind. */
static int node_open_name(int fd, const char *name, uint64_t flags)
{
	struct open_how how = { .flags = flags,
				.resolve = RESOLVE_BENEATH |
					   RESOLVE_NO_MAGICLINKS };
	long r = syscall(SYS_openat2, fd, name, &how, sizeof(how));

	return r < 0 ? -errno : (int)r;
}

/* ---- handles ---- */

struct node_handle {
	union {
		struct file_handle fh;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	};
	uint8_t bytes[MAX_HANDLE_SZ]; /* of fh, for struct fs_identity */
};

/* The handle of a name, or of fd itself when it is "". */
static int node_get_handle(int fd, const char *name, struct node_handle *h)
{
	int mount;

	h->fh.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(fd, name, &h->fh, &mount,
			      *name ? 0 : AT_EMPTY_PATH))
		return -errno;
	/* The table has a byte each for length and type. */
	if (!h->fh.handle_bytes || (unsigned int)h->fh.handle_type > UINT8_MAX)
		return -EOPNOTSUPP;
	memcpy(h->bytes, h->fh.f_handle, h->fh.handle_bytes);
	return 0;
}

/* FUSE makes handles of its server's numbers, and many a server gives a number
 * that was forgotten to another file: a handle of that server would name it, be
 * it inside of the directory or not. */
bool fs_node_has_handles(int fd)
{
	struct node_handle h;
	struct statfs sfs;
	int r;

	if (fstatfs(fd, &sfs) || sfs.f_type == FUSE_SUPER_MAGIC)
		return false;
	r = node_get_handle(fd, "", &h);
	if (r)
		return false;
	r = open_by_handle_at(fd, &h.fh, FS_PATH_FLAGS);
	if (r < 0)
		return false;
	close(r);
	return true;
}

/* Between the two calls of a lookup the host may have put another inode in the
 * name's place. The file systems that matter have the number in the handle. */
static bool handle_has_number(const struct node_handle *h, uint64_t ino)
{
	uint32_t word[MAX_HANDLE_SZ / 4 + 1] = { 0 };
	uint32_t high = (uint32_t)(ino >> 32);

	memcpy(word, h->bytes, h->fh.handle_bytes);
	for (unsigned int i = 0; i < h->fh.handle_bytes / 4; i++)
		if (word[i] == (uint32_t)ino && (!high || word[i + 1] == high))
			return true;
	return false;
}

/* ---- identity ---- */

void fs_node_identify(const struct statx *stx, struct fs_identity *id)
{
	int64_t born =
		stx->stx_btime.tv_sec * 1000000000 + stx->stx_btime.tv_nsec;
	struct timespec now;

	id->ino = stx->stx_ino;
	id->type = (uint8_t)(stx->stx_mode >> 12);
	id->btime = 0;
	id->sure = false;
	if (!(stx->stx_mask & STATX_BTIME))
		return;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	id->btime = (uint32_t)((uint64_t)born * 0x9e3779b97f4a7c15u >> 32);
	id->sure = now.tv_sec * 1000000000 + now.tv_nsec - born > FS_SURE_NS;
}

/* Is it, by all that can be told without a handle, this inode? */
static bool node_is(const struct fs_tree *t, const struct fs_inode *inode,
		    const struct statx *stx)
{
	struct fs_identity id;

	fs_node_identify(stx, &id);
	return fs_mount_is(t, inode->mount, stx) && inode->ino == id.ino &&
	       inode->type == id.type && inode->btime == id.btime;
}

/* ---- entering the table ---- */

/* Add what is not known by its birth time, with its handle if it has one. name is
 * that in fd, or "". -EAGAIN: it has changed just now. */
static int node_add(struct fs_tree *t, int fd, const char *name,
		    struct fs_identity *id, struct fs_inode **inode)
{
	struct node_handle h;
	int r;

	if (t->mounts.mount[id->mount].handles && !id->root) {
		r = node_get_handle(fd, name, &h);
		if (!r && *name && !handle_has_number(&h, id->ino))
			return -EAGAIN;
		if (r && r != -EOPNOTSUPP)
			return r;
		if (!r) {
			id->handle_len = (uint8_t)h.fh.handle_bytes;
			id->handle_type = (uint8_t)h.fh.handle_type;
			id->handle = h.bytes;
		}
	}
	r = fs_table_add(t, id, inode);
	id->handle = NULL;
	if (!r && id->root)
		fs_mount_set_root(t, id->mount, *inode);
	return r;
}

/* stx is what name in dirfd is or, with fd, what fd is. */
static int node_know(struct fs_tree *t, struct fs_inode *parent, int dirfd,
		     const char *name, int fd, const struct statx *stx,
		     struct fs_inode **inode)
{
	struct fs_identity id = { .parent = fs_inode_slot(t, parent),
				  .name = name };
	int at = fd >= 0 ? fd : dirfd;
	int r;

	fs_node_identify(stx, &id);
	r = fs_mount_get(t, parent, at, fd >= 0 ? NULL : name, stx, &id);
	if (r)
		return r;
	r = fs_table_find(t, &id, true, inode);
	if (!r && id.root)
		fs_mount_set_root(t, id.mount, *inode);
	if (r) {
		id.checked = fd >= 0;
		r = node_add(t, at, fd >= 0 ? "" : name, &id, inode);
	}
	fs_mount_put(t, parent, id.mount);
	return r;
}

static void node_fill(struct fs_tree *t, const struct fs_inode *parent,
		      const struct fs_inode *inode, struct fs_entry *entry)
{
	entry->nodeid = fs_inode_id(t, inode);
	entry->generation = entry->nodeid >> 32;
	entry->submount = S_ISDIR(entry->attr.stx_mode) &&
			  inode->mount != parent->mount;
	fs_stat_to_guest(t, &entry->attr);
}

int fs_node_enter(struct fs_tree *t, struct fs_inode *parent, int dirfd,
		  const char *name, int fd, struct fs_entry *entry,
		  struct fs_inode **found)
{
	struct fs_inode *inode;
	int own = -1, r;

	r = fs_stat(fd >= 0 ? fd : dirfd, fd >= 0 ? "" : name, &entry->attr);
	if (!r)
		r = node_know(t, parent, dirfd, name, fd, &entry->attr, &inode);
	if (r == -EAGAIN && fd < 0) {
		own = node_open_name(dirfd, name, FS_PATH_FLAGS);
		r = own < 0 ? own : fs_stat(own, "", &entry->attr);
		if (!r)
			r = node_know(t, parent, dirfd, name, own, &entry->attr,
				      &inode);
		close_fd(&own);
	}
	if (r)
		return r;
	node_fill(t, parent, inode, entry);
	if (found)
		*found = inode;
	else
		fs_inode_put(t, inode);
	return 0;
}

/* What fd is open for and stx says, if the guest knows it, and if one name less is a matter:
 * what has a handle and another name is found by the handle. */
static struct fs_inode *node_known(struct fs_tree *t, struct fs_inode *parent,
				   int fd, const struct statx *stx)
{
	struct fs_identity id = { 0 };
	struct fs_inode *inode = NULL;
	struct node_handle h;
	bool handles;

	/* A mount's root has its name as long as it is mounted. */
	if (stx->stx_mnt_id != t->mounts.mount[parent->mount].mnt_id)
		return NULL;
	fs_node_identify(stx, &id);
	if (fs_mount_get(t, parent, fd, NULL, stx, &id))
		return NULL;
	handles = !id.root && t->mounts.mount[id.mount].handles;
	if (handles && !S_ISDIR(stx->stx_mode) && stx->stx_nlink > 1) {
		fs_mount_put(t, parent, id.mount);
		return NULL;
	}
	if (fs_table_find(t, &id, false, &inode) && handles &&
	    !node_get_handle(fd, "", &h)) {
		id.handle_len = (uint8_t)h.fh.handle_bytes;
		id.handle_type = (uint8_t)h.fh.handle_type;
		id.handle = h.bytes;
		fs_table_find(t, &id, false, &inode);
	}
	fs_mount_put(t, parent, id.mount);
	return inode;
}

struct fs_inode *fs_node_hold(struct fs_tree *t, struct fs_inode *parent,
			      int dirfd, const char *name, struct fs_ref *ref,
			      struct statx *stx)
{
	int fd = node_open_name(dirfd, name, FS_PATH_FLAGS);
	struct fs_inode *inode = NULL;

	*stx = (struct statx){ 0 };
	if (fd < 0)
		return NULL;
	if (!fs_stat(fd, "", stx))
		inode = node_known(t, parent, fd, stx);
	if (inode && !fs_fds_pin(t, inode, ref))
		fs_fds_add(t, inode, fd, ref);
	if (!inode || ref->fd != fd)
		close(fd);
	return inode;
}

int fs_lookup(struct fs_tree *t, uint64_t parent, const char *name,
	      struct fs_entry *entry)
{
	struct fs_inode *dir;
	struct fs_ref ref;
	int r = fs_name_check(name);

	if (!r)
		r = fs_node_dir(t, parent, &dir, &ref);
	if (r)
		return r;
	r = fs_node_enter(t, dir, ref.fd, name, -1, entry, NULL);
	fs_node_put(t, dir, &ref);
	return r;
}

/* ---- opening ---- */

/* ENOMEM is also said of an inode that is gone while its number is being given
 * to another one: the guest looks the name up again. */
static int handle_open(int mount, struct node_handle *h, int flags)
{
	int fd = open_by_handle_at(mount, &h->fh, flags);

	if (fd < 0)
		return errno == ENOMEM ? -ESTALE : -errno;
	return fd;
}

/* Two calls told what a name is, and somebody may have put another inode there
 * in between, which even has the number again: then the handle is that one's. It
 * is looked at once, before anything is opened by a type that it has not: an
 * O_PATH descriptor. */
static int handle_check(struct fs_inode *inode, int mount,
			struct node_handle *h)
{
	int fd = handle_open(mount, h, FS_PATH_FLAGS), r;
	struct statx stx;

	if (fd < 0)
		return fd;
	r = fs_stat(fd, "", &stx);
	if (!r && (stx.stx_ino != inode->ino ||
		   (stx.stx_mode & S_IFMT) != fs_inode_mode(inode)))
		r = -ESTALE;
	if (r) {
		close(fd);
		return r;
	}
	atomic_fetch_or(&inode->flags, FS_INODE_CHECKED);
	return fd;
}

static int node_open_handle(struct fs_tree *t, struct fs_inode *inode,
			    int flags)
{
	bool checked = atomic_load(&inode->flags) & FS_INODE_CHECKED;
	struct node_handle h;
	struct fs_ref mount;
	int fd, r = fs_mount_ref(t, inode->mount, &mount);

	if (r)
		return r;
	h.fh.handle_bytes = inode->handle_len;
	h.fh.handle_type = inode->handle_type;
	memcpy(h.fh.f_handle, fs_inode_handle(inode), inode->handle_len);
	fd = checked ? -1 : handle_check(inode, mount.fd, &h);
	if (checked || (fd >= 0 && flags != FS_PATH_FLAGS)) {
		close_fd(&fd);
		fd = handle_open(mount.fd, &h, flags);
	}
	fs_ref_put(t, &mount);
	return fd;
}

/* Open a named inode in its parent's directory, if it still is the same. */
static int node_open_in(struct fs_tree *t, struct fs_inode *inode, int dirfd,
			const char *name)
{
	struct statx stx;
	int fd = node_open_name(dirfd, name, FS_PATH_FLAGS), dir, r;

	if (fd < 0)
		return fd == -ENOENT ? -ESTALE : fd;
	r = fs_stat(fd, "", &stx);
	if (!r && !node_is(t, inode, &stx))
		r = -ESTALE;
	if (!r && atomic_load(&inode->flags) & FS_INODE_MOUNT &&
	    S_ISDIR(stx.stx_mode)) {
		/* For handles, which O_PATH does not do. */
		dir = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0) {
			close(fd);
			fd = dir;
		}
	}
	if (r) {
		close(fd);
		return r;
	}
	return fd;
}

/* Go up from inode to what has a descriptor or a handle. The way has a reference
 * to each step, that one too: until its descriptor is put. */
static int node_climb(struct fs_tree *t, struct fs_inode *inode,
		      uint32_t way[FS_DEPTH_MAX + 1], unsigned int *nr,
		      struct fs_ref *ref)
{
	char name[NAME_MAX + 1];
	struct fs_inode *up = fs_inode_ref(t, fs_inode_slot(t, inode));

	for (*nr = 0; up; up = fs_inode_parent(t, up, name)) {
		way[(*nr)++] = fs_inode_slot(t, up);
		if (fs_fds_pin(t, up, ref))
			return 0;
		if (!(atomic_load(&up->flags) & FS_INODE_NAMED))
			return fs_node_ref(t, up, ref);
		if (*nr > FS_DEPTH_MAX)
			return -ENAMETOOLONG;
	}
	return -ESTALE;
}

/* The way down again. Each step keeps what it opened for the next one. */
static int node_ref_named(struct fs_tree *t, struct fs_inode *inode,
			  struct fs_ref *ref)
{
	uint32_t way[FS_DEPTH_MAX + 1];
	char name[NAME_MAX + 1];
	struct fs_ref up = { .fd = -1 };
	unsigned int nr;
	int r = node_climb(t, inode, way, &nr, &up);

	for (unsigned int i = nr - 1; i && !r; i--) {
		struct fs_inode *step = &t->table.inode[way[i - 1]];
		struct fs_inode *parent = fs_inode_parent(t, step, name);

		/* The host or the guest may have moved it meanwhile: what is
		 * found then is something else. */
		r = parent ? node_open_in(t, step, up.fd, name) : -ESTALE;
		if (parent)
			fs_inode_put(t, parent);
		if (r < 0)
			break;
		fs_ref_put(t, &up);
		fs_fds_add(t, step, r, &up);
		r = 0;
	}
	if (r)
		fs_ref_put(t, &up);
	else
		*ref = up;
	for (unsigned int i = 0; i < nr; i++)
		fs_inode_put(t, &t->table.inode[way[i]]);
	return r;
}

int fs_node_ref(struct fs_tree *t, struct fs_inode *inode, struct fs_ref *ref)
{
	int fd;

	fs_mount_touch(t, inode);
	if (fs_fds_pin(t, inode, ref))
		return 0;
	if (atomic_load(&inode->flags) & FS_INODE_NAMED)
		return node_ref_named(t, inode, ref);
	fd = node_open_handle(t, inode, FS_PATH_FLAGS);
	if (fd < 0)
		return fd;
	fs_fds_add(t, inode, fd, ref);
	return 0;
}

int fs_node_get(struct fs_tree *t, uint64_t nodeid, struct fs_inode **inode,
		struct fs_ref *ref)
{
	int r;

	*inode = fs_inode_get(t, nodeid);
	r = *inode ? fs_node_ref(t, *inode, ref) : -ESTALE;
	if (r && *inode)
		fs_inode_put(t, *inode);
	return r;
}

void fs_node_put(struct fs_tree *t, struct fs_inode *inode, struct fs_ref *ref)
{
	fs_ref_put(t, ref);
	fs_inode_put(t, inode);
}

int fs_node_dir(struct fs_tree *t, uint64_t nodeid, struct fs_inode **inode,
		struct fs_ref *ref)
{
	int r;

	*inode = fs_inode_get(t, nodeid);
	if (!*inode)
		return -ESTALE;
	r = S_ISDIR(fs_inode_mode(*inode)) ? fs_node_ref(t, *inode, ref)
					   : -ENOTDIR;
	if (r)
		fs_inode_put(t, *inode);
	return r;
}

/* By a descriptor of the inode itself: no name can come in between. */
static int node_reopen(struct fs_tree *t, struct fs_inode *inode, int flags)
{
	struct fs_ref ref;
	int r = fs_node_ref(t, inode, &ref);

	if (r)
		return r;
	if (S_ISDIR(fs_inode_mode(inode)))
		r = openat(ref.fd, ".", flags);
	else
		r = openat(t->proc, fs_proc_name(ref.fd).text,
			   flags & ~O_NOFOLLOW);
	if (r < 0)
		r = -errno;
	fs_ref_put(t, &ref);
	return r;
}

int fs_node_open(struct fs_tree *t, struct fs_inode *inode, int flags)
{
	uint32_t mode = fs_inode_mode(inode);
	int r = -ESTALE;

	if (!S_ISREG(mode) && !S_ISDIR(mode))
		return S_ISLNK(mode) ? -ELOOP : -EACCES;
	flags |= O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	fs_mount_touch(t, inode);
	if (!(atomic_load(&inode->flags) & FS_INODE_NAMED) &&
	    fs_inode_slot(t, inode) != FS_ROOT)
		r = node_open_handle(t, inode, flags);
	/* Without a name a handle may be refused: then there is a descriptor. */
	if (r == -ESTALE)
		r = node_reopen(t, inode, flags);
	if (r == -EPERM && flags & O_NOATIME)
		r = fs_node_open(t, inode, flags & ~O_NOATIME);
	return r;
}
