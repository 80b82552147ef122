/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Order, patience and time: an instruction each. */
#ifndef GUEST_INSN_H
#define GUEST_INSN_H

#include <stdint.h>

#define barrier() __asm__ volatile("" : : : "memory")
#define write_fence() __asm__ volatile("dmb ishst" : : : "memory")
#define read_fence() __asm__ volatile("dmb ishld" : : : "memory")
#define full_fence() __asm__ volatile("dmb ish" : : : "memory")
#define cpu_relax() __asm__ volatile("yield" : : : "memory")

#define sysreg_read(name)                                         \
	({                                                        \
		uint64_t value_;                                  \
		__asm__ volatile("mrs %0, " name : "=r"(value_)); \
		value_;                                           \
	})
#define sysreg_write(name, value) \
	__asm__ volatile("msr " name ", %x0" : : "rZ"((uint64_t)(value)))
#define sync_context() __asm__ volatile("isb" : : : "memory")

static inline uint64_t clock_cycles(void)
{
	sync_context();
	return sysreg_read("cntvct_el0");
}

#endif
