/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_KEPT_H
#define VMM_KEPT_H

#include <stdbool.h>

/*
 * Files of the kernel that are needed again and again. A process that goes where
 * they are not (vmm/jail.h) takes descriptors of them along.
 */
enum kept {
	KEPT_KVM, /* /dev/kvm */
	KEPT_FD_DIR, /* /proc/self/fd, for the calling process, O_PATH */
	KEPT_FDINFO_DIR, /* /proc/self/fdinfo, likewise */
	KEPT_SMAPS, /* /proc/self/smaps */
	KEPT_STATUS, /* /proc/self/status */
	KEPT_MEMINFO, /* /proc/meminfo */
	KEPT_NR,
};

/* A descriptor of it, the caller's, closed on exec: a copy where it is kept.
 * -errno: it could not be opened. Any thread. */
int kept_open(enum kept which);

/* Call fn with each line, without its end, of one that is text, as far as it can
 * be read. Any thread. */
void kept_read(enum kept which, void (*fn)(void *arg, const char *line),
	       void *arg);

/* Is it kept, so that its name may say nothing here? Any thread. */
bool kept_is_there(enum kept which);

/* Open all, or all but the directories, and keep them from now on; what is not
 * opened fails later. Of directories only what is below them can be reached by
 * the descriptor, where CAP_SYS_ADMIN is there for that; to end that takes 0.1 ms
 * each. Before there are other threads. */
void kept_take(bool dirs);
/* The same for a process that stays where they are: directories are opened when
 * they are needed. */
void kept_take_files(void);

#endif
