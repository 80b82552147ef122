/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A virtio 1.x device as its driver sees it, over PCI or MMIO registers.
 * What can go wrong returns text that says so; NULL means it went well.
 */
#ifndef GUEST_VDEV_H
#define GUEST_VDEV_H

#include "pci.h"
#include "vq.h"

#define VDEV_MAX_QUEUES 16
#define VDEV_NO_VECTOR 0xffff

#define VIRTIO_PCI_VENDOR 0x1af4
#define VIRTIO_PCI_DEVICE(id) (0x1040 + (id))
#define VIRTIO_ID_NET 1
#define VIRTIO_ID_BLK 2
#define VIRTIO_ID_VSOCK 19

#define VIRTIO_S_ACKNOWLEDGE 0x01
#define VIRTIO_S_DRIVER 0x02
#define VIRTIO_S_DRIVER_OK 0x04
#define VIRTIO_S_FEATURES_OK 0x08
#define VIRTIO_S_NEEDS_RESET 0x40
#define VIRTIO_S_FAILED 0x80

#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)
#define VIRTIO_F_RING_RESET (1ull << 40)

/* Common configuration, PCI (virtio 1.2 §4.1.4.3). */
enum vpci_common {
	VPCI_DEVICE_FEATURE_SELECT = 0x00,
	VPCI_DEVICE_FEATURE = 0x04,
	VPCI_DRIVER_FEATURE_SELECT = 0x08,
	VPCI_DRIVER_FEATURE = 0x0c,
	VPCI_CONFIG_VECTOR = 0x10, /* 16 bits from here */
	VPCI_NUM_QUEUES = 0x12,
	VPCI_STATUS = 0x14, /* 8 bits */
	VPCI_GENERATION = 0x15, /* 8 bits */
	VPCI_QUEUE_SELECT = 0x16,
	VPCI_QUEUE_SIZE = 0x18,
	VPCI_QUEUE_VECTOR = 0x1a,
	VPCI_QUEUE_ENABLE = 0x1c,
	VPCI_QUEUE_NOTIFY_OFF = 0x1e,
	VPCI_QUEUE_DESC = 0x20, /* 64 bits from here */
	VPCI_QUEUE_DRIVER = 0x28,
	VPCI_QUEUE_DEVICE = 0x30,
	VPCI_QUEUE_NOTIFY_DATA = 0x38, /* 16 bits from here */
	VPCI_QUEUE_RESET = 0x3a,
};

enum vpci_cap_type {
	VPCI_CAP_COMMON = 1,
	VPCI_CAP_NOTIFY = 2,
	VPCI_CAP_ISR = 3,
	VPCI_CAP_DEVICE = 4,
	VPCI_CAP_PCI_CFG = 5,
	VPCI_CAP_SHM = 8,
};

struct vdev;

struct vdev_ops {
	uint8_t (*status)(struct vdev *dev);
	void (*set_status)(struct vdev *dev, uint8_t status);
	uint64_t (*offered)(struct vdev *dev);
	void (*accept)(struct vdev *dev, uint64_t features);
	uint16_t (*queue_max)(struct vdev *dev, uint16_t index);
	/* Tells the device size and addresses, learns the doorbell. */
	const char *(*queue_enable)(struct vdev *dev, struct vq *q);
};

struct vdev {
	const struct vdev_ops *ops;
	struct pci_dev pci; /* PCI only */
	uint64_t common; /* MMIO: all registers */
	uint64_t notify;
	uint32_t notify_multiplier;
	uint64_t isr;
	uint64_t config;
	uint8_t pci_cfg_cap;

	uint64_t features; /* as negotiated */
	uint16_t nr_queues; /* as started */
	uint16_t config_vector;
	uint16_t queue_vector[VDEV_MAX_QUEUES];
	struct vq vq[VDEV_MAX_QUEUES];
};

/* Device number index of this virtio type. */
const char *vdev_open_pci(struct vdev *dev, unsigned type, unsigned index);
const char *vdev_open_mmio(struct vdev *dev, uint64_t base, unsigned type);

/* Reads the PCI capabilities, and again after a BAR has moved. */
const char *vpci_locate(struct vdev *dev);
void vpci_select_queue(struct vdev *dev, uint16_t index);

/* Shared memory region 0 (§4.1.4.7); len 0: there is none. */
struct vpci_shm {
	uint8_t bar;
	uint64_t addr, len;
};
struct vpci_shm vpci_find_shm(const struct vdev *dev);

/* Writes status 0 and waits until it reads 0. */
bool vdev_reset(struct vdev *dev);

/* The steps of virtio 1.2 §3.1.1, all of them or one at a time. */
const char *vdev_negotiate(struct vdev *dev, uint64_t wanted);
const char *vdev_add_queue(struct vdev *dev, uint16_t index, uint16_t size);
void vdev_driver_ok(struct vdev *dev);
const char *vdev_start(struct vdev *dev, uint64_t wanted, uint16_t nr_queues,
		       uint16_t queue_size);

#endif
