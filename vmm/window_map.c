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
#include "vmm/window_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/host.h"
#include "vmm/few.h"
#include "vmm/log.h"
#include "vmm/util.h"

/* Of a process, so that its mappings, at most three a map, stay under the host's
 * vm.max_map_count (65530). */
#define MAPS_MAX 16384u
/* The same of a window: pieces of scrap. */
#define SCRAP_PART 512u
/* Files whose size is looked at with a descriptor of our own; the maps of others
 * are tried page by page. */
#define FILES_MAX 256u
#define ZEROES_MAX (16 * MIB)

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
int window_scrap_locked(struct window *w, uint64_t off, uint64_t len)
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
int window_zero_locked(struct window *w, uint64_t off, uint64_t len)
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

void window_put_file_locked(struct window *w, struct window_file *f)
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
unsigned int window_find_locked(const struct window *w, uint64_t off)
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
struct window_entry window_piece(const struct window_entry *e, uint64_t from,
				 uint64_t to)
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
	return len && off % arch_page_size() == 0 &&
	       len % arch_page_size() == 0 && off < w->len &&
	       len <= w->len - off;
}

/* Bytes [from, to) of a map are the file's. */
int window_show_file_locked(struct window *w, const struct window_map *m,
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
	       map->file_off % arch_page_size() == 0 &&
	       map->file_off <= INT64_MAX - map->len;
}

int window_map(struct window *w, const struct window_map *map, int fd)
{
	struct stat st;

	if (!window_fits(w, map))
		return -EINVAL;
	if (few_fstat(fd, &st))
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
	w->is_cut = false;
	w->bad_parts = 0;
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
