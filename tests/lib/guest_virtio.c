/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/lib/guest_virtio.h"

#include <stdlib.h>
#include <string.h>

#include "devices/pci/pci.h"
#include "devices/virtio/virtio.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void gv_found_cap(struct guest_virtio *gv, uint8_t at)
{
	struct fake_vm *fv = gv->fv;
	uint8_t id = (uint8_t)fake_cfg_read(fv, gv->slot, at, 1);
	uint8_t type = (uint8_t)fake_cfg_read(fv, gv->slot, at + 3u, 1);

	if (id == PCI_CAP_ID_MSIX) {
		gv->cap[GV_MSIX] = at;
		gv->offset[GV_MSIX] =
			(uint32_t)fake_cfg_read(fv, gv->slot, at + 4u, 4);
		return;
	}
	if (id != PCI_CAP_ID_VNDR || type > GV_PCI)
		return;
	gv->cap[type] = at;
	gv->offset[type] = (uint32_t)fake_cfg_read(fv, gv->slot, at + 8u, 4);
	gv->length[type] = (uint32_t)fake_cfg_read(fv, gv->slot, at + 12u, 4);
	if (type == GV_NOTIFY)
		gv->notify_multiplier =
			(uint32_t)fake_cfg_read(fv, gv->slot, at + 16u, 4);
}

void guest_virtio_probe(struct guest_virtio *gv, struct fake_vm *fv,
			unsigned int slot)
{
	unsigned int left = 48;
	uint8_t at;

	memset(gv, 0, sizeof(*gv));
	gv->fv = fv;
	gv->slot = slot;
	gv->bar = fake_cfg_read(fv, slot, PCI_BASE_ADDRESS_0, 8) & ~0xfull;
	fake_cfg_write(fv, slot, PCI_COMMAND,
		       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	at = (uint8_t)fake_cfg_read(fv, slot, PCI_CAPABILITY_LIST, 1);
	while (at) {
		require(left--);
		gv_found_cap(gv, at);
		at = (uint8_t)fake_cfg_read(fv, slot, at + 1u, 1);
	}
	require(gv->cap[GV_COMMON] && gv->cap[GV_NOTIFY] && gv->cap[GV_ISR] &&
		gv->cap[GV_DEVICE] && gv->cap[GV_PCI] && gv->cap[GV_MSIX]);
}

uint64_t gv_read(struct guest_virtio *gv, unsigned int reg, unsigned int len)
{
	return fake_mmio_read(gv->fv, gv->bar + gv->offset[GV_COMMON] + reg,
			      len);
}

void gv_write(struct guest_virtio *gv, unsigned int reg, uint64_t v,
	      unsigned int len)
{
	fake_mmio_write(gv->fv, gv->bar + gv->offset[GV_COMMON] + reg, v, len);
}

uint64_t gv_config(struct guest_virtio *gv, unsigned int off, unsigned int len)
{
	return fake_mmio_read(gv->fv, gv->bar + gv->offset[GV_DEVICE] + off,
			      len);
}

uint64_t gv_features(struct guest_virtio *gv)
{
	uint64_t low, high;

	gv_write(gv, GV_DEVICE_FEATURE_SELECT, 0, 4);
	low = gv_read(gv, GV_DEVICE_FEATURE, 4);
	gv_write(gv, GV_DEVICE_FEATURE_SELECT, 1, 4);
	high = gv_read(gv, GV_DEVICE_FEATURE, 4);
	return low | high << 32;
}

static bool gv_is_reset(void *arg)
{
	return gv_read(arg, GV_STATUS, 1) == 0;
}

bool gv_negotiate(struct guest_virtio *gv, uint64_t features)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	gv_write(gv, GV_STATUS, 0, 1);
	require(fake_vm_turn_until(gv->fv, gv_is_reset, gv));
	gv_write(gv, GV_STATUS, status, 1);
	gv_write(gv, GV_DRIVER_FEATURE_SELECT, 0, 4);
	gv_write(gv, GV_DRIVER_FEATURE, (uint32_t)features, 4);
	gv_write(gv, GV_DRIVER_FEATURE_SELECT, 1, 4);
	gv_write(gv, GV_DRIVER_FEATURE, features >> 32, 4);
	gv_write(gv, GV_STATUS, status | VIRTIO_CONFIG_S_FEATURES_OK, 1);
	return gv_read(gv, GV_STATUS, 1) & VIRTIO_CONFIG_S_FEATURES_OK;
}

void gv_queue(struct guest_virtio *gv, unsigned int qidx,
	      const struct guest_ring *r)
{
	gv_write(gv, GV_QUEUE_SELECT, qidx, 2);
	gv_write(gv, GV_QUEUE_SIZE, r->size, 2);
	gv_write(gv, GV_QUEUE_VECTOR, qidx + 1, 2);
	gv_write(gv, GV_QUEUE_DESC, r->desc, 8);
	gv_write(gv, GV_QUEUE_DRIVER, r->avail, 8);
	gv_write(gv, GV_QUEUE_DEVICE, r->used, 8);
	gv_write(gv, GV_QUEUE_ENABLE, 1, 2);
}

void gv_driver_ok(struct guest_virtio *gv)
{
	gv_write(gv, GV_STATUS,
		 gv_read(gv, GV_STATUS, 1) | VIRTIO_CONFIG_S_DRIVER_OK, 1);
}

void gv_kick(struct guest_virtio *gv, unsigned int qidx)
{
	uint64_t off;

	gv_write(gv, GV_QUEUE_SELECT, qidx, 2);
	off = gv_read(gv, GV_QUEUE_NOTIFY_OFF, 2) * gv->notify_multiplier;
	fake_mmio_write(gv->fv, gv->bar + gv->offset[GV_NOTIFY] + off, qidx, 2);
}

void gv_enable_msix(struct guest_virtio *gv, unsigned int nr)
{
	gpa_t table = gv->bar + gv->offset[GV_MSIX];
	unsigned int i;

	for (i = 0; i < nr; i++) {
		fake_mmio_write(gv->fv, table + 16 * i, 0xfee00000, 8);
		fake_mmio_write(gv->fv, table + 16 * i + 8, i, 4);
		fake_mmio_write(gv->fv, table + 16 * i + 12, 0, 4);
	}
	fake_cfg_write(gv->fv, gv->slot, gv->cap[GV_MSIX] + 2u, 0x8000, 2);
}
