/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The system calls of this port; as vmm/syscalls.c, not part of the program. */
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/arch.h"

const struct syscall_rule arch_syscalls[] = {
	/* A machine, and vCPUs that come while it runs. */
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_SET_CPUID2)),
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_SET_MSRS)),
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_SET_MP_STATE)),
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_GET_LAPIC)),
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_SET_LAPIC)),
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_ENABLE_CAP)),
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_SET_IDENTITY_MAP_ADDR)),
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_SET_TSS_ADDR)),
	MAY("ioctl", ON_WORK, IF_ARG(1, KVM_GET_SUPPORTED_CPUID)),
	/* Not seen: where no thread can be had for it, the main thread asks. */
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_GET_SUPPORTED_CPUID)),
	/* An NMI, to a vCPU that the guest has started. */
	MAY("ioctl", ON_VCPU, IF_ARG(1, KVM_GET_MP_STATE)),
	MAY("ioctl", ON_VCPU, IF_ARG(1, KVM_NMI)),
	/* A guest that KVM gives up on is shown; and how fast a machine runs
	 * its kernel, in one that is made for it. */
	MAY("ioctl", ON_VCPU, IF_ARG(1, KVM_TRANSLATE)),
	MAY("ioctl", ON_VCPU, IF_ARG(1, KVM_GET_REGS)),
	MAY("ioctl", ON_MAIN | ON_VCPU, IF_ARG(1, KVM_GET_SREGS)),
	MAY("ioctl", ON_MAIN | ON_VCPU, IF_ARG(1, KVM_SET_SREGS)),
	MAY("ioctl", ON_MAIN | ON_VCPU, IF_ARG(1, KVM_SET_REGS)),
	{ .name = "" },
};

const struct arch_renamed arch_renamed[] = { { 0 } };
