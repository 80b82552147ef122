/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What is where, as the device tree has it; 0: it is not there. */
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include <stdint.h>

/* Interrupts' numbers (INTID). */
#define INTID_PPI 16
#define INTID_SPI 32
#define INTID_LPI 8192

struct machine {
	uint64_t uart, rtc;
	uint64_t gic_distributor, gic_redistributors, its;
	uint64_t ecam, pci_window, pci_window_len; /* of 32 bits */
	uint64_t cpu1; /* its affinity */
	uint32_t uart_intid, timer_intid;
	unsigned nr_cpus;
};

extern struct machine machine;

#endif
