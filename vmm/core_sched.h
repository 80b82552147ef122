/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_CORE_SCHED_H
#define VMM_CORE_SCHED_H

#include "vmm/error.h"

/*
 * Core scheduling (Linux 5.14): who may run on the other hardware thread of a
 * core while a vCPU does, and so can measure what it does there.
 */
enum core_sched {
	CORE_SCHED_VM, /* other vCPUs of this machine */
	CORE_SCHED_VCPU, /* nobody */
	CORE_SCHED_OFF, /* anybody */
	CORE_SCHED_AUTO, /* CORE_SCHED_VM, where the kernel can */
};

/* Before the threads of vCPUs start. A host whose cores have one thread has
 * nothing to share. Main thread. -errno with a message: the kernel cannot do what
 * was asked for. */
int core_sched_prepare(enum core_sched mode, struct error *err);

/* The calling thread is a vCPU's. */
void core_sched_join(enum core_sched mode);

#endif
