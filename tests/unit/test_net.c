/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Frames of a network: both ways between driver and TAP. */
#include "tests/unit/net_fixture.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- what the driver is offered ---- */

static void test_features(void **state unused_param)
{
	const uint64_t all = VIRTIO_F(NET_F_CSUM) | VIRTIO_F(NET_F_HOST_TSO4) |
			     VIRTIO_F(NET_F_HOST_TSO6) |
			     VIRTIO_F(NET_F_HOST_UFO) |
			     VIRTIO_F(NET_F_HOST_USO) |
			     VIRTIO_F(NET_F_HOST_ECN) | NET_GUEST_OFFLOADS;
	unsigned int i;

	open_net("offload_ufo=on", BASE);
	assert_true((gv_features(&gv) & all) == all);
	assert_false(gv_features(&gv) & VIRTIO_F(NET_F_MQ));
	for (i = 0; i < 6; i++)
		assert_int_equal(gv_config(&gv, i, 1), own[i]);
	assert_int_equal(gv_config(&gv, 6, 2), NET_S_LINK_UP);
	assert_int_equal(gv_config(&gv, 8, 2), 1);
	assert_int_equal(gv_config(&gv, 10, 2), 1500);
}

static void test_no_offloads(void **state unused_param)
{
	open_net("offload_csum=off", BASE);
	assert_false(gv_features(&gv) &
		     (NET_GUEST_OFFLOADS | VIRTIO_F(NET_F_CSUM) |
		      VIRTIO_F(NET_F_HOST_TSO4) |
		      VIRTIO_F(NET_F_CTRL_GUEST_OFFLOADS)));
}

/* The TAP may give what the driver takes, and no more after a reset. */
static void test_offloads_follow(void **state unused_param)
{
	open_net("", BASE | VIRTIO_F(NET_F_GUEST_CSUM) |
			     VIRTIO_F(NET_F_GUEST_TSO4));
	assert_int_equal(fake_tap.offloads, TUN_F_CSUM | TUN_F_TSO4);
	start(BASE | VIRTIO_F(NET_F_GUEST_TSO4)); /* without checksums */
	assert_int_equal(fake_tap.offloads, 0);
}

/* ---- to the guest ---- */

static void test_receive(void **state unused_param)
{
	unsigned int n;

	open_net("", BASE);
	give(4, RX_LEN);
	for (n = 0; n < 4; n++) {
		make(60 + n, n);
		come(NULL, 60 + n);
		expect_frame(60 + n, 1, RX_LEN);
	}
	assert_int_equal(counter("rx_frames"), 4);
	assert_int_equal(counter("rx_bytes"), 60 + 61 + 62 + 63);
	expect_nothing();
}

/* Frames that are there before buffers wait, and the loop sleeps meanwhile. */
static void test_no_buffers(void **state unused_param)
{
	open_net("", BASE);
	make(100, 1);
	come(NULL, 100);
	come(NULL, 100);
	expect_nothing();
	assert_int_equal(net->pairs[0].rx.wait, NET_RX_BUFFERS);
	assert_int_equal(net->pairs[0].watched, 0);
	give(1, RX_LEN);
	expect_frame(100, 1, RX_LEN);
	give(2, RX_LEN);
	expect_frame(100, 1, RX_LEN);
	expect_nothing();
	assert_int_equal(net->pairs[0].rx.wait, NET_RX_FRAMES);
}

static void test_mergeable(void **state unused_param)
{
	static const size_t lens[] = { 60, 116, 117, 244, 245, 1514, 6000 };
	unsigned int i;

	open_net("", MRG);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		unsigned int nr = (unsigned int)(HDR + lens[i] + 127) / 128;

		give(nr, 128);
		make(lens[i], i);
		come(NULL, lens[i]);
		expect_frame(lens[i], nr, 128);
		expect_nothing();
	}
}

/* Buffers that are as small as can be, and cut where nobody would cut. */
static void test_odd_buffers(void **state unused_param)
{
	unsigned int i;

	open_net("", MRG);
	give(32, HDR);
	make(100, 3);
	come(NULL, 100);
	expect_frame(100, 10, HDR);
	start(BASE);
	for (i = 0; i < 6; i++)
		guest_ring_desc(&rx, i, RX + 7 * i, i < 5 ? 7 : 1000,
				RING_WRITE | (i < 5 ? RING_NEXT : 0), i + 1);
	guest_ring_offer(&rx, 0);
	gv_kick(&gv, 0);
	come(NULL, 100);
	nr_rx = 0;
	expect_frame(100, 1, RX_LEN);
}

/* 64 KiB at once: by way of our buffer the first time, then as they come. */
static void test_large(void **state unused_param)
{
	unsigned int n;

	open_net("", MRG);
	for (n = 0; n < 4; n++) {
		give(33, RX_LEN);
		make(65535 + 14, n);
		come(NULL, 65535 + 14);
		expect_frame(65535 + 14, 33, RX_LEN);
		expect_nothing();
	}
	assert_int_equal(net->pairs[0].rx.expect, NET_FRAME_MAX);
}

static void test_too_large(void **state unused_param)
{
	open_net("", BASE);
	give(2, 1000);
	make(989, 1);
	come(NULL, 989);
	expect_nothing();
	assert_int_equal(counter("rx_dropped_large"), 1);
	come(NULL, 988);
	expect_frame(988, 1, 1000);
	start(MRG);
	give(3, 100);
	make(289, 1);
	come(NULL, 289);
	expect_nothing();
	come(NULL, 288);
	expect_frame(288, 3, 100);
	assert_int_equal(counter("rx_dropped_large"), 2);
}

static bool has_waited(void *arg unused_param)
{
	return counter("rx_dropped_large") != 0;
}

/* On a machine that is busy, patience may have ended before the driver's buffers
 * came. */
static void come_again_if_late(size_t len)
{
	if (has_waited(NULL))
		come(NULL, len);
}

/* A driver that is low on buffers is waited for, for a moment. */
static void test_patience(void **state unused_param)
{
	open_net("", MRG);
	give(33, RX_LEN);
	make(65000, 1);
	come(NULL, 65000);
	expect_frame(65000, 32, RX_LEN);
	come(NULL, 65000);
	expect_nothing();
	assert_true(has_waited(NULL) ||
		    !virtqueue_is_idle(&net->dev.queues[0].vq));
	give(32, RX_LEN);
	come_again_if_late(65000);
	expect_frame(65000, 32, RX_LEN);
	come(NULL, 65000);
	assert_true(fake_vm_turn_until(&fv, has_waited, NULL));
	expect_nothing();
	come(NULL, 1000);
	assert_true(fake_vm_turn_until(&fv, has_waited, NULL));
}

/* At a pause nothing is lent, and what waits comes afterwards. */
static void test_pause(void **state unused_param)
{
	open_net("", MRG);
	give(33, RX_LEN);
	make(65000, 1);
	come(NULL, 65000);
	expect_frame(65000, 32, RX_LEN);
	come(NULL, 65000); /* too few buffers: they are lent */
	fake_vm_quiesce(&fv, dev);
	assert_int_equal(net->dev.queues[0].vq.start_used, 32);
	dev->ops->resume(dev);
	give(31, RX_LEN);
	come_again_if_late(65000);
	expect_frame(65000, 32, RX_LEN);
}

static void test_header_in(void **state unused_param)
{
	struct net_hdr hdr = { .flags = NET_HDR_F_NEEDS_CSUM,
			       .gso_type = NET_GSO_TCPV4,
			       .gso_size = le16_of(1448),
			       .csum_start = le16_of(34),
			       .csum_offset = le16_of(16) };

	open_net("", BASE | VIRTIO_F(NET_F_GUEST_CSUM) |
			     VIRTIO_F(NET_F_GUEST_TSO4));
	give(8, RX_LEN);
	make(1000, 1);
	come(&hdr, 1000);
	expect_frame(1000, 1, RX_LEN);
	assert_memory_equal(got, &hdr, 10);
	/* Of a type that was not agreed on. */
	hdr.gso_type = NET_GSO_TCPV6;
	come(&hdr, 1000);
	expect_nothing();
	assert_int_equal(counter("rx_dropped_header"), 1);
}

/* A buffer that cannot take a header has no use. */
static void test_useless_buffer(void **state unused_param)
{
	open_net("", MRG);
	give(1, HDR - 1);
	make(100, 1);
	come(NULL, 100);
	assert_true(gv_read(&gv, GV_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET);
	start(MRG);
	give(1, RX_LEN);
	expect_frame(100, 1, RX_LEN);
}

/* A driver's buffer whose second part is in a window: the kernel writes there, and
 * nobody reads it, as the file behind it may have been cut. */
static void test_window(void **state unused_param)
{
	const gpa_t at = 1ull << 40;
	const size_t room = 2000, first = 64;
	cleanup_fd int fd = memfd_create("window", MFD_CLOEXEC);
	uint32_t id, used;
	uint8_t *hva;
	int slot;

	assert_int_equal(ftruncate(fd, 4096), 0);
	hva = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(hva != MAP_FAILED);
	slot = gmem_add_window(&fv.board.gmem, hva, 4096, NULL);
	assert_true(slot >= 0);
	assert_int_equal(
		gmem_place_window(&fv.board.gmem, (unsigned int)slot, at, NULL),
		0);
	open_net("", MRG);
	guest_ring_desc(&rx, 0, RX, first, RING_WRITE | RING_NEXT, 1);
	guest_ring_desc(&rx, 1, at, room, RING_WRITE, 0);
	guest_ring_offer(&rx, 0);
	make(1000, 1);
	come(NULL, 1000);
	assert_true(guest_ring_take(&rx, &id, &used));
	assert_int_equal(used, HDR + 1000);
	assert_memory_equal(mem(RX + HDR, first - HDR), frame, first - HDR);
	assert_memory_equal(hva, frame + first - HDR, 1000 - (first - HDR));
	guest_ring_offer(&rx, 0);
	gv_kick(&gv, 0);
	make(first + room, 2);
	come(NULL, first + room);
	assert_int_equal(counter("rx_dropped_large"), 1);
	assert_int_equal(ftruncate(fd, 0), 0);
	come(NULL, 1000);
	assert_int_equal(counter("rx_dropped_host"), 1);
	expect_nothing();
	assert_int_equal(ftruncate(fd, 4096), 0);
	come(NULL, 1000);
	assert_true(guest_ring_take(&rx, &id, &used));
	/* Where a header would be there, it is no use. */
	guest_ring_desc(&rx, 2, at, room, RING_WRITE, 0);
	guest_ring_offer(&rx, 2);
	come(NULL, 1000);
	assert_true(gv_read(&gv, GV_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET);
	gmem_remove_window(&fv.board.gmem, (unsigned int)slot);
	munmap(hva, 4096);
}

/* ---- from the guest ---- */

static void test_send(void **state unused_param)
{
	static const uint32_t pieces[] = { 1, 5, 11, 12, 13, 25, 30, 31, 2000 };
	unsigned int i;

	open_net("", BASE);
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		size_t len = pieces[i] < 30 ? 40 : 1514;

		make(len, i);
		leave(NULL, len, pieces[i]);
		expect_left(len);
	}
	assert_int_equal(counter("tx_frames"), i);
}

static void test_send_large(void **state unused_param)
{
	const struct net_hdr hdr = { .flags = NET_HDR_F_NEEDS_CSUM,
				     .gso_type = NET_GSO_TCPV4,
				     .hdr_len = le16_of(54),
				     .gso_size = le16_of(1448),
				     .csum_start = le16_of(34),
				     .csum_offset = le16_of(16) };

	open_net("", BASE | VIRTIO_F(NET_F_CSUM) | VIRTIO_F(NET_F_HOST_TSO4));
	make(65549, 1);
	leave(&hdr, 65549, 4096);
	expect_left(65549);
	assert_memory_equal(got, &hdr, HDR);
	/* The same of a driver that did not ask for it. */
	start(BASE);
	leave(&hdr, 65549, 4096);
	expect_dropped();
	assert_int_equal(counter("tx_dropped_header"), 1);
}

static void test_send_bad(void **state unused_param)
{
	open_net("", BASE);
	make(14, 1);
	leave(NULL, 13, 100);
	expect_dropped();
	leave(NULL, 13, 5);
	expect_dropped();
	guest_ring_desc(&tx, 0, TX, HDR - 1, 0, 0); /* no whole header */
	guest_ring_offer(&tx, 0);
	guest_ring_desc(&tx, 1, TX, 100, RING_WRITE, 0); /* nothing to read */
	guest_ring_offer(&tx, 1);
	gv_kick(&gv, 1);
	go();
	expect_dropped();
	expect_dropped();
	assert_int_equal(counter("tx_dropped_length"), 4);
	leave(NULL, 14, 100);
	expect_left(14);
}

/* A TAP that takes no more is waited for; nothing is lost. */
static void test_send_blocked(void **state unused_param)
{
	unsigned int n, sent = 0;
	uint32_t id, used;

	open_net("", BASE);
	make(30000, 1);
	for (n = 0; n < 32; n++) {
		leave(NULL, 30000, 40000);
		if (net->pairs[0].tx.blocked)
			break;
	}
	assert_true(n < 32);
	assert_true(virtqueue_is_idle(&net->dev.queues[1].vq));
	go();
	while (fake_tap_receive(0, got, sizeof(got)) == HDR + 30000) {
		sent++;
		go();
	}
	assert_int_equal(sent, n + 1);
	for (; sent; sent--)
		assert_true(guest_ring_take(&tx, &id, &used));
	assert_false(net->pairs[0].tx.blocked);
	assert_int_equal(counter("tx_frames"), n + 1);
}

/* Chains that were taken together leave in their order, and what cannot leave yet
 * is the ring's again. */
static void test_send_in_turn(void **state unused_param)
{
	const unsigned int nr = 20;
	uint32_t id, used;
	unsigned int i;

	open_net("", BASE);
	make(30000 + nr, 1);
	memset(mem(TX, HDR), 0, HDR);
	memcpy(mem(TX + HDR, 30000 + nr), frame, 30000 + nr);
	for (i = 0; i < nr; i++) {
		guest_ring_desc(&tx, i, TX, HDR + 30000 + i, 0, 0);
		guest_ring_put(&tx, i);
	}
	guest_ring_publish(&tx);
	gv_kick(&gv, 1);
	go();
	assert_true(net->pairs[0].tx.blocked);
	assert_true(virtqueue_is_idle(&net->dev.queues[1].vq));
	for (i = 0; i < nr; i++) {
		assert_int_equal(fake_tap_receive(0, got, sizeof(got)),
				 HDR + 30000 + i);
		go();
	}
	for (i = 0; i < nr; i++) {
		assert_true(guest_ring_take(&tx, &id, &used));
		assert_int_equal(id, i);
	}
	assert_int_equal(counter("tx_frames"), nr);
}

/* Of many that leave by one call, those that are no frames are dropped, and the
 * others leave in their order. */
static void test_send_together(void **state unused_param)
{
	const unsigned int nr = 50;
	struct tap_ring *ring;
	uint32_t id, used;
	unsigned int i, n = 0;

	open_net("", BASE);
	ring = net->pairs[0].tx.ring;
	make(4000, 1);
	memset(mem(TX, HDR), 0, HDR);
	memcpy(mem(TX + HDR, 4000), frame, 4000);
	for (i = 0; i < nr; i++) {
		uint32_t len = i % 7 == 3 ? HDR - 1 : HDR + 60 + 40 * i;

		guest_ring_desc(&tx, i, TX, len, 0, 0);
		guest_ring_put(&tx, i);
	}
	guest_ring_publish(&tx);
	gv_kick(&gv, 1);
	go();
	for (i = 0; i < nr; i++) {
		assert_true(guest_ring_take(&tx, &id, &used));
		assert_int_equal(id, i);
		if (i % 7 == 3)
			continue;
		assert_int_equal(fake_tap_receive(0, got, sizeof(got)),
				 HDR + 60 + 40 * i);
		assert_memory_equal(got + HDR, frame, 60 + 40 * i);
		n++;
	}
	assert_int_equal(fake_tap_receive(0, got, sizeof(got)), -1);
	assert_int_equal(counter("tx_frames"), n);
	assert_int_equal(counter("tx_dropped_length"), nr - n);
	/* All of them by the ring, where there is one. */
	assert_ptr_equal(net->pairs[0].tx.ring, ring);
}

/* What is copied as a whole, and what is not, in pieces of all kinds. */
static void test_send_short(void **state unused_param)
{
	static const uint32_t pieces[] = { 7, 30, 1000, 3000 };
	unsigned int i;
	size_t len;

	open_net("vlan=5", BASE);
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		for (len = NET_COPY_MAX - 1; len <= NET_COPY_MAX + 1; len++) {
			make(len, i);
			leave(NULL, len, MAX(pieces[i], len / 60));
			assert_int_equal(fake_tap_receive(0, got, sizeof(got)),
					 HDR + len + 4);
			assert_memory_equal(got + HDR, frame, 12);
			assert_memory_equal(got + HDR + 12, "\x81\0\0\x05", 4);
			assert_memory_equal(got + HDR + 16, frame + 12,
					    len - 12);
		}
	}
}

/* ---- VLANs ---- */

static void tag(unsigned int id)
{
	frame[12] = 0x81;
	frame[13] = 0;
	frame[14] = (uint8_t)(id >> 8);
	frame[15] = (uint8_t)id;
	frame[16] = 8;
	frame[17] = 0;
}

/* What the guest is to see of a tagged frame. */
static void untag(size_t len)
{
	memmove(frame + 12, frame + 16, len - 16);
}

static void check_access(void)
{
	unsigned int round;

	for (round = 0; round < 3; round++) {
		give(2, RX_LEN);
		make(200, round);
		tag(10);
		come(NULL, 200);
		untag(200);
		expect_frame(196, 1, RX_LEN);
		make(200, round);
		tag(11);
		come(NULL, 200);
		expect_nothing();
		make(200, 2);
		come(NULL, 200);
		expect_nothing();
		assert_int_equal(counter("rx_dropped_vlan"), 2 * round + 2);
	}
	make(100, 9);
	leave(NULL, 100, 1000);
	assert_int_equal(fake_tap_receive(0, got, sizeof(got)), HDR + 104);
	assert_memory_equal(got + HDR, frame, 12);
	assert_memory_equal(got + HDR + 12, "\x81\0\0\x0a", 4);
	assert_memory_equal(got + HDR + 16, frame + 12, 88);
	assert_int_equal(counter("tx_bytes"), 100);
}

/* The host's filter lets through what it should not: a tag is looked at. */
static void test_access(void **state unused_param)
{
	open_net("vlan=10", MRG);
	assert_true(fake_tap.has_filter);
	assert_true(fake_tap.filter.all_unicast && fake_tap.filter.broadcast);
	assert_int_equal(fake_tap.vlans[0], 1u << 10);
	check_access();
	assert_false(net->pairs[0].rx.drain);
}

/* There is no filter: all comes to our buffer first. */
static void test_access_unfiltered(void **state unused_param)
{
	fake_tap.refuse_filter = true;
	open_net("vlan=10", MRG);
	go();
	check_access();
	assert_true(net->pairs[0].rx.drain);
}

/* Mergeable, with the tag in the middle of a large frame. */
static void test_access_large(void **state unused_param)
{
	unsigned int n;

	open_net("vlan=10", MRG);
	for (n = 0; n < 3; n++) {
		give(33, RX_LEN);
		make(65000, n);
		tag(10);
		come(NULL, 65000);
		untag(65000);
		expect_frame(64996, 32, RX_LEN);
		give(0, 0);
	}
}

static void test_trunk(void **state unused_param)
{
	fake_tap.refuse_filter = true; /* so that it is looked at here */
	open_net("vlan=trunk:[10,20-29]", MRG);
	give(4, RX_LEN);
	make(200, 1);
	tag(25);
	come(NULL, 200);
	expect_frame(200, 1, RX_LEN);
	leave(NULL, 200, 1000);
	expect_left(200);
	tag(30);
	come(NULL, 200);
	leave(NULL, 200, 1000);
	expect_dropped();
	make(200, 1);
	come(NULL, 200);
	leave(NULL, 200, 1000);
	expect_dropped();
	expect_nothing();
	assert_int_equal(counter("rx_dropped_vlan"), 2);
	assert_int_equal(counter("tx_dropped_vlan"), 2);
}

/* Frames that were queued before the VLAN changed never enter guest memory. */
static void test_vlan_change(void **state unused_param)
{
	struct error err = { "" };

	open_net("vlan=10", MRG);
	make(200, 1);
	tag(20);
	give(2, RX_LEN);
	memset(mem(RX, 2 * RX_LEN), 0xee, 2 * RX_LEN);
	/* The wire's frames are there when the change comes. */
	assert_true(fake_tap_send(NULL, frame, 200));
	tag(10);
	assert_true(fake_tap_send(NULL, frame, 200));
	free(config.vlan);
	config.vlan = strdup("20");
	assert_int_equal(dev->ops->set(dev, &config, &err), 0);
	go();
	assert_int_equal(fake_tap.vlans[0], 1u << 20);
	tag(20);
	untag(200);
	expect_frame(196, 1, RX_LEN);
	expect_nothing();
	assert_memory_equal(mem(RX + RX_LEN, 4), "\xee\xee\xee\xee", 4);
	free(config.vlan);
	config.vlan = strdup("0");
	assert_int_equal(dev->ops->set(dev, &config, &err), -EINVAL);
}

static void test_antispoof(void **state unused_param)
{
	open_net("antispoof=mac", MRG);
	make(100, 1);
	leave(NULL, 100, 1000);
	expect_left(100);
	frame[11] ^= 1;
	leave(NULL, 100, 1000);
	expect_dropped();
	assert_int_equal(counter("tx_dropped_spoof"), 1);
}

/* ---- link, limits, life ---- */

static void set_link(int link)
{
	struct error err = { "" };

	config.link = link;
	assert_int_equal(dev->ops->set(dev, &config, &err), 0);
	go();
}

static void test_link(void **state unused_param)
{
	open_net("", WITH_CTRL | VIRTIO_F(NET_F_GUEST_ANNOUNCE) |
			     VIRTIO_F(NET_F_STATUS));
	set_link(NET_LINK_DOWN);
	assert_int_equal(gv_config(&gv, 6, 2), 0);
	give(2, RX_LEN);
	make(100, 1);
	come(NULL, 100);
	expect_nothing();
	leave(NULL, 100, 1000);
	expect_dropped();
	assert_int_equal(counter("rx_dropped_link"), 1);
	assert_int_equal(counter("tx_dropped_link"), 1);
	set_link(NET_LINK_UP);
	assert_int_equal(gv_config(&gv, 6, 2), NET_S_LINK_UP | NET_S_ANNOUNCE);
	come(NULL, 100);
	expect_frame(100, 1, RX_LEN);
	assert_int_equal(command(3, 0, "", 0), 0);
	assert_int_equal(gv_config(&gv, 6, 2), NET_S_LINK_UP);
	fake_vm_quiesce(&fv, dev);
	dev->ops->resume(dev);
	assert_int_equal(gv_config(&gv, 6, 2), NET_S_LINK_UP | NET_S_ANNOUNCE);
}

static bool has_two(void *arg)
{
	return guest_ring_used_idx(arg) == 2;
}

/* The second frame waits until the first one is paid for. */
static void test_limits(void **state unused_param)
{
	unsigned int i;
	uint64_t begun;

	open_net("rx_bw_size=10000,tx_ops_size=20", BASE);
	give(4, RX_LEN);
	make(1000, 1);
	begun = loop_now_ns();
	come(NULL, 1000);
	come(NULL, 1000);
	assert_int_equal(guest_ring_used_idx(&rx), 1);
	assert_int_equal(net->pairs[0].watched, 0);
	assert_true(virtqueue_is_idle(&net->dev.queues[0].vq));
	assert_true(fake_vm_turn_until(&fv, has_two, &rx));
	assert_true(loop_now_ns() - begun > 70000000);
	assert_true(counter("rx_throttled_ns") > 0);
	memcpy(mem(TX + HDR, 100), frame, 100);
	for (i = 0; i < 2; i++) {
		guest_ring_desc(&tx, i, TX, HDR + 100, 0, 0);
		guest_ring_put(&tx, i);
	}
	guest_ring_publish(&tx);
	gv_kick(&gv, 1);
	go();
	assert_int_equal(guest_ring_used_idx(&tx), 1);
	assert_true(fake_vm_turn_until(&fv, has_two, &tx));
}

static void test_counters(void **state unused_param)
{
	uint64_t kicks;
	unsigned int i;

	open_net("", BASE);
	kicks = counter("queue0_kicks");
	for (i = 0; i < 6; i++) {
		guest_ring_desc(&rx, i, RX + i * RX_LEN, RX_LEN, RING_WRITE, 0);
		guest_ring_put(&rx, i);
	}
	make(100, 1);
	for (i = 0; i < 5; i++)
		assert_true(fake_tap_send(NULL, frame, 100));
	go();
	guest_ring_publish(&rx);
	gv_kick(&gv, 0);
	go();
	assert_int_equal(counter("queue0_frames"), 5);
	assert_int_equal(counter("queue0_batches_from_4"), 1);
	assert_int_equal(counter("queue0_interrupts"), 1);
	assert_int_equal(counter("queue0_kicks"), kicks + 1);
	assert_int_equal(counter("queue1_frames"), 0);
}

/* The TAP goes away: nothing spins, the guest still gets its buffers back. */
static void test_gone(void **state unused_param)
{
	open_net("", BASE);
	give(1, RX_LEN);
	close(fake_tap.ends[0]);
	fake_tap.ends[0] = -1;
	go();
	assert_int_equal(net->pairs[0].watched, 0);
	expect_nothing();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_features),
		UNIT(test_no_offloads),
		UNIT(test_offloads_follow),
		UNIT(test_receive),
		UNIT(test_no_buffers),
		UNIT(test_mergeable),
		UNIT(test_odd_buffers),
		UNIT(test_large),
		UNIT(test_too_large),
		UNIT(test_patience),
		UNIT(test_pause),
		UNIT(test_header_in),
		UNIT(test_useless_buffer),
		UNIT(test_window),
		UNIT(test_send),
		UNIT(test_send_large),
		UNIT(test_send_bad),
		UNIT(test_send_blocked),
		UNIT(test_send_in_turn),
		UNIT(test_send_together),
		UNIT(test_send_short),
		UNIT(test_access),
		UNIT(test_access_unfiltered),
		UNIT(test_access_large),
		UNIT(test_trunk),
		UNIT(test_vlan_change),
		UNIT(test_antispoof),
		UNIT(test_link),
		UNIT(test_limits),
		UNIT(test_counters),
		UNIT(test_gone),
	};

	log_init(STDERR_FILENO, LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
