/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_UNIT_BLK_FIXTURE_H
#define TESTS_UNIT_BLK_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "devices/virtio/virtio.h"
#include "tests/lib/fake_disk.h"
#include "tests/lib/guest_virtio.h"
#include "vmm/byteorder.h"
#include "vmm/log.h"
#include "vmm/util.h"

/*
 * A disk on the engine of plain system calls, with the driver's side of its one
 * ring. For the one file that includes this.
 */
#define DISK_LEN (1 * MIB)
#define SECTORS (DISK_LEN / 512)
#define RING 0x1000ull
#define RING_SIZE 16u
#define HEADER 0x8000ull
#define STATUS 0x8100ull
#define DATA 0x20000ull
#define SEGMENT 0x8200ull
#define NO_STATUS 0xa5u

#define F_SIZE_MAX 1
#define F_RO 5
#define F_FLUSH 9
#define F_WCE 11
#define F_MQ 12
#define F_DISCARD 13
#define F_WRITE_ZEROES 14
#define CONFIG_SIZE_MAX 8u
#define CONFIG_WRITEBACK 32u
#define CONFIG_MAY_UNMAP 56u

#define BASE VIRTIO_F(VIRTIO_F_VERSION_1)

static struct fake_vm fv;
static struct fake_disk disk;
static struct guest_virtio gv;
static struct guest_ring ring;

static inline void open_disk(const char *options, uint64_t features)
{
	assert_true(fake_disk_init(&disk, &fv, DISK_LEN, options));
	guest_virtio_probe(&gv, &fv, 1);
	assert_true(gv_negotiate(&gv, features));
	guest_ring_init(&ring, &fv.board.gmem, RING, RING_SIZE);
	gv_queue(&gv, 0, &ring);
	gv_driver_ok(&gv);
	fake_vm_turn(&fv);
}

static inline int teardown(void **state unused_param)
{
	fake_disk_fini(&disk);
	fake_vm_fini(&fv);
	return 0;
}

static inline uint8_t *mem(gpa_t gpa, uint64_t len)
{
	return guest_mem(&fv.board.gmem, gpa, len);
}

static inline void fill(gpa_t gpa, uint64_t len, unsigned int seed)
{
	uint8_t *p = mem(gpa, len);
	uint64_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(seed + i * 7 + i / 251);
}

static inline void expect_image(uint64_t off, const void *want, size_t len)
{
	uint8_t *got = malloc(len);

	assert_int_equal(pread(disk.fd, got, len, (off_t)off), (ssize_t)len);
	assert_memory_equal(got, want, len);
	free(got);
}

/* Offer the chain at head 0, and let the device have its way. */
static inline void go(void)
{
	mem(STATUS, 1)[0] = NO_STATUS;
	guest_ring_offer(&ring, 0);
	gv_kick(&gv, 0);
	fake_vm_turn(&fv);
}

/* The request came back, with this status and number of bytes written. */
static inline void expect_done(uint8_t status, uint32_t written)
{
	uint32_t id, len;

	assert_true(guest_ring_take(&ring, &id, &len));
	assert_int_equal(id, 0);
	assert_int_equal(mem(STATUS, 1)[0], status);
	if (status == DISK_OK)
		assert_int_equal(len, written);
	assert_false(guest_ring_take(&ring, &id, &len));
}

/* header, one buffer of len bytes (0: none), status */
static inline void request(uint32_t type, uint64_t sector, gpa_t data,
			   uint32_t len)
{
	bool in = type == DISK_IN || type == DISK_GET_ID;

	fake_disk_header(&fv, HEADER, type, sector);
	guest_ring_desc(&ring, 0, HEADER, 16, RING_NEXT, len ? 1 : 2);
	guest_ring_desc(&ring, 1, data, len, RING_NEXT | (in ? RING_WRITE : 0),
			2);
	guest_ring_desc(&ring, 2, STATUS, 1, RING_WRITE, 0);
	go();
}

static inline struct virtio_dev *virtio_of(struct device *dev)
{
	return container_of(dev, struct virtio_dev, device);
}

static inline bool has_used(void *arg)
{
	return guest_ring_used_idx(&ring) == *(uint16_t *)arg;
}

static inline void restart(void)
{
	assert_true(gv_negotiate(&gv, BASE));
	guest_ring_init(&ring, &fv.board.gmem, RING, RING_SIZE);
	gv_queue(&gv, 0, &ring);
	gv_driver_ok(&gv);
	fake_vm_turn(&fv);
}

static inline int setup(void **state unused_param)
{
	fake_vm_init(&fv);
	fake_vm_add_pci(&fv);
	return 0;
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
