/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The system calls of this port; as vmm/syscalls.c, not part of the program. */
#include <linux/kvm.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "arch/arch.h"

const struct syscall_rule arch_syscalls[] = {
	/* A machine. */
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_CREATE_DEVICE)),
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_SET_DEVICE_ATTR)),
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_ARM_VCPU_FINALIZE)),
	/* vCPUs that come and go: one starts another, and turns itself off. */
	MAY("ioctl", ON_VCPU, IF_ARG(1, KVM_SET_MP_STATE)),
	MAY("tgkill", ON_VCPU, IF_ARG(2, SIGUSR1)),
	/* The seed of the guest's random numbers. */
	MAY("getrandom", ON_MAIN | ON_POOL),
	/* A guest that KVM gives up on is shown; and how fast a machine runs
	 * its kernel, in one that is made for it. */
	MAY("ioctl", ON_MAIN | ON_VCPU, IF_ARG(1, KVM_ARM_PREFERRED_TARGET)),
	MAY("ioctl", ON_MAIN | ON_VCPU, IF_ARG(1, KVM_ARM_VCPU_INIT)),
	MAY("ioctl", ON_MAIN | ON_VCPU, IF_ARG(1, KVM_SET_ONE_REG)),
	MAY("ioctl", ON_VCPU, IF_ARG(1, KVM_GET_ONE_REG)),
	{ .name = "" },
};

/* linux/asm-generic/unistd.h has none that another one can stand for. */
const struct arch_renamed arch_renamed[] = {
	{ "access", "faccessat" },    { "arch_prctl", "prctl" },
	{ "dup2", "dup3" },	      { "fork", "clone" },
	{ "getdents", "getdents64" }, { "open", "openat" },
	{ "pause", "ppoll" },	      { "pipe", "pipe2" },
	{ "readlink", "readlinkat" }, { "stat", "newfstatat" },
	{ "unlink", "unlinkat" },     { 0 },
};
