/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "cpu.h"

#include "apic.h"
#include "clock.h"
#include "io.h"
#include "memory.h"
#include "ring0.h"

#define CPU1_APIC_ID 1u
#define CPU1_PAGE 0x70000u /* what CPU 1 runs first, below 1 MiB */
#define INIT_US 1000

#define MSR_APIC_BASE 0x1b
#define APIC_BASE_X2APIC (1u << 10)
#define MSR_X2APIC_SVR 0x80f
#define MSR_X2APIC_ICR 0x830
#define XAPIC_SVR 0xfee000f0
#define XAPIC_ICR_LOW 0xfee00300
#define XAPIC_ICR_HIGH 0xfee00310
#define SVR_ENABLE_SPURIOUS_FF 0x1ff
#define ICR_NMI 0x4400u
#define ICR_INIT 0x4500u
#define ICR_STARTUP 0x4600u

extern char cpu1_start[], cpu1_start_end[];

void cpu_halt(void)
{
	ring0_call(RING0_HALT, 0, 0);
}

/* Entered from start.S, in ring 3. */
void cpu1_main(void)
{
	cpu1_do();
	for (;;)
		cpu_halt();
}

static bool apic_is_x2apic(void)
{
	return ring0_call(RING0_RDMSR, MSR_APIC_BASE, 0) & APIC_BASE_X2APIC;
}

/* KVM finds other CPUs by a map that it makes when an APIC gets enabled. */
static void apic_enable(void)
{
	if (apic_is_x2apic())
		ring0_call(RING0_WRMSR, MSR_X2APIC_SVR, SVR_ENABLE_SPURIOUS_FF);
	else
		mmio_write32(XAPIC_SVR, SVR_ENABLE_SPURIOUS_FF);
}

static void cpu1_send(uint32_t command)
{
	if (apic_is_x2apic()) {
		ring0_call(RING0_WRMSR, MSR_X2APIC_ICR,
			   (uint64_t)CPU1_APIC_ID << 32 | command);
		return;
	}
	mmio_write32(XAPIC_ICR_HIGH, CPU1_APIC_ID << 24);
	mmio_write32(XAPIC_ICR_LOW, command);
}

/* virtual CPUs need no second start-up message; INIT has to come through */
void cpu1_enter(void)
{
	memcpy((void *)(uint64_t)CPU1_PAGE, cpu1_start,
	       (size_t)(cpu1_start_end - cpu1_start));
	apic_enable();
	cpu1_send(ICR_INIT);
	clock_wait_us(INIT_US);
	cpu1_send(ICR_STARTUP | CPU1_PAGE >> 12);
}

void cpu1_nmi(void)
{
	apic_enable();
	cpu1_send(ICR_NMI);
}
