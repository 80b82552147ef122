/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/util.h"

/*
 * The descriptors of inodes: O_PATH ones of what was used lately, as a clock
 * that goes round directories more often than other things, and those that must
 * stay because the name is gone. All descriptors of a tree, those of open files
 * too, have a budget; what is opened and closed inside a call has not.
 */

#define FS_FDS_CREDIT_DIR 3u
#define FS_FDS_CREDIT 1u

#define FS_USERS 0xffffffffu

/* What all trees of this process have together. */
static _Atomic uint32_t fs_fds_process;

/* Descriptors that trees may have: not what the monitor needs. */
static uint32_t fds_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) || rl.rlim_cur > 1u << 20)
		return 1u << 20;
	return (uint32_t)(rl.rlim_cur - MIN(rl.rlim_cur / 4, 1024));
}

int fs_fds_init(struct fs_tree *t, unsigned int max)
{
	struct fs_fds *f = &t->fds;
	void *p;

	f->limit = fds_limit();
	f->max = max ? MIN(max, f->limit) : f->limit;
	f->max_cached = MIN(f->max / 2, FS_FDS_CACHED_MAX);
	p = mmap(NULL, (f->max + 1) * sizeof(*f->fd), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	f->fd = p;
	return 0;
}

void fs_fds_fini(struct fs_tree *t)
{
	struct fs_fds *f = &t->fds;

	if (!f->fd)
		return;
	for (uint32_t i = 1; i <= f->nr_entries; i++) {
		if (atomic_load(&f->fd[i].owner)) {
			close(f->fd[i].fd);
			fs_fds_uncharge(t);
		}
	}
	fs_tree_reap(t);
	munmap(f->fd, (f->max + 1) * sizeof(*f->fd));
}

/* ---- the clock, under the lock ---- */

/* An entry can be closed for another one's sake, or cannot any more. */
static void entry_cached(struct fs_fds *f, uint32_t i, bool cached)
{
	uint32_t change = cached ? 1 : UINT32_MAX;

	f->nr_cached += change;
	if (f->fd[i].below)
		atomic_fetch_add(&f->nr_below, change);
}

static bool entry_stays(const struct fs_fd *e)
{
	return e->pinned || e->lost;
}

/* An entry is nobody's any more. Returns its descriptor. */
static int entry_free(struct fs_tree *t, uint32_t i)
{
	struct fs_fds *f = &t->fds;

	if (!entry_stays(&f->fd[i]))
		entry_cached(f, i, false);
	f->fd[i].pinned = 0;
	f->fd[i].lost = false;
	f->fd[i].next = f->free;
	f->free = i;
	return f->fd[i].fd;
}

/* Take an entry from its inode, unless a call uses it or it must stay. Returns
 * the descriptor, to be closed, or -1. */
static int entry_evict(struct fs_tree *t, uint32_t i)
{
	struct fs_fd *e = &t->fds.fd[i];
	uint64_t owner = atomic_load(&e->owner);

	if (!owner || owner & FS_USERS || entry_stays(e) ||
	    !atomic_compare_exchange_strong(&e->owner, &owner, 0))
		return -1;
	atomic_store(&t->table.inode[owner >> 32].fd, 0);
	return entry_free(t, i);
}

/* The descriptor that was not used for longest, about; -1: none. */
static int clock_evict(struct fs_tree *t)
{
	struct fs_fds *f = &t->fds;
	uint64_t steps = (uint64_t)f->nr_entries * (FS_FDS_CREDIT_DIR + 1);

	for (int fd; f->nr_cached && steps; steps--) {
		struct fs_fd *e;
		uint8_t credit;

		f->hand = f->hand % f->nr_entries + 1;
		e = &f->fd[f->hand];
		credit = atomic_load(&e->credit);
		if (credit) {
			atomic_store(&e->credit, (uint8_t)(credit - 1));
			continue;
		}
		fd = entry_evict(t, f->hand);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

/* An entry that is free, or 0. */
static uint32_t entry_take(struct fs_fds *f)
{
	uint32_t i = f->free;

	if (i) {
		f->free = f->fd[i].next;
		return i;
	}
	return f->nr_entries < f->max ? ++f->nr_entries : 0;
}

/* ---- the budget ---- */

static bool fds_try_charge(struct fs_tree *t)
{
	if (atomic_fetch_add(&t->fds.used, 1) >= t->fds.max) {
		atomic_fetch_sub(&t->fds.used, 1);
		return false;
	}
	if (atomic_fetch_add(&fs_fds_process, 1) < t->fds.limit)
		return true;
	fs_fds_uncharge(t);
	return false;
}

void fs_fds_uncharge(struct fs_tree *t)
{
	atomic_fetch_sub(&fs_fds_process, 1);
	atomic_fetch_sub(&t->fds.used, 1);
}

int fs_fds_charge(struct fs_tree *t)
{
	int fd;

	while (!fds_try_charge(t)) {
		pthread_mutex_lock(&t->fds.lock);
		fd = clock_evict(t);
		pthread_mutex_unlock(&t->fds.lock);
		if (fd < 0 && !fs_implicit_evict(t))
			return -ENFILE;
		if (fd >= 0)
			fs_fds_close(t, fd);
	}
	return 0;
}

/* ---- closing ---- */

/* Is it of a large file that has lost its name, so that its last descriptor takes
 * the file along? What the host knows without asking elsewhere will do. */
static bool fd_is_heavy(int fd)
{
	struct statx stx;

	return !statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		      STATX_TYPE | STATX_NLINK | STATX_SIZE | STATX_BLOCKS,
		      &stx) &&
	       !stx.stx_nlink && fs_cut_is_long(&stx, 0);
}

/* False: there is no memory for that. */
static bool fds_doom(struct fs_fds *f, int fd)
{
	mutex_guard(&f->lock);
	uint32_t nr = atomic_load(&f->nr_doomed);
	int *doomed = realloc(f->doomed, (nr + 1) * sizeof(fd));

	if (!doomed)
		return false;
	f->doomed = doomed;
	f->doomed[nr] = fd;
	atomic_store(&f->nr_doomed, nr + 1);
	return true;
}

void fs_fds_close(struct fs_tree *t, int fd)
{
	if (fd_is_heavy(fd) && fds_doom(&t->fds, fd))
		return;
	close(fd);
	fs_fds_uncharge(t);
}

bool fs_tree_wants_reap(const struct fs_tree *t)
{
	return atomic_load_explicit(&t->fds.nr_doomed, memory_order_relaxed);
}

void fs_tree_reap(struct fs_tree *t)
{
	struct fs_fds *f = &t->fds;
	uint32_t nr;
	int *doomed;

	pthread_mutex_lock(&f->lock);
	doomed = f->doomed;
	nr = atomic_exchange(&f->nr_doomed, 0);
	f->doomed = NULL;
	pthread_mutex_unlock(&f->lock);
	while (nr--) {
		close(doomed[nr]);
		fs_fds_uncharge(t);
	}
	free(doomed);
}

/* ---- inodes ---- */

bool fs_fds_pin(struct fs_tree *t, struct fs_inode *inode, struct fs_ref *ref)
{
	uint32_t slot = fs_inode_slot(t, inode);
	uint32_t i = atomic_load(&inode->fd);
	struct fs_fd *e = &t->fds.fd[i];
	uint8_t credit = inode->type == S_IFDIR >> 12 ? FS_FDS_CREDIT_DIR
						      : FS_FDS_CREDIT;
	uint64_t owner;

	if (slot == FS_ROOT) {
		*ref = (struct fs_ref){ .fd = t->root, .kept = true };
		return true;
	}
	if (!i)
		return false;
	owner = atomic_load(&e->owner);
	do {
		if (owner >> 32 != slot)
			return false;
	} while (!atomic_compare_exchange_weak(&e->owner, &owner, owner + 1));
	if (atomic_load_explicit(&e->credit, memory_order_relaxed) != credit)
		atomic_store_explicit(&e->credit, credit, memory_order_relaxed);
	*ref = (struct fs_ref){ .fd = e->fd, .entry = i };
	return true;
}

/* Put fd into an entry of its own. The lock is held; 0: there is no room. */
static uint32_t inode_set_fd(struct fs_tree *t, struct fs_inode *inode, int fd)
{
	struct fs_fds *f = &t->fds;
	uint32_t i = entry_take(f);
	struct fs_fd *e = &f->fd[i];

	if (!i)
		return 0;
	e->fd = fd;
	e->pinned = 0;
	e->lost = false;
	e->below = inode->mount;
	atomic_store(&e->credit, FS_FDS_CREDIT);
	entry_cached(f, i, true);
	atomic_store(&e->owner, fs_number(fs_inode_slot(t, inode), 1));
	atomic_store(&inode->fd, i);
	return i;
}

void fs_fds_add(struct fs_tree *t, struct fs_inode *inode, int fd,
		struct fs_ref *ref)
{
	struct fs_fds *f = &t->fds;
	int evicted = -1;

	*ref = (struct fs_ref){ .fd = fd };
	if (!f->max_cached || fs_fds_charge(t))
		return;
	pthread_mutex_lock(&f->lock);
	if (!atomic_load(&inode->fd)) {
		if (f->nr_cached >= f->max_cached)
			evicted = clock_evict(t);
		if (f->nr_cached < f->max_cached)
			ref->entry = inode_set_fd(t, inode, fd);
	}
	pthread_mutex_unlock(&f->lock);
	if (!ref->entry)
		fs_fds_uncharge(t);
	if (evicted >= 0)
		fs_fds_close(t, evicted);
}

void fs_ref_put(struct fs_tree *t, struct fs_ref *ref)
{
	if (ref->entry)
		atomic_fetch_sub(&t->fds.fd[ref->entry].owner, 1);
	else if (!ref->kept && ref->fd >= 0)
		close(ref->fd);
	*ref = (struct fs_ref){ .fd = -1 };
}

int fs_fds_keep(struct fs_tree *t, struct fs_inode *inode, struct fs_ref *ref)
{
	struct fs_fds *f = &t->fds;
	int r = ref->entry || ref->kept ? 0 : fs_fds_charge(t);

	if (r || ref->kept)
		return r;
	pthread_mutex_lock(&f->lock);
	if (!ref->entry) {
		if (!atomic_load(&inode->fd))
			ref->entry = inode_set_fd(t, inode, ref->fd);
		if (!ref->entry)
			r = -EAGAIN;
	}
	if (!r && !entry_stays(&f->fd[ref->entry]))
		entry_cached(f, ref->entry, false);
	if (!r)
		f->fd[ref->entry].pinned++;
	pthread_mutex_unlock(&f->lock);
	if (r)
		fs_fds_uncharge(t);
	return r;
}

void fs_fds_unkeep(struct fs_tree *t, const struct fs_ref *ref, bool lost)
{
	struct fs_fds *f = &t->fds;
	struct fs_fd *e = &f->fd[ref->entry];

	if (!ref->entry)
		return;
	pthread_mutex_lock(&f->lock);
	e->pinned--;
	e->lost |= lost;
	if (!entry_stays(e))
		entry_cached(f, ref->entry, true);
	pthread_mutex_unlock(&f->lock);
}

void fs_fds_drop(struct fs_tree *t, struct fs_inode *inode)
{
	struct fs_fds *f = &t->fds;
	int fd = -1;
	uint32_t i;

	if (!atomic_load(&inode->fd))
		return;
	pthread_mutex_lock(&f->lock);
	i = atomic_load(&inode->fd);
	if (i) {
		atomic_store(&inode->fd, 0);
		atomic_store(&f->fd[i].owner, 0);
		fd = entry_free(t, i);
	}
	pthread_mutex_unlock(&f->lock);
	if (fd >= 0)
		fs_fds_close(t, fd);
}

void fs_fds_trim(struct fs_tree *t,
		 bool (*idle)(struct fs_tree *t, uint16_t mount))
{
	struct fs_fds *f = &t->fds;

	/* Nobody waits for the lock while the host takes its time to close. */
	pthread_mutex_lock(&f->lock);
	for (uint32_t i = 1; i <= f->nr_entries; i++) {
		uint64_t owner = atomic_load(&f->fd[i].owner);
		int fd;

		if (!owner || !idle(t, t->table.inode[owner >> 32].mount))
			continue;
		fd = entry_evict(t, i);
		if (fd < 0)
			continue;
		pthread_mutex_unlock(&f->lock);
		fs_fds_close(t, fd);
		pthread_mutex_lock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
}
