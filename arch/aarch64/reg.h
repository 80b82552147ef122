/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef ARCH_AARCH64_REG_H
#define ARCH_AARCH64_REG_H

#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* Names of registers, as KVM_GET_ONE_REG takes them. */
#define REG_CORE(member)                                       \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
	 offsetof(struct kvm_regs, member) / sizeof(uint32_t))
#define REG_X(n) (REG_CORE(regs.regs) + 2ull * (n))
#define REG_SP REG_CORE(sp_el1)
#define REG_PC REG_CORE(regs.pc)
#define REG_PSTATE REG_CORE(regs.pstate)
#define REG_ELR_EL1 REG_CORE(elr_el1)
#define REG_SCTLR_EL1 ARM64_SYS_REG(3, 0, 1, 0, 0)
#define REG_TTBR0_EL1 ARM64_SYS_REG(3, 0, 2, 0, 0)
#define REG_TTBR1_EL1 ARM64_SYS_REG(3, 0, 2, 0, 1)
#define REG_ESR_EL1 ARM64_SYS_REG(3, 0, 5, 2, 0)
#define REG_FAR_EL1 ARM64_SYS_REG(3, 0, 6, 0, 0)

/* Main thread, or the vCPU's own. -errno. */
static inline int reg_set(int vcpu_fd, uint64_t id, uint64_t v)
{
	const struct kvm_one_reg reg = { id, (uintptr_t)&v };

	return ioctl(vcpu_fd, KVM_SET_ONE_REG, &reg) ? -errno : 0;
}

/* As reg_set(); for reports: what cannot be read is 0. */
static inline uint64_t reg_get(int vcpu_fd, uint64_t id)
{
	uint64_t v = 0;
	const struct kvm_one_reg reg = { id, (uintptr_t)&v };

	return ioctl(vcpu_fd, KVM_GET_ONE_REG, &reg) ? 0 : v;
}

#endif
