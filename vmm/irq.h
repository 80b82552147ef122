/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#include <stdbool.h>
#include <stdint.h>

struct board;

/*
 * Interrupts to the guest's interrupt controllers. Any thread, no lock needed.
 * Errors can only come from a machine that is going away; they are logged.
 */

/*
 * Send one message-signalled interrupt, of the PCI function with this
 * requester id (bus, slot and function; an ITS asks for it). False: interrupts
 * are held; the caller keeps it, and sends it when its device resumes.
 */
bool irq_msi(struct board *board, uint32_t devid, uint64_t addr, uint32_t data);

/* One message, as above. */
struct irq_msi {
	uint32_t devid;
	uint32_t data;
	uint64_t addr;
};

/*
 * Each signal of event_fd from now on sends this message, instead of the one
 * before, without this process; NULL: none any more. Held or not. -errno: it
 * sends none, and is for the caller to read.
 */
int irq_msi_fd(struct board *board, int event_fd, const struct irq_msi *msi);

/* From now on no message is sent; on false, they are sent again. Main thread,
 * no vCPU runs; devices may still end what they have begun. */
void irq_hold(struct board *board, bool on);

/* Set the level of an interrupt line: of a controller in this process when
 * there is one, else of KVM's. */
void irq_line(struct board *board, uint32_t gsi, bool level);

/* One pulse of a line: what an edge-triggered interrupt takes. */
void irq_pulse(struct board *board, uint32_t gsi);

/* A controller in this process takes the lines, from any thread; NULL: KVM's
 * again. Main thread, before the devices that use lines. */
void irq_set_line_sink(struct board *board,
		       void (*sink)(void *opaque, uint32_t gsi, bool level),
		       void *opaque);

#endif
