/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_PCI_MSIX_H
#define DEVICES_PCI_MSIX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * MSI-X table and pending bits of one function (PCI 3.0 section 6.8.2).
 * Messages leave through `send`, so that tests can look at them.
 */
#define MSIX_ENTRY_SIZE 16u
#define MSIX_ENTRY_MASKED 1u /* vector control, bit 0 */

struct msix_entry {
	uint32_t addr_lo;
	uint32_t addr_hi;
	uint32_t data;
	uint32_t control;
};

struct msix {
	/* set at creation */
	void (*send)(void *opaque, uint64_t addr, uint32_t data);
	void *opaque;
	unsigned int nr; /* vectors, 1..2048 */
	uint32_t table_off; /* in the BAR */
	uint32_t pba_off;

	/* any thread, under lock (lock order: the last one) */
	pthread_mutex_t lock;
	struct msix_entry *table;
	uint64_t *pending;
	bool enabled; /* message control, bit 15 */
	bool masked; /* message control, bit 14 */
};

/* m: caller's storage. -ENOMEM. Main thread. */
int msix_init(struct msix *m, unsigned int nr,
	      void (*send)(void *opaque, uint64_t addr, uint32_t data),
	      void *opaque);
void msix_fini(struct msix *m);

/* All vectors masked, nothing pending, disabled. Any thread. */
void msix_reset(struct msix *m);

/* The guest wrote message control. Pending vectors that became free are sent.
 * vCPU thread. */
void msix_set_control(struct msix *m, bool enabled, bool masked);

/* Any thread. A vector out of range is ignored. */
void msix_notify(struct msix *m, unsigned int vector);

/* Accesses relative to the table / the pending bits; out of range reads 0.
 * len 4 or 8; others read 0 and write nothing. vCPU thread. */
void msix_table_read(struct msix *m, uint64_t off, void *data,
		     unsigned int len);
void msix_table_write(struct msix *m, uint64_t off, const void *data,
		      unsigned int len);
void msix_pba_read(struct msix *m, uint64_t off, void *data, unsigned int len);

#endif
