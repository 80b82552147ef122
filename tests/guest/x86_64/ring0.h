/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Ring-0 services; see start.S, which has the table in this order. */
#ifndef GUEST_RING0_H
#define GUEST_RING0_H

#include <stdint.h>

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
