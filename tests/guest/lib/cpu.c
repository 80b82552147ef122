/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "cpu.h"

#include "clock.h"

#define START_MS 5000

volatile bool cpu1_stop;

static void (*volatile cpu1_work)(void);
static volatile bool cpu1_is_up;

void cpu1_do(void)
{
	cpu1_is_up = true;
	cpu1_work();
	full_fence();
	cpu1_is_up = false;
}

static bool cpu1_wait(bool up)
{
	uint64_t deadline = clock_after_ms(START_MS);

	while (cpu1_is_up != up) {
		if (clock_is_past(deadline))
			return false;
		cpu_relax();
	}
	full_fence();
	return true;
}

bool cpu1_run(void (*work)(void))
{
	cpu1_work = work;
	cpu1_stop = false;
	full_fence();
	cpu1_enter();
	return cpu1_wait(true);
}

bool cpu1_end(void)
{
	cpu1_stop = true;
	return cpu1_wait(false);
}
