/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_LIB_GUEST_VIRTIO_H
#define TESTS_LIB_GUEST_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/fake_vm.h"
#include "tests/lib/guest_ring.h"

/*
 * The driver's side of a virtio PCI device (virtio 1.2 section 4.1), as far as
 * tests need it. Aborts when the device has not what every device must have.
 */

/* Common configuration, section 4.1.4.3 */
#define GV_DEVICE_FEATURE_SELECT 0x00u
#define GV_DEVICE_FEATURE 0x04u
#define GV_DRIVER_FEATURE_SELECT 0x08u
#define GV_DRIVER_FEATURE 0x0cu
#define GV_CONFIG_VECTOR 0x10u
#define GV_NUM_QUEUES 0x12u
#define GV_STATUS 0x14u
#define GV_GENERATION 0x15u
#define GV_QUEUE_SELECT 0x16u
#define GV_QUEUE_SIZE 0x18u
#define GV_QUEUE_VECTOR 0x1au
#define GV_QUEUE_ENABLE 0x1cu
#define GV_QUEUE_NOTIFY_OFF 0x1eu
#define GV_QUEUE_DESC 0x20u
#define GV_QUEUE_DRIVER 0x28u
#define GV_QUEUE_DEVICE 0x30u
#define GV_QUEUE_RESET 0x3au

/* Indexed by capability type */
#define GV_COMMON 1u
#define GV_NOTIFY 2u
#define GV_ISR 3u
#define GV_DEVICE 4u
#define GV_PCI 5u
#define GV_MSIX 6u /* not a virtio one: offset in config space only */

struct guest_virtio {
	struct fake_vm *fv;
	unsigned int slot;
	gpa_t bar;
	uint32_t offset[GV_MSIX + 1]; /* in the BAR */
	uint32_t length[GV_MSIX + 1];
	uint8_t cap[GV_MSIX + 1]; /* in configuration space, 0: none */
	uint32_t notify_multiplier;
};

/* Find the capabilities and let the BAR answer. */
void guest_virtio_probe(struct guest_virtio *gv, struct fake_vm *fv,
			unsigned int slot);

uint64_t gv_read(struct guest_virtio *gv, unsigned int reg, unsigned int len);
void gv_write(struct guest_virtio *gv, unsigned int reg, uint64_t v,
	      unsigned int len);
/* Device configuration. */
uint64_t gv_config(struct guest_virtio *gv, unsigned int off, unsigned int len);

uint64_t gv_features(struct guest_virtio *gv);
/* Reset, take these features. False: the device refused them. */
bool gv_negotiate(struct guest_virtio *gv, uint64_t features);
/* Set a queue up from r and enable it; vector = queue index + 1. */
void gv_queue(struct guest_virtio *gv, unsigned int qidx,
	      const struct guest_ring *r);
void gv_driver_ok(struct guest_virtio *gv);
void gv_kick(struct guest_virtio *gv, unsigned int qidx);
/* MSI-X on, vector n sends 0xfee00000 / n. */
void gv_enable_msix(struct guest_virtio *gv, unsigned int nr);

#endif
