/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Driver for virtio-fs (virtio 1.2 §5.11), and requests of FUSE by hand. One
 * request at a time is built in the client's own buffers; what keeps more in
 * flight brings its own.
 */
#ifndef GUEST_FUSE_H
#define GUEST_FUSE_H

#include <linux/fuse.h>

#include "guest.h"
#include "vdev.h"

#define VIRTIO_ID_FS 26

#define FUSE_HIPRIO 0 /* the queue for FORGET */
#define FUSE_QUEUE 1 /* the first one for the rest */
#define FUSE_BUFFER (1u << 20)
#define FUSE_TEXT_MAX 8192u

/* Opcodes that are younger than some <linux/fuse.h>. */
#define FUSE_OP_STATX 52u
#define FUSE_OP_COPY_FILE_RANGE_64 53u

/* What a request came to, beside 0 and -errno. */
#define FUSE_LOST 1 /* not used in time */
#define FUSE_BROKEN 2 /* the device needs a reset */
#define FUSE_NO_REPLY 3 /* used, with nothing written */
#define FUSE_BAD_REPLY 4 /* its header is not right */

enum {
	E_PERM = 1,
	E_NOENT = 2,
	E_IO = 5,
	E_NXIO = 6,
	E_BADF = 9,
	E_AGAIN = 11,
	E_ACCES = 13,
	E_EXIST = 17,
	E_XDEV = 18,
	E_NOTDIR = 20,
	E_ISDIR = 21,
	E_INVAL = 22,
	E_NFILE = 23,
	E_NOSPC = 28,
	E_ROFS = 30,
	E_RANGE = 34,
	E_NAMETOOLONG = 36,
	E_NOSYS = 38,
	E_NOTEMPTY = 39,
	E_LOOP = 40,
	E_NODATA = 61,
	E_OPNOTSUPP = 95,
	E_NOTCONN = 107,
	E_STALE = 116,
};

/* Flags of open(2). */
#define O_RDONLY 0u
#define O_WRONLY 1u
#define O_RDWR 2u
#define O_CREAT 0100u
#define O_EXCL 0200u
#define O_TRUNC 01000u
#define O_APPEND 02000u
#define O_DIRECT 040000u

#define S_IFMT 0170000u
#define S_IFIFO 0010000u
#define S_IFCHR 0020000u
#define S_IFDIR 0040000u
#define S_IFREG 0100000u
#define S_IFLNK 0120000u

struct fuse {
	struct vdev dev;
	unsigned queue; /* that requests go to */
	uint32_t uid, gid; /* of who asks */
	uint64_t unique;
	struct fuse_in_header *head;
	char *args; /* behind the header */
	struct fuse_out_header *out_head;
	char *reply; /* FUSE_BUFFER bytes */
	uint32_t reply_len; /* of the last request */
	char *data; /* FUSE_BUFFER bytes to write, or such */
};

/* The device that shares this tag; "" takes the first. */
const char *fuse_open_device(struct fuse *f, const char *tag);
/* From reset to started queues: `nr` for requests. */
const char *fuse_start(struct fuse *f, uint16_t nr);
/* INIT; flags beside what every guest offers. */
int fuse_init(struct fuse *f, uint64_t flags, struct fuse_init_out *out);
/* Both. */
const char *fuse_begin(struct fuse *f, uint16_t nr);

/* One request, in pieces. */
struct fuse_req {
	uint32_t opcode;
	uint64_t nodeid;
	const void *arg;
	uint32_t arg_len;
	const char *text; /* names and such */
	uint32_t text_len;
	const void *data; /* in its own buffer */
	uint32_t data_len;
	uint32_t room; /* bytes of the reply behind its header */
	void *into; /* where these go; NULL: f->reply */
	int len_off; /* the header says so many bytes too many */
	uint16_t extlen; /* of the header */
};

/* Send it and wait. 0, -errno, or FUSE_*. */
int fuse_do(struct fuse *f, const struct fuse_req *req);
/* Its chain, which is then in flight; -1: there is no room. */
int fuse_offer(struct fuse *f, const struct fuse_req *req);
/* The end of the chain `head`. As fuse_do(). */
int fuse_wait(struct fuse *f, int head);

/* Whole requests. Names are as they are. */
int fuse_name(struct fuse *f, uint32_t opcode, uint64_t parent,
	      const char *name);
int fuse_lookup(struct fuse *f, uint64_t parent, const char *name,
		struct fuse_entry_out *entry);
int fuse_getattr(struct fuse *f, uint64_t nodeid, struct fuse_attr *attr);
int fuse_open(struct fuse *f, uint32_t opcode, uint64_t nodeid, uint32_t flags,
	      uint64_t *fh);
int fuse_create(struct fuse *f, uint64_t parent, const char *name,
		uint32_t flags, uint32_t mode, struct fuse_entry_out *entry,
		uint64_t *fh);
int fuse_mkdir(struct fuse *f, uint64_t parent, const char *name, uint32_t mode,
	       struct fuse_entry_out *entry);
/* Bytes, or less than 0: -errno, or FUSE_* * -1000. */
int fuse_read(struct fuse *f, uint64_t nodeid, uint64_t fh, uint64_t off,
	      void *into, uint32_t len);
int fuse_write(struct fuse *f, uint64_t nodeid, uint64_t fh, uint64_t off,
	       const void *data, uint32_t len);
int fuse_release(struct fuse *f, uint32_t opcode, uint64_t nodeid, uint64_t fh);
int fuse_rename(struct fuse *f, uint64_t from, const char *name, uint64_t to,
		const char *new_name, uint32_t flags);
/* Of a file, into the shared memory region at `off`; FUSE_SETUPMAPPING_FLAG_*. */
int fuse_map(struct fuse *f, uint64_t nodeid, uint64_t off, uint64_t len,
	     uint64_t file_off, uint64_t flags);
/* Without a reply, on the queue for that. */
int fuse_forget(struct fuse *f, uint64_t nodeid, uint64_t nr);

#endif
