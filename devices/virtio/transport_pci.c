/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * virtio over PCI, "modern" only (virtio 1.2 section 4.1). One 64-bit BAR holds
 * all: common configuration, ISR, device configuration, a notify word per
 * queue, the MSI-X table and its pending bits, each in pages of its own.
 */
#include "devices/virtio/transport_pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pci/pci.h"
#include "vmm/byteorder.h"
#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/board.h"

#define VPCI_VENDOR 0x1af4
#define VPCI_DEVICE_BASE 0x1040
#define VPCI_SUBSYSTEM 0x1100

/* The BAR */
#define VPCI_COMMON 0x0000u
#define VPCI_COMMON_LEN 0x40u
#define VPCI_ISR 0x1000u
#define VPCI_ISR_LEN 1u
#define VPCI_DEVICE 0x2000u
#define VPCI_DEVICE_LEN 0x1000u
#define VPCI_NOTIFY 0x3000u
#define VPCI_NOTIFY_LEN 0x1000u
#define VPCI_NOTIFY_MULTIPLIER 4u
#define VPCI_PBA 0x4000u
#define VPCI_MSIX 0x6000u
#define VPCI_BAR_SIZE 0x8000u

/* Capability types, section 4.1.4 */
#define VPCI_CAP_COMMON 1
#define VPCI_CAP_NOTIFY 2
#define VPCI_CAP_ISR 3
#define VPCI_CAP_DEVICE 4
#define VPCI_CAP_PCI 5

struct vpci_cap {
	uint8_t id, next, len, type;
	uint8_t bar, cap_id, padding[2];
	le32 offset;
	le32 length;
	le32 notify_multiplier; /* VPCI_CAP_PCI: the data of an access */
};
#define VPCI_CAP_SHORT offsetof(struct vpci_cap, notify_multiplier)

/* Common configuration, section 4.1.4.3 */
#define VPCI_DEVICE_FEATURE_SELECT 0x00
#define VPCI_DEVICE_FEATURE 0x04
#define VPCI_DRIVER_FEATURE_SELECT 0x08
#define VPCI_DRIVER_FEATURE 0x0c
#define VPCI_CONFIG_VECTOR 0x10
#define VPCI_NUM_QUEUES 0x12
#define VPCI_STATUS 0x14
#define VPCI_GENERATION 0x15
#define VPCI_QUEUE_SELECT 0x16
#define VPCI_QUEUE_SIZE 0x18
#define VPCI_QUEUE_VECTOR 0x1a
#define VPCI_QUEUE_ENABLE 0x1c
#define VPCI_QUEUE_NOTIFY_OFF 0x1e
#define VPCI_QUEUE_DESC 0x20
#define VPCI_QUEUE_DRIVER 0x28
#define VPCI_QUEUE_DEVICE 0x30
#define VPCI_QUEUE_NOTIFY_DATA 0x38
#define VPCI_QUEUE_RESET 0x3a

struct vpci {
	struct pci_dev pci;
	struct virtio_dev *dev;
	uint8_t pci_cap; /* offset of the PCI configuration access capability */

	/* vCPU threads, under dev->lock */
	uint32_t device_feature_select;
	uint32_t driver_feature_select;
	uint16_t queue_select;
};

/* ---- common configuration ---- */

static struct virtio_queue *vpci_queue(struct vpci *vp)
{
	return vp->queue_select < vp->dev->nr_queues
		       ? &vp->dev->queues[vp->queue_select]
		       : NULL;
}

static uint64_t vpci_read_queue(const struct virtio_queue *q, unsigned int reg)
{
	switch (reg) {
	case VPCI_QUEUE_SIZE:
		return q->vq.size;
	case VPCI_QUEUE_VECTOR:
		return q->vector;
	case VPCI_QUEUE_ENABLE:
		return q->enabled;
	case VPCI_QUEUE_NOTIFY_OFF:
		return q->index;
	case VPCI_QUEUE_DESC:
		return q->vq.desc_gpa;
	case VPCI_QUEUE_DRIVER:
		return q->vq.avail_gpa;
	case VPCI_QUEUE_DEVICE:
		return q->vq.used_gpa;
	case VPCI_QUEUE_RESET:
		return q->resetting;
	default:
		return 0;
	}
}

/* 32 bits of the features, which are 0 from bit 64 up. */
static uint32_t vpci_half(uint64_t features, uint32_t select)
{
	return select > 1 ? 0 : (uint32_t)(features >> 32 * select);
}

/* One of the three addresses of a queue, or the upper half of it. */
static bool vpci_is_address(unsigned int reg)
{
	return reg >= VPCI_QUEUE_DESC && reg < VPCI_QUEUE_NOTIFY_DATA;
}

/* The value of the register that starts at reg. */
static uint64_t vpci_read_register(struct vpci *vp, unsigned int reg)
{
	const struct virtio_dev *dev = vp->dev;
	const struct virtio_queue *q = vpci_queue(vp);

	switch (reg) {
	case VPCI_DEVICE_FEATURE_SELECT:
		return vp->device_feature_select;
	case VPCI_DEVICE_FEATURE:
		return vpci_half(dev->host_features, vp->device_feature_select);
	case VPCI_DRIVER_FEATURE_SELECT:
		return vp->driver_feature_select;
	case VPCI_DRIVER_FEATURE:
		return vpci_half(dev->features, vp->driver_feature_select);
	case VPCI_CONFIG_VECTOR:
		return dev->config_vector;
	case VPCI_NUM_QUEUES:
		return dev->nr_queues;
	case VPCI_STATUS:
		return virtio_get_status(dev);
	case VPCI_GENERATION:
		return dev->generation & 0xff;
	case VPCI_QUEUE_SELECT:
		return vp->queue_select;
	default:
		return q			  ? vpci_read_queue(q, reg)
		       : reg == VPCI_QUEUE_VECTOR ? VIRTIO_NO_VECTOR
						  : 0;
	}
}

static uint16_t vpci_check_vector(const struct vpci *vp, uint64_t vector)
{
	return vector < vp->pci.msix.nr ? (uint16_t)vector : VIRTIO_NO_VECTOR;
}

static void vpci_write_address(gpa_t *field, uint64_t value, unsigned int half,
			       unsigned int len)
{
	if (len == 8)
		*field = value;
	else if (half)
		*field = (*field & 0xffffffffull) | value << 32;
	else
		*field = (*field & ~0xffffffffull) | value;
}

static void vpci_write_queue(struct vpci *vp, struct virtio_queue *q,
			     unsigned int reg, uint64_t v, unsigned int len)
{
	gpa_t *const addresses[] = { &q->vq.desc_gpa, &q->vq.avail_gpa,
				     &q->vq.used_gpa };
	const unsigned int which = (reg - VPCI_QUEUE_DESC) / 8;
	bool open = virtio_queue_is_open(q); /* section 4.1.4.3.2 */

	switch (reg) {
	case VPCI_QUEUE_VECTOR:
		atomic_store(&q->vector, vpci_check_vector(vp, v));
		break;
	case VPCI_QUEUE_RESET:
		if (v == 1)
			virtio_queue_reset(q);
		break;
	case VPCI_QUEUE_ENABLE:
		if (v == 1)
			virtio_queue_enable(q);
		break;
	case VPCI_QUEUE_SIZE:
		if (open && IS_POW2(v) && v <= q->vq.size_max)
			q->vq.size = (uint16_t)v;
		break;
	default:
		if (open && which < ARRAY_SIZE(addresses))
			vpci_write_address(addresses[which], v, reg & 4, len);
		break;
	}
}

static void vpci_write_register(struct vpci *vp, unsigned int reg, uint64_t v,
				unsigned int len)
{
	struct virtio_dev *dev = vp->dev;
	struct virtio_queue *q = vpci_queue(vp);

	switch (reg) {
	case VPCI_DEVICE_FEATURE_SELECT:
		vp->device_feature_select = (uint32_t)v;
		break;
	case VPCI_DRIVER_FEATURE_SELECT:
		vp->driver_feature_select = (uint32_t)v;
		break;
	case VPCI_DRIVER_FEATURE:
		virtio_set_features(dev, vp->driver_feature_select,
				    (uint32_t)v);
		break;
	case VPCI_CONFIG_VECTOR:
		atomic_store(&dev->config_vector, vpci_check_vector(vp, v));
		break;
	case VPCI_STATUS:
		virtio_set_status(dev, (uint8_t)v);
		break;
	case VPCI_QUEUE_SELECT:
		vp->queue_select = (uint16_t)v;
		break;
	default:
		if (q)
			vpci_write_queue(vp, q, reg, v, len);
		break;
	}
}

/* Width of the register that starts at reg, 0 if none does. The 64-bit
 * addresses may be accessed in halves (section 4.1.3.1). */
static unsigned int vpci_register_width(unsigned int reg)
{
	if (vpci_is_address(reg))
		return reg % 8 == 0 ? 8 : reg % 4 == 0 ? 4 : 0;
	if (reg < VPCI_CONFIG_VECTOR)
		return reg % 4 ? 0 : 4;
	if (reg == VPCI_STATUS || reg == VPCI_GENERATION)
		return 1;
	return reg % 2 ? 0 : 2;
}

static void vpci_common_read(struct vpci *vp, unsigned int off, void *data,
			     unsigned int len)
{
	unsigned int width = vpci_register_width(off);
	unsigned int base = vpci_is_address(off) ? off & ~7u : off;

	memset(data, 0, len);
	if (width && len <= width)
		le_store(data, vpci_read_register(vp, base) >> 8 * (off - base),
			 len);
}

static void vpci_common_write(struct vpci *vp, unsigned int off,
			      const void *data, unsigned int len)
{
	unsigned int width = vpci_register_width(off);

	/* Drivers use the register's own width, or 32 bits of 64. */
	if (len != width && !(width == 8 && len == 4))
		return;
	vpci_write_register(vp, off, le_load(data, len), len);
}

/* ---- device configuration, ISR, notify ---- */

static void vpci_device_read(struct virtio_dev *dev, uint64_t off, void *data,
			     unsigned int len)
{
	memset(data, 0, len);
	if (off < dev->config_len)
		memcpy(data, (uint8_t *)dev->config + off,
		       MIN((uint64_t)len, dev->config_len - off));
}

static void vpci_device_write(struct virtio_dev *dev, uint64_t off,
			      const void *data, unsigned int len)
{
	if (!dev->ops->config_write || off >= dev->config_len ||
	    len > dev->config_len - off)
		return;
	dev->ops->config_write(dev, (uint32_t)off, data, len);
}

/* Which part of the BAR an access falls into; it never spans two. */
static bool vpci_is_in(uint64_t off, unsigned int len, uint64_t part,
		       uint64_t part_len)
{
	return off >= part && off - part < part_len &&
	       len <= part_len - (off - part);
}

static void vpci_bar_read(void *opaque, uint64_t off, void *data,
			  unsigned int len)
{
	struct vpci *vp = container_of(opaque, struct vpci, pci);
	struct virtio_dev *dev = vp->dev;

	memset(data, 0, len);
	if (off >= VPCI_MSIX) {
		msix_table_read(&vp->pci.msix, off - VPCI_MSIX, data, len);
		return;
	}
	if (off >= VPCI_PBA) {
		msix_pba_read(&vp->pci.msix, off - VPCI_PBA, data, len);
		return;
	}
	if (vpci_is_in(off, len, VPCI_ISR, VPCI_ISR_LEN)) {
		*(uint8_t *)data = (uint8_t)atomic_exchange(&dev->isr, 0);
		return;
	}
	pthread_mutex_lock(&dev->lock);
	if (vpci_is_in(off, len, VPCI_COMMON, VPCI_COMMON_LEN))
		vpci_common_read(vp, (unsigned int)off, data, len);
	else if (vpci_is_in(off, len, VPCI_DEVICE, VPCI_DEVICE_LEN))
		vpci_device_read(dev, off - VPCI_DEVICE, data, len);
	pthread_mutex_unlock(&dev->lock);
}

static void vpci_bar_write(void *opaque, uint64_t off, const void *data,
			   unsigned int len)
{
	struct vpci *vp = container_of(opaque, struct vpci, pci);
	struct virtio_dev *dev = vp->dev;

	if (off >= VPCI_MSIX) {
		msix_table_write(&vp->pci.msix, off - VPCI_MSIX, data, len);
		return;
	}
	if (vpci_is_in(off, len, VPCI_NOTIFY, VPCI_NOTIFY_LEN)) {
		virtio_notify_write(dev, (unsigned int)(off - VPCI_NOTIFY) /
						 VPCI_NOTIFY_MULTIPLIER);
		return;
	}
	pthread_mutex_lock(&dev->lock);
	if (vpci_is_in(off, len, VPCI_COMMON, VPCI_COMMON_LEN))
		vpci_common_write(vp, (unsigned int)off, data, len);
	else if (vpci_is_in(off, len, VPCI_DEVICE, VPCI_DEVICE_LEN))
		vpci_device_write(dev, off - VPCI_DEVICE, data, len);
	pthread_mutex_unlock(&dev->lock);
}

/*
 * The notify words have ioeventfds while the BAR is mapped, not only while the
 * driver is up: a kick to a queue that is off is just an unread eventfd, and
 * activation saves a system call per queue.
 */
static void vpci_bar_moved(struct pci_dev *pci, gpa_t gpa, bool mapped)
{
	struct virtio_dev *dev = container_of(pci, struct vpci, pci)->dev;
	unsigned int i;

	for (i = 0; i < dev->nr_queues; i++) {
		int r = board_ioeventfd(dev->board,
					gpa + VPCI_NOTIFY +
						VPCI_NOTIFY_MULTIPLIER * i,
					dev->queues[i].kick.fd, mapped);

		/* Then the write exits to us: slower, still right. */
		if (r)
			log_debug("%s: ioeventfd: %s", dev->device.id,
				  strerror(-r));
	}
}

/* ---- PCI configuration access capability, section 4.1.4.9 ---- */

/* The access it asks for, checked; false: none. */
static bool vpci_cap_access(struct vpci *vp, unsigned int off, unsigned int len,
			    uint32_t *bar_off, uint32_t *bar_len)
{
	const struct vpci_cap *cap =
		(const struct vpci_cap *)&vp->pci.config[vp->pci_cap];
	unsigned int data = vp->pci_cap + VPCI_CAP_SHORT;

	if (off >= data + 4 || off + len <= data)
		return false;
	*bar_off = le32_get(cap->offset);
	*bar_len = le32_get(cap->length);
	return cap->bar == 0 &&
	       (*bar_len == 1 || *bar_len == 2 || *bar_len == 4) &&
	       *bar_off % *bar_len == 0 && *bar_off < VPCI_BAR_SIZE;
}

static void vpci_config_read(struct pci_dev *pci, unsigned int off,
			     unsigned int len)
{
	struct vpci *vp = container_of(pci, struct vpci, pci);
	struct device *device = &vp->dev->device;
	uint8_t *data = &pci->config[vp->pci_cap + VPCI_CAP_SHORT];
	uint32_t bar_off, bar_len;

	/* A slow guest that looks at it is not one without a driver. */
	if (atomic_load_explicit(&device->coming, memory_order_relaxed))
		board_driver_news(vp->dev->board, device, DEVICE_FOUND);
	if (vpci_cap_access(vp, off, len, &bar_off, &bar_len))
		vpci_bar_read(pci, bar_off, data, bar_len);
}

static void vpci_config_written(struct pci_dev *pci, unsigned int off,
				unsigned int len)
{
	struct vpci *vp = container_of(pci, struct vpci, pci);
	const uint8_t *data = &pci->config[vp->pci_cap + VPCI_CAP_SHORT];
	uint32_t bar_off, bar_len;

	if (vpci_cap_access(vp, off, len, &bar_off, &bar_len))
		vpci_bar_write(pci, bar_off, data, bar_len);
}

static const struct pci_dev_ops vpci_pci_ops = {
	.bar = { .read = vpci_bar_read, .write = vpci_bar_write },
	.bar_moved = vpci_bar_moved,
	.config_read = vpci_config_read,
	.config_written = vpci_config_written,
};

/* ---- transport ---- */

static void vpci_interrupt(void *transport, uint16_t vector)
{
	struct vpci *vp = transport;

	if (vector != VIRTIO_NO_VECTOR)
		msix_notify(&vp->pci.msix, vector);
}

static void vpci_reset(void *transport)
{
	struct vpci *vp = transport;

	vp->device_feature_select = 0;
	vp->driver_feature_select = 0;
	vp->queue_select = 0;
	pci_dev_reset(&vp->pci);
}

static void vpci_unplug(void *transport, bool forced)
{
	struct vpci *vp = transport;

	pci_detach(&vp->pci, forced);
}

static void vpci_destroy(void *transport)
{
	struct vpci *vp = transport;

	pci_unplug(&vp->pci);
	free(vp);
}

static const struct virtio_transport_ops vpci_transport_ops = {
	.interrupt = vpci_interrupt,
	.reset = vpci_reset,
	.unplug = vpci_unplug,
	.destroy = vpci_destroy,
};

static uint8_t vpci_add_cap(struct vpci *vp, uint8_t type, uint32_t offset,
			    uint32_t length)
{
	bool is_long = type == VPCI_CAP_NOTIFY || type == VPCI_CAP_PCI;
	struct vpci_cap cap = {
		.len = is_long ? sizeof(cap) : VPCI_CAP_SHORT,
		.type = type,
		.offset = le32_of(offset),
		.length = le32_of(length),
	};

	if (type == VPCI_CAP_NOTIFY)
		cap.notify_multiplier = le32_of(VPCI_NOTIFY_MULTIPLIER);
	return pci_add_capability(&vp->pci, PCI_CAP_ID_VENDOR, &cap, cap.len);
}

static void vpci_add_caps(struct vpci *vp)
{
	uint8_t *w;

	vpci_add_cap(vp, VPCI_CAP_COMMON, VPCI_COMMON, VPCI_COMMON_LEN);
	vpci_add_cap(vp, VPCI_CAP_NOTIFY, VPCI_NOTIFY, VPCI_NOTIFY_LEN);
	vpci_add_cap(vp, VPCI_CAP_ISR, VPCI_ISR, VPCI_ISR_LEN);
	vpci_add_cap(vp, VPCI_CAP_DEVICE, VPCI_DEVICE, VPCI_DEVICE_LEN);
	vp->pci_cap = vpci_add_cap(vp, VPCI_CAP_PCI, 0, 0);
	/* bar, offset, length and data are the driver's */
	w = &vp->pci.writable[vp->pci_cap];
	w[offsetof(struct vpci_cap, bar)] = 0xff;
	memset(w + offsetof(struct vpci_cap, offset), 0xff, 12);
}

int vpci_attach(struct virtio_dev *dev, uint32_t class_code, struct error *err)
{
	const struct pci_ids ids = {
		.vendor = VPCI_VENDOR,
		.device = (uint16_t)(VPCI_DEVICE_BASE + dev->id),
		.subsystem_vendor = VPCI_VENDOR,
		.subsystem = VPCI_SUBSYSTEM,
		.revision = 1,
		.class_code = class_code,
	};
	struct vpci *vp = calloc(1, sizeof(*vp));
	int r;

	if (!vp)
		return error_set(err, ENOMEM, "out of memory");
	vp->dev = dev;
	pci_dev_init(&vp->pci, dev->board, &vpci_pci_ops, &ids, VPCI_BAR_SIZE);
	/* one vector per queue and one for configuration changes */
	r = pci_add_msix(&vp->pci, dev->nr_queues + 1, VPCI_MSIX, VPCI_PBA);
	if (r) {
		free(vp);
		return error_set(err, r, "out of memory");
	}
	vpci_add_caps(vp);
	/* On a bus that runs the guest may come at once: plugging is last. */
	dev->transport = vp;
	dev->transport_ops = &vpci_transport_ops;
	r = pci_plug(&vp->pci, dev->board->next_slot, err);
	if (r) {
		dev->transport = NULL;
		pci_unplug(&vp->pci);
		free(vp);
		return r;
	}
	dev->device.slot = vp->pci.slot;
	return 0;
}
