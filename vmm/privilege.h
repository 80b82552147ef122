/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_PRIVILEGE_H
#define VMM_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Capabilities (capabilities(7)), by thread: bits 1 << CAP_*. Nothing is done, and
 * threads have what the process has, before privilege_keep().
 *
 * The loops of one kind of device have them in force. The pool's for such devices may put
 * them in force for a request, and the thread that makes the
 * others hands them on; all others have none.
 */

/* The calling thread has no others than these. -errno. */
int privilege_set(uint32_t effective, uint32_t permitted);

/* From now on. name: of the threads, without their number; borrowed. The calling
 * thread may have mask, but not in force. Before there are other threads. */
void privilege_keep(const char *name, uint32_t mask);
/* Some are kept: threads are to be made by one that has them. */
bool privilege_is_kept(void);
/* Of those in mask, what cannot be had. */
uint32_t privilege_lacks(uint32_t mask);

/* The calling thread, called name, has from here on what its kind may have.
 * -errno. */
int privilege_thread(const char *name);
/* ... of these, only those in mask. A loop of such a device. */
void privilege_narrow(uint32_t mask);

/* For a request of such a device, on such a thread of the pool: those in mask are in
 * force until privilege_lower(). */
void privilege_raise(uint32_t mask);
/* None are in force on this thread of the pool any more. */
void privilege_lower(void);

#endif
