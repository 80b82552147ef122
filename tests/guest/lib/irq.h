/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Interrupts of the first CPU, and a counter for each vector. */
#ifndef GUEST_IRQ_H
#define GUEST_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include "pci.h"

#define IRQ_FIRST_VECTOR 0x40 /* free to use from here to 0xef */

extern volatile uint32_t irq_counts[256];

/* The controller and the CPU's interrupts on, the controller's own lines off. */
void irq_start(void);
void irq_stop(void);

/* Waits until the counter reaches at least this; false after the time. */
bool irq_wait(uint8_t vector, uint32_t count, uint64_t timeout_ms);

/* The entry's message is one that raises vector on the first CPU; the entry is
 * unmasked. Only between irq_start() and irq_stop(). */
void irq_aim(struct pci_dev *dev, uint16_t entry, uint8_t vector);

#endif
