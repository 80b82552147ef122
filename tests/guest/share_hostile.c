/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Requests that nobody should send. The device answers each, or asks for a reset
 * where no answer fits, and works on. */
#include "share.h"

#include "memory.h"
#include "param.h"
#include "random.h"

/* Of each request what is fixed: bytes of arguments, names. */
struct kind {
	uint32_t opcode;
	uint32_t arg_len;
	unsigned nr_names;
};

static const struct kind kinds[] = {
	{ FUSE_LOOKUP, 0, 1 },
	{ FUSE_GETATTR, sizeof(struct fuse_getattr_in), 0 },
	{ FUSE_SETATTR, sizeof(struct fuse_setattr_in), 0 },
	{ FUSE_SYMLINK, 0, 2 },
	{ FUSE_MKNOD, sizeof(struct fuse_mknod_in), 1 },
	{ FUSE_MKDIR, sizeof(struct fuse_mkdir_in), 1 },
	{ FUSE_UNLINK, 0, 1 },
	{ FUSE_RMDIR, 0, 1 },
	{ FUSE_RENAME, sizeof(struct fuse_rename_in), 2 },
	{ FUSE_LINK, sizeof(struct fuse_link_in), 1 },
	{ FUSE_OPEN, sizeof(struct fuse_open_in), 0 },
	{ FUSE_READ, sizeof(struct fuse_read_in), 0 },
	{ FUSE_WRITE, sizeof(struct fuse_write_in), 0 },
	{ FUSE_RELEASE, sizeof(struct fuse_release_in), 0 },
	{ FUSE_FSYNC, sizeof(struct fuse_fsync_in), 0 },
	{ FUSE_SETXATTR, 8, 1 },
	{ FUSE_GETXATTR, sizeof(struct fuse_getxattr_in), 1 },
	{ FUSE_LISTXATTR, sizeof(struct fuse_getxattr_in), 0 },
	{ FUSE_REMOVEXATTR, 0, 1 },
	{ FUSE_FLUSH, sizeof(struct fuse_flush_in), 0 },
	{ FUSE_INIT, 16, 0 },
	{ FUSE_OPENDIR, sizeof(struct fuse_open_in), 0 },
	{ FUSE_READDIR, sizeof(struct fuse_read_in), 0 },
	{ FUSE_RELEASEDIR, sizeof(struct fuse_release_in), 0 },
	{ FUSE_FSYNCDIR, sizeof(struct fuse_fsync_in), 0 },
	{ FUSE_GETLK, sizeof(struct fuse_lk_in), 0 },
	{ FUSE_SETLK, sizeof(struct fuse_lk_in), 0 },
	{ FUSE_SETLKW, sizeof(struct fuse_lk_in), 0 },
	{ FUSE_CREATE, sizeof(struct fuse_create_in), 1 },
	{ FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in), 0 },
	{ FUSE_READDIRPLUS, sizeof(struct fuse_read_in), 0 },
	{ FUSE_RENAME2, sizeof(struct fuse_rename2_in), 2 },
	{ FUSE_LSEEK, sizeof(struct fuse_lseek_in), 0 },
	{ FUSE_COPY_FILE_RANGE, sizeof(struct fuse_copy_file_range_in), 0 },
	{ FUSE_OP_COPY_FILE_RANGE_64, sizeof(struct fuse_copy_file_range_in),
	  0 },
	{ FUSE_SETUPMAPPING, sizeof(struct fuse_setupmapping_in), 0 },
	{ FUSE_REMOVEMAPPING, sizeof(struct fuse_removemapping_in), 0 },
	{ FUSE_SYNCFS, sizeof(struct fuse_syncfs_in), 0 },
	{ FUSE_TMPFILE, sizeof(struct fuse_create_in), 1 },
	{ FUSE_OP_STATX, 24, 0 },
};

static const char zeroes[256];

static struct fuse_req request_of(const struct kind *k)
{
	return (struct fuse_req){ .opcode = k->opcode,
				  .nodeid = ROOT,
				  .arg = zeroes,
				  .arg_len = k->arg_len,
				  .room = 512 };
}

/* ---- names ------------------------------------------------------------ */

struct name {
	const char *text;
	uint32_t len; /* with its NUL */
	int error;
};

#define NAME(s, e)                                      \
	{                                               \
		.text = s, .len = sizeof(s), .error = e \
	}

static const struct name bad_names[] = {
	NAME("", -E_INVAL),
	NAME(".", -E_INVAL),
	NAME("..", -E_INVAL),
	NAME("/", -E_INVAL),
	NAME("../outside", -E_INVAL),
	NAME("../outside/secret", -E_INVAL),
	NAME("../outside/made", -E_INVAL),
	NAME("dir/../../outside/made", -E_INVAL),
	NAME("/etc/passwd", -E_INVAL),
	NAME("/tmp/made-by-a-guest", -E_INVAL),
	NAME("file/", -E_INVAL),
	NAME("dir/0", -E_INVAL),
};

/* The name as the first one of a request, or as the second. */
static int send_name(const struct kind *k, const struct name *n, bool second)
{
	static char text[FUSE_TEXT_MAX];
	struct fuse_req req = request_of(k);
	uint32_t len = 0;

	if (second) {
		memcpy(text, "file", 5);
		len = 5;
	}
	memcpy(text + len, n->text, n->len);
	len += n->len;
	if (k->nr_names == 2 && !second) {
		memcpy(text + len, "other", 6);
		len += 6;
	}
	req.text = text;
	req.text_len = len;
	return fuse_do(&share, &req);
}

const char *share_escapes(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];
		bool is_xattr = k->opcode >= FUSE_SETXATTR &&
				k->opcode <= FUSE_REMOVEXATTR;

		if (!k->nr_names || is_xattr || k->opcode == FUSE_TMPFILE)
			continue;
		for (unsigned j = 0; j < ARRAY_SIZE(bad_names); j++) {
			const struct name *n = &bad_names[j];

			if (send_name(k, n, false) != n->error)
				return failed("opcode %u takes \"%s\": %d",
					      k->opcode, n->text,
					      share.out_head->error);
			if (k->nr_names == 2 && k->opcode != FUSE_SYMLINK &&
			    send_name(k, n, true) != n->error)
				return failed("opcode %u goes to \"%s\": %d",
					      k->opcode, n->text,
					      share.out_head->error);
		}
	}
	return NULL;
}

/* ---- links ------------------------------------------------------------ */

static int make_link(const char *name, uint32_t len, const char *target,
		     uint32_t target_len, uint64_t *nodeid)
{
	static char text[FUSE_TEXT_MAX];
	struct fuse_req req = { .opcode = FUSE_SYMLINK,
				.nodeid = ROOT,
				.text = text,
				.text_len = len + target_len,
				.room = sizeof(struct fuse_entry_out) };
	int r;

	memcpy(text, name, len);
	memcpy(text + len, target, target_len);
	r = fuse_do(&share, &req);
	memcpy(nodeid, share.reply, sizeof(*nodeid));
	return r;
}

/* Every kind of request with the link where a directory or a file belongs; what
 * has a name in it fails. */
static const char *use_link(uint64_t link)
{
	static const char text[] = "made\0other";
	uint64_t arg[16];

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];
		struct fuse_req req = request_of(k);
		bool is_xattr = k->opcode >= FUSE_SETXATTR &&
				k->opcode <= FUSE_REMOVEXATTR;
		int r;

		if (k->opcode == FUSE_INIT)
			continue;
		/* New directories and old inodes are first in what they are in. */
		memset(arg, 0, sizeof(arg));
		if (k->nr_names)
			arg[0] = link;
		req.nodeid = link;
		req.arg = arg;
		req.text = text;
		req.text_len = k->nr_names == 2 ? sizeof(text) : 5;
		if (!k->nr_names)
			req.text_len = 0;
		r = fuse_do(&share, &req);
		if (r > 0 && r != FUSE_NO_REPLY)
			return failed("opcode %u: %d", k->opcode, r);
		if (k->nr_names && !is_xattr && r >= 0)
			return failed("opcode %u works in a link", k->opcode);
	}
	return NULL;
}

/* All that can be set of a file, and its contents. */
static const char *change_link(uint64_t link)
{
	struct fuse_setattr_in in = { .mode = 0777, .uid = 7, .gid = 7 };
	struct fuse_req req = { .opcode = FUSE_SETATTR,
				.nodeid = link,
				.arg = &in,
				.arg_len = sizeof(in),
				.room = sizeof(struct fuse_attr_out) };
	uint64_t fh;

	for (uint32_t valid = 1; valid < FATTR_CTIME << 1; valid <<= 1) {
		int r;

		in.valid = valid;
		r = fuse_do(&share, &req);
		if (r > 0 || (valid == FATTR_SIZE && !r))
			return failed("setattr of %x: %d", valid, r);
	}
	for (uint32_t flags = O_RDONLY; flags <= O_RDWR; flags++)
		if (fuse_open(&share, FUSE_OPEN, link, flags | O_TRUNC, &fh) >=
		    0)
			return "a link is opened";
	return NULL;
}

/* A directory that is known, and a link in the place of its name. */
static const char *replace_by_link(void)
{
	static const char target[] = "../outside";
	struct fuse_entry_out dir;
	uint64_t link, fh;

	EXPECT(fuse_mkdir(&share, ROOT, "was", 0755, &dir), 0);
	EXPECT(fuse_rename(&share, ROOT, "was", ROOT, "is", 0), 0);
	EXPECT(make_link("was", 4, target, sizeof(target), &link), 0);
	EXPECT(fuse_create(&share, dir.nodeid, "made", O_RDWR, 0600, NULL, &fh),
	       0);
	EXPECT(fuse_release(&share, FUSE_RELEASE, ROOT, fh), 0);
	/* The other way round: what has its number is now named as it was. */
	EXPECT(fuse_rename(&share, ROOT, "was", ROOT, "is", 2), 0);
	EXPECT(fuse_lookup(&share, dir.nodeid, "made", NULL), 0);
	EXPECT(fuse_lookup(&share, link, "secret", NULL), -E_NOTDIR);
	EXPECT(fuse_name(&share, FUSE_UNLINK, dir.nodeid, "made"), 0);
	EXPECT(fuse_name(&share, FUSE_UNLINK, ROOT, "is"), 0);
	EXPECT(fuse_name(&share, FUSE_RMDIR, ROOT, "was"), 0);
	return NULL;
}

/* Links that the guest made itself, to where it must not come. */
const char *share_links(void)
{
	static const struct name targets[] = {
		NAME("../outside/secret", 0),
		NAME("../outside", 0),
		NAME("/", 0),
		NAME("..", 0),
		NAME("/tmp", 0),
		NAME("/proc/self/root", 0),
	};
	const char *why = replace_by_link();

	for (unsigned i = 0; !why && i < ARRAY_SIZE(targets); i++) {
		uint64_t link;

		EXPECT(make_link("way", 4, targets[i].text, targets[i].len,
				 &link),
		       0);
		why = use_link(link);
		if (!why)
			why = change_link(link);
		if (!why && fuse_name(&share, FUSE_UNLINK, ROOT, "way"))
			why = "a link is not removed";
	}
	return why;
}

/* Links are read, never followed; what is no file and no directory is not
 * opened. */
const char *share_special(void)
{
	static const char *const names[] = { "fifo", "device", "absolute",
					     "upwards" };
	struct fuse_entry_out entry;
	uint64_t fh;

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		int r = fuse_lookup(&share, ROOT, names[i], &entry);

		if (r == -E_NOENT && i == 1)
			continue; /* only root can make one */
		EXPECT(r, 0);
		for (uint32_t flags = 0; flags < 3; flags++) {
			r = fuse_open(&share, FUSE_OPEN, entry.nodeid, flags,
				      &fh);
			if (r >= 0)
				return failed("%s is opened: %d", names[i], r);
		}
		r = fuse_open(&share, FUSE_OPENDIR, entry.nodeid, 0, &fh);
		EXPECT(r, -E_NOTDIR);
		EXPECT(fuse_lookup(&share, entry.nodeid, "secret", NULL),
		       -E_NOTDIR);
		r = fuse_create(&share, ROOT, names[i], O_RDWR, 0600, NULL,
				NULL);
		if (r >= 0)
			return failed("%s is opened by CREATE", names[i]);
	}
	EXPECT(fuse_open(&share, FUSE_OPENDIR, ROOT, 0, &fh), 0);
	EXPECT(fuse_read(&share, ROOT, fh, 0, NULL, 16), -E_ISDIR);
	return NULL;
}

/* Numbers that the device never gave out. */
const char *share_stale(void)
{
	struct random rnd;
	struct fuse_attr attr;
	uint64_t fh;

	random_init(&rnd, param_number("seed", 1));
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t nodeid = random_next(&rnd);
		int r;

		/* Small ones, large ones, and those that a pointer could be. */
		nodeid = i % 3 == 0   ? 2 + nodeid % 4096
			 : i % 3 == 1 ? nodeid
				      : nodeid >> 17;
		r = fuse_getattr(&share, nodeid, &attr);
		if (r != -E_STALE)
			return failed("nodeid %lx: %d", nodeid, r);
		r = fuse_open(&share, FUSE_OPEN, nodeid, 0, &fh);
		if (r != -E_STALE)
			return failed("open of nodeid %lx: %d", nodeid, r);
		r = fuse_read(&share, ROOT, nodeid, 0, NULL, 16);
		if (r != -E_BADF)
			return failed("fh %lx: %d", nodeid, r);
		EXPECT(fuse_release(&share, FUSE_RELEASE, ROOT, nodeid),
		       -E_BADF);
		EXPECT(fuse_forget(&share, nodeid, ~0ull), 0);
	}
	EXPECT(fuse_forget(&share, ROOT, ~0ull), 0);
	EXPECT(fuse_getattr(&share, ROOT, &attr), 0);
	return NULL;
}

/* ---- lengths ---------------------------------------------------------- */

/* Short arguments, a length that is not that of the request, extensions that
 * are longer than it. */
const char *share_malformed(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];
		struct fuse_req req = request_of(k);
		int r;

		for (req.arg_len = 0; req.arg_len < k->arg_len; req.arg_len++) {
			r = fuse_do(&share, &req);
			if (r != -E_INVAL)
				return failed("opcode %u with %u bytes: %d",
					      k->opcode, req.arg_len, r);
		}
		for (int off = -3; off < 4; off += 2) {
			req.len_off = off * 1000;
			r = fuse_do(&share, &req);
			if (r != -E_INVAL)
				return failed("opcode %u, wrong length: %d",
					      k->opcode, r);
		}
		req.len_off = 0;
		req.extlen = 0xffff;
		r = fuse_do(&share, &req);
		if (r != -E_INVAL)
			return failed("opcode %u, extensions: %d", k->opcode,
				      r);
	}
	EXPECT(fuse_lookup(&share, ROOT, "file", NULL), 0);
	return NULL;
}

/* A reply that fits nowhere: the device needs a reset, and is well after it. */
const char *share_no_room(void)
{
	const struct vq_seg segs[] = {
		{ share.head, sizeof(*share.head), false },
		{ share.out_head, 15, true },
	};
	struct fuse_attr attr;
	const char *why;

	for (unsigned nr = 1; nr <= 2; nr++) {
		struct vq *q = &share.dev.vq[FUSE_QUEUE];
		int head;

		*share.head = (struct fuse_in_header){
			.len = sizeof(*share.head),
			.opcode = FUSE_STATFS,
			.unique = ++share.unique,
			.nodeid = ROOT,
		};
		head = vq_add(q, segs, nr, false);
		vq_kick(q);
		EXPECT(fuse_wait(&share, head), FUSE_BROKEN);
		why = fuse_begin(&share, SHARE_QUEUES);
		if (why)
			return why;
	}
	EXPECT(fuse_getattr(&share, ROOT, &attr), 0);
	return NULL;
}

const char *share_unknown(void)
{
	for (uint32_t opcode = 0; opcode < 300; opcode++) {
		struct fuse_req req = { .opcode = opcode < 256 ? opcode
							       : opcode << 20,
					.nodeid = ROOT,
					.room = 64 };
		int r;

		/* Those that end the session, and those without a reply. */
		if (opcode == FUSE_DESTROY || opcode == FUSE_FORGET ||
		    opcode == FUSE_BATCH_FORGET || opcode == FUSE_INIT)
			continue;
		r = fuse_do(&share, &req);
		if (r > 0)
			return failed("opcode %u: %d", opcode, r);
		if ((opcode == 0 || opcode > 53) && r != -E_NOSYS)
			return failed("opcode %u: %d", opcode, r);
	}
	EXPECT(fuse_lookup(&share, ROOT, "file", NULL), 0);
	return NULL;
}

/* Anything at all. What is named goes below `new`, which is thrown away. */
const char *share_garbage(void)
{
	struct random rnd;
	uint64_t count = param_number("count", 5000);

	random_init(&rnd, param_number("seed", 1));
	while (count--) {
		const struct kind *k =
			&kinds[random_next(&rnd) % ARRAY_SIZE(kinds)];
		struct fuse_req req = request_of(k);
		static uint64_t arg[16];
		int r;

		/* No setting of the root's owner, and no end of the session. */
		if (k->opcode == FUSE_SETATTR || k->opcode == FUSE_INIT ||
		    k->nr_names)
			continue;
		for (unsigned i = 0; i < ARRAY_SIZE(arg); i++) {
			uint64_t v = random_next(&rnd);

			arg[i] = v % 4 ? v >> v % 64 : 0;
		}
		req.arg = arg;
		req.nodeid = arg[15] % 5;
		req.room = (uint32_t)(random_next(&rnd) % 5000);
		req.data = share.data;
		if (k->opcode == FUSE_WRITE)
			req.data_len = 1 + (uint32_t)arg[14] % 5000;
		r = fuse_do(&share, &req);
		if (r > 0 && r != FUSE_NO_REPLY)
			return failed("opcode %u: %d", k->opcode, r);
	}
	EXPECT(fuse_lookup(&share, ROOT, "file", NULL), 0);
	return NULL;
}
