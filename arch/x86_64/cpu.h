/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef ARCH_X86_64_CPU_H
#define ARCH_X86_64_CPU_H

#include "boot/request.h"
#include "vmm/error.h"
#include "vmm/vcpu.h"

/* Point a fresh vCPU at a kernel's entry; writes GDT and page tables into
 * guest memory. Main thread. -errno with a message. */
int cpu_set_entry(struct vcpu *vcpu, const struct boot_result *res,
		  struct error *err);

#endif
