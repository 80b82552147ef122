/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The GICv3's lines, where they are more than what irq.h tells all of: each
 * interrupt counts as a vector of the number of its line. */
#ifndef GUEST_GIC_H
#define GUEST_GIC_H

#include <stdbool.h>
#include <stdint.h>

/* Once: a line that has interrupted is off. Only behind irq_start(). */
void gic_line_on(uint32_t intid, bool is_edge);

#endif
