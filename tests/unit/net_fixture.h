/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_UNIT_NET_FIXTURE_H
#define TESTS_UNIT_NET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/registry.h"
#include "devices/virtio/net_device.h"
#include "tests/lib/fake_tap.h"
#include "tests/lib/guest_virtio.h"
#include "vmm/log.h"

/*
 * A network on a TAP of the test's, with the driver's side of its rings. For the
 * one file that includes this. Frame buffers for receiving are slots of RX_LEN
 * bytes at RX, of which descriptor i has slot i.
 */
#define RX_RING 0x1000ull
#define TX_RING 0x4000ull
#define CTRL_RING 0x7000ull
#define RING_SIZE 64u
#define RX 0x20000ull
#define RX_LEN 2048u
#define TX 0x60000ull
#define CTRL 0xa000ull
#define HDR 12u
#define BASE VIRTIO_F(VIRTIO_F_VERSION_1)
#define MRG (BASE | VIRTIO_F(NET_F_MRG_RXBUF))
#define WITH_CTRL (MRG | VIRTIO_F(NET_F_CTRL_VQ))

static struct fake_vm fv;
static struct net_config config;
static struct guest_virtio gv;
static struct guest_ring rx, tx, ctrl;
static struct device *dev;
static struct net *net;
static unsigned int nr_rx; /* slots that were offered, ever */

static const uint8_t own[6] = { 2, 0, 0, 0, 0, 1 };
static uint8_t frame[70000], got[70000];

static inline uint8_t *mem(gpa_t gpa, uint64_t len)
{
	return guest_mem(&fv.board.gmem, gpa, len);
}

static inline void go(void)
{
	fake_vm_turn(&fv);
}

/* Have the driver take these features, and bring the queues up. */
static inline void start(uint64_t features)
{
	assert_true(gv_negotiate(&gv, features));
	guest_ring_init(&rx, &fv.board.gmem, RX_RING, RING_SIZE);
	guest_ring_init(&tx, &fv.board.gmem, TX_RING, RING_SIZE);
	guest_ring_init(&ctrl, &fv.board.gmem, CTRL_RING, RING_SIZE);
	gv_queue(&gv, 0, &rx);
	gv_queue(&gv, 1, &tx);
	if (features & VIRTIO_F(NET_F_CTRL_VQ))
		gv_queue(&gv, 2, &ctrl);
	gv_driver_ok(&gv);
	nr_rx = 0;
	go();
}

static inline void open_net(const char *options, uint64_t features)
{
	struct error err = { "" };
	char text[256];

	param_defaults(&net_param_set, &config);
	snprintf(text, sizeof(text), "id=n0,mac=02:00:00:00:00:01%s%s",
		 *options ? "," : "", options);
	if (param_parse(&net_param_set, &config, text, &err))
		fail_msg("%s", err.msg);
	dev = fake_vm_add(&fv, &net_class, &config);
	if (!dev)
		fail_msg("%s", fv.err.msg);
	net = container_of(dev, struct net, dev.device);
	guest_virtio_probe(&gv, &fv, 1);
	start(features);
}

/* The driver gives nr more slots, each of len bytes. */
static inline void give(unsigned int nr, uint32_t len)
{
	for (; nr; nr--, nr_rx++) {
		unsigned int i = nr_rx % RING_SIZE;

		guest_ring_desc(&rx, i, RX + i * RX_LEN, len, RING_WRITE, 0);
		guest_ring_offer(&rx, i);
	}
	gv_kick(&gv, 0);
	go();
}

/* A frame of len bytes, its own bytes everywhere. */
static inline void make(size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(seed + i * 7 + i / 251);
	memcpy(frame + 6, own, 6);
	frame[12] = 8;
	frame[13] = 0;
}

static inline void come(const void *hdr, size_t len)
{
	assert_true(fake_tap_send(hdr, frame, len));
	go();
}

/* The driver finds a frame of len bytes like `frame` in nr buffers of
 * buf_len. */
static inline void expect_frame(size_t len, unsigned int nr, uint32_t buf_len)
{
	size_t all = HDR + len, done = 0;
	uint32_t id, used;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		assert_true(guest_ring_take(&rx, &id, &used));
		assert_int_equal(used, MIN(all - done, buf_len));
		memcpy(got + done, mem(RX + id * RX_LEN, used), used);
		done += used;
	}
	assert_int_equal(done, all);
	assert_int_equal(got[10] | got[11] << 8, nr);
	assert_memory_equal(got + HDR, frame, len);
}

static inline void expect_nothing(void)
{
	uint32_t id, len;

	assert_false(guest_ring_take(&rx, &id, &len));
}

/* The driver sends `frame` behind a header, in pieces of so many bytes. */
static inline void leave(const struct net_hdr *hdr, size_t len, uint32_t piece)
{
	static const struct net_hdr none;
	uint32_t all = (uint32_t)(HDR + len), at = 0;
	unsigned int i;

	memcpy(mem(TX, HDR), hdr ? hdr : &none, HDR);
	memcpy(mem(TX + HDR, len), frame, len);
	for (i = 0; at < all; i++, at += piece)
		guest_ring_desc(&tx, i, TX + at, MIN(piece, all - at),
				at + piece < all ? RING_NEXT : 0, i + 1);
	guest_ring_offer(&tx, 0);
	gv_kick(&gv, 1);
	go();
}

/* It came out as it is in `frame`, and the driver has its buffers again. */
static inline void expect_left(size_t len)
{
	uint32_t id, used;

	assert_int_equal(fake_tap_receive(0, got, sizeof(got)), HDR + len);
	assert_memory_equal(got + HDR, frame, len);
	assert_true(guest_ring_take(&tx, &id, &used));
	assert_int_equal(used, 0);
}

static inline void expect_dropped(void)
{
	uint32_t id, used;

	assert_int_equal(fake_tap_receive(0, got, sizeof(got)), -1);
	assert_true(guest_ring_take(&tx, &id, &used));
}

/* A command of len bytes behind class and command; -1: no answer yet. */
static inline int command(unsigned int class, unsigned int number,
			  const void *data, uint32_t len)
{
	uint32_t id, used;

	mem(CTRL, 1)[0] = (uint8_t) class;
	mem(CTRL + 1, 1)[0] = (uint8_t)number;
	memcpy(mem(CTRL + 2, len), data, len);
	mem(CTRL + 0x800, 1)[0] = 0xa5;
	guest_ring_desc(&ctrl, 0, CTRL, 2 + len, RING_NEXT, 1);
	guest_ring_desc(&ctrl, 1, CTRL + 0x800, 1, RING_WRITE, 0);
	guest_ring_offer(&ctrl, 0);
	gv_kick(&gv, 2);
	go();
	if (!guest_ring_take(&ctrl, &id, &used))
		return -1;
	assert_int_equal(used, 1);
	return mem(CTRL + 0x800, 1)[0];
}

struct sought {
	const char *name;
	uint64_t value;
	bool found;
};

static inline void seek(void *arg, const char *name, uint64_t value)
{
	struct sought *s = arg;

	if (strcmp(name, s->name) == 0) {
		s->value = value;
		s->found = true;
	}
}

static inline uint64_t counter(const char *name)
{
	struct sought s = { .name = name };

	dev->ops->counters(dev, seek, &s);
	if (!s.found)
		fail_msg("no counter %s", name);
	return s.value;
}

static inline int setup(void **state unused_param)
{
	fake_tap_init();
	fake_vm_init(&fv);
	fake_vm_add_pci(&fv);
	return 0;
}

static inline int teardown(void **state unused_param)
{
	fake_vm_fini(&fv);
	param_free(&net_param_set, &config);
	memset(&config, 0, sizeof(config));
	return 0;
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
