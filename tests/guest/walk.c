/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A tree that is walked as `find` does it, and then as `git status` does it after
 * that: the attributes of each file, and what is in it, where there is something: its
 * name, if that ends in 0. All of it stays known meanwhile. Then as many files are
 * opened as may be.
 * Parameters: tag=, files= in the tree.
 */
#include "clock.h"
#include "fuse.h"
#include "memory.h"
#include "param.h"
#include "power.h"
#include "text.h"

#define NAME_MAX 12u
#define REPLY 4096u /* as Linux asks for it: a page */
#define OPEN_MAX 4096u

struct file {
	uint64_t nodeid, ino;
	char name[NAME_MAX];
	uint32_t name_len;
};

static struct fuse f;
static struct file *files;
static uint64_t *dirs;
static unsigned nr_files, nr_dirs, max;

/* An entry of a reply; what comes to nothing, or why not. */
static const char *take(const struct fuse_direntplus *d)
{
	const struct fuse_dirent *e = &d->dirent;
	struct file *file = &files[nr_files];

	if (e->name[0] == '.')
		return NULL;
	if (nr_files + nr_dirs == max || e->namelen > NAME_MAX)
		return "there is more than was told";
	if (!d->entry_out.nodeid)
		return "an entry is not looked up";
	if ((d->entry_out.attr.mode & S_IFMT) == S_IFDIR) {
		dirs[nr_dirs++] = d->entry_out.nodeid;
		return NULL;
	}
	file->nodeid = d->entry_out.nodeid;
	file->ino = e->ino;
	file->name_len = e->namelen;
	memcpy(file->name, e->name, e->namelen);
	nr_files++;
	return NULL;
}

static const char *list_page(uint64_t dir, uint64_t fh, uint64_t *off)
{
	const struct fuse_read_in in = { .fh = fh,
					 .offset = *off,
					 .size = REPLY };
	int r = fuse_do(&f, &(struct fuse_req){ .opcode = FUSE_READDIRPLUS,
						.nodeid = dir,
						.arg = &in,
						.arg_len = sizeof(in),
						.room = REPLY });
	const char *why = NULL;
	uint32_t at = 0;

	if (r) {
		say("readdirplus: %d", r);
		return "a directory is not listed";
	}
	while (!why && at < f.reply_len) {
		const struct fuse_direntplus *d = (void *)(f.reply + at);

		*off = d->dirent.off;
		why = take(d);
		at += (uint32_t)FUSE_DIRENTPLUS_SIZE(d);
	}
	return why;
}

static const char *list(uint64_t dir)
{
	const char *why = NULL;
	uint64_t fh, off = 0;

	if (fuse_open(&f, FUSE_OPENDIR, dir, 0, &fh))
		return "a directory is not opened";
	do
		why = list_page(dir, fh, &off);
	while (!why && f.reply_len);
	if (!why && fuse_release(&f, FUSE_RELEASEDIR, dir, fh))
		why = "a directory is not closed";
	return why;
}

/* Directories are listed in the order in which they are found. */
static const char *find(void)
{
	const char *why = list(FUSE_ROOT_ID);

	for (unsigned i = 0; !why && i < nr_dirs; i++)
		why = list(dirs[i]);
	say("FOUND %u in %u", nr_files, nr_dirs);
	return why;
}

static const char *read_file(const struct file *file)
{
	uint64_t fh;
	int r = fuse_open(&f, FUSE_OPEN, file->nodeid, O_RDONLY, &fh);

	if (!r)
		r = fuse_read(&f, file->nodeid, fh, 0, f.data, 64);
	if (r != (int)file->name_len) {
		say("reading: %d", r);
		return "a file is not read";
	}
	if (memcmp(f.data, file->name, file->name_len) != 0)
		return "another file is read";
	return fuse_release(&f, FUSE_RELEASE, file->nodeid, fh)
		       ? "a file is not closed"
		       : NULL;
}

static const char *status_of(const struct file *file)
{
	bool full = file->name[file->name_len - 1] == '0';
	struct fuse_attr attr;
	int r = fuse_getattr(&f, file->nodeid, &attr);

	if (r) {
		say("getattr: %d", r);
		return "a file has no attributes";
	}
	if (attr.ino != file->ino || attr.size != (full ? file->name_len : 0))
		return "attributes are those of another file";
	return full ? read_file(file) : NULL;
}

static const char *status(void)
{
	const char *why = NULL;

	for (unsigned i = 0; !why && i < nr_files; i++)
		why = status_of(&files[i]);
	say("LOOKED AT %u", nr_files);
	return why;
}

/* Until there are no more descriptors for it; those that there are still work, and
 * all is well when they are given back. */
static const char *hold(void)
{
	static uint64_t fhs[OPEN_MAX];
	const char *why = NULL;
	unsigned nr = 0;
	int r = 0;

	while (nr < OPEN_MAX) {
		r = fuse_open(&f, FUSE_OPEN, files[nr].nodeid, O_RDONLY,
			      &fhs[nr]);
		if (r)
			break;
		nr++;
	}
	say("HELD %u", nr);
	if (r != -E_NFILE) {
		say("open: %d", r);
		return "the end is not told as ENFILE";
	}
	for (unsigned i = 0; i < nr; i++) {
		if (fuse_read(&f, files[i].nodeid, fhs[i], 0, f.data, 64) < 0)
			why = "what is held is not read";
		if (fuse_release(&f, FUSE_RELEASE, files[i].nodeid, fhs[i]))
			why = "what is held is not closed";
	}
	return why ? why : status_of(&files[nr]);
}

static const char *forget(void)
{
	struct fuse_attr attr;

	for (unsigned i = 0; i < nr_files; i++)
		if (fuse_forget(&f, files[i].nodeid, 1))
			return "a file is not forgotten";
	for (unsigned i = 0; i < nr_dirs; i++)
		if (fuse_forget(&f, dirs[i], 1))
			return "a directory is not forgotten";
	return fuse_getattr(&f, files[0].nodeid, &attr) == -E_STALE
		       ? NULL
		       : "what is forgotten is known";
}

void guest_main(const struct guest_info *info)
{
	static const char *(*const turns[])(void) = { find, status, hold,
						      forget };
	const char *why = fuse_open_device(&f, param_text("tag", ""));

	(void)info;
	max = (unsigned)param_number("files", 0);
	files = arena_alloc((max + 1) * sizeof(*files), 64);
	dirs = arena_alloc((max + 1) * sizeof(*dirs), 64);
	if (!why)
		why = fuse_begin(&f, 1);
	for (unsigned i = 0; !why && i < ARRAY_SIZE(turns); i++)
		why = turns[i]();
	if (why)
		power_off_failed(why);
	say("DONE");
}
