/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef ARCH_X86_64_CPU_H
#define ARCH_X86_64_CPU_H

#include "boot/request.h"
#include "vmm/error.h"
#include "vmm/vcpu.h"

struct kvm_cpuid2;

/*
 * Fit a copy of KVM's supported CPUID to one vCPU: topology leaves say one
 * package with nr_cpus cores of one thread each, and the APIC id of this one (Intel SDM vol. 2A CPUID, AMD APM vol. 3 appendix E).
 * cpuid has room for max_entries. Any thread.
 */
void cpuid_fit(struct kvm_cpuid2 *cpuid, unsigned int max_entries,
	       unsigned int apic_id, unsigned int nr_cpus);

/* Set the CPUID of a vCPU: what KVM supports, fitted. Main thread. -errno with
 * a message. */
int cpuid_init(struct vcpu *vcpu, struct error *err);

/* Point a fresh vCPU at a kernel's entry; writes GDT and page tables into
 * guest memory. Main thread. -errno with a message. */
int cpu_set_entry(struct vcpu *vcpu, const struct boot_result *res,
		  struct error *err);

#endif
