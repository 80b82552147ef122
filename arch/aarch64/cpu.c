/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * vCPUs. Registers are read and written one by one (Linux,
 * Documentation/virt/kvm/api.rst, KVM_SET_ONE_REG).
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arch/aarch64/layout.h"
#include "arch/aarch64/reg.h"
#include "arch/aarch64/vm.h"
#include "arch/arch.h"
#include "arch/host.h"
#include "vmm/board.h"
#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/vcpu.h"

/* ---- the host ---- */

static bool cpu_host_has(int kvm_fd, unsigned long cap)
{
	return ioctl(kvm_fd, KVM_CHECK_EXTENSION, cap) > 0;
}

int arch_host_ask(struct arch_host **out, int kvm_fd, struct error *err)
{
	struct arch_host *host = calloc(1, sizeof(*host));

	if (!host)
		return error_set(err, ENOMEM, "out of memory");
	host->features = 1u << KVM_ARM_VCPU_PSCI_0_2;
	host->has_pmu = cpu_host_has(kvm_fd, KVM_CAP_ARM_PMU_V3);
	host->has_sve = cpu_host_has(kvm_fd, KVM_CAP_ARM_SVE);
	if (host->has_pmu)
		host->features |= 1u << KVM_ARM_VCPU_PMU_V3;
	if (host->has_sve)
		host->features |= 1u << KVM_ARM_VCPU_SVE;
	/* KVM takes both or none. */
	if (cpu_host_has(kvm_fd, KVM_CAP_ARM_PTRAUTH_ADDRESS) &&
	    cpu_host_has(kvm_fd, KVM_CAP_ARM_PTRAUTH_GENERIC))
		host->features |= 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS |
				  1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
	*out = host;
	return 0;
}

void arch_host_free(struct arch_host *host)
{
	free(host);
}

/* ---- life of a vCPU ---- */

static int cpu_reset(struct vcpu *vcpu, bool on)
{
	struct kvm_vcpu_init init;

	if (ioctl(vcpu->config.vm_fd, KVM_ARM_PREFERRED_TARGET, &init))
		return -errno;
	init.features[0] = vcpu->config.host->features;
	if (!on)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	return ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init) ? -errno : 0;
}

int cpu_start(struct vcpu *vcpu, uint64_t entry, uint64_t context)
{
	int r = cpu_reset(vcpu, true);

	if (!r)
		r = reg_set(vcpu->fd, REG_X(0), context);
	return r ? r : reg_set(vcpu->fd, REG_PC, entry);
}

int cpu_stop(struct vcpu *vcpu)
{
	struct kvm_mp_state off = { .mp_state = KVM_MP_STATE_STOPPED };

	return ioctl(vcpu->fd, KVM_SET_MP_STATE, &off) ? -errno : 0;
}

uint64_t cpu_argument(const struct vcpu *vcpu, unsigned int n)
{
	return reg_get(vcpu->fd, REG_X(n));
}

void cpu_answer(const struct vcpu *vcpu, int64_t answer)
{
	reg_set(vcpu->fd, REG_X(0), (uint64_t)answer);
}

/* All but the first wait for PSCI's CPU_ON. */
int arch_vcpu_init(struct vcpu *vcpu, struct error *err)
{
	int sve = KVM_ARM_VCPU_SVE, r;

	if (vcpu->config.nested)
		return error_set(
			err, ENOTSUP,
			"--cpus nested=on: guests on aarch64 cannot run machines of their own; leave it out");
	r = cpu_reset(vcpu, vcpu->config.index == 0);
	if (!r && vcpu->config.host->has_sve &&
	    ioctl(vcpu->fd, KVM_ARM_VCPU_FINALIZE, &sve))
		r = -errno;
	if (r)
		return error_set(err, r, "KVM cannot set up vCPU %u: %s",
				 vcpu->config.index, strerror(-r));
	return 0;
}

/* Its counters interrupt by the GIC, and are ready after that. */
int cpu_finish(struct vcpu *vcpu, struct error *err)
{
	const int irq = 16 + A64_PPI_PMU;
	struct kvm_device_attr attr = {
		.group = KVM_ARM_VCPU_PMU_V3_CTRL,
		.attr = KVM_ARM_VCPU_PMU_V3_IRQ,
		.addr = (uintptr_t)&irq,
	};
	int r;

	if (!vcpu->config.host->has_pmu)
		return 0;
	r = ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &attr);
	attr.attr = KVM_ARM_VCPU_PMU_V3_INIT;
	if (!r)
		r = ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &attr);
	if (r)
		return error_set(err, errno,
				 "vCPU %u: its performance counters: %s",
				 vcpu->config.index, strerror(errno));
	return 0;
}

int arch_vcpu_rest(struct vcpu *vcpu, struct error *err)
{
	int r = cpu_reset(vcpu, false);

	if (r)
		return error_set(err, r, "vCPU %u: %s", vcpu->config.index,
				 strerror(-r));
	psci_rest(vcpu->config.arch, vcpu->config.index);
	return 0;
}

/* Linux, Documentation/arch/arm64/booting.rst: the device tree in x0, and 0 in
 * x1 to x3, as after a reset. */
int arch_enter(struct vcpu *first, const struct boot_result *entry,
	       struct error *err)
{
	int r = reg_set(first->fd, REG_X(0), entry->params);

	if (!r)
		r = reg_set(first->fd, REG_PC, entry->entry);
	if (r)
		return error_set(err, r, "cannot set the boot registers: %s",
				 strerror(-r));
	return 0;
}

/* Calls that KVM was told to leave to us. */
bool arch_vcpu_exit(struct vcpu *vcpu)
{
	if (vcpu->run->exit_reason != KVM_EXIT_HYPERCALL)
		return false;
	psci_call(vcpu);
	return true;
}

void arch_vcpu_attend(struct vcpu *vcpu)
{
	psci_attend(vcpu);
}

void arch_vcpu_nmi(struct vcpu *vcpu unused_param)
{
}

/* ---- reports ---- */

void arch_vcpu_dump(struct vcpu *vcpu)
{
	static const struct {
		const char *name;
		uint64_t id;
	} special[] = {
		{ "sp", REG_SP },
		{ "pc", REG_PC },
		{ "pstate", REG_PSTATE },
		{ "elr_el1", REG_ELR_EL1 },
		{ "esr_el1", REG_ESR_EL1 },
		{ "far_el1", REG_FAR_EL1 },
		{ "sctlr_el1", REG_SCTLR_EL1 },
		{ "ttbr0_el1", REG_TTBR0_EL1 },
		{ "ttbr1_el1", REG_TTBR1_EL1 },
	};
	uint64_t v[4];

	for (unsigned int i = 0; i < 31; i += 4) {
		for (unsigned int j = 0; j < 4; j++)
			v[j] = i + j < 31 ? reg_get(vcpu->fd, REG_X(i + j)) : 0;
		log_error("x%-2u=%016llx %016llx %016llx %016llx", i, llu(v[0]),
			  llu(v[1]), llu(v[2]), llu(v[3]));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(special); i++)
		log_error("%s=%016llx", special[i].name,
			  llu(reg_get(vcpu->fd, special[i].id)));
}

void arch_cpu_relax(void)
{
	__asm__ volatile("yield" ::: "memory");
}

/* To the point of coherency. Processors with FWB do without, but do not say so here. */
void arch_clean(const void *p, uint64_t len)
{
	uintptr_t at = (uintptr_t)p, end = at + len, line;

	__asm__ volatile("mrs %0, ctr_el0" : "=r"(line));
	line = 4ul << (line >> 16 & 0xf); /* of words */
	for (at &= ~(line - 1); at < end; at += line)
		__asm__ volatile("dc cvac, %0" ::"r"(at) : "memory");
	__asm__ volatile("dsb sy" ::: "memory");
}

uint64_t arch_page_size(void)
{
	return (uint64_t)getpagesize();
}
