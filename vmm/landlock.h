/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_LANDLOCK_H
#define VMM_LANDLOCK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Landlock (landlock(7)), the second line behind an empty root: a thread in its
 * domain opens nothing by a path, from whatever directory it has a descriptor of,
 * makes, removes and renames nothing, binds and connects no TCP port, and connects
 * to no abstract socket outside. What is open stays open. A domain is a thread's,
 * for good.
 */

/* Make the domain, as strict as this kernel knows it; none where it knows nothing
 * of Landlock. Before there are other threads. -errno. */
int landlock_prepare(void);

/* The calling thread goes into the domain, if there is one and its kind, told by
 * its name, opens nothing: not those of shared directories, and not the one that
 * makes others. -errno. */
int landlock_thread(const char *name);

/* ---- a domain with ways out ---- */

/* A file, or a directory and all that is beneath it. */
struct landlock_place {
	int fd; /* O_PATH is enough; borrowed */
	bool is_dir;
	bool read;
	bool write; /* also: make, truncate and remove */
};

struct landlock_domain {
	int fd; /* -1: there is none; the caller's */
	uint64_t rights; /* to files, that this kernel can take away */
};

/* A domain as strict as the one above, until landlock_allow(). -errno: -ENOSYS and
 * -EOPNOTSUPP where the kernel has no Landlock. */
int landlock_create(struct landlock_domain *domain);
/* What may be opened in it. -errno. */
int landlock_allow(const struct landlock_domain *domain,
		   const struct landlock_place *place);
/* The calling thread goes into the domain of that descriptor, and what that makes
 * from now on. -errno: -E2BIG where it is in too many already. */
int landlock_enter(int fd);

#endif
