/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#include <stdbool.h>
#include <stdint.h>

struct vm;

/*
 * Interrupts into the in-kernel controllers. Any thread, no lock needed.
 * Errors can only come from a machine that is going away; they are logged.
 */

/* Send one message-signalled interrupt (KVM_SIGNAL_MSI). */
void irq_msi(struct vm *vm, uint64_t addr, uint32_t data);

/*
 * Set the level of an interrupt line: of the machine's own controller when it
 * has one, else of KVM's (KVM_IRQ_LINE).
 */
void irq_line(struct vm *vm, uint32_t gsi, bool level);

/* A controller in this process takes the lines, from any thread; NULL: KVM's
 * again. Main thread, before the devices that use lines. */
void irq_set_line_sink(struct vm *vm,
		       void (*sink)(void *opaque, uint32_t gsi, bool level),
		       void *opaque);

#endif
