/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_PCI_MSIX_H
#define DEVICES_PCI_MSIX_H

#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * MSI-X table and pending bits of one function (PCI 3.0 section 6.8.2).
 * Messages leave through `send`, so that tests can look at them.
 */
#define MSIX_MAX_VECTORS 2048u

struct msix_entry {
	uint32_t addr_lo;
	uint32_t addr_hi;
	uint32_t data;
	uint32_t control;
};

/* What the guest has set, and what waits to be sent. */
struct msix_state {
	uint64_t pending[MSIX_MAX_VECTORS / 64]; /* a bit a vector */
	struct msix_entry table[]; /* of each vector */
};

struct msix {
	/* set at creation */
	bool (*send)(void *opaque, uint64_t addr, uint32_t data);
	void *opaque;
	unsigned int nr; /* vectors, 1..MSIX_MAX_VECTORS */

	/* any thread, under lock (no other is taken inside) */
	pthread_mutex_t lock;
	struct msix_state *state;
	/* as message control says, which is in configuration space */
	bool enabled; /* bit 15 */
	bool masked; /* bit 14 */
};

/*
 * m: the caller's storage. send: from any thread, with m's lock held; false: not
 * now, the vector is pending until msix_flush(). -ENOMEM. Main thread.
 */
int msix_init(struct msix *m, unsigned int nr,
	      bool (*send)(void *opaque, uint64_t addr, uint32_t data),
	      void *opaque);
/* Free the table; of one that is zeroed or was freed, nothing. Main thread,
 * nobody uses it any more. */
void msix_fini(struct msix *m);

/* As at power-on: all vectors masked, nothing pending, disabled. Any thread. */
void msix_reset(struct msix *m);

/* The guest wrote message control: vectors that are pending and not masked any
 * more are sent. vCPU thread. */
void msix_set_control(struct msix *m, bool enabled, bool masked);

/* Send a vector, or mark it pending; one out of range is ignored. Any thread. */
void msix_notify(struct msix *m, unsigned int vector);

/* What the vector sends now; false: nothing, it is masked. Any thread. */
bool msix_message(struct msix *m, unsigned int vector, uint64_t *addr,
		  uint32_t *data);

/* Send what is pending and not masked. Any thread. */
void msix_flush(struct msix *m);

/* The guest reads len bytes at off of the table: 4 or 8, aligned, else all is
 * zero, as it is behind the end. vCPU thread. */
void msix_table_read(struct msix *m, uint64_t off, void *data,
		     unsigned int len);
/* The same for a write, which may unmask, and so send, a vector; one that is
 * not 4 or 8 aligned bytes inside the table is lost. vCPU thread. */
void msix_table_write(struct msix *m, uint64_t off, const void *data,
		      unsigned int len);
/* As msix_table_read(), of the pending bits. vCPU thread. */
void msix_pba_read(struct msix *m, uint64_t off, void *data, unsigned int len);

#endif
