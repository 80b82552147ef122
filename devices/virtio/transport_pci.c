/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * virtio over PCI, "modern" only (virtio 1.2 section 4.1). One 64-bit BAR holds
 * all registers: common configuration, ISR, device configuration, a notify word
 * per queue, the MSI-X table and its pending bits, each in pages of its own.
 * Shared memory is another.
 */
#include "devices/virtio/transport_pci.h"

#include <errno.h>
#include <linux/virtio_pci.h>
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

#define VPCI_SHM_BAR 2u

/* Of a capability, without the word behind it that two of them have. */
#define VPCI_CAP_LEN sizeof(struct virtio_pci_cap)

struct vpci {
	struct pci_dev pci;
	struct virtio_dev *dev;
	uint8_t pci_cap; /* offset of the PCI configuration access capability */

	/* vCPU threads, under dev->lock */
	uint32_t device_feature_select;
	uint32_t driver_feature_select;
	uint16_t queue_select;
};

/* ---- common configuration, section 4.1.4.3 ---- */

/* The queue that is selected; NULL: there is none. */
static struct virtio_queue *vpci_queue(struct vpci *vp)
{
	return vp->queue_select < vp->dev->nr_queues
		       ? &vp->dev->queues[vp->queue_select]
		       : NULL;
}

/* 32 bits of the features, which are 0 from bit 64 up. */
static uint32_t vpci_half(uint64_t features, uint32_t select)
{
	return select > 1 ? 0 : (uint32_t)(features >> 32 * select);
}

/* One of the three addresses of a queue, or the upper half of it. */
static bool vpci_is_address(unsigned int reg)
{
	return reg >= VIRTIO_PCI_COMMON_Q_DESCLO &&
	       reg < VIRTIO_PCI_COMMON_Q_NDATA;
}

/* The value of the register that starts at reg. */
static uint64_t vpci_read_register(struct vpci *vp, unsigned int reg)
{
	static const struct virtio_queue none = { .vector = VIRTIO_NO_VECTOR };
	const struct virtio_queue *q = vpci_queue(vp);
	const struct virtio_dev *dev = vp->dev;

	q = q ? q : &none;
	switch (reg) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return vp->device_feature_select;
	case VIRTIO_PCI_COMMON_DF:
		return vpci_half(dev->host_features, vp->device_feature_select);
	case VIRTIO_PCI_COMMON_GFSELECT:
		return vp->driver_feature_select;
	case VIRTIO_PCI_COMMON_GF:
		return vpci_half(dev->features, vp->driver_feature_select);
	case VIRTIO_PCI_COMMON_MSIX:
		return dev->config_vector;
	case VIRTIO_PCI_COMMON_NUMQ:
		return dev->nr_queues;
	case VIRTIO_PCI_COMMON_STATUS:
		return dev->status;
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return dev->generation & 0xff;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		return vp->queue_select;
	case VIRTIO_PCI_COMMON_Q_SIZE:
		return q->vq.size;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return q->vector;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return q->enabled;
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return q->index;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
		return q->vq.desc_gpa;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
		return q->vq.avail_gpa;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
		return q->vq.used_gpa;
	case VIRTIO_PCI_COMMON_Q_RESET:
		return q->resetting;
	default:
		return 0;
	}
}

/* ---- interrupts of rings that are served elsewhere ---- */

static void vpci_route_locked(void *transport, struct virtio_queue *q)
{
	struct vpci *vp = transport;
	struct board_msi msi = { .devid = pci_requester_id(&vp->pci) };
	bool on = q->state == VIRTIO_QUEUE_RUNNING &&
		  msix_message(&vp->pci.msix, atomic_load(&q->vector),
			       &msi.addr, &msi.data);

	if (on == q->is_direct &&
	    (!on || (msi.addr == q->direct.addr && msi.data == q->direct.data)))
		return;
	q->is_direct =
		!board_msi_fd(q->dev->board, q->call.fd, on ? &msi : NULL) &&
		on;
	q->direct = msi;
}

/* The guest has changed vectors. */
static void vpci_route_all(struct vpci *vp)
{
	struct virtio_dev *dev = vp->dev;

	mutex_guard(&dev->lock);
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		if (dev->queues[i].elsewhere)
			vpci_route_locked(vp, &dev->queues[i]);
}

static uint16_t vpci_check_vector(const struct vpci *vp, uint64_t vector)
{
	return vector < vp->pci.msix.nr ? (uint16_t)vector : VIRTIO_NO_VECTOR;
}

static void vpci_write_queue(struct vpci *vp, struct virtio_queue *q,
			     unsigned int reg, uint64_t v, unsigned int len)
{
	gpa_t *const addresses[] = { &q->vq.desc_gpa, &q->vq.avail_gpa,
				     &q->vq.used_gpa };
	bool open = virtio_queue_is_open(q); /* section 4.1.4.3.2 */
	unsigned int which = (reg - VIRTIO_PCI_COMMON_Q_DESCLO) / 8;
	unsigned int shift = (reg & 4) * 8;
	gpa_t mask = (len == 8 ? UINT64_MAX : UINT32_MAX) << shift;

	if (reg == VIRTIO_PCI_COMMON_Q_MSIX) {
		atomic_store(&q->vector, vpci_check_vector(vp, v));
		if (q->elsewhere)
			vpci_route_locked(vp, q);
	} else if (reg == VIRTIO_PCI_COMMON_Q_RESET && v == 1) {
		virtio_queue_reset(q);
	} else if (reg == VIRTIO_PCI_COMMON_Q_ENABLE && v == 1) {
		virtio_queue_enable(q);
	} else if (reg == VIRTIO_PCI_COMMON_Q_SIZE) {
		if (open && IS_POW2(v) && v <= q->vq.size_max)
			q->vq.size = (uint16_t)v;
	} else if (open && which < ARRAY_SIZE(addresses)) {
		*addresses[which] = (*addresses[which] & ~mask) | v << shift;
	}
}

static void vpci_write_register(struct vpci *vp, unsigned int reg, uint64_t v,
				unsigned int len)
{
	struct virtio_dev *dev = vp->dev;
	struct virtio_queue *q = vpci_queue(vp);

	switch (reg) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		vp->device_feature_select = (uint32_t)v;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		vp->driver_feature_select = (uint32_t)v;
		break;
	case VIRTIO_PCI_COMMON_GF:
		virtio_set_features(dev, vp->driver_feature_select,
				    (uint32_t)v);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		atomic_store(&dev->config_vector, vpci_check_vector(vp, v));
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		virtio_set_status(dev, (uint8_t)v);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
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
	if (reg < VIRTIO_PCI_COMMON_MSIX)
		return reg % 4 ? 0 : 4;
	if (reg == VIRTIO_PCI_COMMON_STATUS ||
	    reg == VIRTIO_PCI_COMMON_CFGGENERATION)
		return 1;
	return reg % 2 ? 0 : 2;
}

static void vpci_common_read(struct vpci *vp, unsigned int off, void *data,
			     unsigned int len)
{
	unsigned int width = vpci_register_width(off);
	unsigned int base = vpci_is_address(off) ? off & ~7u : off;

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
	mutex_guard(&dev->lock);
	if (vpci_is_in(off, len, VPCI_COMMON, VPCI_COMMON_LEN))
		vpci_common_read(vp, (unsigned int)off, data, len);
	else if (vpci_is_in(off, len, VPCI_DEVICE, VPCI_DEVICE_LEN))
		vpci_device_read(dev, off - VPCI_DEVICE, data, len);
}

static void vpci_bar_write(void *opaque, uint64_t off, const void *data,
			   unsigned int len)
{
	struct vpci *vp = container_of(opaque, struct vpci, pci);
	struct virtio_dev *dev = vp->dev;

	if (off >= VPCI_MSIX) {
		msix_table_write(&vp->pci.msix, off - VPCI_MSIX, data, len);
		vpci_route_all(vp);
		return;
	}
	if (vpci_is_in(off, len, VPCI_NOTIFY, VPCI_NOTIFY_LEN)) {
		virtio_notify_write(dev, (unsigned int)(off - VPCI_NOTIFY) /
						 VPCI_NOTIFY_MULTIPLIER);
		return;
	}
	mutex_guard(&dev->lock);
	if (vpci_is_in(off, len, VPCI_COMMON, VPCI_COMMON_LEN))
		vpci_common_write(vp, (unsigned int)off, data, len);
	else if (vpci_is_in(off, len, VPCI_DEVICE, VPCI_DEVICE_LEN))
		vpci_device_write(dev, off - VPCI_DEVICE, data, len);
}

/*
 * The notify words have ioeventfds while the BAR is mapped, not only while the
 * driver is up: a kick to a queue that is off is just an unread eventfd, and
 * activation saves a system call per queue.
 */
static void vpci_bar_moved(struct pci_dev *pci, unsigned int bar, gpa_t gpa,
			   bool mapped)
{
	struct virtio_dev *dev = container_of(pci, struct vpci, pci)->dev;
	unsigned int i, nr = bar ? 0 : dev->nr_queues;

	for (i = 0; i < nr; i++) {
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

/* The access it asks for, checked, and its data; NULL: none. */
static uint8_t *vpci_cap_access(struct vpci *vp, unsigned int off,
				unsigned int len, uint32_t *bar_off,
				uint32_t *bar_len)
{
	uint8_t *cap = &vp->pci.config[vp->pci_cap];
	unsigned int data = vp->pci_cap + VPCI_CAP_LEN;

	*bar_off = (uint32_t)le_load(cap + VIRTIO_PCI_CAP_OFFSET, 4);
	*bar_len = (uint32_t)le_load(cap + VIRTIO_PCI_CAP_LENGTH, 4);
	if (off >= data + 4 || off + len <= data || cap[VIRTIO_PCI_CAP_BAR] ||
	    (*bar_len != 1 && *bar_len != 2 && *bar_len != 4) ||
	    *bar_off % *bar_len || *bar_off >= VPCI_BAR_SIZE)
		return NULL;
	return cap + VPCI_CAP_LEN;
}

static void vpci_config_read(struct pci_dev *pci, unsigned int off,
			     unsigned int len)
{
	struct vpci *vp = container_of(pci, struct vpci, pci);
	struct device *device = &vp->dev->device;
	uint32_t bar_off, bar_len;
	uint8_t *data = vpci_cap_access(vp, off, len, &bar_off, &bar_len);

	/* A slow guest that looks at it is not one without a driver. */
	if (atomic_load_explicit(&device->coming, memory_order_relaxed))
		board_driver_news(vp->dev->board, device, DEVICE_FOUND);
	if (data)
		vpci_bar_read(pci, bar_off, data, bar_len);
}

static void vpci_config_written(struct pci_dev *pci, unsigned int off,
				unsigned int len)
{
	struct vpci *vp = container_of(pci, struct vpci, pci);
	uint32_t bar_off, bar_len;
	uint8_t *data = vpci_cap_access(vp, off, len, &bar_off, &bar_len);

	vpci_route_all(vp); /* it may be MSI-X's control */
	if (data)
		vpci_bar_write(pci, bar_off, data, bar_len);
}

static const struct bus_ops vpci_bar_ops = { .read = vpci_bar_read,
					     .write = vpci_bar_write };

static const struct pci_dev_ops vpci_pci_ops = {
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
	vpci_route_all(vp);
}

static void vpci_unplug(void *transport, bool forced)
{
	struct vpci *vp = transport;

	pci_detach(&vp->pci, forced);
	vpci_route_all(vp);
}

static void vpci_destroy(void *transport)
{
	struct vpci *vp = transport;

	pci_unplug(&vp->pci);
	free(vp);
}

static const struct virtio_transport_ops vpci_transport_ops = {
	.interrupt = vpci_interrupt,
	.route = vpci_route_locked,
	.reset = vpci_reset,
	.unplug = vpci_unplug,
	.destroy = vpci_destroy,
};

/* word_len: bytes behind the capability that belong to it, 0 or 4. */
static uint8_t vpci_add_cap(struct vpci *vp, uint8_t type, uint32_t offset,
			    uint32_t length, uint8_t word_len)
{
	uint8_t cap[VPCI_CAP_LEN + 4] = {
		[VIRTIO_PCI_CAP_LEN] = (uint8_t)(VPCI_CAP_LEN + word_len),
		[VIRTIO_PCI_CAP_CFG_TYPE] = type,
	};

	le_store(cap + VIRTIO_PCI_CAP_OFFSET, offset, 4);
	le_store(cap + VIRTIO_PCI_CAP_LENGTH, length, 4);
	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		le_store(cap + VIRTIO_PCI_NOTIFY_CAP_MULT,
			 VPCI_NOTIFY_MULTIPLIER, 4);
	return pci_add_capability(&vp->pci, PCI_CAP_ID_VNDR, cap,
				  cap[VIRTIO_PCI_CAP_LEN]);
}

static void vpci_add_caps(struct vpci *vp)
{
	uint8_t *w;

	vpci_add_cap(vp, VIRTIO_PCI_CAP_COMMON_CFG, VPCI_COMMON,
		     VPCI_COMMON_LEN, 0);
	vpci_add_cap(vp, VIRTIO_PCI_CAP_NOTIFY_CFG, VPCI_NOTIFY,
		     VPCI_NOTIFY_LEN, 4);
	vpci_add_cap(vp, VIRTIO_PCI_CAP_ISR_CFG, VPCI_ISR, VPCI_ISR_LEN, 0);
	vpci_add_cap(vp, VIRTIO_PCI_CAP_DEVICE_CFG, VPCI_DEVICE,
		     VPCI_DEVICE_LEN, 0);
	vp->pci_cap = vpci_add_cap(vp, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 4);
	/* bar, offset, length and data are the driver's */
	w = &vp->pci.writable[vp->pci_cap];
	w[VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(w + VIRTIO_PCI_CAP_OFFSET, 0xff, 12);
}

/* Shared memory region 0 is all of its BAR (section 4.1.4.7). */
static void vpci_add_shm(struct vpci *vp)
{
	uint64_t len = window_len(vp->dev->window);
	struct virtio_pci_cap64 cap = {
		.cap = { .cap_len = sizeof(cap),
			 .cfg_type = VIRTIO_PCI_CAP_SHARED_MEMORY_CFG,
			 .bar = VPCI_SHM_BAR },
	};

	le_store((uint8_t *)&cap.cap.length, len, 4);
	le_store((uint8_t *)&cap.length_hi, len >> 32, 4);
	pci_add_window(&vp->pci, VPCI_SHM_BAR, vp->dev->window);
	pci_add_capability(&vp->pci, PCI_CAP_ID_VNDR, &cap, sizeof(cap));
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
	pci_dev_init(&vp->pci, dev->board, &vpci_pci_ops, &ids);
	pci_add_bar(&vp->pci, 0, VPCI_BAR_SIZE, PCI_BASE_ADDRESS_MEM_TYPE_64,
		    &vpci_bar_ops);
	/* one vector per queue and one for configuration changes */
	r = pci_add_msix(&vp->pci, dev->nr_queues + 1, VPCI_MSIX, VPCI_PBA);
	if (r) {
		vpci_destroy(vp);
		return error_set(err, r, "out of memory");
	}
	vpci_add_caps(vp);
	if (dev->window)
		vpci_add_shm(vp);
	/* On a bus that runs the guest may come at once: plugging is last. */
	dev->transport = vp;
	dev->transport_ops = &vpci_transport_ops;
	r = pci_plug(&vp->pci, dev->board->next_slot, err);
	if (r) {
		dev->transport = NULL;
		vpci_destroy(vp);
		return r;
	}
	dev->device.bus = vp->pci.bus;
	dev->device.slot = vp->pci.slot;
	return 0;
}
