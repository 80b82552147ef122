/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "irq.h"

#include "clock.h"

volatile uint32_t irq_counts[256];

bool irq_wait(uint8_t vector, uint32_t count, uint64_t timeout_ms)
{
	uint64_t deadline = clock_after_ms(timeout_ms);

	while (irq_counts[vector] < count) {
		if (clock_is_past(deadline))
			return false;
		cpu_relax();
	}
	return true;
}
