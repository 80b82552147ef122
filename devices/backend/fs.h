/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_FS_H
#define DEVICES_BACKEND_FS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#include "vmm/error.h"

/*
 * A directory of the host as a guest's file system: the inodes that the guest
 * knows, the files that it has open, and one function for each thing that it
 * can ask for. Nothing here knows of FUSE, rings or guest addresses.
 *
 * The guest holds numbers: a nodeid is a slot of the inode table and a
 * generation, and so is a fh of the table of open files. Any number is
 * accepted; one that names nothing (any more) is -ESTALE, or -EBADF for a fh.
 * FS_ROOT is always there.
 *
 * Names are checked before any system call: "", ".", ".." and what has a "/"
 * are -EINVAL, more than 255 bytes -ENAMETOOLONG. Nothing outside of the tree
 * is ever named or opened, and only regular files and directories are opened.
 *
 * Threads: all functions may be called by any number of threads at once, but
 * fs_tree_close(), which comes last. All return 0 (or a count) or -errno. A
 * call that has to wait for a disk returns -EAGAIN, having done nothing, unless
 * its struct fs_call has may_wait: call it again, so, on another thread.
 */
struct fs_tree;

#define FS_ROOT 1u

enum fs_cache {
	FS_CACHE_AUTO, /* kept while the host has changed nothing */
	FS_CACHE_ALWAYS, /* kept for ever; requests without a fh (0) are served */
	FS_CACHE_NEVER,
};

enum fs_xattr {
	FS_XATTR_OFF, /* -EOPNOTSUPP */
	FS_XATTR_ON, /* trusted.* are kept under another name */
	FS_XATTR_MAP, /* security.* too */
};

/* Ids guest.. of the guest are host.. of the host, count of them. */
struct fs_id_range {
	uint32_t guest;
	uint32_t host;
	uint32_t count;
};

struct fs_id_map {
	const struct fs_id_range *range; /* copied */
	unsigned int nr; /* 0: ids are the same */
};

struct fs_tree_config {
	const char *path; /* the directory, or NULL: a copy of fd */
	int fd;
	bool readonly;
	bool writeback; /* the guest reads what it opened for writing only */
	bool posix_acl; /* a caller's umask counts, ACLs are there */
	bool locks;
	bool frozen; /* mounts as they are now, where the host permits that */
	enum fs_cache cache;
	enum fs_xattr xattr;
	struct fs_id_map uids;
	struct fs_id_map gids;
	unsigned int max_fds; /* 0: what RLIMIT_NOFILE leaves */
};

/* Open the tree. *t is NULL after a failure, whose message names the option.
 * Any thread, and it takes as long as the host likes. */
int fs_tree_open(struct fs_tree **t, const struct fs_tree_config *config,
		 struct error *err);
/* Close it, which may take as long. NULL is accepted. */
void fs_tree_close(struct fs_tree *t);
/* The guest knows nothing and has nothing open from now on; calls that run
 * meanwhile end well. */
void fs_tree_forget_all(struct fs_tree *t);

/* Close what has not been used since the last time, or `all` that no call uses, in
 * mounts below the tree, so that the host can unmount them. Call it every half
 * second as long as fs_tree_wants_trim(). */
void fs_tree_trim(struct fs_tree *t, bool all);
/* Is there a mount that it would look at? */
bool fs_tree_wants_trim(const struct fs_tree *t);

/* Close the last descriptors of large files that have no name any more. Waits, as
 * the host then frees what they had on its disk. Call it, on a thread that may
 * wait, when fs_tree_wants_reap(). */
void fs_tree_reap(struct fs_tree *t);
/* Are there such? */
bool fs_tree_wants_reap(const struct fs_tree *t);

struct fs_counts {
	uint64_t inodes; /* known, the root included */
	uint64_t files; /* open */
	uint64_t fds; /* all descriptors of this tree */
	uint64_t bytes; /* of memory */
};
/* What the tree holds just now. */
void fs_tree_count(struct fs_tree *t, struct fs_counts *counts);

/* The calling thread works for file systems only: its credentials need not be
 * put back after each call. For threads of queues, not of the pool. */
void fs_thread_own(void);

/* On whose behalf. */
struct fs_call {
	uint32_t uid;
	uint32_t gid;
	bool has_group; /* and this is the one more group that counts */
	uint32_t group;
	uint32_t umask; /* with posix_acl; else the mode was masked before */
	bool kill_priv; /* setuid and setgid bits go: see FUSE_*_KILL_SUIDGID */
	bool may_wait;
	/* True: what takes long ends with -EINTR, and may be done again from its
	 * beginning; NULL: never. */
	const atomic_bool *stop;
};

/* ---- names and inodes ---- */

/* What a name is. The guest then knows it once more, until fs_forget(). */
struct fs_entry {
	uint64_t nodeid;
	uint64_t generation;
	bool submount; /* a directory, and another file system begins here */
	struct statx attr; /* ids are the guest's */
};

/* Find a name. -ENOENT. */
int fs_lookup(struct fs_tree *t, uint64_t parent, const char *name,
	      struct fs_entry *entry);
/* The guest forgets `nr` of its lookups. More than there were: all. */
void fs_forget(struct fs_tree *t, uint64_t nodeid, uint64_t nr);

/* fh: 0 without. */
int fs_getattr(struct fs_tree *t, uint64_t nodeid, uint64_t fh,
	       struct statx *attr);

enum fs_set {
	FS_SET_MODE = 1,
	FS_SET_UID = 2,
	FS_SET_GID = 4,
	FS_SET_SIZE = 8,
	FS_SET_ATIME = 16,
	FS_SET_MTIME = 32,
};
struct fs_setattr {
	uint64_t nodeid;
	uint64_t fh; /* 0 without */
	unsigned int set; /* enum fs_set */
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint64_t size;
	struct timespec atime; /* tv_nsec may be UTIME_NOW */
	struct timespec mtime;
};
/* Change attributes; *attr: as they are then. Waits to cut much off a file. */
int fs_setattr(struct fs_tree *t, const struct fs_call *call,
	       const struct fs_setattr *set, struct statx *attr);

/* The target, without a NUL: its length, at most size. */
ssize_t fs_readlink(struct fs_tree *t, uint64_t nodeid, char *buf, size_t size);
/* The file system that the inode is on. */
int fs_statfs(struct fs_tree *t, uint64_t nodeid, struct statvfs *st);
/* Waits. */
int fs_syncfs(struct fs_tree *t, const struct fs_call *call, uint64_t nodeid);

/* ---- what is made and removed ---- */

struct fs_make {
	uint64_t parent;
	const char *name;
	uint32_t mode;
	int flags; /* fs_create(), fs_tmpfile(): as for fs_open() */
	uint32_t rdev; /* fs_mknod(): as in struct fuse_mknod_in */
	const char *target; /* fs_symlink() */
};

struct fs_opened {
	uint64_t fh;
	bool keep_cache; /* pages, or entries, that the guest has are good */
	bool direct; /* the guest is not to keep pages */
};

/* Make and open; or open what is there, unless flags have O_EXCL. */
int fs_create(struct fs_tree *t, const struct fs_call *call,
	      const struct fs_make *make, struct fs_entry *entry,
	      struct fs_opened *opened);
/* A file without a name. */
int fs_tmpfile(struct fs_tree *t, const struct fs_call *call,
	       const struct fs_make *make, struct fs_entry *entry,
	       struct fs_opened *opened);
/* A regular file, FIFO, socket or device, by mode. */
int fs_mknod(struct fs_tree *t, const struct fs_call *call,
	     const struct fs_make *make, struct fs_entry *entry);
/* A directory. */
int fs_mkdir(struct fs_tree *t, const struct fs_call *call,
	     const struct fs_make *make, struct fs_entry *entry);
/* A symbolic link to make->target. */
int fs_symlink(struct fs_tree *t, const struct fs_call *call,
	       const struct fs_make *make, struct fs_entry *entry);
/* One more name of an inode. */
int fs_link(struct fs_tree *t, uint64_t nodeid, uint64_t parent,
	    const char *name, struct fs_entry *entry);
/* Remove a name. What the guest knows by it lives on until it is forgotten; waits
 * for the end of a large file that it does not know. */
int fs_unlink(struct fs_tree *t, const struct fs_call *call, uint64_t parent,
	      const char *name);
/* Remove an empty directory; else as above. */
int fs_rmdir(struct fs_tree *t, uint64_t parent, const char *name);

struct fs_rename {
	uint64_t from;
	const char *from_name;
	uint64_t to;
	const char *to_name;
	unsigned int flags; /* RENAME_NOREPLACE, _EXCHANGE, _WHITEOUT */
};
/* Give another name, in the place of what has it; else as above. */
int fs_rename(struct fs_tree *t, const struct fs_call *call,
	      const struct fs_rename *r);

/* ---- files ---- */

/* flags: O_ACCMODE, O_TRUNC, O_SYNC, O_DSYNC, O_DIRECT, O_NOATIME count, others
 * are ignored. */
int fs_open(struct fs_tree *t, const struct fs_call *call, uint64_t nodeid,
	    int flags, struct fs_opened *opened);
/* Of a file or a directory. -EBADF: it is not open. */
int fs_release(struct fs_tree *t, uint64_t fh);

struct fs_io {
	uint64_t nodeid;
	uint64_t fh; /* 0: with FS_CACHE_ALWAYS only */
	uint64_t offset;
	const struct iovec *iov; /* may lie in memory that is not there */
	unsigned int nr; /* at most IOV_MAX */
	bool append; /* fs_write(): behind the end, whatever offset is */
};
/* Bytes: fewer than asked for at the end of the file only. */
ssize_t fs_read(struct fs_tree *t, const struct fs_call *call,
		const struct fs_io *io);
/* Bytes that were written. */
ssize_t fs_write(struct fs_tree *t, const struct fs_call *call,
		 const struct fs_io *io);

/* Waits. fh of a file or a directory; 0: that of nodeid. */
int fs_fsync(struct fs_tree *t, const struct fs_call *call, uint64_t nodeid,
	     uint64_t fh, bool data_only);
/* whence: SEEK_DATA or SEEK_HOLE. Waits to search much of a file. */
int fs_lseek(struct fs_tree *t, const struct fs_call *call,
	     const struct fs_io *io, int whence, uint64_t *offset);
/* Waits, and may be stopped. mode: as for fallocate(2), -EOPNOTSUPP where it is
 * not KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE. */
int fs_fallocate(struct fs_tree *t, const struct fs_call *call,
		 const struct fs_io *io, int mode, uint64_t len);
/* Waits. Bytes that were copied. */
ssize_t fs_copy_range(struct fs_tree *t, const struct fs_call *call,
		      const struct fs_io *from, const struct fs_io *to,
		      uint64_t len);

/* A descriptor of a regular file for mmap(2), with its own place in the budget,
 * until fs_lend_end(). */
int fs_lend(struct fs_tree *t, uint64_t nodeid, bool write);
/* Close what fs_lend() gave. */
void fs_lend_end(struct fs_tree *t, int fd);

/* ---- directories ---- */

/* Open a directory, for fs_readdir(). */
int fs_opendir(struct fs_tree *t, uint64_t nodeid, struct fs_opened *opened);

struct fs_dirent {
	uint64_t ino;
	uint64_t off; /* where the next one is */
	unsigned int type; /* DT_REG, ... */
	const char *name;
	size_t len; /* of name */
};
/* What takes the entries. */
struct fs_reader {
	/* Is there room for one with a name of len bytes? Else it is kept. */
	bool (*fits)(struct fs_reader *reader, size_t len);
	/* entry: NULL without plus, of "." and "..", and where it has gone. */
	void (*add)(struct fs_reader *reader, const struct fs_dirent *dirent,
		    const struct fs_entry *entry);
	bool plus; /* look each up; the guest then knows it */
};
/* Entries from offset on (0, or a dirent's off) until one does not fit. */
int fs_readdir(struct fs_tree *t, uint64_t nodeid, uint64_t fh, uint64_t offset,
	       struct fs_reader *reader);

/* ---- extended attributes ---- */

/* size 0 asks for the length; -ERANGE where it does not fit. */
ssize_t fs_getxattr(struct fs_tree *t, uint64_t nodeid, const char *name,
		    void *value, size_t size);
/* Names, each with its NUL; size as above. */
ssize_t fs_listxattr(struct fs_tree *t, uint64_t nodeid, char *list,
		     size_t size);
struct fs_setxattr {
	uint64_t nodeid;
	const char *name;
	const void *value;
	size_t size;
	int flags; /* XATTR_CREATE, XATTR_REPLACE */
	bool kill_sgid; /* FUSE_SETXATTR_ACL_KILL_SGID */
};
/* Set one. */
int fs_setxattr(struct fs_tree *t, const struct fs_setxattr *set);
/* Remove one. -ENODATA. */
int fs_removexattr(struct fs_tree *t, uint64_t nodeid, const char *name);

/* ---- locks: -EOPNOTSUPP without locks in the config ---- */

struct fs_lock {
	uint64_t nodeid;
	uint64_t fh; /* the file by which it is asked for */
	uint64_t owner;
	bool flock; /* of the whole file, else of a range */
	short type; /* F_RDLCK, F_WRLCK, F_UNLCK */
	uint64_t start;
	uint64_t end; /* the last byte; INT64_MAX: all that come */
};
/* Take or give up. -EAGAIN: somebody has it; nothing here waits for that, the
 * caller tries again. -ENOLCK: too many. */
int fs_lock_set(struct fs_tree *t, const struct fs_lock *lock);
/* Who is in the way: type and range in *lock, F_UNLCK when nobody is. */
int fs_lock_get(struct fs_tree *t, struct fs_lock *lock);
/* All that the owner has on the inode. */
void fs_lock_release(struct fs_tree *t, uint64_t nodeid, uint64_t owner);

#endif
