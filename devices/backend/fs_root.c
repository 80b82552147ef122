/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/kept.h"
#include "vmm/log.h"
#include "vmm/opener.h"
#include "vmm/util.h"

static int tree_open_root(struct fs_tree *t, const struct fs_tree_config *c,
			  struct error *err)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	struct opener_found found;

	/* A descriptor of our own, whatever the caller's was opened for. */
	t->root = c->path ? opener_open(OPENER_DIRECTORY, c->path, OPENER_READ,
					&found)
			  : openat(c->fd, ".", flags);
	if (t->root >= 0)
		return 0;
	if (c->path)
		return error_set(err, t->root,
				 "path=%s: %s; give a directory of the host",
				 error_value(c->path).text,
				 error_text(found.mode && !S_ISDIR(found.mode)
						    ? ENOTDIR
						    : -t->root));
	return error_set(err, errno,
			 "fd=%d: %s; give a descriptor of a directory", c->fd,
			 error_text(errno));
}

/* Go over to mounts of our own, where that is asked for and permitted. */
static int tree_freeze(struct fs_tree *t, const struct fs_tree_config *c,
		       bool *mapped, struct error *err)
{
	int fd;

	*mapped = false;
	if (!c->frozen)
		return 0;
	t->clone = fs_clone_open(c, t->root, mapped);
	if (t->clone < 0) {
		log_warn(
			"mounts=frozen: %s; mounts of the host below the directory are seen as they come and go",
			error_text(-t->clone));
		t->clone = -1;
		return 0;
	}
	fd = openat(t->clone, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "mounts=frozen: %s",
				 error_text(errno));
	close(t->root);
	t->root = fd;
	return 0;
}

/* The root is inode 1, whatever is mounted below it. */
static int tree_add_root(struct fs_tree *t)
{
	struct fs_identity id = { .name = "" };
	struct fs_inode *inode;
	struct statx stx;
	int r = fs_stat(t->root, "", &stx);

	if (!r)
		r = fs_mounts_init(t, &stx);
	if (r)
		return r;
	fs_node_identify(&stx, &id);
	r = fs_table_add(t, &id, &inode);
	if (!r)
		fs_inode_put(t, inode);
	return r;
}

static void tree_init_locks(struct fs_tree *t)
{
	pthread_mutex_init(&t->table.lock, NULL);
	for (unsigned int i = 0; i < FS_SHARDS; i++)
		pthread_mutex_init(&t->table.shard[i].lock, NULL);
	pthread_mutex_init(&t->fds.lock, NULL);
	pthread_mutex_init(&t->mounts.lock, NULL);
	pthread_mutex_init(&t->files.lock, NULL);
	pthread_mutex_init(&t->locks.lock, NULL);
}

static void tree_fini_locks(struct fs_tree *t)
{
	pthread_mutex_destroy(&t->table.lock);
	for (unsigned int i = 0; i < FS_SHARDS; i++)
		pthread_mutex_destroy(&t->table.shard[i].lock);
	pthread_mutex_destroy(&t->fds.lock);
	pthread_mutex_destroy(&t->mounts.lock);
	pthread_mutex_destroy(&t->files.lock);
	pthread_mutex_destroy(&t->locks.lock);
}

int fs_tree_open(struct fs_tree **result, const struct fs_tree_config *config,
		 struct error *err)
{
	struct fs_tree *t = calloc(1, sizeof(*t));
	bool mapped;
	int r;

	*result = NULL;
	if (!t)
		return error_set(err, ENOMEM, "out of memory");
	t->config = *config;
	t->config.path = NULL;
	t->config.fd = -1;
	t->root = -1;
	t->clone = -1;
	tree_init_locks(t);
	t->proc = kept_open(KEPT_FD_DIR);
	if (t->proc < 0)
		r = error_set(err, t->proc, "/proc/self/fd: %s; mount /proc",
			      error_text(-t->proc));
	else
		r = tree_open_root(t, config, err);
	if (!r)
		r = tree_freeze(t, config, &mapped, err);
	if (!r)
		r = fs_ids_init(t, config, mapped, err);
	if (!r) {
		r = fs_fds_init(t, config->max_fds);
		if (!r)
			r = fs_table_init(t);
		if (!r)
			r = fs_files_init(t);
		if (!r)
			r = tree_add_root(t);
		if (r)
			error_set(err, r, "cannot set the directory up: %s",
				  error_text(-r));
	}
	if (r)
		fs_tree_close(t);
	else
		*result = t;
	return r;
}

void fs_tree_forget_all(struct fs_tree *t)
{
	fs_locks_forget_all(t);
	fs_files_forget_all(t);
	fs_table_forget_all(t);
	for (uint16_t i = 1; i < FS_MOUNTS_MAX; i++)
		fs_mount_settle(t, i);
	fs_tree_reap(t);
}

void fs_tree_close(struct fs_tree *t)
{
	if (!t)
		return;
	if (t->mounts.mount)
		fs_tree_forget_all(t);
	fs_files_fini(t);
	fs_fds_fini(t);
	fs_table_fini(t);
	fs_mounts_fini(t);
	fs_ids_fini(t);
	close_fd(&t->root);
	close_fd(&t->clone);
	close_fd(&t->proc);
	tree_fini_locks(t);
	free(t);
}

void fs_tree_count(struct fs_tree *t, struct fs_counts *counts)
{
	fs_table_count(t, &counts->inodes, &counts->bytes);
	counts->files = atomic_load(&t->files.nr);
	counts->fds = atomic_load(&t->fds.used) + (t->clone >= 0 ? 3u : 2u);
}
