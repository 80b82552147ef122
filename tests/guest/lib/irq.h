/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The local APIC, and a counter for each vector. */
#ifndef GUEST_IRQ_H
#define GUEST_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#define IRQ_FIRST_VECTOR 0x40 /* free to use from here to 0xef */

/* Written by start.S. */
extern volatile uint32_t irq_counts[256];

/* Turns the APIC and the CPU's interrupts on; the PIC stays masked. */
void irq_start(bool x2apic);
void irq_stop(void);

uint32_t irq_apic_id(void);

/* Waits until the counter reaches at least this; false after the time. */
bool irq_wait(uint8_t vector, uint32_t count, uint64_t timeout_ms);

/* The message that raises vector on this CPU. */
uint64_t irq_msi_addr(void);

#endif
