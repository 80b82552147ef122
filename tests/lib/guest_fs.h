/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_LIB_GUEST_FS_H
#define TESTS_LIB_GUEST_FS_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/fs_proto.h"
#include "tests/lib/fake_vm.h"
#include "tests/lib/guest_virtio.h"

/*
 * A shared directory with the driver's side of its rings. The loops of the device
 * run inside guest_fs_turn(), on the caller's thread: programs that use this have
 * still_loops.c.
 */
#define GFS_QUEUES 3u /* for what waits behind nothing, and two for requests */
#define GFS_RING_SIZE 64u
/* Where a request lies in the guest's memory, and its reply. */
#define GFS_OUT 0x40000ull
#define GFS_OUT_LEN 0x20000u
#define GFS_IN 0x80000ull
#define GFS_IN_LEN 0x80000u

struct guest_fs {
	struct fake_vm fv;
	char base
		[32]; /* a directory of its own, with nothing but the next one */
	char dir[48]; /* what is shared */
	void *config;
	struct device *dev;
	struct guest_virtio gv;
	struct guest_ring rings[GFS_QUEUES];
	uint64_t unique; /* of the last request */
	/* the last reply */
	uint32_t written; /* bytes, as the ring says */
	struct fuse_out_header head;
	const uint8_t *reply; /* behind the header */
	uint32_t reply_len;
};

/* Share a new directory, with further options "key=value,...". */
void guest_fs_init(struct guest_fs *g, const char *options);
/* Reset it and start its queues, without INIT. */
void guest_fs_start(struct guest_fs *g);
/* Removes the directory, too. */
void guest_fs_fini(struct guest_fs *g);
/* Let the device's loops do all that they can do at once. */
void guest_fs_turn(struct guest_fs *g);

/* A request as bytes, to be changed by hand. */
struct gfs_request {
	uint8_t bytes[0x20000];
	uint32_t len;
	uint32_t room; /* for a reply, its header included */
	unsigned int qidx;
};

/* Its header, with room for room bytes of a reply behind the header. */
void gfs_begin(struct gfs_request *q, uint32_t opcode, uint64_t nodeid,
	       uint32_t room);
/* What is behind the header. */
void gfs_add(struct gfs_request *q, const void *data, uint32_t len);
void gfs_add_name(struct gfs_request *q, const char *name);
struct fuse_in_header *gfs_head(struct gfs_request *q);

/* Put it into its ring, with the right length in its header, as descriptors from
 * `at` on; without a kick. */
void gfs_offer(struct guest_fs *g, struct gfs_request *q, unsigned int at);
/* The same with the header as it is. */
void gfs_offer_raw(struct guest_fs *g, struct gfs_request *q, unsigned int at);
/* Take one reply. False: there is none. */
bool gfs_take(struct guest_fs *g, unsigned int qidx);
/* Send it and wait for the reply: its error (0, or -errno), or 1 when there was
 * no reply at all, 2 when there was one of no bytes. */
int gfs_send(struct guest_fs *g, struct gfs_request *q);
int gfs_send_raw(struct guest_fs *g, struct gfs_request *q);

/* What requests are about. */
struct gfs_target {
	uint64_t dir, file, link; /* inodes */
	uint64_t fh, dir_fh;
	const char *name; /* in dir */
};
/* A request of this kind in which nothing is wrong. False: there is none. */
bool gfs_sample(struct gfs_request *q, uint32_t opcode,
		const struct gfs_target *t);

/* Whole requests; as gfs_send(). */
int gfs_init(struct guest_fs *g, uint64_t flags);
int gfs_lookup(struct guest_fs *g, uint64_t parent, const char *name,
	       struct fuse_entry_out *entry);
int gfs_getattr(struct guest_fs *g, uint64_t nodeid, struct fuse_attr *attr);
int gfs_open(struct guest_fs *g, uint64_t nodeid, uint32_t flags, uint64_t *fh);

#endif
