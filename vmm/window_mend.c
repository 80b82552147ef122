/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * What the guest cannot have: it is found by the sizes of files, and by trying, and
 * zeroes take its place. Who tries waits for file systems, and holds no lock but
 * that of his turn.
 */
#include "vmm/window_parts.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "arch/host.h"
#include "vmm/few.h"
#include "vmm/log.h"
#include "vmm/pages.h"
#include "vmm/util.h"

/* Parts of a window that cannot be read, and are mapped one by one. */
#define BAD_PARTS_MAX 256u
/* Looked at each time for pages that could not be read. */
#define LOOK_PARTS 64u

/* ---- files that are cut ---- */

/* Bytes of the map that the file has. */
static uint64_t window_file_part(const struct window_map *m, uint64_t size)
{
	uint64_t end = ALIGN_UP(size, arch_page_size());

	return MIN(end - MIN(end, m->file_off), m->len);
}

/* The file has size bytes: zeroes behind its end. cut: only if that is less than
 * it was. True: they were not there. */
static bool window_follow_size_locked(struct window *w, struct window_file *f,
				      uint64_t size, bool cut)
{
	bool mended = false;

	cut = cut && size >= f->size;
	f->size = size;
	for (unsigned int i = 0; i < w->nr; i++) {
		struct window_entry *e = &w->entries[i];
		uint64_t part = window_file_part(&e->map, size);

		if (e->file != f)
			continue;
		if (part > e->live) {
			if (!window_show_file_locked(w, &e->map, e->live, part,
						     f->fd))
				e->live = part;
		} else if (part < e->live && !cut &&
			   !window_zero_locked(w, e->map.off + part,
					       e->live - part)) {
			e->live = part;
			w->is_cut = mended = true;
		}
	}
	return mended;
}

/* A file that was not looked at in this round, with a user more. NULL: all
 * were. */
static struct window_file *window_take_file_locked(struct window *w)
{
	struct window_file *f = w->files;

	while (f && f->round == w->round)
		f = f->next;
	if (f) {
		f->round = w->round;
		f->users++;
	}
	return f;
}

/* Was a file cut? cut: as of window_follow_size_locked(). */
static bool window_look_at_files(struct window *w, bool cut)
{
	struct window_file *f;
	bool mended = false;
	struct stat st;

	pthread_mutex_lock(&w->lock);
	w->round++;
	while ((f = window_take_file_locked(w))) {
		unsigned int growths = w->growths;
		int r;

		pthread_mutex_unlock(&w->lock);
		r = few_fstat(f->fd, &st);
		pthread_mutex_lock(&w->lock);
		/* What was seen before it grew is no news. */
		if (!r && w->growths == growths)
			mended |= window_follow_size_locked(
				w, f, (uint64_t)st.st_size, cut);
		window_put_file_locked(w, f);
	}
	pthread_mutex_unlock(&w->lock);
	return mended;
}

/* The file of a map that has less than it was, or NULL. */
static struct window_file *window_cut_file_locked(struct window *w,
						  uint64_t file)
{
	for (unsigned int i = 0; w->is_cut && i < w->nr; i++) {
		const struct window_entry *e = &w->entries[i];

		if (e->map.file == file && e->file && e->live < e->map.len)
			return e->file;
	}
	return NULL;
}

void window_grew(struct window *w, uint64_t file)
{
	struct window_file *f;
	struct stat st;
	int r;

	mutex_guard(&w->lock);
	w->growths++;
	f = window_cut_file_locked(w, file);
	if (!f)
		return;
	f->users++;
	pthread_mutex_unlock(&w->lock);
	r = few_fstat(f->fd, &st);
	pthread_mutex_lock(&w->lock);
	if (!r && (uint64_t)st.st_size > f->size)
		window_follow_size_locked(w, f, (uint64_t)st.st_size, true);
	window_put_file_locked(w, f);
}

/* ---- pages that cannot be read ---- */

/* Can the pages be had? Waits for the file system. A kernel that does not know
 * has to be believed. */
static bool window_try(struct window *w, uint64_t off, uint64_t len,
		       bool writable)
{
	int advice = writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;

	return !madvise(w->hva + off, len, advice) || errno == EINVAL ||
	       errno == EINTR || errno == EAGAIN;
}

/* Pages of a map cannot be had: zeroes instead, if all is mapped as it was when
 * they were tried. */
static bool window_give_up(struct window *w, uint64_t off, uint64_t len,
			   unsigned int changes)
{
	mutex_guard(&w->lock);

	if (w->bad_parts == BAD_PARTS_MAX ||
	    changes != atomic_load(&w->all->changes) ||
	    window_zero_locked(w, off, len))
		return false;
	w->bad_parts++;
	return true;
}

/* Try a part of a map, page by page if it is not good. */
static bool window_try_part(struct window *w, uint64_t off, uint64_t len)
{
	unsigned int changes = atomic_load(&w->all->changes);
	uint64_t bad = 0, end = off + len;
	bool mended = false;

	if (window_try(w, off, len, false))
		return false;
	for (; off <= end; off += arch_page_size()) {
		if (off < end && !window_try(w, off, arch_page_size(), false)) {
			bad += arch_page_size();
			continue;
		}
		if (bad)
			mended |= window_give_up(w, off - bad, bad, changes);
		bad = 0;
	}
	return mended;
}

/* Try all that is mapped. */
static bool window_try_all(struct window *w)
{
	bool mended = false;
	struct window_map m;
	uint64_t off;

	for (off = 0; window_next(w, off, &m); off = m.off + m.len)
		mended |= window_try_part(w, m.off, m.len);
	return mended;
}

/* Try the page at off. *mapped: it is a file's. */
static bool window_try_page(struct window *w, uint64_t off, bool *mapped)
{
	unsigned int changes = atomic_load(&w->all->changes);
	struct window_map m;

	*mapped = window_next(w, off, &m) && m.off <= off;
	off = ALIGN_DOWN(off, arch_page_size());
	return *mapped && !window_try(w, off, arch_page_size(), m.writable) &&
	       window_give_up(w, off, arch_page_size(), changes);
}

/* The part of a file that window_look() looks at next, and the file with a user
 * more. False: it has been round. */
static bool window_take_part_locked(struct window *w, struct window_map *part,
				    struct window_file **file)
{
	unsigned int i = window_find_locked(w, w->look_off);
	const struct window_entry *e;
	uint64_t from;

	if (i == w->nr) {
		w->look_off = 0;
		return false;
	}
	e = &w->entries[i];
	from = MAX(w->look_off, e->map.off) - e->map.off;
	*part = window_piece(e, from, MIN(from + PAGES_LOOK_MAX, e->map.len))
			.map;
	w->look_off = part->off + part->len;
	*file = e->file;
	if (e->file)
		e->file->users++;
	return true;
}

/* Try some of what the host may have failed to read. */
static bool window_look_at_pages(struct window *w)
{
	struct window_file *f;
	struct window_map part;
	bool mended = false;

	pthread_mutex_lock(&w->lock);
	for (unsigned int i = 0;
	     i < LOOK_PARTS && w->bad_parts < BAD_PARTS_MAX &&
	     window_take_part_locked(w, &part, &f);
	     i++) {
		pthread_mutex_unlock(&w->lock);
		if (f && pages_are_missing(w->hva + part.off, part.len, f->fd,
					   part.file_off))
			mended |= window_try_part(w, part.off, part.len);
		pthread_mutex_lock(&w->lock);
		window_put_file_locked(w, f);
	}
	pthread_mutex_unlock(&w->lock);
	return mended;
}

/* ---- places where nothing is mapped ---- */

/* Let the guest write there. */
static bool window_give_scrap_locked(struct window *w)
{
	uint64_t off = 0, end;
	bool mended = false;
	int r = 0;

	for (unsigned int i = 0; !r && i <= w->nr; i++) {
		end = i < w->nr ? w->entries[i].map.off : w->len;
		r = window_scrap_locked(w, off, end - off);
		mended |= !r && end > off;
		if (i < w->nr)
			off = end + w->entries[i].map.len;
	}
	w->is_scrap = !r;
	return mended;
}

static bool window_give_scrap(struct window *w)
{
	mutex_guard(&w->lock);
	return !w->is_scrap && window_give_scrap_locked(w);
}

/* ---- */

static bool window_mend_in_turn(struct window *w, uint64_t off)
{
	bool mapped = false, mended;

	mutex_guard(&w->mending);
	mended = window_look_at_files(w, false);
	if (!mended && off == WINDOW_NOWHERE)
		mended = window_try_all(w);
	else if (!mended)
		mended = window_try_page(w, off, &mapped);
	return mended || (!mapped && window_give_scrap(w));
}

static void window_say(struct window *w)
{
	atomic_fetch_add(&w->all->changes, 1);
	if (!atomic_fetch_add(&w->faults, 1))
		log_warn(
			"%s: the guest finds zeroes where a file that it has mapped was cut or cannot be read, or where nothing was mapped (said once)",
			w->name);
}

bool window_mend(struct window *w, uint64_t off)
{
	bool mended = window_mend_in_turn(w, off);

	if (mended)
		window_say(w);
	return mended;
}

bool window_look(struct window *w)
{
	struct window_map any;
	bool mended;

	mutex_guard(&w->mending);
	mended = window_look_at_files(w, true);
	mended |= window_look_at_pages(w);
	if (mended)
		window_say(w);
	return window_next(w, 0, &any);
}

/* Is gpa in it? *off: where. */
static bool window_has(const struct window *w, gpa_t gpa, uint64_t *off)
{
	gpa_t at;

	if (!gmem_window_gpa(w->gm, w->slot, &at) || gpa - at >= w->len)
		return false;
	*off = gpa - at;
	return true;
}

/* The next window from *i on that has gpa, or may have it; *off: where. NULL:
 * there is no other. */
static struct window *windows_next(struct windows *all, gpa_t gpa,
				   unsigned int *i, uint64_t *off)
{
	while (*i < GMEM_MAX_WINDOWS) {
		struct window *w = atomic_load(&all->at[(*i)++]);

		*off = WINDOW_NOWHERE;
		if (w && (gpa == WINDOW_NOWHERE || window_has(w, gpa, off)))
			return w;
	}
	return NULL;
}

bool windows_mend(struct windows *all, gpa_t gpa, unsigned int *seen)
{
	bool mended = false, changed;
	unsigned int i = 0;
	struct window *w;
	uint64_t off;

	while ((w = windows_next(all, gpa, &i, &off)))
		mended |= window_mend(w, off);
	/* Never 0, which is what a vCPU begins with. */
	changed = *seen != atomic_load(&all->changes) + 1;
	*seen = atomic_load(&all->changes) + 1;
	i = 0;
	if (mended || (changed && windows_next(all, gpa, &i, &off)))
		return true;
	while ((w = windows_next(all, gpa, &i, &off)))
		log_error(
			"%s: the guest cannot have memory that is in this device's window, and nothing can take its place",
			w->name);
	return false;
}
