/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The loop that is timed, in real mode. */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/speed_loop.h"
#include "vmm/util.h"

#define SPEED_CODE_GPA 0x1000u
#define SPEED_LOOP_TURNS 20000u

/* mov $TURNS, %ecx; 1: dec %ecx; jnz 1b; out %al, $0x80  (real mode) */
static const uint8_t speed_code[] = { 0x66,
				      0xb9,
				      SPEED_LOOP_TURNS & 0xff,
				      SPEED_LOOP_TURNS >> 8,
				      0,
				      0,
				      0x66,
				      0x49,
				      0x75,
				      0xfc,
				      0xe6,
				      0x80 };

int speed_enter(int vcpu_fd)
{
	struct kvm_regs regs = { .rip = SPEED_CODE_GPA, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) ||
	    ioctl(vcpu_fd, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

const struct speed_loop speed_loop = {
	.code = speed_code,
	.len = sizeof(speed_code),
	.gpa = SPEED_CODE_GPA,
	.turns = SPEED_LOOP_TURNS,
	.exit_reason = KVM_EXIT_IO,
};

int speed_prepare(int vm_fd unused_param, int vcpu_fd unused_param)
{
	return 0;
}
