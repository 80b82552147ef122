/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* virtio over PCI as a driver sees it, with a disk of two queues behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "devices/pci/pci.h"
#include "devices/virtio/transport_pci.h"
#include "devices/virtio/virtio.h"
#include "tests/lib/fake_disk.h"
#include "tests/lib/guest_virtio.h"
#include "vmm/byteorder.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define DISK_LEN (1 * MIB)
#define RING 0x10000ull
#define DATA 0x40000ull
#define QUEUES 2u
#define QUEUE_SIZE 64u

static struct fake_vm fv;
static struct fake_disk disk;
static struct guest_virtio gv;
static struct guest_ring ring;

static int setup(void **state unused_param)
{
	fake_vm_init(&fv);
	fake_vm_add_pci(&fv);
	assert_true(fake_disk_init(&disk, &fv, DISK_LEN,
				   "engine=sync,num_queues=2,queue_size=64"));
	guest_virtio_probe(&gv, &fv, 1);
	return 0;
}

static int teardown(void **state unused_param)
{
	gv_write(&gv, GV_STATUS, 0, 1);
	fake_vm_turn(&fv);
	fake_disk_fini(&disk);
	fake_vm_fini(&fv);
	return 0;
}

static uint64_t cfg(unsigned int off, unsigned int len)
{
	return fake_cfg_read(&fv, 1, off, len);
}

static void cfg_write(unsigned int off, uint64_t v, unsigned int len)
{
	fake_cfg_write(&fv, 1, off, v, len);
}

static void bring_up(void)
{
	assert_true(gv_negotiate(&gv, VIRTIO_F(VIRTIO_F_VERSION_1)));
	guest_ring_init(&ring, &fv.board.gmem, RING, 16);
	gv_queue(&gv, 0, &ring);
	gv_driver_ok(&gv);
	fake_vm_turn(&fv);
}

/* A GET_ID request in descriptors 0 to 2. */
static void offer_request(void)
{
	fake_disk_header(&fv, DATA, DISK_GET_ID, 0);
	guest_ring_desc(&ring, 0, DATA, 16, RING_NEXT, 1);
	guest_ring_desc(&ring, 1, DATA + 16, 20, RING_NEXT | RING_WRITE, 2);
	guest_ring_desc(&ring, 2, DATA + 36, 1, RING_WRITE, 0);
	guest_ring_offer(&ring, 0);
}

/* ---- identity and capabilities ---- */

static void test_identity(void **state unused_param)
{
	assert_int_equal(cfg(PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(cfg(PCI_DEVICE_ID, 2), 0x1042);
	assert_true(cfg(PCI_REVISION_ID, 1) >= 1); /* not transitional */
	assert_int_equal(cfg(PCI_CLASS_PROG, 1), 0);
	assert_int_equal(cfg(PCI_CLASS_PROG + 1, 2), 0x0180);
	assert_true(cfg(PCI_SUBSYSTEM_ID, 2) >= 0x40);
}

static void test_capabilities(void **state unused_param)
{
	uint32_t size;
	unsigned int i;

	cfg_write(PCI_COMMAND, 0, 2);
	cfg_write(PCI_BASE_ADDRESS_0, 0xffffffff, 4);
	size = ~((uint32_t)cfg(PCI_BASE_ADDRESS_0, 4) & ~0xfu) + 1;
	for (i = GV_COMMON; i <= GV_PCI; i++) {
		unsigned int len = i == GV_NOTIFY || i == GV_PCI ? 20 : 16;

		assert_int_equal(cfg(gv.cap[i] + 2u, 1), len);
		assert_int_equal(cfg(gv.cap[i] + 4u, 1), 0); /* BAR */
		assert_int_equal(gv.cap[i] % 4, 0);
		assert_int_equal(gv.offset[i] % 4, 0);
		assert_true(gv.offset[i] + gv.length[i] <= size);
	}
	assert_true(gv.length[GV_COMMON] >= 0x38);
	assert_true(gv.length[GV_ISR] >= 1);
	assert_true(gv.length[GV_DEVICE] >= 64);
	assert_true(gv.notify_multiplier % 2 == 0);
	assert_true(gv.length[GV_NOTIFY] >=
		    (QUEUES - 1) * gv.notify_multiplier + 2);
	assert_int_equal(cfg(gv.cap[GV_MSIX] + 2u, 2) & 0x7ff, QUEUES);
	/* A driver cannot change what they say. */
	cfg_write(gv.cap[GV_COMMON] + 8u, 0xffffffff, 4);
	assert_int_equal(cfg(gv.cap[GV_COMMON] + 8u, 4), gv.offset[GV_COMMON]);
}

/* ---- common configuration ---- */

static void test_widths(void **state unused_param)
{
	static const struct {
		unsigned int reg, width;
	} regs[] = {
		{ GV_DEVICE_FEATURE_SELECT, 4 },
		{ GV_DRIVER_FEATURE_SELECT, 4 },
		{ GV_QUEUE_SELECT, 2 },
		{ GV_QUEUE_DESC, 8 },
		{ GV_QUEUE_DRIVER, 8 },
		{ GV_QUEUE_DEVICE, 8 },
	};
	unsigned int i, len;

	for (i = 0; i < ARRAY_SIZE(regs); i++) {
		const uint64_t one = 1;
		unsigned int reg = regs[i].reg, width = regs[i].width;

		gv_write(&gv, reg, one, width);
		assert_int_equal(gv_read(&gv, reg, width), one);
		for (len = 1; len <= 8; len *= 2) {
			if (len == width || (width == 8 && len == 4))
				continue;
			gv_write(&gv, reg, 0, len); /* not its width: lost */
			assert_int_equal(gv_read(&gv, reg, width), one);
			if (len > width)
				assert_int_equal(gv_read(&gv, reg, len), 0);
		}
		gv_write(&gv, reg, 0, width);
	}
	/* Between registers. */
	assert_int_equal(gv_read(&gv, GV_QUEUE_SIZE + 1, 1), 0);
	assert_int_equal(gv_read(&gv, GV_DEVICE_FEATURE + 2, 2), 0);
	gv_write(&gv, GV_QUEUE_SIZE + 1, 0, 1);
	assert_int_equal(gv_read(&gv, GV_QUEUE_SIZE, 2), QUEUE_SIZE);
	assert_int_equal(gv_read(&gv, 0x3c, 8), 0);
	assert_int_equal(gv_read(&gv, 0x40, 4), 0);
}

static void test_address_halves(void **state unused_param)
{
	gv_write(&gv, GV_QUEUE_DESC, 0x55667788, 4);
	gv_write(&gv, GV_QUEUE_DESC + 4, 0x11223344, 4);
	assert_int_equal(gv_read(&gv, GV_QUEUE_DESC, 8), 0x1122334455667788);
	assert_int_equal(gv_read(&gv, GV_QUEUE_DESC, 4), 0x55667788);
	assert_int_equal(gv_read(&gv, GV_QUEUE_DESC + 4, 4), 0x11223344);
	gv_write(&gv, GV_QUEUE_DESC + 4, 0, 4);
	assert_int_equal(gv_read(&gv, GV_QUEUE_DESC, 8), 0x55667788);
	gv_write(&gv, GV_QUEUE_DESC + 2, 0xffff, 2);
	gv_write(&gv, GV_QUEUE_DESC + 4, 0xffffffffffffffff, 8);
	assert_int_equal(gv_read(&gv, GV_QUEUE_DESC, 8), 0x55667788);
	gv_write(&gv, GV_QUEUE_DESC, 0, 8);
}

static void test_features(void **state unused_param)
{
	uint64_t offered = gv_features(&gv);
	const struct virtio_dev *dev =
		container_of(disk.dev, struct virtio_dev, device);

	assert_int_equal(offered, dev->host_features);
	gv_write(&gv, GV_DEVICE_FEATURE_SELECT, 2, 4);
	assert_int_equal(gv_read(&gv, GV_DEVICE_FEATURE, 4), 0);
	gv_write(&gv, GV_DEVICE_FEATURE_SELECT, 0xffffffff, 4);
	assert_int_equal(gv_read(&gv, GV_DEVICE_FEATURE, 4), 0);
	gv_write(&gv, GV_DEVICE_FEATURE, 0xffffffff, 4); /* read only */
	assert_int_equal(gv_features(&gv), offered);
	gv_write(&gv, GV_DRIVER_FEATURE_SELECT, 2, 4);
	gv_write(&gv, GV_DRIVER_FEATURE, 0xffffffff, 4);
	assert_int_equal(gv_read(&gv, GV_DRIVER_FEATURE, 4), 0);
	assert_int_equal(dev->features, 0);
	/* But they are not forgotten: nobody offered those. */
	gv_write(&gv, GV_DRIVER_FEATURE_SELECT, 1, 4);
	gv_write(&gv, GV_DRIVER_FEATURE, offered >> 32, 4);
	gv_write(&gv, GV_STATUS, VIRTIO_CONFIG_S_FEATURES_OK, 1);
	assert_false(gv_read(&gv, GV_STATUS, 1) & VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(gv_negotiate(&gv, offered));
	assert_int_equal(dev->features, offered);
	gv_write(&gv, GV_DRIVER_FEATURE_SELECT, 1, 4);
	assert_int_equal(gv_read(&gv, GV_DRIVER_FEATURE, 4), offered >> 32);
}

static void test_queue_registers(void **state unused_param)
{
	unsigned int v;

	assert_int_equal(gv_read(&gv, GV_NUM_QUEUES, 2), QUEUES);
	gv_write(&gv, GV_QUEUE_SELECT, 1, 2);
	assert_int_equal(gv_read(&gv, GV_QUEUE_SIZE, 2), QUEUE_SIZE);
	assert_int_equal(gv_read(&gv, GV_QUEUE_NOTIFY_OFF, 2), 1);
	for (v = 0; v < 0x10000; v += 3)
		if (v > QUEUE_SIZE || !IS_POW2(v))
			gv_write(&gv, GV_QUEUE_SIZE, v, 2);
	assert_int_equal(gv_read(&gv, GV_QUEUE_SIZE, 2), QUEUE_SIZE);
	gv_write(&gv, GV_QUEUE_SIZE, 2, 2);
	assert_int_equal(gv_read(&gv, GV_QUEUE_SIZE, 2), 2);
	/* One that does not exist reads as size 0. */
	gv_write(&gv, GV_QUEUE_SELECT, QUEUES, 2);
	assert_int_equal(gv_read(&gv, GV_QUEUE_SIZE, 2), 0);
	assert_int_equal(gv_read(&gv, GV_QUEUE_VECTOR, 2), VIRTIO_NO_VECTOR);
	assert_int_equal(gv_read(&gv, GV_QUEUE_DESC, 8), 0);
	gv_write(&gv, GV_QUEUE_ENABLE, 1, 2);
	gv_write(&gv, GV_QUEUE_RESET, 1, 2);
	assert_int_equal(gv_read(&gv, GV_QUEUE_ENABLE, 2), 0);
	gv_write(&gv, GV_QUEUE_SELECT, 0xffff, 2);
	gv_write(&gv, GV_QUEUE_SIZE, 4, 2);
	assert_int_equal(gv_read(&gv, GV_QUEUE_SIZE, 2), 0);
}

static void test_queue_is_immutable(void **state unused_param)
{
	bring_up();
	gv_write(&gv, GV_QUEUE_SELECT, 0, 2);
	assert_int_equal(gv_read(&gv, GV_QUEUE_ENABLE, 2), 1);
	gv_write(&gv, GV_QUEUE_SIZE, 4, 2);
	gv_write(&gv, GV_QUEUE_DESC, 0x9000, 8);
	gv_write(&gv, GV_QUEUE_DRIVER, 0x9000, 8);
	gv_write(&gv, GV_QUEUE_DEVICE + 4, 0x9000, 4);
	gv_write(&gv, GV_QUEUE_ENABLE, 0, 2);
	assert_int_equal(gv_read(&gv, GV_QUEUE_SIZE, 2), 16);
	assert_int_equal(gv_read(&gv, GV_QUEUE_DESC, 8), ring.desc);
	assert_int_equal(gv_read(&gv, GV_QUEUE_DRIVER, 8), ring.avail);
	assert_int_equal(gv_read(&gv, GV_QUEUE_DEVICE, 8), ring.used);
	assert_int_equal(gv_read(&gv, GV_QUEUE_ENABLE, 2), 1);
	/* The vector may change at any time. */
	gv_write(&gv, GV_QUEUE_VECTOR, 2, 2);
	assert_int_equal(gv_read(&gv, GV_QUEUE_VECTOR, 2), 2);
}

static void test_vectors(void **state unused_param)
{
	assert_int_equal(gv_read(&gv, GV_CONFIG_VECTOR, 2), VIRTIO_NO_VECTOR);
	gv_write(&gv, GV_CONFIG_VECTOR, QUEUES, 2); /* the last one */
	assert_int_equal(gv_read(&gv, GV_CONFIG_VECTOR, 2), QUEUES);
	gv_write(&gv, GV_CONFIG_VECTOR, QUEUES + 1, 2);
	assert_int_equal(gv_read(&gv, GV_CONFIG_VECTOR, 2), VIRTIO_NO_VECTOR);
	gv_write(&gv, GV_QUEUE_SELECT, 0, 2);
	gv_write(&gv, GV_QUEUE_VECTOR, 0, 2);
	assert_int_equal(gv_read(&gv, GV_QUEUE_VECTOR, 2), 0);
	gv_write(&gv, GV_QUEUE_VECTOR, 2047, 2);
	assert_int_equal(gv_read(&gv, GV_QUEUE_VECTOR, 2), VIRTIO_NO_VECTOR);
}

/* ---- requests end to end ---- */

static void test_request(void **state unused_param)
{
	uint32_t id, len;

	bring_up();
	gv_enable_msix(&gv, QUEUES + 1);
	offer_request();
	gv_kick(&gv, 0);
	fake_vm_turn(&fv);
	assert_true(guest_ring_take(&ring, &id, &len));
	assert_int_equal(id, 0);
	assert_int_equal(len, 21);
	assert_int_equal(fv.nr_msi, 1);
	assert_int_equal(fv.msi[0].data, 1);
	/* Reading it clears it. */
	assert_int_equal(fake_mmio_read(&fv, gv.bar + gv.offset[GV_ISR], 1),
			 VIRTIO_ISR_QUEUE);
	assert_int_equal(fake_mmio_read(&fv, gv.bar + gv.offset[GV_ISR], 1), 0);
}

/* A request ends while interrupts are held: its own comes afterwards. */
static void test_held_interrupt(void **state unused_param)
{
	struct device *root = board_find_class(&fv.board, "pci_root");

	bring_up();
	gv_enable_msix(&gv, QUEUES + 1);
	offer_request();
	gv_kick(&gv, 0);
	board_hold_irqs(&fv.board, true);
	fake_vm_turn(&fv);
	assert_int_equal(guest_ring_used_idx(&ring), 1);
	assert_int_equal(fv.nr_msi, 0);
	board_hold_irqs(&fv.board, false);
	root->ops->resume(root);
	assert_int_equal(fv.nr_msi, 1);
	assert_int_equal(fv.msi[0].data, 1);
	assert_int_equal(fv.msi[0].devid, 1 << 3);
}

/* No ioeventfd: the write traps, and does the same. */
static void test_trapped_notify(void **state unused_param)
{
	uint32_t id, len;

	bring_up();
	fv.refuse_ioeventfds = true;
	cfg_write(PCI_COMMAND, 0, 2);
	assert_int_equal(fv.nr_ioeventfds, 0);
	cfg_write(PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(fv.nr_ioeventfds, 0);
	offer_request();
	gv_kick(&gv, 0);
	/* Words beyond the last queue are no queues. */
	fake_mmio_write(&fv, gv.bar + gv.offset[GV_NOTIFY] + 4 * QUEUES, 0, 2);
	fake_mmio_write(&fv, gv.bar + gv.offset[GV_NOTIFY] + 0xffc, 0, 4);
	fake_vm_turn(&fv);
	assert_true(guest_ring_take(&ring, &id, &len));
	assert_int_equal(len, 21);
	/* Undo: nothing to take back. */
	cfg_write(PCI_COMMAND, 0, 2);
}

static void test_ioeventfds_follow_bar(void **state unused_param)
{
	const gpa_t far = 0x8000000000ull;
	unsigned int i;

	assert_int_equal(fv.nr_ioeventfds, QUEUES);
	cfg_write(PCI_BASE_ADDRESS_0, far, 8);
	gv.bar = far;
	assert_int_equal(fv.nr_ioeventfds, QUEUES);
	for (i = 0; i < QUEUES; i++)
		assert_in_range(fv.ioeventfds[i].gpa,
				far + gv.offset[GV_NOTIFY],
				far + gv.offset[GV_NOTIFY] + 4);
	bring_up();
	offer_request();
	gv_kick(&gv, 0);
	fake_vm_turn(&fv);
	assert_int_equal(guest_ring_used_idx(&ring), 1);
	cfg_write(PCI_COMMAND, 0, 2);
	assert_int_equal(fv.nr_ioeventfds, 0);
	cfg_write(PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
}

static void test_config_space(void **state unused_param)
{
	struct error err;

	assert_int_equal(gv_config(&gv, 0, 8), DISK_LEN / 512);
	assert_int_equal(gv_config(&gv, 0, 4), DISK_LEN / 512);
	assert_int_equal(gv_config(&gv, 34, 2), QUEUES);
	/* Behind its end there is nothing. */
	assert_int_equal(gv_config(&gv, 64, 4), 0);
	assert_int_equal(gv_config(&gv, 0xffc, 4), 0);
	fake_mmio_write(&fv, gv.bar + gv.offset[GV_DEVICE], 7, 4);
	assert_int_equal(gv_config(&gv, 0, 8), DISK_LEN / 512);
	assert_int_equal(gv_read(&gv, GV_GENERATION, 1), 0);
	assert_int_equal(disk.dev->ops->resize(disk.dev, 2 * DISK_LEN, &err),
			 0);
	disk.dev->ops->resized(disk.dev, 2 * DISK_LEN);
	assert_int_equal(gv_config(&gv, 0, 8), 2 * DISK_LEN / 512);
	assert_int_equal(gv_read(&gv, GV_GENERATION, 1), 1);
	assert_int_equal(disk.dev->ops->resize(disk.dev, 1, &err), -EINVAL);
	assert_non_null(strstr(err.msg, disk.dev->id));
	assert_int_equal(gv_read(&gv, GV_GENERATION, 1), 1);
}

/* ---- the window in configuration space, section 4.1.4.9 ---- */

static void window(uint8_t bar, uint32_t off, uint32_t len)
{
	unsigned int at = gv.cap[GV_PCI];

	cfg_write(at + 4, bar, 1);
	cfg_write(at + 8, off, 4);
	cfg_write(at + 12, len, 4);
}

static void test_window(void **state unused_param)
{
	unsigned int data = gv.cap[GV_PCI] + 16u;

	cfg_write(PCI_COMMAND, 0, 2); /* works with the BAR off */
	window(0, gv.offset[GV_COMMON] + GV_NUM_QUEUES, 2);
	assert_int_equal(cfg(data, 2), QUEUES);
	window(0, gv.offset[GV_COMMON] + GV_QUEUE_SELECT, 2);
	cfg_write(data, 1, 2);
	window(0, gv.offset[GV_COMMON] + GV_QUEUE_NOTIFY_OFF, 2);
	assert_int_equal(cfg(data, 4) & 0xffff, 1);
	window(0, gv.offset[GV_COMMON] + GV_STATUS, 1);
	cfg_write(data, VIRTIO_CONFIG_S_ACKNOWLEDGE, 1);
	assert_int_equal(cfg(data, 1), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	window(0, gv.offset[GV_DEVICE], 4);
	assert_int_equal(cfg(data, 4), DISK_LEN / 512);
	window(0, gv.offset[GV_MSIX] + 8, 4);
	cfg_write(data, 0x1234, 4);
	assert_int_equal(cfg(data, 4), 0x1234);
	cfg_write(PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(
		fake_mmio_read(&fv, gv.bar + gv.offset[GV_MSIX] + 8, 4),
		0x1234);
}

/* Values no driver may write: nothing happens, above all no crash. */
static void test_window_bad_values(void **state unused_param)
{
	static const struct {
		uint8_t bar;
		uint32_t off, len;
	} bad[] = {
		{ 1, 0, 4 },	      { 5, 0, 4 },	{ 255, 0, 4 },
		{ 0, 0, 0 },	      { 0, 0, 3 },	{ 0, 0, 8 },
		{ 0, 0, 0xffffffff }, { 0, 0x8000, 4 }, { 0, 0xfffffffc, 4 },
		{ 0, 2, 4 },	      { 0, 0x14, 4 },	{ 0, 1, 2 },
		{ 0, 0xffffffff, 1 }, { 0, 0x7fff, 2 }, { 0, 0x7ffe, 4 },
	};
	unsigned int data = gv.cap[GV_PCI] + 16u, i;

	gv_write(&gv, GV_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE, 1);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		window(bad[i].bar, bad[i].off, bad[i].len);
		cfg(data, 4);
		cfg_write(data, 0, 4);
		cfg_write(data + 3, 0, 1);
		cfg_write(data - 4, (uint64_t)bad[i].len, 8);
		cfg(data - 4, 8);
	}
	assert_int_equal(gv_read(&gv, GV_STATUS, 1),
			 VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(gv_read(&gv, GV_QUEUE_SIZE, 2), QUEUE_SIZE);
}

/* Any access of any width anywhere in the BAR is survived. */
static void test_whole_bar(void **state unused_param)
{
	unsigned int off, len;

	for (len = 1; len <= 8; len *= 2) {
		for (off = 0; off + len <= 0x8000; off++) {
			fake_mmio_read(&fv, gv.bar + off, len);
			if (off < 0x1000 || off >= 0x4000)
				fake_mmio_write(&fv, gv.bar + off, 0xa5, len);
		}
	}
	fake_vm_turn(&fv);
}

static void test_machine_reset(void **state unused_param)
{
	bring_up();
	gv_enable_msix(&gv, QUEUES + 1);
	fake_vm_quiesce(&fv, disk.dev);
	disk.dev->ops->reset(disk.dev);
	assert_int_equal(fv.nr_ioeventfds, 0);
	assert_int_equal(cfg(PCI_COMMAND, 2), 0);
	assert_int_equal(cfg(gv.cap[GV_MSIX] + 2u, 2), QUEUES);
	guest_virtio_probe(&gv, &fv, 1);
	assert_int_equal(gv_read(&gv, GV_STATUS, 1), 0);
	assert_int_equal(gv_read(&gv, GV_QUEUE_SELECT, 2), 0);
	assert_int_equal(gv_read(&gv, GV_DEVICE_FEATURE_SELECT, 4), 0);
	bring_up();
	offer_request();
	gv_kick(&gv, 0);
	fake_vm_turn(&fv);
	assert_int_equal(guest_ring_used_idx(&ring), 1);
}

/* A machine that is built as another one was: devices go where they were. */
static void test_given_slot(void **state unused_param)
{
	struct fake_disk other;

	fv.board.next_slot = 7;
	assert_true(fake_disk_init(&other, &fv, DISK_LEN, "engine=sync"));
	assert_int_equal(other.dev->slot, 7);
	assert_int_equal(fake_cfg_read(&fv, 7, PCI_VENDOR_ID, 2), 0x1af4);
	fake_disk_fini(&other);
	fv.board.next_slot = 1;
	assert_false(fake_disk_init(&other, &fv, DISK_LEN, "engine=sync"));
	assert_non_null(strstr(fv.err.msg, "PCI slot 1"));
	fake_disk_fini(&other);
	fv.board.next_slot = 0;
}

/* ---- shared memory ---- */

#define SHM_LEN (8 * GIB)

static void shm_kick(struct virtio_dev *dev unused_param,
		     unsigned int qidx unused_param)
{
}

static void shm_queue_stop(struct virtio_dev *dev, unsigned int qidx)
{
	virtio_queue_idle(&dev->queues[qidx]);
}

static void shm_destroy(struct virtio_dev *dev)
{
	virtio_fini(dev);
}

/* Section 4.1.4.7: the whole of a BAR, which is memory. */
static void test_shared_memory(void **state unused_param)
{
	static const struct virtio_ops ops = { .kick = shm_kick,
					       .queue_stop = shm_queue_stop,
					       .destroy = shm_destroy };
	static const struct device_class class = { .name = "shm",
						   .option = "shm" };
	const struct virtio_init init = { .board = &fv.board,
					  .class = &class,
					  .name = "s",
					  .ops = &ops,
					  .nr_queues = 1,
					  .queue_size = 4,
					  .iov_max = 1,
					  .shm = SHM_LEN };
	struct virtio_dev dev = { .id = 0 };
	unsigned int at, bar = 0;
	struct guest_virtio other;
	enum gmem_kind kind;
	uint64_t len = 1;
	gpa_t gpa;

	assert_int_equal(virtio_init(&dev, &init, NULL), 0);
	assert_int_equal(vpci_attach(&dev, 0, NULL), 0);
	at = (unsigned int)fake_cfg_read(&fv, 2, PCI_CAPABILITY_LIST, 1);
	while (at && fake_cfg_read(&fv, 2, at + 3, 1) != 8)
		at = (unsigned int)fake_cfg_read(&fv, 2, at + 1, 1);
	assert_int_not_equal(at, 0);
	assert_int_equal(fake_cfg_read(&fv, 2, at, 1), PCI_CAP_ID_VNDR);
	assert_int_equal(fake_cfg_read(&fv, 2, at + 2, 1), 24);
	bar = (unsigned int)fake_cfg_read(&fv, 2, at + 4, 1);
	assert_int_equal(fake_cfg_read(&fv, 2, at + 5, 1), 0); /* id */
	assert_int_equal(fake_cfg_read(&fv, 2, at + 8, 4), 0);
	assert_int_equal(fake_cfg_read(&fv, 2, at + 12, 4) |
				 fake_cfg_read(&fv, 2, at + 20, 4) << 32,
			 SHM_LEN);
	assert_int_equal(fake_cfg_read(&fv, 2, at + 16, 4), 0);
	gpa = fake_cfg_read(&fv, 2, PCI_BASE_ADDRESS_0 + 4 * bar, 8);
	assert_int_equal(gpa & 0xf, 0xc);
	gpa &= ~0xfull;
	guest_virtio_probe(&other, &fv, 2); /* switches it on */
	assert_int_equal(gv_read(&other, GV_NUM_QUEUES, 2), 1);
	assert_non_null(gmem_span(&fv.board.gmem, gpa, &len, &kind));
	assert_int_equal(kind, GMEM_WINDOW);
	/* Not by the window in configuration space: we do not read there. */
	fake_cfg_write(&fv, 2, other.cap[GV_PCI] + 4u, bar, 1);
	fake_cfg_write(&fv, 2, other.cap[GV_PCI] + 12u, 4, 4);
	assert_int_equal(window_faults(dev.window), 0);
	fake_cfg_write(&fv, 2, other.cap[GV_PCI] + 16u, 1, 4);
	assert_int_equal(window_faults(dev.window), 0);
	virtio_device_ops.destroy(&dev.device);
	assert_null(gmem_span(&fv.board.gmem, gpa, &len, &kind));
	/* A device without it has none. */
	for (at = gv.cap[GV_COMMON]; at; at = (unsigned int)cfg(at + 1, 1))
		assert_int_not_equal(cfg(at + 3, 1), 8);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_identity),
		UNIT(test_capabilities),
		UNIT(test_widths),
		UNIT(test_address_halves),
		UNIT(test_features),
		UNIT(test_queue_registers),
		UNIT(test_queue_is_immutable),
		UNIT(test_vectors),
		UNIT(test_request),
		UNIT(test_trapped_notify),
		UNIT(test_ioeventfds_follow_bar),
		UNIT(test_given_slot),
		UNIT(test_shared_memory),
		UNIT(test_held_interrupt),
		UNIT(test_config_space),
		UNIT(test_window),
		UNIT(test_window_bad_values),
		UNIT(test_whole_bar),
		UNIT(test_machine_reset),
	};

	log_init(STDERR_FILENO, LOG_ERROR); /* warnings are expected */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
