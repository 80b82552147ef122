/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * What a guest program starts from: guest_main() runs in ring 3, with all
 * ports open, the low 4 GiB mapped one to one and interrupts off.
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_CMDLINE_MAX 2048
#define GUEST_RAM_MAX 8

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct guest_ram {
	uint64_t start;
	uint64_t end;
};

struct guest_info {
	char cmdline[GUEST_CMDLINE_MAX];
	uint64_t rsdp; /* 0: none given */
	uint64_t ram_low_end; /* end of the RAM that holds this program */
	uint64_t ram_end; /* highest RAM address, exclusive */
	unsigned nr_ram;
	struct guest_ram ram[GUEST_RAM_MAX];
};

/* Defined by each guest. When it returns, the guest powers off. */
void guest_main(const struct guest_info *info);

/* Ring-0 services; see start.S, which has the table in this order. */
enum ring0_service {
	RING0_RDMSR, /* a = number; returns the value */
	RING0_WRMSR, /* a = number, b = value; an unknown one is a fault */
	RING0_CPUID, /* a = leaf, b = address of uint32_t[4] */
	RING0_IRQ_ON,
	RING0_IRQ_OFF,
	RING0_HALT, /* until an interrupt comes */
	RING0_NO_IDT, /* the next exception is a triple fault */
};

uint64_t ring0_call(enum ring0_service service, uint64_t a, uint64_t b);

#endif
