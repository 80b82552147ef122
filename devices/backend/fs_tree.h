/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_FS_TREE_H
#define DEVICES_BACKEND_FS_TREE_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "devices/backend/fs.h"

/*
 * What the files fs_*.c share. An inode takes one cache line; a million of them
 * less than 100 bytes each, with hash chains and names.
 *
 * Locks: each shard of the inode table, its chunks, the descriptors, the open
 * files and the mounts have one of their own, held for a few loads and stores.
 * None is taken inside another but the chunks', inside a shard's.
 */

/* ---- inodes: fs_table.c ---- */

/* A number that the guest holds: generation and slot. */
static inline uint64_t fs_number(uint32_t generation, uint32_t slot)
{
	return (uint64_t)generation << 32 | slot;
}
static inline uint32_t fs_slot(uint64_t number)
{
	return (uint32_t)number;
}

/* Of the word of an inode or an open file: generation << 32 | references. */
#define FS_REFS 0xffffffffu

/* One more reference to what has some, if `any` or of this generation. */
static inline bool fs_word_get(_Atomic uint64_t *word, uint32_t generation,
			       bool any)
{
	uint64_t now = atomic_load_explicit(word, memory_order_acquire);

	do {
		if (!(now & FS_REFS) || (!any && now >> 32 != generation))
			return false;
	} while (!atomic_compare_exchange_weak(word, &now, now + 1));
	return true;
}

/* The next generation, which is never 0. */
static inline uint32_t fs_generation(_Atomic uint32_t *last)
{
	uint32_t generation;

	do
		generation = atomic_fetch_add(last, 1) + 1;
	while (!generation);
	return generation;
}

#define FS_INODES_MAX (1u << 24)
#define FS_CHUNK 256u /* slots that are allocated together */
#define FS_SHARDS 16u
#define FS_HANDLE_INLINE 12u

enum {
	FS_INODE_NAMED = 1, /* found again by parent and name, not by handle */
	FS_INODE_MOUNT = 2, /* the root of a mount below the tree */
	FS_INODE_SURE = 4, /* no other inode can have its birth time */
	FS_INODE_CAPS = 8, /* may have security.capability by another name */
	FS_INODE_CHECKED = 16, /* the handle is that of such an inode */
};

struct fs_inode {
	/* References: one of the guest's lookups, one of each open file, named
	 * child, call. 0: the slot is free. */
	_Atomic uint64_t word;
	uint64_t lookups; /* shard's lock */
	uint64_t ino;
	_Atomic uint64_t stamp; /* what it was at the last open, hashed */
	/* A handle of up to 12 bytes; a pointer to a longer one; or, NAMED, a
	 * pointer to the name and the parent's slot. Shard's lock when NAMED. */
	uint32_t id[3];
	uint32_t btime; /* hashed */
	uint32_t next; /* in a chain of the hash, or of free slots */
	_Atomic uint32_t fd; /* entry of the descriptors' table, 0: none */
	uint16_t mount;
	_Atomic uint16_t flags;
	uint8_t type; /* S_IFMT >> 12 */
	uint8_t handle_len;
	uint8_t handle_type;
	uint8_t unused;
};
_Static_assert(sizeof(struct fs_inode) == 64, "one cache line");

struct fs_chunk {
	uint32_t free; /* first free slot, 0: none */
	uint32_t prev, next; /* chunks of the shard with free slots, + 1 */
	uint16_t live;
	uint16_t fresh; /* slots from here on were not used yet */
	uint8_t shard;
	atomic_bool used;
};

struct fs_shard {
	pthread_mutex_t lock;
	uint32_t *bucket;
	uint32_t nr_buckets; /* a power of two, or 0 */
	uint32_t nr; /* inodes */
	uint32_t chunk; /* first one with free slots, + 1; 0: none */
	uint64_t bytes; /* of buckets, names and long handles */
};

struct fs_table {
	struct fs_inode *inode; /* reserved for FS_INODES_MAX */
	struct fs_chunk *chunk;
	pthread_mutex_t lock; /* of the next three */
	uint32_t spare; /* first chunk that was given back, + 1 */
	uint32_t nr_chunks; /* ever used */
	uint32_t nr_used;
	_Atomic uint32_t limit; /* slots that may be looked at */
	_Atomic uint32_t generation;
	struct fs_shard shard[FS_SHARDS];
};

/* What tells an inode from all others. */
struct fs_identity {
	uint64_t ino;
	uint16_t mount;
	uint8_t type;
	uint32_t btime;
	bool sure; /* born long enough ago, see FS_INODE_SURE */
	bool root; /* of a mount */
	bool checked; /* all of it was said of one descriptor */
	uint8_t handle_len; /* 0: named */
	uint8_t handle_type;
	const uint8_t *handle;
	uint32_t parent; /* slot, referenced by the caller */
	const char *name;
};

/* Reserve the table's memory. -errno; fini is due all the same. */
int fs_table_init(struct fs_tree *t);
/* Give it back. Nothing is known any more. */
void fs_table_fini(struct fs_tree *t);
/* A reference to what a number names; NULL: nothing. */
struct fs_inode *fs_inode_get(struct fs_tree *t, uint64_t nodeid);
/* One more, to a slot that the caller has one to. */
struct fs_inode *fs_inode_ref(struct fs_tree *t, uint32_t slot);
/* Give it back; the last one takes the inode along. */
void fs_inode_put(struct fs_tree *t, struct fs_inode *inode);
/* How often the guest has looked it up and not forgotten it. */
uint64_t fs_inode_lookups(struct fs_tree *t, struct fs_inode *inode);
/* Where it is in the table. */
uint32_t fs_inode_slot(const struct fs_tree *t, const struct fs_inode *inode);
/* Its nodeid. */
uint64_t fs_inode_id(const struct fs_tree *t, const struct fs_inode *inode);
/* Its type, S_IFREG or another. */
static inline uint32_t fs_inode_mode(const struct fs_inode *inode)
{
	return (uint32_t)inode->type << 12;
}
/* Find by number and birth time alone, where that is sure; or by identity.
 * *inode: with a reference, and with one more lookup if `lookup`. -ENOENT. */
int fs_table_find(struct fs_tree *t, const struct fs_identity *id, bool lookup,
		  struct fs_inode **inode);
/* Find or add; a reference, and one more lookup. The first one is the root. */
int fs_table_add(struct fs_tree *t, const struct fs_identity *id,
		 struct fs_inode **inode);
/* A named inode has another name now. */
void fs_inode_rename(struct fs_tree *t, struct fs_inode *inode,
		     struct fs_inode *parent, const char *name);
/* Copy the name, and a reference to the parent. */
struct fs_inode *fs_inode_parent(struct fs_tree *t, struct fs_inode *inode,
				 char name[NAME_MAX + 1]);
/* The bytes of its handle, which it has when it is not NAMED. */
const uint8_t *fs_inode_handle(const struct fs_inode *inode);
/* Forget all but the root. */
void fs_table_forget_all(struct fs_tree *t);
/* How many are known, in how many bytes. */
void fs_table_count(struct fs_tree *t, uint64_t *inodes, uint64_t *bytes);
/* ---- descriptors: fs_fds.c ---- */

#define FS_FDS_CACHED_MAX 4096u

struct fs_fd {
	_Atomic uint64_t owner; /* slot << 32 | users */
	int fd;
	uint32_t next; /* free */
	_Atomic uint8_t credit; /* rounds of the clock that it outlives */
	uint8_t pinned; /* calls that need it to stay; lock */
	bool lost; /* the name is gone: it stays for good; lock */
	bool below; /* in a mount below the tree; lock */
};

struct fs_fds {
	struct fs_fd *fd; /* max + 1 of them; 0 is none */
	uint32_t limit; /* of all trees together */
	uint32_t max; /* all descriptors of the tree */
	uint32_t max_cached;
	_Atomic uint32_t used; /* all */
	pthread_mutex_t lock; /* of what follows */
	uint32_t nr_cached; /* not pinned */
	_Atomic uint32_t nr_below; /* of these, in mounts below the tree */
	uint32_t nr_entries; /* ever used */
	uint32_t free;
	uint32_t hand;
	int *doomed; /* to be closed by fs_tree_reap(), charged */
	_Atomic uint32_t nr_doomed;
};

/* A descriptor for the time of a call. */
struct fs_ref {
	int fd;
	uint32_t entry; /* 0: closed at the end */
	bool kept; /* nobody's to close */
};

/* Room for max descriptors; fini is due after a failure too. */
int fs_fds_init(struct fs_tree *t, unsigned int max);
/* Close all. */
void fs_fds_fini(struct fs_tree *t);
/* Take a place in the budget: -ENFILE. */
int fs_fds_charge(struct fs_tree *t);
/* Give it back. */
void fs_fds_uncharge(struct fs_tree *t);
/* Close what was charged; later, where that may take long. */
void fs_fds_close(struct fs_tree *t, int fd);
/* The descriptor that an inode has, if any. */
bool fs_fds_pin(struct fs_tree *t, struct fs_inode *inode, struct fs_ref *ref);
/* Keep fd for an inode, as far as there is room; ref is to be put. */
void fs_fds_add(struct fs_tree *t, struct fs_inode *inode, int fd,
		struct fs_ref *ref);
/* The call is over. */
void fs_ref_put(struct fs_tree *t, struct fs_ref *ref);
/* Do not close it until unkeep. -ENFILE; -EAGAIN:
 * the inode has another descriptor by now, keep that. */
int fs_fds_keep(struct fs_tree *t, struct fs_inode *inode, struct fs_ref *ref);
/* It may be closed after all or, if the inode has lost its name, not as long as
 * that is known. */
void fs_fds_unkeep(struct fs_tree *t, const struct fs_ref *ref, bool lost);
/* The inode is gone. */
void fs_fds_drop(struct fs_tree *t, struct fs_inode *inode);
/* Close what no call uses of mounts that `idle` is true of. */
void fs_fds_trim(struct fs_tree *t,
		 bool (*idle)(struct fs_tree *t, uint16_t mount));

/* ---- mounts: fs_mounts.c ---- */

#define FS_MOUNTS_MAX 1024u

struct fs_mount {
	uint64_t mnt_id;
	uint64_t dev;
	uint64_t root_ino;
	uint32_t root_btime; /* hashed */
	/* Slot of its root, with a reference; 0: not known yet. It stays while
	 * there are other inodes of the mount. */
	_Atomic uint32_t root;
	_Atomic uint32_t nr; /* inodes, and calls that hold it */
	_Atomic bool busy; /* since the last fs_tree_trim() */
	bool used; /* the entry is */
	bool handles; /* inodes can be opened by handle */
};

struct fs_mounts {
	pthread_mutex_t lock;
	struct fs_mount *mount; /* 0: that of the tree's root */
	uint32_t nr_entries; /* ever used */
	_Atomic uint32_t nr_below; /* but the first */
};

/* Where an inode is, of which stx is said and which fd is or, if name is not
 * NULL, which is called name in fd. Sets id->mount and ->root; the mount is to
 * be put. -ENFILE: too many. */
int fs_mount_get(struct fs_tree *t, const struct fs_inode *parent, int fd,
		 const char *name, const struct statx *stx,
		 struct fs_identity *id);
/* Once a root is in the table. */
void fs_mount_set_root(struct fs_tree *t, uint16_t mount,
		       const struct fs_inode *inode);
/* The caller holds an inode of it, or does no more with it. */
void fs_mount_put(struct fs_tree *t, const struct fs_inode *parent,
		  uint16_t mount);
/* The guest has forgotten an inode of the mount: an entry with no other one goes,
 * and so on with the mount above. */
void fs_mount_settle(struct fs_tree *t, uint16_t mount);
/* Something is done in the inode's mount: fs_tree_trim() leaves it. */
void fs_mount_touch(struct fs_tree *t, const struct fs_inode *inode);
/* Does stx tell of this mount? */
bool fs_mount_is(const struct fs_tree *t, uint16_t mount,
		 const struct statx *stx);
/* Its root, open for handles. */
int fs_mount_ref(struct fs_tree *t, uint16_t mount, struct fs_ref *ref);
/* The mount of the tree's root. */
int fs_mounts_init(struct fs_tree *t, const struct statx *stx);
/* Forget it. */
void fs_mounts_fini(struct fs_tree *t);

/* ---- finding and opening: fs_node.c ---- */

#define FS_MASK \
	(STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID | STATX_MNT_ID_UNIQUE)
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif

/* -EINVAL, -ENAMETOOLONG. */
int fs_name_check(const char *name);
/* statx(2) of a name, or of fd itself when it is "". */
int fs_stat(int fd, const char *name, struct statx *stx);
static inline uint64_t fs_stat_dev(const struct statx *stx)
{
	return (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor;
}
/* What tells of the inode that stx is about, but for mount and handle. */
void fs_node_identify(const struct statx *stx, struct fs_identity *id);
/* A name, or, if fd is given, what was opened by it a moment ago. The guest knows
 * it once more; *found, if not NULL: with a reference. */
int fs_node_enter(struct fs_tree *t, struct fs_inode *parent, int dirfd,
		  const char *name, int fd, struct fs_entry *entry,
		  struct fs_inode **found);
/* What the guest knows and could not reach without this name, with references to
 * it and to a descriptor; else NULL. *stx: what the name is, zeroes if nothing. */
struct fs_inode *fs_node_hold(struct fs_tree *t, struct fs_inode *parent,
			      int dirfd, const char *name, struct fs_ref *ref,
			      struct statx *stx);
/* An O_PATH descriptor, or a directory's. */
int fs_node_ref(struct fs_tree *t, struct fs_inode *inode, struct fs_ref *ref);
/* An inode that the guest names, and such a descriptor of it. */
int fs_node_get(struct fs_tree *t, uint64_t nodeid, struct fs_inode **inode,
		struct fs_ref *ref);
/* It is used no more. */
void fs_node_put(struct fs_tree *t, struct fs_inode *inode, struct fs_ref *ref);
/* A directory that the guest names, and its descriptor. */
int fs_node_dir(struct fs_tree *t, uint64_t nodeid, struct fs_inode **inode,
		struct fs_ref *ref);
/* Open a regular file or a directory with flags of open(2): a descriptor. */
int fs_node_open(struct fs_tree *t, struct fs_inode *inode, int flags);
/* Can handles be opened in the mount that fd is open in, and for good? */
bool fs_node_has_handles(int fd);
/* "N", to be used relative to fs_tree.proc. */
struct fs_proc_name {
	char text[12];
};
/* Of a descriptor. */
struct fs_proc_name fs_proc_name(int fd);
/* Attributes as the guest sees them. */
void fs_stat_to_guest(const struct fs_tree *t, struct statx *stx);

/* ---- open files: fs_files.c ---- */

struct fs_dir {
	pthread_mutex_t lock;
	char *buf; /* NULL before the first fs_readdir() */
	uint32_t size, len, pos;
	uint64_t off; /* of what is at pos */
};

enum {
	FS_FILE_RELEASED = 1,
	FS_FILE_WAITS = 2, /* O_DIRECT, O_SYNC: each request has to wait */
	FS_FILE_PLAIN_READ = 4, /* RWF_NOWAIT is not known there */
	FS_FILE_PLAIN_WRITE = 8,
	FS_FILE_READS = 16, /* opened for reading only */
};

struct fs_file {
	_Atomic uint64_t word; /* as struct fs_inode's */
	int fd;
	_Atomic uint32_t flags;
	uint32_t inode; /* slot, with a reference */
	uint32_t next; /* free */
	bool below; /* counts in fs_files.nr_below */
	struct fs_dir *dir; /* of a directory */
};

#define FS_IMPLICIT 512u

struct fs_files {
	_Atomic uint64_t implicit[FS_IMPLICIT]; /* fhs, 0: none */
	_Atomic uint32_t hand; /* the next of them to be closed */
	struct fs_file *file; /* max + 1 of them; 0 is none */
	uint32_t max;
	_Atomic uint32_t generation;
	_Atomic uint32_t nr;
	_Atomic uint32_t nr_dirs;
	_Atomic uint32_t nr_below; /* nobody opened, in mounts below the tree */
	pthread_mutex_t lock; /* of what follows */
	uint32_t nr_entries;
	uint32_t free;
};

/* What a call works on. */
struct fs_use {
	struct fs_inode *inode;
	struct fs_file *file;
	int fd;
};

/* Reserve the table's memory. -errno; fini is due all the same. */
int fs_files_init(struct fs_tree *t);
/* Close all. */
void fs_files_fini(struct fs_tree *t);
/* Release all that the guest has open. */
void fs_files_forget_all(struct fs_tree *t);
/* Put fd, which has been charged, and a reference to the inode into the table: a
 * fh. -errno: they are still the caller's. */
int fs_file_add(struct fs_tree *t, struct fs_inode *inode, int fd, int flags,
		uint64_t *fh);
/* What fh names, with a reference; NULL: nothing. */
struct fs_file *fs_file_get(struct fs_tree *t, uint64_t fh);
/* Give the reference back. */
void fs_file_put(struct fs_tree *t, struct fs_file *file);
/* The file of fh; without fh that of nodeid: fs_implicit_get(). -EBADF. */
int fs_use_get(struct fs_tree *t, uint64_t nodeid, uint64_t fh, bool write,
	       struct fs_use *use);
/* The call is over. */
void fs_use_put(struct fs_tree *t, struct fs_use *use);
/* Does it take long to cut a file that is like this, down to size bytes? */
bool fs_cut_is_long(const struct statx *stx, uint64_t size);
/* Open what the guest may open, by its flags: a charged descriptor. */
int fs_file_open(struct fs_tree *t, const struct fs_call *call,
		 struct fs_inode *inode, int flags);
/* Whether the guest may keep its pages, at this open. */
void fs_file_stamp(struct fs_tree *t, struct fs_inode *inode, int fd,
		   struct fs_opened *opened);

/* ---- files without a fh: fs_implicit.c ---- */

/* A file of the inode, with a reference. -EBADF in a tree without such files;
 * -ESTALE, ... */
int fs_implicit_get(struct fs_tree *t, uint64_t nodeid, bool write,
		    struct fs_file **file);
/* The guest has forgotten the inode. */
void fs_implicit_drop(struct fs_tree *t, uint64_t nodeid);
/* Close one, for the sake of a descriptor. false: there is none. */
bool fs_implicit_evict(struct fs_tree *t);
/* Close those of mounts that `idle` is true of. */
void fs_implicit_trim(struct fs_tree *t,
		      bool (*idle)(struct fs_tree *t, uint16_t mount));

/* ---- attributes, locks: fs_xattr.c, fs_locks.c ---- */

/* The content or owner of a file changes: capabilities that we keep by another
 * name go. fd: any of the file. */
void fs_xattr_drop_caps(const struct fs_tree *t, struct fs_inode *inode,
			int fd);

#define FS_HOLDERS 64u

struct fs_holder;
struct fs_locks {
	pthread_mutex_t lock;
	struct fs_holder *bucket[FS_HOLDERS];
	uint32_t nr_ranges; /* that are locked, at most */
};

/* Give up all locks. */
void fs_locks_forget_all(struct fs_tree *t);

/* ---- on whose behalf: fs_caller.c, fs_ids.c ---- */

/* Act for the caller, who makes something. -EPERM: no such id may be used. */
int fs_caller_enter(const struct fs_tree *t, const struct fs_call *call);
/* Change a file with the caller's right to keep setuid and setgid bits. */
void fs_caller_keeps_bits(const struct fs_tree *t, bool keep);
/* After either: threads that are not the file system's own are as before. */
void fs_caller_leave(const struct fs_tree *t);
/* Has this process the right to act for others? */
bool fs_caller_can_change(void);
/* ... read what belongs to others. */
bool fs_caller_can_read(void);

/* Translate an id of the guest. -EPERM: it is in no range. */
int fs_id_to_host(const struct fs_id_map *map, uint32_t id, uint32_t *host);
/* The other way; 65534: in no range. */
uint32_t fs_id_to_guest(const struct fs_id_map *map, uint32_t id);
/* Check the maps of a configuration, and copy them unless the kernel maps ids.
 * -EINVAL with a message. */
int fs_ids_init(struct fs_tree *t, const struct fs_tree_config *config,
		bool mapped, struct error *err);
/* Free them. */
void fs_ids_fini(struct fs_tree *t);

/* ---- mounts of our own: fs_clone.c ---- */

/* A detached copy of the mounts from root on: a descriptor that it lives as long
 * as. *mapped: the kernel maps ids there. -EPERM: not for this user; -errno. */
int fs_clone_open(const struct fs_tree_config *c, int root, bool *mapped);

/* ---- the tree ---- */

struct fs_tree {
	struct fs_tree_config config; /* without path and fd */
	struct fs_id_range *ranges; /* of both maps */
	int root; /* O_RDONLY */
	int clone; /* the mounts that root is in, or -1 */
	int proc; /* /proc/self/fd */
	bool single_user; /* no right to act for others */
	_Atomic bool warned; /* of numbers that the guest should not have */
	struct fs_table table;
	struct fs_fds fds;
	struct fs_mounts mounts;
	struct fs_files files;
	struct fs_locks locks;
};

#endif
