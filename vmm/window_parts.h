/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_WINDOW_PARTS_H
#define VMM_WINDOW_PARTS_H

#include <pthread.h>
#include <sys/types.h>

#include "vmm/window.h"

/* What window_map.c, where files are mapped, and window_mend.c, which puts something in
 * the place of what the guest cannot have, share. */

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
	bool is_cut; /* bytes of a map are not the file's, or were not once */
	unsigned int growths; /* of files, by window_grew() */
	unsigned int bad_parts;
	uint64_t look_off; /* where window_look() goes on */
	int scrap_fd; /* -1: there is none yet */
	bool is_scrap; /* it is where nothing is mapped */
};

/* Nothing, for the guest to read and write, in all such places the same. -errno. */
int window_scrap_locked(struct window *w, uint64_t off, uint64_t len);
/* Zeroes of the guest's own, unless it has too many. -errno. */
int window_zero_locked(struct window *w, uint64_t off, uint64_t len);
/* Bytes [from, to) of a map are the file's, which is open as fd. -errno. */
int window_show_file_locked(struct window *w, const struct window_map *m,
			    uint64_t from, uint64_t to, int fd);
/* A file has one user less; NULL is accepted. */
void window_put_file_locked(struct window *w, struct window_file *f);
/* The first entry that ends behind off. */
unsigned int window_find_locked(const struct window *w, uint64_t off);
/* The piece [from, to) of an entry, counted from its start. */
struct window_entry window_piece(const struct window_entry *e, uint64_t from,
				 uint64_t to);

#endif
