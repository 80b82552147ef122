/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "vmm/kept.h"
#include "vmm/util.h"

/*
 * Locks of the guest, as locks of the host. Each lock owner has an open file
 * description of its own for each inode, which nothing else uses: so owners are
 * told apart, and nothing but the owner's own doing gives its locks up. Nothing
 * waits.
 */

#define FS_RANGES_MAX 8192u /* of POSIX locks, of a tree */

struct fs_holder {
	struct fs_inode *inode; /* with a reference */
	uint64_t owner;
	bool flock;
	bool gone; /* released; the last user frees it */
	unsigned int users; /* calls */
	/* Ranges that it has locked: when they were counted, and at most. */
	uint32_t counted, ranges;
	int fd; /* charged */
	struct fs_holder *next;
};

/* ---- holders, under the lock ---- */

static struct fs_holder **holder_find(struct fs_tree *t,
				      const struct fs_inode *inode,
				      uint64_t owner, bool flock)
{
	uint64_t hash = (owner ^ fs_inode_slot(t, inode)) * 0x9e3779b97f4a7c15u;
	struct fs_holder **p = &t->locks.bucket[hash >> 32 & (FS_HOLDERS - 1)];

	while (*p && ((*p)->inode != inode || (*p)->owner != owner ||
		      (*p)->flock != flock))
		p = &(*p)->next;
	return p;
}

static void holder_free(struct fs_tree *t, struct fs_holder *h)
{
	pthread_mutex_lock(&t->locks.lock);
	t->locks.nr_ranges -= h->ranges;
	pthread_mutex_unlock(&t->locks.lock);
	close(h->fd);
	fs_fds_uncharge(t);
	fs_inode_put(t, h->inode);
	free(h);
}

/* Out of the table. Returns it if nobody uses it, to be freed. */
static struct fs_holder *holder_unlink(struct fs_holder **p)
{
	struct fs_holder *h = *p;

	*p = h->next;
	h->gone = true;
	return h->users ? NULL : h;
}

/* ---- users ---- */

static struct fs_holder *holder_get(struct fs_tree *t, struct fs_inode *inode,
				    const struct fs_lock *lock)
{
	struct fs_holder *h;

	pthread_mutex_lock(&t->locks.lock);
	h = *holder_find(t, inode, lock->owner, lock->flock);
	if (h)
		h->users++;
	pthread_mutex_unlock(&t->locks.lock);
	return h;
}

static void holder_put(struct fs_tree *t, struct fs_holder *h)
{
	bool last;

	pthread_mutex_lock(&t->locks.lock);
	last = !--h->users && h->gone;
	pthread_mutex_unlock(&t->locks.lock);
	if (last)
		holder_free(t, h);
}

static void holder_remove(struct fs_tree *t, const struct fs_inode *inode,
			  uint64_t owner, bool flock)
{
	struct fs_holder **p, *h;

	pthread_mutex_lock(&t->locks.lock);
	p = holder_find(t, inode, owner, flock);
	h = *p ? holder_unlink(p) : NULL;
	pthread_mutex_unlock(&t->locks.lock);
	if (h)
		holder_free(t, h);
}

/* A description for locks: one for writing, if that may be. */
static int holder_open(struct fs_tree *t, struct fs_inode *inode)
{
	int fd = -EISDIR;

	if (S_ISREG(fs_inode_mode(inode)) && !t->config.readonly)
		fd = fs_node_open(t, inode, O_RDWR);
	if (fd == -EISDIR || fd == -EACCES || fd == -EROFS)
		fd = fs_node_open(t, inode, O_RDONLY);
	return fd;
}

/* One more holder, used. */
static int holder_create(struct fs_tree *t, struct fs_inode *inode,
			 const struct fs_lock *lock, struct fs_holder **result)
{
	struct fs_holder *h, **p;
	int r = fs_fds_charge(t) ? -ENOLCK : 0;

	if (r)
		return r;
	h = calloc(1, sizeof(*h));
	if (!h) {
		fs_fds_uncharge(t);
		return -ENOMEM;
	}
	h->inode = fs_inode_ref(t, fs_inode_slot(t, inode));
	h->owner = lock->owner;
	h->flock = lock->flock;
	h->users = 1;
	h->fd = holder_open(t, inode);
	if (h->fd < 0) {
		r = h->fd;
		fs_fds_uncharge(t);
		fs_inode_put(t, inode);
		free(h);
		return r;
	}
	pthread_mutex_lock(&t->locks.lock);
	p = holder_find(t, inode, lock->owner, lock->flock);
	*result = *p ? *p : h;
	if (*p)
		(*p)->users++;
	else
		*p = h;
	pthread_mutex_unlock(&t->locks.lock);
	if (*result != h)
		holder_free(t, h);
	return 0;
}

/* ---- ranges ---- */

/* What the kernel has of a description, or `most` where it does not say. */
static uint32_t ranges_count(int fd, uint32_t most)
{
	cleanup_fd int dir = kept_open(KEPT_FDINFO_DIR);
	char text[256];
	uint32_t nr = 0;
	FILE *f;

	snprintf(text, sizeof(text), "%d", fd);
	fd = openat(dir, text, O_RDONLY | O_CLOEXEC);
	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f) {
		close_fd(&fd);
		return most;
	}
	while (fgets(text, sizeof(text), f))
		nr += !strncmp(text, "lock:", 5);
	fclose(f);
	return nr;
}

/* The host's kernel keeps each range, and has no limit of its own. A request may
 * cut one in two and be a third; how many they really are is counted when they
 * may be twice as many as the last time. -ENOLCK. */
static int ranges_reserve(struct fs_tree *t, struct fs_holder *h)
{
	struct fs_locks *l = &t->locks;
	uint32_t most, nr;
	bool full;
	int r = 0;

	pthread_mutex_lock(&l->lock);
	full = l->nr_ranges + 2 > FS_RANGES_MAX;
	most = h->ranges;
	if (most > h->counted && (full || most > 2 * h->counted + 16)) {
		pthread_mutex_unlock(&l->lock);
		nr = ranges_count(h->fd, most);
		pthread_mutex_lock(&l->lock);
		l->nr_ranges += nr - h->ranges;
		h->ranges = h->counted = nr;
		full = l->nr_ranges + 2 > FS_RANGES_MAX;
	}
	if (full) {
		r = -ENOLCK;
	} else {
		h->ranges += 2;
		l->nr_ranges += 2;
	}
	pthread_mutex_unlock(&l->lock);
	return r;
}

/* ---- requests ---- */

static int lock_check(const struct fs_tree *t, const struct fs_lock *lock)
{
	if (!t->config.locks)
		return -EOPNOTSUPP;
	if (lock->type != F_RDLCK && lock->type != F_WRLCK &&
	    lock->type != F_UNLCK)
		return -EINVAL;
	if (lock->start > lock->end || lock->end > INT64_MAX)
		return -EINVAL;
	return 0;
}

static struct flock lock_range(const struct fs_lock *lock)
{
	uint64_t len = lock->end - lock->start + 1;

	return (struct flock){
		.l_type = lock->type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)lock->start,
		.l_len = lock->end == INT64_MAX ? 0 : (off_t)len,
	};
}

static int lock_apply(const struct fs_holder *h, const struct fs_lock *lock)
{
	struct flock range = lock_range(lock);
	int op = lock->type == F_UNLCK	 ? LOCK_UN
		 : lock->type == F_RDLCK ? LOCK_SH
					 : LOCK_EX;

	if (lock->flock)
		return flock(h->fd, op | LOCK_NB) ? -errno : 0;
	if (!fcntl(h->fd, F_OFD_SETLK, &range))
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static int lock_set(struct fs_tree *t, struct fs_inode *inode,
		    const struct fs_lock *lock)
{
	struct fs_holder *h = holder_get(t, inode, lock);
	bool all = lock->flock || (!lock->start && lock->end == INT64_MAX);
	int r = 0;

	if (lock->type == F_UNLCK && (all || !h)) {
		holder_remove(t, inode, lock->owner, lock->flock);
	} else {
		if (!h)
			r = holder_create(t, inode, lock, &h);
		if (!r && !lock->flock)
			r = ranges_reserve(t, h);
		if (!r)
			r = lock_apply(h, lock);
	}
	if (h)
		holder_put(t, h);
	return r;
}

int fs_lock_set(struct fs_tree *t, const struct fs_lock *lock)
{
	int r = lock_check(t, lock);
	struct fs_inode *inode;

	if (r)
		return r;
	inode = fs_inode_get(t, lock->nodeid);
	if (!inode)
		return -ESTALE;
	r = lock_set(t, inode, lock);
	fs_inode_put(t, inode);
	return r;
}

int fs_lock_get(struct fs_tree *t, struct fs_lock *lock)
{
	struct flock range = lock_range(lock);
	struct fs_inode *inode;
	struct fs_holder *h;
	int fd, r = lock_check(t, lock);

	if (r)
		return r;
	inode = fs_inode_get(t, lock->nodeid);
	if (!inode)
		return -ESTALE;
	h = holder_get(t, inode, lock);
	fd = h ? h->fd : holder_open(t, inode);
	r = fd < 0 ? fd : fcntl(fd, F_OFD_GETLK, &range) ? -errno : 0;
	if (!r) {
		lock->type = range.l_type;
		lock->start = (uint64_t)range.l_start;
		lock->end = range.l_len ? (uint64_t)(range.l_start +
						     range.l_len - 1)
					: INT64_MAX;
	}
	if (h)
		holder_put(t, h);
	else
		close_fd(&fd);
	fs_inode_put(t, inode);
	return r;
}

void fs_lock_release(struct fs_tree *t, uint64_t nodeid, uint64_t owner)
{
	struct fs_inode *inode;

	if (!t->config.locks)
		return;
	inode = fs_inode_get(t, nodeid);
	if (!inode)
		return;
	holder_remove(t, inode, owner, false);
	holder_remove(t, inode, owner, true);
	fs_inode_put(t, inode);
}

void fs_locks_forget_all(struct fs_tree *t)
{
	for (unsigned int i = 0; i < FS_HOLDERS; i++) {
		struct fs_holder **p = &t->locks.bucket[i];
		bool more = true;

		while (more) {
			struct fs_holder *h = NULL;

			pthread_mutex_lock(&t->locks.lock);
			more = *p;
			if (more)
				h = holder_unlink(p);
			pthread_mutex_unlock(&t->locks.lock);
			if (h)
				holder_free(t, h);
		}
	}
}
