/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef ARCH_HOST_H
#define ARCH_HOST_H

#include <stdint.h>

/* What a port knows of the host's processors; beside arch/arch.h, for those that
 * know nothing of guests. */

/* A pause in a busy wait. Any thread. */
void arch_cpu_relax(void);

/* Bytes of a page: what the host maps, and KVM can have memory in; 4096 or more,
 * a power of two. Any thread. */
uint64_t arch_page_size(void);

/* Have memory hold what was written to [p, p + len), for a guest that reads it as
 * it reads a device, around the caches. Any thread. */
void arch_clean(const void *p, uint64_t len);

#endif
