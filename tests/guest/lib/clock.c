/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "clock.h"

void clock_wait_us(uint64_t us)
{
	uint64_t end = clock_cycles() + us * clock_khz() / 1000;

	while (!clock_is_past(end))
		cpu_relax();
}

uint64_t clock_after_ms(uint64_t ms)
{
	return clock_cycles() + ms * clock_khz();
}

bool clock_is_past(uint64_t deadline)
{
	return (int64_t)(clock_cycles() - deadline) >= 0;
}
