/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A window is a reservation of addresses in this process, mapped read-only to
 * nothing: what a guest reads there is the host's page of zeroes, and costs no
 * memory. Files are mapped over it, shared.
 *
 * What takes the place of what cannot be had is bounded as well: zeroes past the
 * end of a file may be written to, up to ZEROES_MAX bytes; beyond that, and where
 * nothing is mapped, what the guest writes goes to a scrap that all such places
 * share.
 */
#include "vmm/window.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/util.h"

#define PAGE 4096u

/* Of a process, so that its mappings, at most three a map, stay under the host's
 * vm.max_map_count (65530). */
#define MAPS_MAX 16384u
/* The same of a window: pages that cannot be read, and pieces of scrap. */
#define BAD_PAGES_MAX 256u
#define SCRAP_PART 512u
/* Files whose size is looked at with a descriptor of our own; the maps of others
 * are tried page by page. */
#define FILES_MAX 256u
#define ZEROES_MAX (16 * MIB)

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

/* A file that is mapped. */
struct window_file {
	dev_t dev;
	ino_t ino;
	int fd; /* a duplicate */
	bool writable; /* fd */
	uint64_t size; /* as it was seen last */
	unsigned int users; /* maps, and who looks at it */
	unsigned int round; /* of window_mend(), in which it was looked at */
	struct window_file *next;
};

struct window_entry {
	struct window_map map;
	struct window_file *file; /* NULL: without a descriptor */
	/* Bytes of the map, from its start, that are the file's. */
	uint64_t live;
};

struct window {
	/* set at creation */
	struct windows *all;
	struct gmem *gm;
	unsigned int slot;
	char name[64];
	uint64_t len;
	uint8_t *hva;
	struct gmem_listener listener;

	/* any thread, atomic */
	atomic_ullong faults;

	pthread_mutex_t mending; /* vCPUs take turns; outside lock */

	/* any thread, under lock (a leaf) */
	pthread_mutex_t lock;
	struct window_entry *entries; /* sorted, none overlaps another */
	unsigned int nr;
	unsigned int room;
	struct window_file *files;
	unsigned int nr_files;
	unsigned int round;
	unsigned int bad_pages;
	int scrap_fd; /* -1: there is none yet */
	bool is_scrap; /* it is where nothing is mapped */
};

/* ---- pages ---- */

static uint64_t window_scrap_len(const struct window *w)
{
	return ALIGN_UP(MAX(w->len / SCRAP_PART, 2 * MIB), 2 * MIB);
}

static int window_make_scrap_locked(struct window *w)
{
	if (w->scrap_fd >= 0)
		return 0;
	w->scrap_fd = memfd_create("window-scrap", MFD_CLOEXEC);
	if (w->scrap_fd < 0)
		return -errno;
	if (!ftruncate(w->scrap_fd, (off_t)window_scrap_len(w)))
		return 0;
	close_fd(&w->scrap_fd);
	return -ENOSPC;
}

/* Nothing, for the guest to read. */
static int window_clear_locked(struct window *w, uint64_t off, uint64_t len)
{
	w->is_scrap = false;
	return pages_map_over(w->hva + off, len, PROT_READ,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			      0);
}

/* Nothing, for the guest to read and write. */
static int window_scrap_locked(struct window *w, uint64_t off, uint64_t len)
{
	uint64_t scrap = window_scrap_len(w), end = off + len, n;
	int r = window_make_scrap_locked(w);

	for (; !r && off < end; off += n) {
		n = MIN(end - off, scrap - off % scrap);
		r = pages_map_over(w->hva + off, n, PROT_READ | PROT_WRITE,
				   MAP_SHARED, w->scrap_fd, off % scrap);
	}
	return r;
}

/* Zeroes of the guest's own, unless it has too many. */
static int window_zero_locked(struct window *w, uint64_t off, uint64_t len)
{
	uint64_t zeroes = len;

	for (unsigned int i = 0; i < w->nr; i++)
		zeroes += w->entries[i].map.len - w->entries[i].live;
	if (zeroes > ZEROES_MAX)
		return window_scrap_locked(w, off, len);
	return pages_map_over(w->hva + off, len, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			      0);
}

/* ---- files ---- */

static void window_put_file_locked(struct window *w, struct window_file *f)
{
	struct window_file **at = &w->files;

	if (!f || --f->users)
		return;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	w->nr_files--;
	close(f->fd);
	free(f);
}

static struct window_file *window_add_file_locked(struct window *w, int fd,
						  const struct stat *st)
{
	struct window_file *f;

	if (w->nr_files == FILES_MAX)
		return NULL;
	f = calloc(1, sizeof(*f));
	fd = f ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (fd < 0) {
		free(f);
		return NULL;
	}
	*f = (struct window_file){ .dev = st->st_dev,
				   .ino = st->st_ino,
				   .fd = fd,
				   .size = (uint64_t)st->st_size,
				   .round = w->round,
				   .next = w->files };
	w->files = f;
	w->nr_files++;
	return f;
}

/* The file behind fd, with a user more; NULL: it has to do without. */
static struct window_file *window_get_file_locked(struct window *w, int fd,
						  const struct stat *st,
						  bool writable)
{
	struct window_file *f = w->files;

	while (f && (f->dev != st->st_dev || f->ino != st->st_ino))
		f = f->next;
	if (!f)
		f = window_add_file_locked(w, fd, st);
	if (!f)
		return NULL;
	/* The same number, which others may be using. */
	if (writable && !f->writable)
		f->writable = dup3(fd, f->fd, O_CLOEXEC) >= 0;
	f->users++;
	return f;
}

/* ---- what is mapped ---- */

/* The first entry that ends behind off. */
static unsigned int window_find_locked(const struct window *w, uint64_t off)
{
	unsigned int lo = 0, hi = w->nr;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;
		const struct window_map *m = &w->entries[mid].map;

		if (m->off + m->len > off)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Room for two entries more: one that is new, and one that is cut in two. */
static int window_grow_locked(struct window *w)
{
	unsigned int room = MAX(2 * w->room, 16u);
	struct window_entry *entries;

	if (w->nr + 2 <= w->room)
		return 0;
	entries = realloc(w->entries, room * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	w->entries = entries;
	w->room = room;
	return 0;
}

static void window_insert_locked(struct window *w, unsigned int at,
				 const struct window_entry *e)
{
	memmove(&w->entries[at + 1], &w->entries[at],
		(w->nr - at) * sizeof(*e));
	w->entries[at] = *e;
	w->nr++;
	atomic_fetch_add(&w->all->nr_maps, 1);
}

static void window_delete_locked(struct window *w, unsigned int at)
{
	window_put_file_locked(w, w->entries[at].file);
	w->nr--;
	memmove(&w->entries[at], &w->entries[at + 1],
		(w->nr - at) * sizeof(w->entries[0]));
	atomic_fetch_sub(&w->all->nr_maps, 1);
}

/* The piece [from, to) of an entry, counted from its start. */
static struct window_entry window_piece(const struct window_entry *e,
					uint64_t from, uint64_t to)
{
	struct window_entry piece = *e;

	piece.map.off += from;
	piece.map.file_off += from;
	piece.map.len = to - from;
	piece.live = MIN(to, MAX(e->live, from)) - from;
	return piece;
}

/* No entry covers any of [off, end); there is room for one more. */
static void window_cut_locked(struct window *w, uint64_t off, uint64_t end)
{
	unsigned int i = window_find_locked(w, off);

	while (i < w->nr && w->entries[i].map.off < end) {
		const struct window_entry e = w->entries[i];
		uint64_t e_end = e.map.off + e.map.len;
		struct window_entry front, back;

		front = window_piece(&e, 0, MAX(off, e.map.off) - e.map.off);
		back = window_piece(&e, MIN(end, e_end) - e.map.off, e.map.len);
		if (!front.map.len && !back.map.len) {
			window_delete_locked(w, i);
			continue;
		}
		w->entries[i++] = front.map.len ? front : back;
		if (!front.map.len || !back.map.len)
			continue;
		if (back.file)
			back.file->users++;
		window_insert_locked(w, i++, &back);
	}
}

/* Whole pages inside the window. */
static bool window_is_range(const struct window *w, uint64_t off, uint64_t len)
{
	return len && off % PAGE == 0 && len % PAGE == 0 && off < w->len &&
	       len <= w->len - off;
}

/* Bytes [from, to) of a map are the file's. */
static int window_show_file_locked(struct window *w, const struct window_map *m,
				   uint64_t from, uint64_t to, int fd)
{
	int prot = PROT_READ | (m->writable ? PROT_WRITE : 0);

	return pages_map_over(w->hva + m->off + from, to - from, prot,
			      MAP_SHARED | MAP_NORESERVE, fd,
			      m->file_off + from);
}

static int window_map_locked(struct window *w, const struct window_map *map,
			     int fd, const struct stat *st)
{
	struct window_entry e = { .map = *map, .live = map->len };
	int r = window_grow_locked(w);

	if (r)
		return r;
	if (atomic_load(&w->all->nr_maps) >= MAPS_MAX)
		return -ENOSPC;
	r = window_show_file_locked(w, map, 0, map->len, fd);
	if (r)
		return r;
	e.file = window_get_file_locked(w, fd, st, map->writable);
	window_cut_locked(w, map->off, map->off + map->len);
	window_insert_locked(w, window_find_locked(w, map->off), &e);
	atomic_fetch_add(&w->all->changes, 1);
	return 0;
}

bool window_fits(const struct window *w, const struct window_map *map)
{
	return window_is_range(w, map->off, map->len) &&
	       map->file_off % PAGE == 0 &&
	       map->file_off <= INT64_MAX - map->len;
}

int window_map(struct window *w, const struct window_map *map, int fd)
{
	struct stat st;

	if (!window_fits(w, map))
		return -EINVAL;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	mutex_guard(&w->lock);
	return window_map_locked(w, map, fd, &st);
}

int window_unmap(struct window *w, uint64_t off, uint64_t len)
{
	int r;

	if (!window_is_range(w, off, len))
		return -EINVAL;
	mutex_guard(&w->lock);
	r = window_grow_locked(w);
	if (!r)
		r = window_clear_locked(w, off, len);
	if (r)
		return r;
	window_cut_locked(w, off, off + len);
	atomic_fetch_add(&w->all->changes, 1);
	return 0;
}

void window_forget(struct window *w)
{
	int r;

	mutex_guard(&w->lock);
	r = window_clear_locked(w, 0, w->len);
	if (r)
		log_warn("%s: files stay mapped: %s", w->name, strerror(-r));
	while (w->nr)
		window_delete_locked(w, w->nr - 1);
	close_fd(&w->scrap_fd);
	w->bad_pages = 0;
	atomic_fetch_add(&w->all->changes, 1);
}

bool window_next(struct window *w, uint64_t off, struct window_map *map)
{
	unsigned int i;

	mutex_guard(&w->lock);
	i = window_find_locked(w, off);
	if (i == w->nr)
		return false;
	*map = w->entries[i].map;
	return true;
}

/* ---- what the guest cannot have ---- */

/* Bytes of the map that the file has. */
static uint64_t window_file_part(const struct window_map *m, uint64_t size)
{
	uint64_t end = ALIGN_UP(size, PAGE);

	return MIN(end - MIN(end, m->file_off), m->len);
}

/* What was cut off is there again. */
static void window_restore_locked(struct window *w, struct window_entry *e,
				  uint64_t part)
{
	if (!window_show_file_locked(w, &e->map, e->live, part, e->file->fd))
		e->live = part;
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
			window_restore_locked(w, e, part);
		} else if (part < e->live && !cut &&
			   !window_zero_locked(w, e->map.off + part,
					       e->live - part)) {
			e->live = part;
			mended = true;
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
		int r;

		pthread_mutex_unlock(&w->lock);
		r = fstat(f->fd, &st);
		pthread_mutex_lock(&w->lock);
		if (!r)
			mended |= window_follow_size_locked(
				w, f, (uint64_t)st.st_size, cut);
		window_put_file_locked(w, f);
	}
	pthread_mutex_unlock(&w->lock);
	return mended;
}

/* Can the pages be had? Waits for the file system. A kernel that does not know
 * has to be believed. */
static bool window_try(struct window *w, uint64_t off, uint64_t len,
		       bool writable)
{
	int advice = writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;

	return !madvise(w->hva + off, len, advice) || errno == EINVAL ||
	       errno == EINTR || errno == EAGAIN;
}

/* A page cannot be had: zeroes instead, if it still is a file's. */
static bool window_give_up_page(struct window *w, uint64_t off)
{
	unsigned int i;

	mutex_guard(&w->lock);
	i = window_find_locked(w, off);
	if (w->bad_pages == BAD_PAGES_MAX || i == w->nr ||
	    w->entries[i].map.off > off || window_zero_locked(w, off, PAGE))
		return false;
	w->bad_pages++;
	return true;
}

/* Try all that is mapped, page by page where it is not good. */
static bool window_try_all(struct window *w)
{
	bool mended = false;
	struct window_map m;
	uint64_t off;

	for (off = 0; window_next(w, off, &m); off = m.off + m.len) {
		if (window_try(w, m.off, m.len, false))
			continue;
		for (uint64_t at = 0; at < m.len; at += PAGE)
			if (!window_try(w, m.off + at, PAGE, false))
				mended |= window_give_up_page(w, m.off + at);
	}
	return mended;
}

/* Try the page at off. *mapped: it is a file's. */
static bool window_try_page(struct window *w, uint64_t off, bool *mapped)
{
	struct window_map m;

	*mapped = window_next(w, off, &m) && m.off <= off;
	off = ALIGN_DOWN(off, PAGE);
	return *mapped && !window_try(w, off, PAGE, m.writable) &&
	       window_give_up_page(w, off);
}

/* Let the guest write where nothing is mapped. */
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

	mutex_guard(&w->mending);
	if (window_look_at_files(w, true))
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

/* ---- life ---- */

uint64_t window_len(const struct window *w)
{
	return w->len;
}

uint64_t window_faults(const struct window *w)
{
	return atomic_load(&w->faults);
}

int window_place(struct window *w, gpa_t gpa, struct error *err)
{
	return gmem_place_window(w->gm, w->slot, gpa, err);
}

void window_displace(struct window *w)
{
	gmem_displace_window(w->gm, w->slot);
}

bool window_overlaps(const struct window *w, gpa_t gpa, uint64_t len)
{
	gpa_t at;

	return gmem_window_gpa(w->gm, w->slot, &at) &&
	       ranges_overlap(gpa, len, at, w->len);
}

static void window_free(struct window *w)
{
	if (w->hva != MAP_FAILED)
		munmap(w->hva, w->len);
	pthread_mutex_destroy(&w->lock);
	pthread_mutex_destroy(&w->mending);
	free(w->entries);
	free(w);
}

/* Nobody has pointers into it any more. */
static void window_released(struct gmem_listener *gl,
			    const struct gmem_range *range)
{
	struct window *w = container_of(gl, struct window, listener);

	if (range->slot != w->slot)
		return;
	gmem_unlisten(gl);
	window_free(w);
}

/* Have windows_mend() find it. */
static int window_enter(struct window *w, struct error *err)
{
	struct windows *all = w->all;
	int slot = gmem_add_window(w->gm, w->hva, w->len, err);

	if (slot < 0)
		return slot;
	w->slot = (unsigned int)slot;
	w->listener.released = window_released;
	gmem_listen(w->gm, &w->listener, NULL); /* takes what there is */
	for (unsigned int i = 0; i < GMEM_MAX_WINDOWS; i++) {
		struct window *none = NULL;

		if (atomic_compare_exchange_strong(&all->at[i], &none, w))
			break; /* there are as many as gmem has */
	}
	return 0;
}

int window_create(struct window **out, struct windows *all, struct gmem *gm,
		  const char *name, uint64_t len, struct error *err)
{
	struct window *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return error_set(err, ENOMEM, "out of memory");
	w->all = all;
	w->gm = gm;
	snprintf(w->name, sizeof(w->name), "%s", name);
	w->len = len;
	w->scrap_fd = -1;
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->mending, NULL);
	w->hva = pages_map_room(len, PROT_READ);
	if (w->hva == MAP_FAILED)
		r = error_set(err, errno,
			      "no room for a window of %llu MiB: %s", mib(len),
			      strerror(errno));
	else
		r = window_enter(w, err);
	if (r)
		window_free(w);
	else
		*out = w;
	return r;
}

void window_destroy(struct window *w)
{
	if (!w)
		return;
	for (unsigned int i = 0; i < GMEM_MAX_WINDOWS; i++) {
		struct window *own = w;

		atomic_compare_exchange_strong(&w->all->at[i], &own, NULL);
	}
	window_displace(w);
	window_forget(w);
	gmem_remove_window(w->gm, w->slot); /* may free it */
}
