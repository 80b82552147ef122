/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What options of the device change. */
#include "share.h"

#include "clock.h"
#include "memory.h"

#define F_RDLCK 0u
#define F_WRLCK 1u
#define F_UNLCK 2u

/* Whatever would change something is refused. */
const char *share_readonly(void)
{
	static const uint32_t opcodes[] = { FUSE_UNLINK, FUSE_RMDIR, FUSE_MKNOD,
					    FUSE_MKDIR };
	const struct fuse_setattr_in set = { .valid = FATTR_MODE,
					     .mode = 0777 };
	struct fuse_entry_out entry;
	uint64_t fh;

	EXPECT(fuse_lookup(&share, ROOT, "file", &entry), 0);
	EXPECT(fuse_open(&share, FUSE_OPEN, entry.nodeid, O_RDONLY, &fh), 0);
	EXPECT(fuse_read(&share, entry.nodeid, fh, 0, NULL, 64),
	       SHARE_TEXT_LEN);
	EXPECT(fuse_open(&share, FUSE_OPEN, entry.nodeid, O_WRONLY, &fh),
	       -E_ROFS);
	EXPECT(fuse_open(&share, FUSE_OPEN, entry.nodeid, O_RDWR, &fh),
	       -E_ROFS);
	EXPECT(fuse_create(&share, ROOT, "x", O_RDWR, 0600, NULL, NULL),
	       -E_ROFS);
	for (unsigned i = 0; i < ARRAY_SIZE(opcodes); i++) {
		static const char args[32];
		uint32_t arg_len = opcodes[i] == FUSE_MKNOD   ? 16
				   : opcodes[i] == FUSE_MKDIR ? 8
							      : 0;

		EXPECT(fuse_do(&share, &(struct fuse_req){ .opcode = opcodes[i],
							   .nodeid = ROOT,
							   .arg = args,
							   .arg_len = arg_len,
							   .text = "file",
							   .text_len = 5,
							   .room = 512 }),
		       -E_ROFS);
	}
	EXPECT(fuse_rename(&share, ROOT, "file", ROOT, "x", 0), -E_ROFS);
	EXPECT(fuse_do(&share, &(struct fuse_req){ .opcode = FUSE_SETATTR,
						   .nodeid = entry.nodeid,
						   .arg = &set,
						   .arg_len = sizeof(set),
						   .room = 512 }),
	       -E_ROFS);
	return NULL;
}

/* The guest keeps what it knows for a day, and need not open files. */
const char *share_always(void)
{
	struct fuse_init_out out;
	struct fuse_entry_out entry;
	uint64_t fh;

	/* A guest that has to open them. */
	EXPECT(fuse_lookup(&share, ROOT, "file", &entry), 0);
	EXPECT(fuse_open(&share, FUSE_OPEN, entry.nodeid, O_RDONLY, &fh), 0);
	EXPECT(fuse_init(&share, ~0ull, &out), 0);
	REQUIRE(out.flags & FUSE_CACHE_SYMLINKS);
	REQUIRE(!(out.flags & FUSE_ATOMIC_O_TRUNC));
	EXPECT(fuse_lookup(&share, ROOT, "file", &entry), 0);
	EXPECT(entry.entry_valid, 86400);
	EXPECT(entry.attr_valid, 86400);
	EXPECT(fuse_open(&share, FUSE_OPEN, entry.nodeid, O_RDONLY, &fh),
	       -E_NOSYS);
	EXPECT(fuse_open(&share, FUSE_OPENDIR, ROOT, O_RDONLY, &fh), -E_NOSYS);
	EXPECT(fuse_create(&share, ROOT, "x", O_RDWR, 0600, NULL, NULL),
	       -E_NOSYS);
	EXPECT(fuse_read(&share, entry.nodeid, 0, 0, NULL, 64), SHARE_TEXT_LEN);
	EXPECT(fuse_write(&share, entry.nodeid, 0, 0, SHARE_TEXT, 4), 4);
	EXPECT(fuse_do(&share,
		       &(struct fuse_req){
			       .opcode = FUSE_READDIR,
			       .nodeid = ROOT,
			       .arg = &(struct fuse_read_in){ .size = 4096 },
			       .arg_len = sizeof(struct fuse_read_in),
			       .room = 4096 }),
	       0);
	REQUIRE(share.reply_len > 100);
	/* That there is none is known for a day, too. */
	EXPECT(fuse_lookup(&share, ROOT, "none", &entry), 0);
	REQUIRE(!entry.nodeid && entry.entry_valid == 86400);
	return NULL;
}

const char *share_never(void)
{
	struct fuse_init_out out;
	struct fuse_entry_out entry;

	EXPECT(fuse_init(&share, ~0ull, &out), 0);
	REQUIRE(!(out.flags & FUSE_AUTO_INVAL_DATA));
	REQUIRE(out.flags2 & 1u << 4); /* DIRECT_IO_ALLOW_MMAP */
	EXPECT(fuse_lookup(&share, ROOT, "file", &entry), 0);
	EXPECT(entry.entry_valid, 0);
	EXPECT(entry.attr_valid, 0);
	EXPECT(fuse_do(&share,
		       &(struct fuse_req){
			       .opcode = FUSE_OPEN,
			       .nodeid = entry.nodeid,
			       .arg = &(struct fuse_open_in){ 0 },
			       .arg_len = sizeof(struct fuse_open_in),
			       .room = sizeof(struct fuse_open_out) }),
	       0);
	REQUIRE(((struct fuse_open_out *)(void *)share.reply)->open_flags &
		FOPEN_DIRECT_IO);
	return NULL;
}

/* ---- locks ------------------------------------------------------------ */

static struct fuse_req lock_request(uint32_t opcode, struct fuse_lk_in *in,
				    uint64_t owner, uint32_t type)
{
	in->owner = owner;
	in->lk.type = type;
	return (struct fuse_req){ .opcode = opcode,
				  .nodeid = share.head->nodeid,
				  .arg = in,
				  .arg_len = sizeof(*in),
				  .room = opcode == FUSE_GETLK
						  ? sizeof(struct fuse_lk_out)
						  : 0 };
}

static int lock(uint32_t opcode, struct fuse_lk_in *in, uint64_t owner,
		uint32_t type)
{
	struct fuse_req req = lock_request(opcode, in, owner, type);

	return fuse_do(&share, &req);
}

/* A lock that is waited for comes when the other one goes. */
const char *share_locks(void)
{
	struct fuse_lk_in in = { .lk = { .start = 10, .end = 19 } };
	struct fuse_entry_out entry;
	struct fuse_req req;
	int head;

	EXPECT(fuse_lookup(&share, ROOT, "file", &entry), 0);
	EXPECT(fuse_open(&share, FUSE_OPEN, entry.nodeid, O_RDWR, &in.fh), 0);
	EXPECT(lock(FUSE_SETLK, &in, 1, F_WRLCK), 0);
	EXPECT(lock(FUSE_SETLK, &in, 2, F_RDLCK), -E_AGAIN);
	EXPECT(lock(FUSE_GETLK, &in, 2, F_RDLCK), 0);
	EXPECT(((struct fuse_lk_out *)(void *)share.reply)->lk.type, F_WRLCK);
	req = lock_request(FUSE_SETLKW, &in, 2, F_RDLCK);
	head = fuse_offer(&share, &req);
	clock_wait_us(50000);
	EXPECT(vq_pop(&share.dev.vq[FUSE_QUEUE], NULL), -1);
	share.queue = FUSE_QUEUE + 1;
	{
		/* The client has one set of buffers: this is its second. */
		struct fuse other = share;
		struct fuse_req unlock;

		other.head = arena_alloc(sizeof(*other.head), 64);
		other.args = arena_alloc(FUSE_TEXT_MAX, 4096);
		other.out_head = arena_alloc(sizeof(*other.out_head), 64);
		unlock = lock_request(FUSE_SETLK, &in, 1, F_UNLCK);
		EXPECT(fuse_do(&other, &unlock), 0);
		share.dev.vq[FUSE_QUEUE + 1] = other.dev.vq[FUSE_QUEUE + 1];
	}
	share.queue = FUSE_QUEUE;
	EXPECT(fuse_wait(&share, head), 0);
	EXPECT(lock(FUSE_SETLK, &in, 1, F_WRLCK), -E_AGAIN);
	/* With a descriptor its owner's locks go. */
	EXPECT(fuse_do(&share,
		       &(struct fuse_req){
			       .opcode = FUSE_FLUSH,
			       .nodeid = entry.nodeid,
			       .arg =
				       &(struct fuse_flush_in){
					       .fh = in.fh, .lock_owner = 2 },
			       .arg_len = sizeof(struct fuse_flush_in) }),
	       0);
	EXPECT(lock(FUSE_SETLK, &in, 1, F_WRLCK), 0);
	in.lk.type = 7;
	EXPECT(lock(FUSE_SETLK, &in, 1, 7), -E_INVAL);
	in.lk.start = 20;
	EXPECT(lock(FUSE_SETLK, &in, 1, F_WRLCK), -E_INVAL);
	return NULL;
}
