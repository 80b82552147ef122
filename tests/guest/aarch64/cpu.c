/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "cpu.h"

#include <stdint.h>

#include "clock.h"
#include "machine.h"
#include "psci.h"

#define OFF_MS 5000

extern char cpu1_start[];

/* Interrupts wait until this CPU does. */
void cpu_halt(void)
{
	uint64_t daif = sysreg_read("daif");

	__asm__ volatile("msr daifset, #2\n\t"
			 "dsb sy\n\twfi\n\t"
			 "msr daifclr, #2\n\tisb"
			 :
			 :
			 : "memory");
	sysreg_write("daif", daif);
}

/* Entered from start.S. */
void cpu1_main(void)
{
	cpu1_do();
	for (;;)
		psci_call(PSCI_CPU_OFF, 0, 0, 0);
}

/* One that has done its work may still be on for a moment. */
void cpu1_enter(void)
{
	uint64_t deadline = clock_after_ms(OFF_MS);

	while (psci_call(PSCI_CPU_ON, machine.cpu1, (uint64_t)cpu1_start, 0) ==
		       PSCI_ALREADY_ON &&
	       !clock_is_past(deadline))
		cpu_relax();
}
