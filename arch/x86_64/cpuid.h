/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef ARCH_X86_64_CPUID_H
#define ARCH_X86_64_CPUID_H

#include "vmm/error.h"
#include "vmm/vcpu.h"

struct kvm_cpuid2;

/*
 * Fit a copy of KVM's supported CPUID to one vCPU: the topology leaves say one
 * package with nr_cpus cores of one thread each, and name this one's APIC id
 * (Intel SDM vol. 2A CPUID, AMD APM vol. 3 appendix E). cpuid has room for
 * max_entries. Any thread.
 */
void cpuid_fit(struct kvm_cpuid2 *cpuid, unsigned int max_entries,
	       unsigned int apic_id, unsigned int nr_cpus);

/* The guest's CPUs can run no machines of their own. Any thread. */
void cpuid_hide_nested(struct kvm_cpuid2 *cpuid);

/* Set the CPUID of a vCPU: what KVM supports, fitted. Main thread. -errno with
 * a message. */
int cpuid_init(struct vcpu *vcpu, struct error *err);

#endif
