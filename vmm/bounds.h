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

/* Does nothing unless vc asks for it. Main thread. -errno with a message: nothing
 * is bounded. */
int bounds_apply(const struct vm_config *vc, struct error *err);

#endif
