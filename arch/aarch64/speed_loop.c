/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The loop that is timed, in EL1. */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/aarch64/reg.h"
#include "arch/speed_loop.h"

#define SPEED_LOOP_TURNS 20000u
#define SCTLR_CACHED_CODE (1u << 12) /* I: instructions may be cached */

static const uint32_t speed_code[] = {
	0xf1000400, /* 1: subs x0, x0, #1 */
	0x54ffffe1, /* b.ne 1b */
	0xf9000020, /* str x0, [x1], where no memory is */
};

/* An exit is complete when the vCPU is entered again, so each entry has registers
 * of its own. */
int speed_enter(int vcpu_fd)
{
	int r = reg_set(vcpu_fd, REG_X(0), SPEED_LOOP_TURNS);

	if (!r)
		r = reg_set(vcpu_fd, REG_X(1), SPEED_RAM);
	return r ? r : reg_set(vcpu_fd, REG_PC, 0);
}

const struct speed_loop speed_loop = {
	.code = speed_code,
	.len = sizeof(speed_code),
	.gpa = 0,
	.turns = SPEED_LOOP_TURNS,
	.exit_reason = KVM_EXIT_MMIO,
};

int speed_prepare(int vm_fd, int vcpu_fd)
{
	struct kvm_vcpu_init init;

	if (ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &init) ||
	    ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init))
		return -errno;
	return reg_set(vcpu_fd, REG_SCTLR_EL1, SCTLR_CACHED_CODE);
}
