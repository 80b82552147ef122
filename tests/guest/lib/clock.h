/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Time from the processor's counter, which clock_cycles() reads. */
#ifndef GUEST_CLOCK_H
#define GUEST_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "insn.h"

uint64_t clock_khz(void);
void clock_wait_us(uint64_t us);

/* A deadline in cycles, for clock_is_past(). */
uint64_t clock_after_ms(uint64_t ms);
bool clock_is_past(uint64_t deadline);

#endif
