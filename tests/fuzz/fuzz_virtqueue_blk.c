/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A driver without manners on a disk: the input is a row of operations that
 * write descriptors, rings, registers and memory, and kick. One thread, no
 * time. What must hold: a reset always ends, and the image keeps its size.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "devices/virtio/virtio.h"
#include "tests/fuzz/stream.h"
#include "tests/lib/fake_disk.h"
#include "tests/lib/guest_virtio.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define DISK_LEN (64 * KIB)
#define RING 0x1000ull
#define TABLE 0x3000ull
#define MAX_OPS 256u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct driver {
	struct fake_vm fv;
	struct fake_disk disk;
	struct guest_virtio gv;
	struct guest_ring ring;
};

static struct driver drv;

/* Places worth a visit: a selector and an offset. */
static gpa_t take_gpa(struct stream *s)
{
	static const gpa_t bases[] = {
		0x4000,
		RING,
		TABLE,
		FAKE_RAM_BORDER - 256,
		FAKE_RAM_END - 256,
		FAKE_RAM_HIGH,
		UINT64_MAX - 255,
		FAKE_RAM_HIGH + FAKE_RAM_LEN - 256,
	};
	gpa_t base = bases[stream_take(s, 1) % ARRAY_SIZE(bases)];

	return base + stream_take(s, 2);
}

static void op_descriptor(struct stream *s)
{
	unsigned int where = (unsigned int)stream_take(s, 1);
	gpa_t addr = take_gpa(s);
	uint32_t len = (uint32_t)stream_take(s, 2);
	unsigned int flags = (unsigned int)stream_take(s, 1);
	unsigned int next = flags >> 3;

	if (flags & 0x80)
		len <<= 16;
	guest_table_desc(&drv.fv.board.gmem, where & 0x80 ? TABLE : RING,
			 where & 0x1f, addr, len, flags & 7, next);
}

static void op_offer(struct stream *s)
{
	guest_ring_offer(&drv.ring, (unsigned int)stream_take(s, 1) & 0x3f);
}

static void op_kick(struct stream *s unused_param)
{
	gv_kick(&drv.gv, 0);
	fake_vm_turn(&drv.fv);
}

static void op_header(struct stream *s)
{
	gpa_t gpa = 0x4000 + (stream_take(s, 1) << 4);
	uint32_t type = (uint32_t)stream_take(s, 1);

	fake_disk_header(&drv.fv, gpa, type, stream_take(s, 2));
}

static void op_memory(struct stream *s)
{
	gpa_t gpa = take_gpa(s);
	unsigned int len = 1 + (unsigned int)stream_take(s, 1) % 8;
	uint64_t v = stream_take(s, len);

	gmem_write(&drv.fv.board.gmem, gpa, &v, len);
}

static void op_register(struct stream *s)
{
	unsigned int reg = (unsigned int)stream_take(s, 1) % 0x40;
	unsigned int len = 1u << stream_take(s, 1) % 4;

	gv_write(&drv.gv, reg, stream_take(s, len), len);
	gv_read(&drv.gv, reg, len);
}

static void op_config(struct stream *s)
{
	unsigned int off = (unsigned int)stream_take(s, 1) % 68;

	fake_mmio_write(&drv.fv, drv.gv.bar + drv.gv.offset[GV_DEVICE] + off,
			stream_take(s, 1), 1);
	gv_config(&drv.gv, off, 4);
}

static void op_restart(struct stream *s)
{
	uint64_t features = gv_features(&drv.gv);

	/* A feature less at times. */
	features &= ~(1ull << stream_take(s, 1) % 64);
	if (!gv_negotiate(&drv.gv, features))
		return;
	guest_ring_init(&drv.ring, &drv.fv.board.gmem, RING,
			(uint16_t)(1u << stream_take(s, 1) % 6));
	gv_queue(&drv.gv, 0, &drv.ring);
	gv_driver_ok(&drv.gv);
}

static void op_events(struct stream *s)
{
	guest_ring_set_used_event(&drv.ring, (uint16_t)stream_take(s, 2));
	guest_ring_set_avail_flags(&drv.ring, stream_take(s, 1) & 1);
}

static void op_avail(struct stream *s)
{
	guest_ring_set_avail_idx(&drv.ring, (uint16_t)stream_take(s, 2));
}

static void (*const ops[])(struct stream *s) = {
	op_descriptor, op_descriptor, op_offer,	   op_kick,
	op_header,     op_memory,     op_register, op_config,
	op_restart,    op_events,     op_avail,	   op_kick,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream s = { data, size };
	unsigned int n;
	struct stat st;

	log_init(STDERR_FILENO, LOG_ERROR);
	fake_vm_init(&drv.fv);
	fake_vm_add_pci(&drv.fv);
	require(fake_disk_init(&drv.disk, &drv.fv, DISK_LEN,
			       "engine=sync,poll_us=0,queue_size=32"));
	guest_virtio_probe(&drv.gv, &drv.fv, 1);
	op_restart(&s);
	for (n = 0; n < MAX_OPS && s.left; n++)
		ops[stream_take(&s, 1) % ARRAY_SIZE(ops)](&s);
	fake_vm_turn(&drv.fv);
	require(fake_disk_quiesce(&drv.disk));
	require(!fstat(drv.disk.fd, &st) && st.st_size == DISK_LEN);
	fake_disk_fini(&drv.disk);
	fake_vm_fini(&drv.fv);
	return 0;
}
