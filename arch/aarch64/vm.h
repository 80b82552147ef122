/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef ARCH_AARCH64_VM_H
#define ARCH_AARCH64_VM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"

/* What the port's files know of hosts, VMs and vCPUs. */
struct board;
struct vcpu;

/* What this host's processors have for vCPUs. */
struct arch_host {
	uint32_t features; /* 1 << KVM_ARM_VCPU_* */
	bool has_pmu;
	bool has_sve;
};

struct arch_vm {
	int vm_fd; /* borrowed */
	int gic_fd, its_fd; /* -1: not made yet */
	struct vcpu *const *vcpus; /* all that there may be; borrowed */
	unsigned int nr_vcpus;
	struct board *board; /* theirs */

	/* Power of vCPUs, where PSCI asks us. Any thread, under lock. */
	pthread_mutex_t lock;
	struct psci_cpu {
		bool on; /* as PSCI has it */
		bool starting; /* its thread has yet to do it: */
		uint64_t entry, context; /* what it starts with */
		bool asked; /* to be off: it is taken then */
	} * cpus; /* NULL: KVM does all of PSCI */
};

/* ---- gic.c ---- */

/* Has this host a GICv3 for guests? Any thread. */
bool gic_is_there(int kvm_fd);
/* Set an attribute of one of KVM's devices, or of the VM. value: what it is set to;
 * NULL: it is a command. Main thread. -errno. */
int kvm_attr_set(int fd, uint32_t group, uint64_t attr, const void *value);

/* ---- cpu.c ---- */

/* The rest of a vCPU, which waits for the interrupt controller. Main thread.
 * -errno with a message. */
int cpu_finish(struct vcpu *vcpu, struct error *err);
/* Registers as after a reset, and on: at entry, with context in x0. Its own thread.
 * -errno. */
int cpu_start(struct vcpu *vcpu, uint64_t entry, uint64_t context);
/* Off, from its next entry on. Its own thread. -errno. */
int cpu_stop(struct vcpu *vcpu);
/* What is in x<n> of a call of the guest (SMCCC). Its own thread. */
uint64_t cpu_argument(const struct vcpu *vcpu, unsigned int n);
/* Answer the call, in x0. Its own thread. */
void cpu_answer(const struct vcpu *vcpu, int64_t answer);

/* ---- psci.c ---- */

/* The vCPUs are made: calls of the guest that start and stop processors come to this
 * process from now on, where the host can. Main thread. -errno with a message. */
int psci_init(struct arch_vm *vm, struct error *err);
/* No vCPU is left. Main thread. */
void psci_fini(struct arch_vm *vm);
/* Its thread does not run: it is off, until it is started. Main thread. */
void psci_rest(struct arch_vm *vm, unsigned int index);
/* The guest made a call. Its vCPU's thread. */
void psci_call(struct vcpu *vcpu);
/* Start with what another vCPU asked for, if one did. The vCPU's own thread. */
void psci_attend(struct vcpu *vcpu);

#endif
