/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The TSC. Its rate is tsc_khz=, else what kvmclock says. */
#include "clock.h"

#include "param.h"
#include "ring0.h"

#define CPUID_KVM 0x40000000
#define CPUID_KVM_FEATURES 0x40000001
#define KVM_FEATURE_CLOCKSOURCE2 (1u << 3)
#define KVM_SIGNATURE_EBX 0x4b4d564b /* "KVMK" */
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01

#define FALLBACK_KHZ 2000000

struct kvmclock {
	uint32_t version;
	uint32_t pad;
	uint64_t tsc;
	uint64_t ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags;
	uint8_t pad2[2];
};

static struct kvmclock kvmclock __attribute__((aligned(4096)));

/* ns = ((cycles << shift) * mul) >> 32, so the rate follows from the two. */
static uint64_t clock_ask_kvm(void)
{
	uint32_t regs[4];
	volatile struct kvmclock *page = &kvmclock;
	uint64_t khz;

	ring0_call(RING0_CPUID, CPUID_KVM, (uint64_t)regs);
	if (regs[1] != KVM_SIGNATURE_EBX)
		return 0;
	ring0_call(RING0_CPUID, CPUID_KVM_FEATURES, (uint64_t)regs);
	if (!(regs[0] & KVM_FEATURE_CLOCKSOURCE2))
		return 0;
	ring0_call(RING0_WRMSR, MSR_KVM_SYSTEM_TIME_NEW, (uint64_t)page | 1);
	if (!page->mul)
		return 0;
	khz = (1000000ull << 32) / page->mul;
	khz = page->shift < 0 ? khz << -page->shift : khz >> page->shift;
	ring0_call(RING0_WRMSR, MSR_KVM_SYSTEM_TIME_NEW, 0);
	return khz;
}

uint64_t clock_khz(void)
{
	static uint64_t khz;

	if (!khz)
		khz = param_number("tsc_khz", 0);
	if (!khz)
		khz = clock_ask_kvm();
	if (!khz)
		khz = FALLBACK_KHZ;
	return khz;
}
