/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef ARCH_AARCH64_HOST_H
#define ARCH_AARCH64_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"

struct vcpu;

/* What this host's processors have for vCPUs. */
struct arch_host {
	uint32_t features; /* 1 << KVM_ARM_VCPU_* */
	bool has_pmu;
	bool has_sve;
};

/* The rest of a vCPU, which waits for the interrupt controller. Main thread.
 * -errno with a message. */
int cpu_finish(struct vcpu *vcpu, struct error *err);

#endif
