/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The local APIC, where it is more than what irq.h tells all of. */
#ifndef GUEST_APIC_H
#define GUEST_APIC_H

#include <stdint.h>

/* As irq_start(), by x2APIC; there is no way back from that. */
void irq_start_x2apic(void);

uint32_t irq_apic_id(void);

/* Sends CPU 1 an NMI, whether it runs or not. */
void cpu1_nmi(void);

#endif
