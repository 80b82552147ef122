/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_WINDOW_H
#define VMM_WINDOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/gmem.h"

/*
 * Windows of devices: guest addresses at which files of the host are mapped, and
 * zeroes where none is. The guest sees the host's page cache; nothing in this
 * process may read or write there, as a file that is cut would be its end
 * (SIGBUS). System calls may: to them it is -EFAULT.
 *
 * A window has one memory slot of KVM's, while it has an address; what is mapped
 * changes under it. What the guest cannot have (a file was cut or cannot be read,
 * nothing is mapped where it writes) it finds as memory of its own all the same:
 * KVM gives up on an access, windows_mend() puts zeroes there, and it is done
 * again.
 */
struct window;

/* Nobody knows where. */
#define WINDOW_NOWHERE UINT64_MAX

/* What the guest wanted to be mapped: plain numbers, which are state. */
struct window_map {
	uint64_t off; /* in the window; all three are multiples of 4 KiB */
	uint64_t len;
	uint64_t file_off;
	uint64_t file; /* the caller's name of it */
	bool writable; /* by the guest */
};

/* Those of a machine; any thread. Zeroed, there are none. */
struct windows {
	struct window *_Atomic at[GMEM_MAX_WINDOWS]; /* in no order */
	atomic_uint nr_maps; /* of all of them */
	atomic_uint changes; /* of what is mapped */
};

/*
 * A window of len bytes, a multiple of 2 MiB, for the device that messages are to
 * name; it has no address. all and gm are borrowed until window_destroy(), and gm
 * until listeners have let go of its addresses. Main thread. -ENOMEM, -ENOSPC
 * when there are too many; with a message.
 */
int window_create(struct window **out, struct windows *all, struct gmem *gm,
		  const char *name, uint64_t len, struct error *err);
/* No vCPU is inside an access or windows_mend(). NULL is accepted. Main thread. */
void window_destroy(struct window *w);

/* Bytes. */
uint64_t window_len(const struct window *w);
/* How often the guest had to be given zeroes. */
uint64_t window_faults(const struct window *w);

/* Have the guest find it at gpa, as gmem_place_window(). Any thread. */
int window_place(struct window *w, gpa_t gpa, struct error *err);
/* It has no address any more. Any thread. */
void window_displace(struct window *w);
/* Is any of it in [gpa, gpa + len)? Any thread. */
bool window_overlaps(const struct window *w, gpa_t gpa, uint64_t len);

/* Can it be mapped, whatever the file is? Any thread. */
bool window_fits(const struct window *w, const struct window_map *map);
/*
 * Map a file into the window, in place of what is there. fd: a regular file's,
 * open as map wants it; lent for the call. Where the file ends before the map
 * does, zeroes follow as soon as the guest looks. Any thread.
 * -EINVAL: not inside the window, misaligned, or no regular file; -ENOSPC: there
 * are too many; or from mmap(2).
 */
int window_map(struct window *w, const struct window_map *map, int fd);
/* Zeroes again in [off, off + len). Any thread. -EINVAL as above, or from mmap(2). */
int window_unmap(struct window *w, uint64_t off, uint64_t len);
/* Nothing is mapped any more. Any thread. */
void window_forget(struct window *w);
/* The first map that ends behind off; false: there is none. Any thread. */
bool window_next(struct window *w, uint64_t off, struct window_map *map);

/*
 * The guest could not have what is at off, or anywhere in the window
 * (WINDOW_NOWHERE). Returns true when something is there now that was not. Waits
 * for the file systems of what is mapped, but holds no lock meanwhile. vCPU
 * threads.
 */
bool window_mend(struct window *w, uint64_t off);

/*
 * See whether files were cut, or have grown again, and whether pages could not be
 * read; to be called now and then while anything is mapped. KVM does not give up on
 * every access: where the guest takes interrupts it has the page brought in
 * meanwhile, fails at that, and begins again. Waits as window_mend() does. False:
 * nothing is mapped. Any thread.
 */
bool window_look(struct window *w);

/*
 * A request of the guest's has made a file longer, and the guest does not know yet:
 * what was cut off is mapped again, so that nothing is written to zeroes that go
 * when it is looked after next. file: window_map's. Waits as window_mend() does.
 * Any thread.
 */
void window_grew(struct window *w, uint64_t file);

/*
 * KVM gave up on an access of the guest, at gpa or WINDOW_NOWHERE. Returns true
 * when it is worth another try. seen: the vCPU's own, at first 0; one try is free,
 * as another vCPU may have mended it, but no second while nothing changes.
 */
bool windows_mend(struct windows *all, gpa_t gpa, unsigned int *seen);

#endif
