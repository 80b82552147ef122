/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_CONFINE_H
#define VMM_CONFINE_H

#include <stdint.h>

struct sock_filter;

/*
 * System call filters (seccomp(2)): one for each kind of thread, by the thread's
 * name without its number. They are made when the program is built, out of what
 * devices/device.h's classes and vmm/syscalls.c list.
 */
enum confine_mode { /* of a call that is not in the thread's list */
		    CONFINE_NOT,
		    CONFINE_END, /* the process ends, with a message */
		    CONFINE_LOG, /* it is made, and the kernel's audit log says so */
		    CONFINE_ERRNO, /* it fails with EPERM */
};

struct confine_filter {
	char name[16];
	const struct sock_filter *insns;
	unsigned short nr;
};

struct confine_table {
	uint32_t arch; /* AUDIT_ARCH_*, that the filters are for */
	const struct confine_filter *filters;
	unsigned int nr_filters;
	const char (*calls)[24]; /* names, by number; "": none */
	unsigned int nr_calls;
};

/*
 * From now on confine_thread() filters, by table, which outlives all threads.
 * Main thread, before there are others. -errno: the host cannot.
 */
int confine_start(const struct confine_table *table, enum confine_mode mode);

/* The calling thread, called name, is filtered from here on; what it is allowed
 * can only become less. Nothing happens before confine_start(). -errno. */
int confine_thread(const char *name);

#endif
