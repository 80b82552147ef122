/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef ARCH_SPEED_LOOP_H
#define ARCH_SPEED_LOOP_H

#include <stddef.h>
#include <stdint.h>

#define SPEED_RAM 0x10000u /* bytes from 0 on; a page of any size */

/* What a port gives arch/speed.c. */
struct speed_loop {
	const void *code; /* turns of two instructions each, then an exit */
	size_t len; /* bytes */
	uint64_t gpa; /* where it goes */
	unsigned int turns;
	uint32_t exit_reason; /* KVM_EXIT_* */
};
extern const struct speed_loop speed_loop;

/* What a vCPU needs that KVM has just made. Any thread. -errno. */
int speed_prepare(int vm_fd, int vcpu_fd);
/* Set the registers for one run of the loop. Any thread. -errno. */
int speed_enter(int vcpu_fd);

#endif
