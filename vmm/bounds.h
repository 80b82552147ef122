/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_BOUNDS_H
#define VMM_BOUNDS_H

#include "vmm/config.h"

/*
 * What a machine bounds its monitor to (landlock_enable): from then on the opener
 * opens the files that its configuration names, and what its rules have, and no
 * other, as the kernel's Landlock sees to. It is for good: what is bound once more
 * gets what both have.
 */

/* What can be said of vc without the host. -EINVAL with a message. */
int bounds_check(const struct vm_config *vc, struct error *err);
/* Look up what vc names, if it asks for bounds, as long as the host takes for that.
 * Any thread; opener_leave() is the caller's. -errno with a message. */
int bounds_look_up(const struct vm_config *vc, struct error *err);
/* The same thread's bounds are in force; nothing is done unless vc asks for them. No
 * path is looked up. -errno with a message: nothing is bounded. */
int bounds_apply(const struct vm_config *vc, struct error *err);

#endif
