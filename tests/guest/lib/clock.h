/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Time from the TSC. Its rate is tsc_khz=, else what kvmclock says. */
#ifndef GUEST_CLOCK_H
#define GUEST_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t clock_cycles(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

uint64_t clock_khz(void);
void clock_wait_us(uint64_t us);

/* A deadline in cycles, for clock_is_past(). */
uint64_t clock_after_ms(uint64_t ms);
bool clock_is_past(uint64_t deadline);

#endif
