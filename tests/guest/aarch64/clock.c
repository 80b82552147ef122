/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The virtual counter of the processor's timer. */
#include "clock.h"

uint64_t clock_khz(void)
{
	return sysreg_read("cntfrq_el0") / 1000;
}
