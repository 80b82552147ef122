/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A driver without manners on a network, and frames of all kinds from the wire:
 * the input is a row of operations on the three rings, registers and memory. One
 * thread, no time. What must hold: what leaves is what the port lets pass, and
 * a reset always ends.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "devices/registry.h"
#include "devices/virtio/net_device.h"
#include "tests/fuzz/stream.h"
#include "tests/lib/fake_tap.h"
#include "tests/lib/guest_virtio.h"
#include "vmm/log.h"

#define NR_RINGS 3u
#define RING(i) (0x1000ull + 0x1000ull * (i))
#define TABLE 0x5000ull
#define MAX_OPS 256u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	struct fake_vm fv;
	struct net_config config;
	struct device *dev;
	struct guest_virtio gv;
	struct guest_ring rings[NR_RINGS];
} drv;

static const char *const ports[] = {
	"id=n,mac=02:00:00:00:00:01",
	"id=n,mac=02:00:00:00:00:01,vlan=10",
	"id=n,mac=02:00:00:00:00:01,vlan=trunk:[1,10-20],antispoof=mac",
	"id=n,mac=02:00:00:00:00:01,rx_ops_size=1000000,antispoof=mac",
};

/* Places worth a visit: a selector and an offset. */
static gpa_t take_gpa(struct stream *s)
{
	static const gpa_t bases[] = {
		0x8000,
		0x8000,
		0x20000,
		TABLE,
		FAKE_RAM_BORDER - 256,
		FAKE_RAM_END - 256,
		FAKE_RAM_HIGH,
		UINT64_MAX - 255,
	};
	gpa_t base = bases[stream_take(s, 1) % ARRAY_SIZE(bases)];

	return base + stream_take(s, 2);
}

static struct guest_ring *take_ring(struct stream *s, unsigned int *i)
{
	*i = (unsigned int)stream_take(s, 1) % NR_RINGS;
	return &drv.rings[*i];
}

static void op_descriptor(struct stream *s)
{
	unsigned int i, where = (unsigned int)stream_take(s, 1);
	struct guest_ring *ring = take_ring(s, &i);
	gpa_t addr = take_gpa(s);
	uint32_t len = (uint32_t)stream_take(s, 2);
	unsigned int flags = (unsigned int)stream_take(s, 1);

	if (flags & 0x80)
		len <<= 16;
	guest_table_desc(&drv.fv.board.gmem, where & 0x80 ? TABLE : ring->desc,
			 where & 0x1f, addr, len, flags & 7, flags >> 3);
}

static void op_offer(struct stream *s)
{
	unsigned int i;
	struct guest_ring *ring = take_ring(s, &i);

	guest_ring_offer(ring, (unsigned int)stream_take(s, 1) & 0x3f);
}

/* What left is of this port, whatever the driver wrote. */
static void check_left(void)
{
	static struct {
		struct net_hdr hdr;
		uint8_t frame[NET_FRAME_MAX + NET_TAG_LEN];
	} out;
	bool access = strstr(drv.config.vlan ? drv.config.vlan : "", "10") ==
		      drv.config.vlan;
	ssize_t n;

	while ((n = fake_tap_receive(0, &out, sizeof(out))) >= 0) {
		require(n >= (ssize_t)(sizeof(out.hdr) + NET_ETH_LEN));
		require(!(out.hdr.flags & ~NET_HDR_F_NEEDS_CSUM));
		require(!(out.hdr.flags & NET_HDR_F_NEEDS_CSUM) ||
			le16_get(out.hdr.csum_start) >=
				(drv.config.vlan ? NET_LOOK_LEN : NET_ETH_LEN));
		if (drv.config.antispoof)
			require(!memcmp(out.frame + 6, drv.config.mac, 6));
		if (drv.config.vlan)
			require(out.frame[12] == 0x81 && out.frame[13] == 0);
		if (drv.config.vlan && access)
			require(out.frame[14] == 0 && out.frame[15] == 10);
	}
}

static void op_kick(struct stream *s)
{
	gv_kick(&drv.gv, (unsigned int)stream_take(s, 1) % 4);
	fake_vm_turn(&drv.fv);
	check_left();
}

/* A header and the first bytes of a frame, where chains point to. */
static void op_frame(struct stream *s)
{
	static const uint8_t eth[] = { 2, 0, 0, 0,    0, 2, 2,	0, 0,
				       0, 0, 1, 0x81, 0, 0, 10, 8, 0 };
	gpa_t gpa = 0x8000 + stream_take(s, 1);
	uint8_t v;

	gmem_write(&drv.fv.board.gmem, gpa + 12, eth, sizeof(eth));
	for (unsigned int i = 0; i < 10; i++) {
		v = (uint8_t)stream_take(s, 1);
		gmem_write(&drv.fv.board.gmem, gpa + i, &v, 1);
	}
	if (stream_take(s, 1) & 1)
		gmem_write(&drv.fv.board.gmem, gpa + 24, "\x08\x00", 2);
}

/* The wire has something to say. */
static void op_wire(struct stream *s)
{
	static uint8_t frame[NET_FRAME_MAX];
	static const uint16_t types[] = { 0x0800, 0x8100, 0x88a8, 0x8100 };
	uint8_t hdr[TAP_HEADER] = { 0 };
	size_t len = stream_take(s, 2);
	unsigned int type = types[stream_take(s, 1) % ARRAY_SIZE(types)];

	for (unsigned int i = 0; i < 10; i++)
		hdr[i] = (uint8_t)stream_take(s, 1);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	frame[14] = (uint8_t)stream_take(s, 1);
	frame[15] = (uint8_t)stream_take(s, 1);
	frame[16] = (uint8_t)stream_take(s, 1);
	fake_tap_send(hdr, frame, len);
	fake_vm_turn(&drv.fv);
}

/* A command with its data, in one chain of the control queue. */
static void op_command(struct stream *s)
{
	const struct gmem *gm = &drv.fv.board.gmem;
	unsigned int len = (unsigned int)stream_take(s, 1) % 40;
	struct guest_ring *ring = &drv.rings[2];
	uint8_t v;

	for (unsigned int i = 0; i < len + 2; i++) {
		v = (uint8_t)stream_take(s, 1);
		gmem_write(gm, 0x9000 + i, &v, 1);
	}
	guest_ring_desc(ring, 0, 0x9000, 2 + len, RING_NEXT, 1);
	guest_ring_desc(ring, 1, 0x9800, 1, RING_WRITE, 0);
	guest_ring_offer(ring, 0);
	gv_kick(&drv.gv, 2);
	fake_vm_turn(&drv.fv);
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
	gv_config(&drv.gv, reg % 12, 1);
}

static void op_restart(struct stream *s)
{
	uint64_t features = gv_features(&drv.gv);
	unsigned int i;

	/* A feature or two less at times. */
	features &= ~(1ull << stream_take(s, 1) % 64);
	features &= ~(1ull << stream_take(s, 1) % 64);
	if (!gv_negotiate(&drv.gv, features))
		return;
	for (i = 0; i < NR_RINGS; i++) {
		guest_ring_init(&drv.rings[i], &drv.fv.board.gmem, RING(i),
				(uint16_t)(1u << stream_take(s, 1) % 7));
		gv_queue(&drv.gv, i, &drv.rings[i]);
	}
	gv_driver_ok(&drv.gv);
	fake_vm_turn(&drv.fv);
}

static void op_pause(struct stream *s unused_param)
{
	fake_vm_quiesce(&drv.fv, drv.dev);
	drv.dev->ops->resume(drv.dev);
	fake_vm_turn(&drv.fv);
}

/* The host's kernel does or does not what it is asked to. */
static void op_host(struct stream *s)
{
	unsigned int bits = (unsigned int)stream_take(s, 1);

	fake_tap.refuse_filter = bits & 1;
	fake_tap.refuse_offloads = bits & 2;
}

static void op_avail(struct stream *s)
{
	unsigned int i;
	struct guest_ring *ring = take_ring(s, &i);

	guest_ring_set_avail_idx(ring, (uint16_t)stream_take(s, 2));
}

static void (*const ops[])(struct stream *s) = {
	op_descriptor, op_descriptor, op_offer,	  op_kick,
	op_frame,      op_wire,	      op_command, op_memory,
	op_offer,      op_register,   op_restart, op_pause,
	op_host,       op_avail,      op_wire,	  op_kick,
};

static void open_net(unsigned int port)
{
	struct error err;

	param_defaults(&net_param_set, &drv.config);
	require(!param_parse(&net_param_set, &drv.config, ports[port], &err));
	drv.config.poll_us = 0;
	drv.dev = fake_vm_add(&drv.fv, &net_class, &drv.config);
	require(drv.dev);
	guest_virtio_probe(&drv.gv, &drv.fv, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream s = { data, size };
	unsigned int n;

	log_init(STDERR_FILENO, LOG_ERROR);
	fake_tap_init();
	fake_vm_init(&drv.fv);
	fake_vm_add_pci(&drv.fv);
	open_net((unsigned int)stream_take(&s, 1) % ARRAY_SIZE(ports));
	op_restart(&s);
	for (n = 0; n < MAX_OPS && s.left; n++)
		ops[stream_take(&s, 1) % ARRAY_SIZE(ops)](&s);
	fake_vm_turn(&drv.fv);
	check_left();
	fake_vm_fini(&drv.fv);
	param_free(&net_param_set, &drv.config);
	return 0;
}
