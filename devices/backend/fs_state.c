/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <fcntl.h>
#include <string.h>

#include "vmm/util.h"

/* Numbers, names and handles: nothing that is good only as long as this process
 * lives. */

static void state_inode(struct fs_tree *t, struct fs_inode *inode, void *arg)
{
	const struct fs_mount *m = &t->mounts.mount[inode->mount];
	struct fs_saver *saver = arg;
	struct fs_saved_inode s = {
		.nodeid = fs_inode_id(t, inode),
		.lookups = fs_inode_lookups(t, inode),
		.dev = m->dev,
		.ino = inode->ino,
		.btime = inode->btime,
		.mode = fs_inode_mode(inode),
		.nameless = fs_fds_is_kept(t, inode),
		.handle_len = inode->handle_len,
		.handle_type = inode->handle_type,
	};
	uint32_t root = atomic_load(&m->root);
	struct fs_inode *parent;

	if (root)
		s.mount = fs_inode_id(t, &t->table.inode[root]);
	if (s.handle_len) {
		memcpy(s.handle, fs_inode_handle(inode), s.handle_len);
	} else {
		parent = fs_inode_parent(t, inode, s.name);
		if (parent) {
			s.parent = fs_inode_id(t, parent);
			fs_inode_put(t, parent);
		}
	}
	saver->inode(saver, &s);
}

static void state_file(struct fs_tree *t, struct fs_file *file, void *arg)
{
	const int kept = O_ACCMODE | O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME |
			 O_DIRECTORY;
	struct fs_saver *saver = arg;
	struct fs_saved_file s = {
		.fh = fs_number((uint32_t)(atomic_load(&file->word) >> 32),
				(uint32_t)(file - t->files.file)),
		.nodeid = fs_inode_id(t, &t->table.inode[file->inode]),
		.flags = fcntl(file->fd, F_GETFL) & kept,
	};

	saver->file(saver, &s);
}

void fs_tree_save(struct fs_tree *t, struct fs_saver *saver)
{
	fs_table_each(t, state_inode, saver);
	fs_files_each(t, state_file, saver);
}
