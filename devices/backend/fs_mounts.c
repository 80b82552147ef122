/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/util.h"

/*
 * The mounts in which the guest knows inodes. An entry is a mount and a device:
 * some file systems show several devices in one mount. Its root is an inode
 * that is found by parent and name, so that no descriptor has to stay open in a
 * mount that the host may want to undo.
 */

int fs_mounts_init(struct fs_tree *t, const struct statx *stx)
{
	struct fs_mounts *m = &t->mounts;

	m->mount = calloc(FS_MOUNTS_MAX, sizeof(*m->mount));
	if (!m->mount)
		return -ENOMEM;
	m->mount[0].mnt_id = stx->stx_mnt_id;
	m->mount[0].dev = fs_stat_dev(stx);
	m->mount[0].used = true;
	m->mount[0].handles = fs_node_has_handles(t->root);
	atomic_store(&m->mount[0].root, FS_ROOT);
	m->nr_entries = 1;
	return 0;
}

void fs_mounts_fini(struct fs_tree *t)
{
	free(t->mounts.mount);
}

bool fs_mount_is(const struct fs_tree *t, uint16_t mount,
		 const struct statx *stx)
{
	const struct fs_mount *m = &t->mounts.mount[mount];

	return m->mnt_id == stx->stx_mnt_id && m->dev == fs_stat_dev(stx);
}

/* The entry of a mount, held, or 0. A mount's number may be another's later,
 * where the kernel has no unique ones: the root tells then. Under the lock. */
static uint16_t mounts_find(struct fs_tree *t, const struct statx *stx,
			    const struct fs_identity *id)
{
	struct fs_mounts *ms = &t->mounts;

	for (uint32_t i = 1; i < ms->nr_entries; i++) {
		struct fs_mount *m = &ms->mount[i];

		if (!m->used || !fs_mount_is(t, (uint16_t)i, stx) ||
		    (id->root &&
		     (m->root_ino != id->ino || m->root_btime != id->btime)))
			continue;
		atomic_fetch_add(&m->nr, 1);
		return (uint16_t)i;
	}
	return 0;
}

static uint16_t mounts_add(struct fs_tree *t, const struct fs_mount *new)
{
	struct fs_mounts *ms = &t->mounts;
	uint32_t i;

	for (i = 1; i < ms->nr_entries && ms->mount[i].used; i++)
		;
	if (i == FS_MOUNTS_MAX)
		return 0;
	if (i == ms->nr_entries)
		ms->nr_entries++;
	ms->mount[i] = *new;
	ms->mount[i].used = true;
	atomic_store(&ms->mount[i].busy, true);
	atomic_store(&ms->mount[i].nr, 1);
	atomic_fetch_add(&ms->nr_below, 1);
	return (uint16_t)i;
}

/* Ask a directory that may be a mount's root. */
static bool mount_has_handles(int fd, const char *name, const struct statx *stx)
{
	struct statx real;
	int dir;
	bool has;

	if (!S_ISDIR(stx->stx_mode))
		return false;
	dir = openat(fd, name ? name : ".",
		     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK |
			     O_CLOEXEC);
	if (dir < 0)
		return false;
	has = !fs_stat(dir, "", &real) && real.stx_mnt_id == stx->stx_mnt_id &&
	      fs_node_has_handles(dir);
	close(dir);
	return has;
}

int fs_mount_get(struct fs_tree *t, const struct fs_inode *parent, int fd,
		 const char *name, const struct statx *stx,
		 struct fs_identity *id)
{
	struct fs_mounts *ms = &t->mounts;
	const struct fs_mount *up = &ms->mount[parent->mount];
	struct fs_mount new = { .mnt_id = stx->stx_mnt_id,
				.dev = fs_stat_dev(stx),
				.root_ino = id->ino,
				.root_btime = id->btime };

	id->root = up->mnt_id != stx->stx_mnt_id;
	if (fs_mount_is(t, parent->mount, stx)) {
		id->mount = parent->mount;
		return 0;
	}
	pthread_mutex_lock(&ms->lock);
	id->mount = mounts_find(t, stx, id);
	pthread_mutex_unlock(&ms->lock);
	if (id->mount)
		return 0;
	new.handles = id->root ? mount_has_handles(fd, name, stx) : up->handles;
	pthread_mutex_lock(&ms->lock);
	id->mount = mounts_find(t, stx, id);
	if (!id->mount) {
		id->mount = mounts_add(t, &new);
		if (id->mount && !id->root)
			atomic_store(&ms->mount[id->mount].root,
				     atomic_load(&up->root));
		if (id->mount && !id->root && atomic_load(&up->root))
			fs_inode_ref(t, atomic_load(&up->root));
	}
	pthread_mutex_unlock(&ms->lock);
	return id->mount ? 0 : -ENFILE;
}

void fs_mount_set_root(struct fs_tree *t, uint16_t mount,
		       const struct fs_inode *inode)
{
	struct fs_mount *m = &t->mounts.mount[mount];

	pthread_mutex_lock(&t->mounts.lock);
	if (!atomic_load(&m->root)) {
		fs_inode_ref(t, fs_inode_slot(t, inode));
		atomic_store(&m->root, fs_inode_slot(t, inode));
	}
	pthread_mutex_unlock(&t->mounts.lock);
}

void fs_mount_put(struct fs_tree *t, const struct fs_inode *parent,
		  uint16_t mount)
{
	if (mount != parent->mount &&
	    atomic_fetch_sub(&t->mounts.mount[mount].nr, 1) == 1)
		fs_mount_settle(t, mount);
}

void fs_mount_touch(struct fs_tree *t, const struct fs_inode *inode)
{
	if (inode->mount)
		atomic_store(&t->mounts.mount[inode->mount].busy, true);
}

int fs_mount_ref(struct fs_tree *t, uint16_t mount, struct fs_ref *ref)
{
	struct fs_mount *m = &t->mounts.mount[mount];
	uint32_t root = atomic_load(&m->root);
	struct fs_inode *inode;
	int r;

	if (!root)
		return -ESTALE;
	inode = fs_inode_ref(t, root);
	r = fs_node_ref(t, inode, ref);
	fs_inode_put(t, inode);
	return r;
}

/* ---- what the host may want back ---- */

static bool mount_is_idle(struct fs_tree *t, uint16_t mount)
{
	return mount && !atomic_load(&t->mounts.mount[mount].busy);
}

static bool mount_is_below(struct fs_tree *t unused_param, uint16_t mount)
{
	return mount;
}

/* Take the root from an entry that has no other inode: a slot to put, or 0.
 * Under the lock. */
static uint32_t mount_retire(struct fs_tree *t, uint16_t mount)
{
	struct fs_mount *m = &t->mounts.mount[mount];
	uint32_t root = atomic_load(&m->root);
	const struct fs_inode *inode = &t->table.inode[root];
	bool own = root && inode->mount == mount;

	if (atomic_load(&m->nr) > own)
		return 0;
	if (own && (uint32_t)atomic_load(&inode->word) > 1)
		return 0;
	atomic_store(&m->root, 0);
	if (!own) {
		m->used = false;
		atomic_fetch_sub(&t->mounts.nr_below, 1);
	}
	return root;
}

/* The mount above that of an inode which is a mount's root. */
static uint16_t mount_above(struct fs_tree *t, struct fs_inode *root)
{
	char name[NAME_MAX + 1];
	struct fs_inode *parent = fs_inode_parent(t, root, name);
	uint16_t mount = 0;

	if (parent) {
		mount = parent->mount;
		fs_inode_put(t, parent);
	}
	return mount;
}

void fs_mount_settle(struct fs_tree *t, uint16_t mount)
{
	struct fs_mounts *ms = &t->mounts;

	while (mount) {
		uint16_t above = mount;
		uint32_t root = 0;

		pthread_mutex_lock(&ms->lock);
		if (ms->mount[mount].used)
			root = mount_retire(t, mount);
		pthread_mutex_unlock(&ms->lock);
		if (!root)
			return;
		if (t->table.inode[root].mount == mount)
			above = mount_above(t, &t->table.inode[root]);
		fs_inode_put(t, &t->table.inode[root]);
		/* Without its root there is nothing of the entry left. */
		pthread_mutex_lock(&ms->lock);
		if (ms->mount[mount].used)
			mount_retire(t, mount);
		pthread_mutex_unlock(&ms->lock);
		mount = above == mount ? 0 : above;
	}
}

void fs_tree_trim(struct fs_tree *t, bool all)
{
	bool (*which)(struct fs_tree * t, uint16_t mount) = all ? mount_is_below
								: mount_is_idle;
	struct fs_mounts *ms = &t->mounts;

	fs_implicit_trim(t, which);
	fs_fds_trim(t, which);
	/* What is not used again until the next time is idle then. */
	for (uint32_t i = 1; i < FS_MOUNTS_MAX; i++)
		atomic_store(&ms->mount[i].busy, false);
}

bool fs_tree_wants_trim(const struct fs_tree *t)
{
	return atomic_load(&t->fds.nr_below) || atomic_load(&t->files.nr_below);
}
