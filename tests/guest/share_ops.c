/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What each request does, when nothing is wrong with it. */
#include "share.h"

#include "io.h"
#include "memory.h"
#include "param.h"

#define DIR_FILES 300u
#define RENAME_NOREPLACE 1u
#define RENAME_EXCHANGE 2u
#define RENAME_WHITEOUT 4u
#define SEEK_DATA 3u
#define SEEK_HOLE 4u

/* A request whose arguments are a struct of FUSE's and a name. */
static int with_name(uint32_t opcode, uint64_t nodeid, const void *arg,
		     uint32_t arg_len, const char *name, uint32_t name_len,
		     uint32_t room)
{
	return fuse_do(&share, &(struct fuse_req){ .opcode = opcode,
						   .nodeid = nodeid,
						   .arg = arg,
						   .arg_len = arg_len,
						   .text = name,
						   .text_len = name_len,
						   .room = room });
}

static int with_arg(uint32_t opcode, uint64_t nodeid, const void *arg,
		    uint32_t arg_len, uint32_t room)
{
	return with_name(opcode, nodeid, arg, arg_len, NULL, 0, room);
}

#define ENTRY ((uint32_t)sizeof(struct fuse_entry_out))

const char *share_config(void)
{
	const char *tag = param_text("tag", "share");
	unsigned i;

	for (i = 0; tag[i]; i++)
		REQUIRE((char)mmio_read8(share.dev.config + i) == tag[i]);
	for (; i < 36; i++)
		REQUIRE(!mmio_read8(share.dev.config + i));
	EXPECT(mmio_read32(share.dev.config + 36), SHARE_QUEUES);
	return NULL;
}

const char *share_init(void)
{
	struct fuse_init_out out;

	EXPECT(fuse_init(&share, ~0ull, &out), 0);
	EXPECT(out.major, 7);
	EXPECT(out.minor, 45);
	EXPECT(out.max_write, 1u << 20);
	EXPECT(out.max_pages, 256);
	REQUIRE(out.max_background > 12);
	REQUIRE(out.flags & FUSE_MAX_PAGES);
	REQUIRE(out.flags & FUSE_READDIRPLUS_AUTO);
	REQUIRE(out.flags & FUSE_PARALLEL_DIROPS);
	REQUIRE(out.flags & FUSE_HANDLE_KILLPRIV_V2);
	REQUIRE(!(out.flags & FUSE_EXPORT_SUPPORT));
	return NULL;
}

const char *share_inode(void)
{
	const uint64_t statx_in[3] = { 0 };
	struct fuse_entry_out entry, again;
	struct fuse_attr attr;

	EXPECT(fuse_lookup(&share, ROOT, "file", &entry), 0);
	REQUIRE(entry.nodeid > ROOT);
	EXPECT(entry.attr.mode & S_IFMT, S_IFREG);
	EXPECT(entry.attr.size, SHARE_TEXT_LEN);
	EXPECT(fuse_getattr(&share, entry.nodeid, &attr), 0);
	REQUIRE(!memcmp(&attr, &entry.attr, sizeof(attr)));
	EXPECT(fuse_lookup(&share, ROOT, "file", &again), 0);
	REQUIRE(again.nodeid == entry.nodeid);
	REQUIRE(again.generation == entry.generation);
	EXPECT(with_arg(FUSE_OP_STATX, entry.nodeid, statx_in, sizeof(statx_in),
			288),
	       0);
	EXPECT(share.reply_len, 288);
	EXPECT(fuse_lookup(&share, ROOT, "no such file", NULL), -E_NOENT);
	EXPECT(fuse_lookup(&share, entry.nodeid, "file", NULL), -E_NOTDIR);
	EXPECT(fuse_getattr(&share, ROOT, &attr), 0);
	EXPECT(attr.mode & S_IFMT, S_IFDIR);
	EXPECT(fuse_lookup(&share, ROOT, "upwards", &entry), 0);
	EXPECT(entry.attr.mode & S_IFMT, S_IFLNK);
	EXPECT(with_arg(FUSE_READLINK, entry.nodeid, NULL, 0, 4096), 0);
	EXPECT(share.reply_len, 17);
	REQUIRE(!memcmp(share.reply, "../outside/secret", 17));
	EXPECT(with_arg(FUSE_STATFS, ROOT, NULL, 0,
			sizeof(struct fuse_statfs_out)),
	       0);
	EXPECT(((struct fuse_statfs_out *)(void *)share.reply)->st.namelen,
	       255);
	EXPECT(with_arg(FUSE_SYNCFS, ROOT, statx_in, 8, 0), 0);
	return NULL;
}

/* ---- files ------------------------------------------------------------ */

static void fill(char *p, uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		p[i] = (char)(seed + i * 7 + i / 251);
}

const char *share_data(void)
{
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	uint64_t fh;

	EXPECT(fuse_lookup(&share, ROOT, "file", &entry), 0);
	EXPECT(fuse_open(&share, FUSE_OPEN, entry.nodeid, O_RDONLY, &fh), 0);
	EXPECT(fuse_read(&share, entry.nodeid, fh, 0, NULL, 4096),
	       SHARE_TEXT_LEN);
	REQUIRE(!memcmp(share.reply, SHARE_TEXT, SHARE_TEXT_LEN));
	EXPECT(fuse_read(&share, entry.nodeid, fh, 5, NULL, 4), 4);
	REQUIRE(!memcmp(share.reply, &SHARE_TEXT[5], 4));
	EXPECT(fuse_read(&share, entry.nodeid, fh, 4096, NULL, 4096), 0);
	EXPECT(fuse_read(&share, entry.nodeid, fh, ~0ull, NULL, 4096),
	       -E_INVAL);
	EXPECT(fuse_write(&share, entry.nodeid, fh, 0, "x", 1), -E_BADF);
	EXPECT(fuse_release(&share, FUSE_RELEASE, entry.nodeid, fh), 0);
	EXPECT(fuse_read(&share, entry.nodeid, fh, 0, NULL, 4), -E_BADF);

	EXPECT(fuse_create(&share, ROOT, "made", O_RDWR, 0640, &entry, &fh), 0);
	EXPECT(entry.attr.mode, S_IFREG | 0640);
	EXPECT(fuse_write(&share, entry.nodeid, fh, 100, "hundred", 7), 7);
	EXPECT(fuse_getattr(&share, entry.nodeid, &attr), 0);
	EXPECT(attr.size, 107);
	EXPECT(fuse_read(&share, entry.nodeid, fh, 98, NULL, 100), 9);
	REQUIRE(!memcmp(share.reply, "\0\0hundred", 9));
	EXPECT(fuse_release(&share, FUSE_RELEASE, entry.nodeid, fh), 0);
	EXPECT(fuse_create(&share, ROOT, "made", O_RDWR | O_EXCL, 0640, NULL,
			   NULL),
	       -E_EXIST);
	EXPECT(fuse_open(&share, FUSE_OPEN, entry.nodeid, O_RDWR | O_TRUNC,
			 &fh),
	       0);
	EXPECT(fuse_read(&share, entry.nodeid, fh, 0, NULL, 100), 0);
	EXPECT(fuse_name(&share, FUSE_UNLINK, ROOT, "made"), 0);
	/* It is there as long as it is open. */
	EXPECT(fuse_write(&share, entry.nodeid, fh, 0, "still", 5), 5);
	EXPECT(fuse_read(&share, entry.nodeid, fh, 0, NULL, 100), 5);
	EXPECT(fuse_release(&share, FUSE_RELEASE, entry.nodeid, fh), 0);
	return NULL;
}

/* As much as a request may have, also out of line with pages. */
const char *share_data_large(void)
{
	struct fuse_entry_out entry;
	uint64_t fh;

	EXPECT(fuse_create(&share, ROOT, "copy", O_RDWR, 0600, &entry, &fh), 0);
	fill(share.data, FUSE_BUFFER, 3);
	EXPECT(fuse_write(&share, entry.nodeid, fh, 0, share.data, FUSE_BUFFER),
	       FUSE_BUFFER);
	memset(share.reply, 0, FUSE_BUFFER);
	EXPECT(fuse_read(&share, entry.nodeid, fh, 0, NULL, FUSE_BUFFER),
	       FUSE_BUFFER);
	REQUIRE(!memcmp(share.reply, share.data, FUSE_BUFFER));
	EXPECT(fuse_read(&share, entry.nodeid, fh, 12345, share.reply + 7,
			 100001),
	       100001);
	REQUIRE(!memcmp(share.reply + 7, share.data + 12345, 100001));
	EXPECT(fuse_release(&share, FUSE_RELEASE, entry.nodeid, fh), 0);
	EXPECT(fuse_name(&share, FUSE_UNLINK, ROOT, "copy"), 0);
	return NULL;
}

static int seek(uint64_t nodeid, uint64_t fh, uint64_t off, uint32_t whence)
{
	const struct fuse_lseek_in in = { .fh = fh,
					  .offset = off,
					  .whence = whence };
	int r = with_arg(FUSE_LSEEK, nodeid, &in, sizeof(in), 8);
	uint64_t to;

	memcpy(&to, share.reply, 8);
	return r ? r : (int)to;
}

const char *share_file_ops(void)
{
	struct fuse_copy_file_range_in copy = { .off_out = 65536, .len = 7 };
	struct fuse_fallocate_in allocate = { .length = 32768 };
	struct fuse_setattr_in set = { .valid = FATTR_SIZE | FATTR_MODE,
				       .size = 65543,
				       .mode = 0604 };
	struct fuse_fsync_in sync = { 0 };
	struct fuse_flush_in flush = { 0 };
	struct fuse_entry_out entry;
	uint64_t fh;

	EXPECT(fuse_create(&share, ROOT, "ops", O_RDWR, 0600, &entry, &fh), 0);
	EXPECT(fuse_write(&share, entry.nodeid, fh, 0, "written", 7), 7);
	copy.fh_in = copy.fh_out = fh;
	copy.nodeid_out = entry.nodeid;
	EXPECT(with_arg(FUSE_COPY_FILE_RANGE, entry.nodeid, &copy, sizeof(copy),
			8),
	       0);
	EXPECT(*(uint32_t *)(void *)share.reply, 7);
	EXPECT(with_arg(FUSE_OP_COPY_FILE_RANGE_64, entry.nodeid, &copy,
			sizeof(copy), 8),
	       0);
	EXPECT(*(uint64_t *)(void *)share.reply, 7);
	EXPECT(fuse_read(&share, entry.nodeid, fh, 65536, NULL, 100), 7);
	REQUIRE(!memcmp(share.reply, "written", 7));
	EXPECT(seek(entry.nodeid, fh, 0, SEEK_DATA), 0);
	EXPECT(seek(entry.nodeid, fh, 8192, SEEK_HOLE), 8192);
	EXPECT(seek(entry.nodeid, fh, 8192, SEEK_DATA), 65536);
	EXPECT(seek(entry.nodeid, fh, 1 << 20, SEEK_DATA), -E_NXIO);
	EXPECT(seek(entry.nodeid, fh, 0, 0), -E_INVAL);
	allocate.fh = fh;
	EXPECT(with_arg(FUSE_FALLOCATE, entry.nodeid, &allocate,
			sizeof(allocate), 0),
	       0);
	allocate.length = 0;
	EXPECT(with_arg(FUSE_FALLOCATE, entry.nodeid, &allocate,
			sizeof(allocate), 0),
	       -E_INVAL);
	EXPECT(with_arg(FUSE_SETATTR, entry.nodeid, &set, sizeof(set),
			sizeof(struct fuse_attr_out)),
	       0);
	EXPECT(((struct fuse_attr_out *)(void *)share.reply)->attr.mode,
	       S_IFREG | 0604);
	sync.fh = fh;
	EXPECT(with_arg(FUSE_FSYNC, entry.nodeid, &sync, sizeof(sync), 0), 0);
	sync.fsync_flags = 1;
	EXPECT(with_arg(FUSE_FSYNC, entry.nodeid, &sync, sizeof(sync), 0), 0);
	flush.fh = fh;
	EXPECT(with_arg(FUSE_FLUSH, entry.nodeid, &flush, sizeof(flush), 0),
	       -E_NOSYS);
	EXPECT(fuse_release(&share, FUSE_RELEASE, entry.nodeid, fh), 0);
	EXPECT(fuse_name(&share, FUSE_UNLINK, ROOT, "ops"), 0);
	return NULL;
}

const char *share_tmpfile(void)
{
	const struct fuse_create_in in = { .flags = O_RDWR,
					   .mode = S_IFREG | 0600 };
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	int r = with_name(FUSE_TMPFILE, ROOT, &in, sizeof(in), "tmp", 4,
			  sizeof(out));

	if (r == -E_OPNOTSUPP)
		return skipped("the host's file system has no such files");
	EXPECT(r, 0);
	memcpy(&out, share.reply, sizeof(out));
	EXPECT(out.entry.attr.nlink, 0);
	EXPECT(fuse_write(&share, out.entry.nodeid, out.open.fh, 0, "x", 1), 1);
	EXPECT(fuse_lookup(&share, ROOT, "tmp", NULL), -E_NOENT);
	EXPECT(fuse_release(&share, FUSE_RELEASE, out.entry.nodeid,
			    out.open.fh),
	       0);
	return NULL;
}

/* ---- names ------------------------------------------------------------ */

const char *share_names(void)
{
	const struct fuse_mknod_in fifo = { .mode = S_IFIFO | 0600 };
	struct fuse_entry_out dir, entry;
	struct fuse_link_in link;
	uint64_t fh;

	EXPECT(fuse_mkdir(&share, ROOT, "new", 0750, &dir), 0);
	EXPECT(dir.attr.mode, S_IFDIR | 0750);
	EXPECT(fuse_mkdir(&share, ROOT, "new", 0750, &dir), -E_EXIST);
	EXPECT(fuse_lookup(&share, ROOT, "new", &dir), 0);
	EXPECT(fuse_create(&share, dir.nodeid, "a", O_RDWR, 0600, &entry, &fh),
	       0);
	EXPECT(fuse_release(&share, FUSE_RELEASE, entry.nodeid, fh), 0);
	link.oldnodeid = entry.nodeid;
	EXPECT(with_name(FUSE_LINK, dir.nodeid, &link, sizeof(link), "b", 2,
			 ENTRY),
	       0);
	memcpy(&entry, share.reply, sizeof(entry));
	EXPECT(entry.attr.nlink, 2);
	REQUIRE(entry.nodeid == link.oldnodeid);
	EXPECT(with_name(FUSE_SYMLINK, dir.nodeid, NULL, 0, "link\0/where/ever",
			 17, ENTRY),
	       0);
	memcpy(&entry, share.reply, sizeof(entry));
	EXPECT(entry.attr.mode & S_IFMT, S_IFLNK);
	EXPECT(with_arg(FUSE_READLINK, entry.nodeid, NULL, 0, 4096), 0);
	EXPECT(share.reply_len, 11);
	EXPECT(with_name(FUSE_MKNOD, dir.nodeid, &fifo, sizeof(fifo), "p", 2,
			 ENTRY),
	       0);
	EXPECT(fuse_name(&share, FUSE_RMDIR, ROOT, "new"), -E_NOTEMPTY);
	EXPECT(fuse_name(&share, FUSE_UNLINK, ROOT, "new"), -E_ISDIR);
	EXPECT(fuse_name(&share, FUSE_RMDIR, dir.nodeid, "a"), -E_NOTDIR);
	EXPECT(fuse_name(&share, FUSE_UNLINK, dir.nodeid, "a"), 0);
	EXPECT(fuse_name(&share, FUSE_UNLINK, dir.nodeid, "a"), -E_NOENT);
	EXPECT(fuse_name(&share, FUSE_UNLINK, dir.nodeid, "b"), 0);
	EXPECT(fuse_name(&share, FUSE_UNLINK, dir.nodeid, "link"), 0);
	EXPECT(fuse_name(&share, FUSE_UNLINK, dir.nodeid, "p"), 0);
	EXPECT(fuse_name(&share, FUSE_RMDIR, ROOT, "new"), 0);
	EXPECT(fuse_lookup(&share, ROOT, "new", NULL), -E_NOENT);
	return NULL;
}

const char *share_rename(void)
{
	struct fuse_rename_in in = { .newdir = ROOT };
	struct fuse_entry_out a, b, entry;
	int r;

	EXPECT(fuse_mkdir(&share, ROOT, "from", 0755, &a), 0);
	EXPECT(fuse_mkdir(&share, ROOT, "to", 0755, &b), 0);
	EXPECT(fuse_rename(&share, ROOT, "from", b.nodeid, "in", 0), 0);
	EXPECT(fuse_lookup(&share, b.nodeid, "in", &entry), 0);
	REQUIRE(entry.nodeid == a.nodeid);
	EXPECT(fuse_rename(&share, b.nodeid, "in", ROOT, "to",
			   RENAME_NOREPLACE),
	       -E_EXIST);
	EXPECT(fuse_rename(&share, b.nodeid, "in", ROOT, "file",
			   RENAME_EXCHANGE),
	       0);
	EXPECT(fuse_rename(&share, b.nodeid, "in", ROOT, "file",
			   RENAME_EXCHANGE),
	       0);
	in.newdir = ROOT;
	EXPECT(with_name(FUSE_RENAME, b.nodeid, &in, sizeof(in),
			 "in\0from again", 14, 0),
	       0);
	r = fuse_rename(&share, ROOT, "from again", b.nodeid, "moved",
			RENAME_WHITEOUT);
	if (r)
		EXPECT(r, -E_INVAL); /* the host's file system has none */
	else
		EXPECT(fuse_name(&share, FUSE_UNLINK, ROOT, "from again"), 0);
	EXPECT(fuse_rename(&share, ROOT, "x", ROOT, "y", 8), -E_INVAL);
	EXPECT(fuse_name(&share, FUSE_RMDIR, r ? ROOT : b.nodeid,
			 r ? "from again" : "moved"),
	       0);
	EXPECT(fuse_name(&share, FUSE_RMDIR, ROOT, "to"), 0);
	return NULL;
}

/* ---- directories ------------------------------------------------------ */

struct listing {
	uint64_t nodeid, fh, off;
	unsigned nr; /* entries, without . and .. */
	unsigned nr_known; /* those that came with attributes */
	uint64_t sum; /* of the numbers in their names */
};

static void list_one(struct listing *l, const struct fuse_dirent *d)
{
	uint32_t number = 0;

	l->off = d->off;
	if (d->name[0] == '.')
		return;
	for (uint32_t i = 1; i < d->namelen; i++)
		number = number * 10 + (uint32_t)(d->name[i] - '0');
	l->nr++;
	l->sum += number;
}

/* One reply's worth. */
static int list_some(struct listing *l, uint32_t opcode, uint32_t size)
{
	const struct fuse_read_in in = { .fh = l->fh,
					 .offset = l->off,
					 .size = size };
	bool plus = opcode == FUSE_READDIRPLUS;
	uint32_t at = 0;
	int r = with_arg(opcode, l->nodeid, &in, sizeof(in), size);

	while (!r && at < share.reply_len) {
		const struct fuse_direntplus *p = (void *)(share.reply + at);
		const struct fuse_dirent *d = plus ? &p->dirent
						   : (void *)(share.reply + at);

		list_one(l, d);
		if (plus)
			l->nr_known += p->entry_out.nodeid != 0;
		at += (uint32_t)(plus ? FUSE_DIRENTPLUS_SIZE(p)
				      : FUSE_DIRENT_SIZE(d));
	}
	return r ? r : (int)share.reply_len;
}

static const char *list_all(uint32_t opcode, uint32_t size)
{
	struct fuse_entry_out dir;
	struct listing l = { 0 };
	int r;

	EXPECT(fuse_lookup(&share, ROOT, "dir", &dir), 0);
	l.nodeid = dir.nodeid;
	EXPECT(fuse_open(&share, FUSE_OPENDIR, l.nodeid, O_RDONLY, &l.fh), 0);
	while ((r = list_some(&l, opcode, size)) > 0)
		;
	EXPECT(r, 0);
	EXPECT(l.nr, DIR_FILES);
	EXPECT(l.sum, DIR_FILES * (DIR_FILES - 1) / 2);
	if (opcode == FUSE_READDIRPLUS)
		EXPECT(l.nr_known, DIR_FILES);
	/* Once more from the start, and with no room for an entry. */
	l = (struct listing){ .nodeid = l.nodeid, .fh = l.fh };
	REQUIRE(list_some(&l, opcode, size) > 0);
	l.off = 0;
	EXPECT(list_some(&l, opcode, 16), -E_INVAL);
	EXPECT(fuse_release(&share, FUSE_RELEASEDIR, l.nodeid, l.fh), 0);
	EXPECT(list_some(&l, opcode, size), -E_BADF);
	return NULL;
}

const char *share_readdir(void)
{
	const char *why = list_all(FUSE_READDIR, 4096);
	struct fuse_fsync_in in = { 0 };

	if (!why)
		why = list_all(FUSE_READDIR, 128);
	if (!why)
		why = list_all(FUSE_READDIR, 1 << 16);
	EXPECT(fuse_open(&share, FUSE_OPENDIR, ROOT, O_RDONLY, &in.fh), 0);
	EXPECT(with_arg(FUSE_FSYNCDIR, ROOT, &in, sizeof(in), 0), 0);
	return why;
}

const char *share_readdirplus(void)
{
	const char *why = list_all(FUSE_READDIRPLUS, 4096);

	return why ? why : list_all(FUSE_READDIRPLUS, 1 << 16);
}

/* ---- attributes ------------------------------------------------------- */

const char *share_xattr(void)
{
	const struct fuse_getxattr_in get = { .size = 64 }, ask = { 0 };
	const struct {
		uint32_t size, flags;
		char text[18];
	} set = { .size = 5, .text = "user.sample\0value" };
	struct fuse_entry_out entry;
	int r;

	EXPECT(fuse_lookup(&share, ROOT, "file", &entry), 0);
	r = with_arg(FUSE_SETXATTR, entry.nodeid, &set, 8 + 17, 0);
	if (r == -E_OPNOTSUPP)
		return skipped("the host's file system has none");
	EXPECT(r, 0);
	EXPECT(with_name(FUSE_GETXATTR, entry.nodeid, &get, sizeof(get),
			 "user.sample", 12, 64),
	       0);
	EXPECT(share.reply_len, 5);
	REQUIRE(!memcmp(share.reply, "value", 5));
	EXPECT(with_name(FUSE_GETXATTR, entry.nodeid, &ask, sizeof(ask),
			 "user.sample", 12, 8),
	       0);
	EXPECT(*(uint32_t *)(void *)share.reply, 5);
	EXPECT(with_arg(FUSE_LISTXATTR, entry.nodeid, &get, sizeof(get), 64),
	       0);
	REQUIRE(share.reply_len >= 12);
	EXPECT(fuse_name(&share, FUSE_REMOVEXATTR, entry.nodeid, "user.sample"),
	       0);
	EXPECT(fuse_name(&share, FUSE_REMOVEXATTR, entry.nodeid, "user.sample"),
	       -E_NODATA);
	return NULL;
}

/* Whatever is there, the directory is as the host made it. */
const char *share_whole(void)
{
	struct fuse_entry_out entry;

	EXPECT(fuse_lookup(&share, ROOT, "made", &entry), -E_NOENT);
	EXPECT(fuse_lookup(&share, ROOT, "file", &entry), 0);
	EXPECT(entry.attr.size, SHARE_TEXT_LEN);
	return NULL;
}
