/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_SYSCALL_RULE_H
#define VMM_SYSCALL_RULE_H

#include <stdint.h>

/* What kinds of threads there are, as far as system calls go. */
enum syscall_thread {
	ON_MAIN = 1u << 0,
	ON_VCPU = 1u << 1,
	ON_IO = 1u << 2, /* the machine's I/O threads */
	ON_OWN = 1u << 3, /* loops that a device has to itself */
	ON_POOL = 1u << 4,
	ON_WORK = 1u << 5, /* that do one thing and end: memory, CPUID */
	ON_SPAWN = 1u << 6, /* that starts the others */
	ON_SHARE = 1u << 7, /* of the pool: those of shared directories */
	ON_LOOP = ON_MAIN | ON_IO | ON_OWN,
	ON_MONITOR = (1u << 8) - 1u,
	ON_OPENER = 1u << 8, /* a process of its own (vmm/opener.h) */
	ON_ALL = ON_MONITOR | ON_OPENER,
};

/*
 * A system call that may be made. Read when the program is built, and by tests:
 * names are copied in, so that the tables are pages that nobody touches.
 */
struct syscall_rule {
	char name[24]; /* the kernel's; "": the end of a table */
	uint16_t on; /* bits of enum syscall_thread */
	/* Only where these bits of this argument are so; mask 0: always. */
	uint8_t arg;
	uint32_t mask;
	uint32_t value;
};

/* call ("name") may be made on threads; with IF_ARG() behind it: only then. */
#define MAY(call, threads, ...)                            \
	{                                                  \
		.name = call, .on = (threads), __VA_ARGS__ \
	}

/* Argument n (0 for the first) is v, or has none of the bits. Only its lower
 * half is looked at, as the kernel does with an int. */
#define IF_ARG(n, v) .arg = n, .mask = UINT32_MAX, .value = (uint32_t)(v)
#define IF_WITHOUT(n, bits) .arg = n, .mask = (uint32_t)(bits)

#endif
