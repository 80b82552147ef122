/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Order, patience and time: an instruction each, or none. */
#ifndef GUEST_INSN_H
#define GUEST_INSN_H

#include <stdint.h>

#define barrier() __asm__ volatile("" : : : "memory")
/* The processor keeps writes in order, and reads. */
#define write_fence() barrier()
#define read_fence() barrier()
#define full_fence() __asm__ volatile("mfence" : : : "memory")
#define cpu_relax() __asm__ volatile("pause" : : : "memory")

static inline uint64_t clock_cycles(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

#endif
