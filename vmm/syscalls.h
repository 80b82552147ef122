/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_SYSCALLS_H
#define VMM_SYSCALLS_H

#include "vmm/syscall_rule.h"

/* Kinds of threads by their names; the loops that a device has to itself are
 * called as its class is. Ends with an empty name. */
struct syscall_role {
	char name[16];
	uint16_t on;
};
extern const struct syscall_role syscall_roles[];

/* What the machine's own parts and the C library call, beside what the device
 * classes list, and what sanitizers do. */
extern const struct syscall_rule syscalls_base[];
extern const struct syscall_rule syscalls_sanitizers[];

#endif
