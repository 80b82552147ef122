/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <fcntl.h>

#include "vmm/util.h"

/*
 * Files for requests that name none: a guest that keeps everything for ever does
 * not open files or directories at all. The last ones that were used are open
 * for it, in a table where each inode has one place and shares it with others.
 */

static _Atomic uint64_t *implicit_place(struct fs_tree *t, uint64_t nodeid)
{
	return &t->files.implicit[fs_slot(nodeid) & (FS_IMPLICIT - 1)];
}

/* Is it this inode's file, and good for that? */
static bool implicit_fits(const struct fs_tree *t, const struct fs_file *file,
			  uint64_t nodeid, bool write)
{
	if (fs_inode_id(t, &t->table.inode[file->inode]) != nodeid)
		return false;
	return !write || !(atomic_load(&file->flags) & FS_FILE_READS);
}

/* Take what is in a place away, if that is fh. */
static bool implicit_clear(struct fs_tree *t, _Atomic uint64_t *place,
			   uint64_t fh)
{
	return fh && atomic_compare_exchange_strong(place, &fh, 0) &&
	       !fs_release(t, fh);
}

bool fs_implicit_evict(struct fs_tree *t)
{
	bool done = false;

	for (unsigned int i = 0; i < FS_IMPLICIT && !done; i++) {
		unsigned int at = atomic_fetch_add(&t->files.hand, 1);
		_Atomic uint64_t *place = implicit_place(t, at);

		done = implicit_clear(t, place, atomic_load(place));
	}
	return done;
}

void fs_implicit_drop(struct fs_tree *t, uint64_t nodeid)
{
	_Atomic uint64_t *place = implicit_place(t, nodeid);
	uint64_t fh = atomic_load(place);
	struct fs_file *file = fh ? fs_file_get(t, fh) : NULL;

	if (!file)
		return;
	if (implicit_fits(t, file, nodeid, false))
		implicit_clear(t, place, fh);
	fs_file_put(t, file);
}

static int implicit_open(struct fs_tree *t, struct fs_inode *inode, bool write,
			 struct fs_file **file)
{
	static const struct fs_call nobody = { 0 };
	uint64_t nodeid = fs_inode_id(t, inode), old;
	struct fs_opened o;
	int r;

	if (S_ISDIR(fs_inode_mode(inode)))
		r = fs_opendir(t, nodeid, &o);
	else
		r = fs_open(t, &nobody, nodeid, write ? O_RDWR : O_RDONLY, &o);
	if (r)
		return r;
	*file = fs_file_get(t, o.fh);
	old = atomic_exchange(implicit_place(t, nodeid), o.fh);
	if (old)
		fs_release(t, old);
	/* Who forgot it meanwhile did not see this one. */
	if (!fs_inode_lookups(t, inode))
		implicit_clear(t, implicit_place(t, nodeid), o.fh);
	return *file ? 0 : -ESTALE;
}

int fs_implicit_get(struct fs_tree *t, uint64_t nodeid, bool write,
		    struct fs_file **file)
{
	uint64_t fh = atomic_load(implicit_place(t, nodeid));
	struct fs_inode *inode;
	int r = 0;

	if (t->config.cache != FS_CACHE_ALWAYS)
		return -EBADF;
	*file = fh ? fs_file_get(t, fh) : NULL;
	if (*file && !implicit_fits(t, *file, nodeid, write)) {
		fs_file_put(t, *file);
		*file = NULL;
	}
	if (!*file) {
		inode = fs_inode_get(t, nodeid);
		r = inode ? implicit_open(t, inode, write, file) : -ESTALE;
		if (inode)
			fs_inode_put(t, inode);
	}
	if (!r)
		fs_mount_touch(t, &t->table.inode[(*file)->inode]);
	return r;
}

void fs_implicit_trim(struct fs_tree *t,
		      bool (*idle)(struct fs_tree *t, uint16_t mount))
{
	for (unsigned int i = 0; i < FS_IMPLICIT; i++) {
		_Atomic uint64_t *place = &t->files.implicit[i];
		uint64_t fh = atomic_load(place);
		struct fs_file *file = fh ? fs_file_get(t, fh) : NULL;

		if (!file)
			continue;
		if (idle(t, t->table.inode[file->inode].mount))
			implicit_clear(t, place, fh);
		fs_file_put(t, file);
	}
}
