/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_OPENER_ALLOW_H
#define VMM_OPENER_ALLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"

/* Which paths the opener opens (--allow). One thread. */

/* Nothing but what is beneath these, at most OPENER_ALLOW_MAX, is opened from now
 * on; none: anything is. -errno with a message. */
int opener_allow(const char *const *dirs, unsigned int nr, struct error *err);
/* Are there such directories? */
bool opener_is_bounded(void);
/* openat2(2) of path, closed on exec, with RESOLVE_* of <linux/openat2.h>, so that
 * no way out of a directory is taken. A descriptor, or -errno; -EXDEV: it is
 * beneath none. */
int opener_openat(const char *path, uint64_t flags, uint64_t mode,
		  uint64_t resolve);
/* Close all descriptors from 3 on but this one and those of opener_allow(). */
void opener_keep_only(int fd);

#endif
