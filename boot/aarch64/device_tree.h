/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_AARCH64_DEVICE_TREE_H
#define BOOT_AARCH64_DEVICE_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/request.h"
#include "vmm/error.h"
#include "vmm/gmem.h"

#define DT_SEED_LEN 64 /* bytes */

/* A range of addresses. */
struct dt_window {
	uint64_t base;
	uint64_t len; /* bytes */
};

/* The machine that a device tree describes; interrupts are numbers of SPIs. */
struct dt_machine {
	unsigned int nr_cpus;
	bool has_pmu;
	uint32_t pmu_ppi;

	struct dt_window gic_distributor;
	struct dt_window gic_redistributors;
	struct dt_window its;

	struct dt_window ecam;
	unsigned int nr_buses;
	struct dt_window mmio32; /* for BARs below 4 GiB */
	struct dt_window mmio64; /* for BARs anywhere */

	struct dt_window serial; /* PL011; len 0: there is none */
	uint32_t serial_spi;
	uint32_t power_spi; /* power button: edge, high */
	struct dt_window rtc; /* PL031, which rings no alarm */

	const char *cmdline; /* NULL counts as empty */
	struct boot_initrd initrd; /* len 0: there is none */
	uint8_t seed[DT_SEED_LEN]; /* random, for the guest alone */
};

/* Which processor is vCPU `index`: the affinity fields of its MPIDR_EL1, as KVM
 * gives them to vCPUs. Any thread. */
uint64_t dt_cpu_affinity(unsigned int index);

/*
 * Write the device tree of a machine with the RAM of gm into [gpa, gpa + room).
 * Any thread; no vCPU runs. -EFAULT not RAM, -ENOSPC too small, with a message.
 */
int dt_build(struct gmem *gm, gpa_t gpa, uint64_t room,
	     const struct dt_machine *m, struct error *err);

#endif
