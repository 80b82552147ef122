/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/net_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/util.h"

#define LEN 100u

static struct net_port port;
static struct net_head head;
static size_t len;

static const uint8_t own[NET_MAC_LEN] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t other[NET_MAC_LEN] = { 2, 0, 0, 0, 0, 2 };

/* A port that allows everything, and a plain IPv4 frame for it. */
static int setup(void **state unused_param)
{
	memset(&port, 0, sizeof(port));
	memset(&head, 0, sizeof(head));
	memcpy(port.mac, own, NET_MAC_LEN);
	port.in.csum = port.out.csum = true;
	port.in.gso = port.out.gso =
		net_gso_bit(NET_GSO_TCPV4) | net_gso_bit(NET_GSO_UDP) |
		net_gso_bit(NET_GSO_TCPV6) | net_gso_bit(NET_GSO_UDP_L4) |
		net_gso_bit(NET_GSO_ECN);
	memcpy(head.frame, other, NET_MAC_LEN);
	memcpy(head.frame + NET_MAC_LEN, own, NET_MAC_LEN);
	memcpy(head.frame + NET_TAG_AT, "\x08\x00\x45\x00\x11\x22", 6);
	len = LEN;
	head.len = NET_LOOK_LEN;
	return 0;
}

static void put_type(unsigned int at, unsigned int type)
{
	head.frame[at] = (uint8_t)(type >> 8);
	head.frame[at + 1] = (uint8_t)type;
}

static void put_tag(unsigned int tpid, unsigned int tci)
{
	put_type(12, tpid);
	put_type(14, tci);
	put_type(16, 0x0800);
}

static void access_port(uint16_t id)
{
	port.vlan.mode = VLAN_ACCESS;
	port.vlan.access = id;
}

static void trunk_port(unsigned int a, unsigned int b)
{
	port.vlan.mode = VLAN_TRUNK;
	vlan_ports_add(&port.vlan, a);
	vlan_ports_add(&port.vlan, b);
}

static void needs_csum(unsigned int start, unsigned int offset)
{
	head.hdr.flags = NET_HDR_F_NEEDS_CSUM;
	head.hdr.csum_start = le16_of((uint16_t)start);
	head.hdr.csum_offset = le16_of((uint16_t)offset);
}

static void needs_gso(unsigned int type, unsigned int size)
{
	head.hdr.gso_type = (uint8_t)type;
	head.hdr.gso_size = le16_of((uint16_t)size);
}

static enum net_drop frame_out(void)
{
	head.len = MIN(len, NET_LOOK_LEN);
	return net_frame_out(&port, &head, len);
}

#define expect_out(want) assert_int_equal(frame_out(), want)
#define expect_in(want) \
	assert_int_equal(net_frame_in(&port, head.frame, len), want)

static void test_sets(void **state unused_param)
{
	unsigned int id;

	for (id = 1; id <= VLAN_ID_MAX; id += 7)
		vlan_ports_add(&port.vlan, id);
	for (id = 0; id <= 4096; id++)
		assert_int_equal(vlan_ports_has(&port.vlan, id),
				 id >= 1 && id <= VLAN_ID_MAX && id % 7 == 1);
	/* Bits that are no VLAN. */
	memset(port.vlan.trunk, 0xff, sizeof(port.vlan.trunk));
	assert_false(vlan_ports_has(&port.vlan, 0));
	assert_false(vlan_ports_has(&port.vlan, 4095));
	assert_false(vlan_ports_has(&port.vlan, 65536));
}

static void test_plain(void **state unused_param)
{
	struct net_head was = head;

	expect_out(NET_PASS);
	assert_memory_equal(&head, &was, sizeof(head));
	/* With no VLAN of ours, tags are the guest's own affair. */
	put_tag(0x88a8, 7);
	expect_out(NET_PASS);
	expect_in(NET_PASS);
}

static void test_length(void **state unused_param)
{
	len = NET_ETH_LEN - 1;
	expect_out(NET_DROP_LENGTH);
	expect_in(NET_DROP_LENGTH);
	len = NET_ETH_LEN;
	expect_out(NET_PASS);
	expect_in(NET_PASS);
	len = NET_FRAME_MAX;
	expect_out(NET_PASS);
	expect_in(NET_PASS);
	len = NET_FRAME_MAX + 1;
	expect_out(NET_DROP_LENGTH);
	expect_in(NET_DROP_LENGTH);
}

/* What a driver sets without meaning does not reach the host. */
static void test_flags(void **state unused_param)
{
	head.hdr.flags = 0xfe;
	head.hdr.num_buffers = le16_of(9);
	expect_out(NET_PASS);
	assert_int_equal(head.hdr.flags, 0);
	assert_int_equal(le16_get(head.hdr.num_buffers), 0);
}

static void test_access_out(void **state unused_param)
{
	access_port(0xabc);
	needs_csum(34, 16);
	needs_gso(NET_GSO_TCPV4, 40);
	head.hdr.hdr_len = le16_of(54);
	expect_out(NET_PASS);
	assert_int_equal(head.len, NET_LOOK_LEN + 4);
	assert_memory_equal(head.frame, other, NET_MAC_LEN);
	assert_memory_equal(head.frame + 6, own, NET_MAC_LEN);
	assert_memory_equal(head.frame + 12,
			    "\x81\x00\x0a\xbc\x08\x00\x45\x00\x11\x22", 10);
	assert_int_equal(le16_get(head.hdr.csum_start), 38);
	assert_int_equal(le16_get(head.hdr.csum_offset), 16);
	assert_int_equal(le16_get(head.hdr.hdr_len), 58);
	assert_int_equal(le16_get(head.hdr.gso_size), 40);
}

/* Of a short frame all moves by the tag. */
static void test_access_whole(void **state unused_param)
{
	const struct net_head was = head;
	unsigned int i;

	access_port(1);
	for (i = NET_LOOK_LEN; i < NET_COPY_MAX; i++)
		head.frame[i] = (uint8_t)i;
	head.len = NET_COPY_MAX;
	assert_int_equal(net_frame_out(&port, &head, head.len), NET_PASS);
	assert_int_equal(head.len, NET_COPY_MAX + 4);
	assert_memory_equal(head.frame + 16, was.frame + 12, 6);
	for (i = NET_LOOK_LEN; i < NET_COPY_MAX; i++)
		assert_int_equal(head.frame[i + 4], (uint8_t)i);
}

/* Fields that mean nothing stay. */
static void test_access_plain(void **state unused_param)
{
	access_port(1);
	head.hdr.csum_start = le16_of(34);
	expect_out(NET_PASS);
	assert_int_equal(le16_get(head.hdr.csum_start), 34);
	assert_int_equal(le16_get(head.hdr.hdr_len), 0);
}

static void test_access_no_tags(void **state unused_param)
{
	static const unsigned int tcis[] = { 0, 5, 0xe005, 4095 };
	unsigned int i;

	access_port(5);
	for (i = 0; i < ARRAY_SIZE(tcis); i++) {
		put_tag(0x8100, tcis[i]);
		expect_out(NET_DROP_VLAN);
		put_tag(0x88a8, tcis[i]);
		expect_out(NET_DROP_VLAN);
	}
	/* A frame that ends behind the type has the tag, too. */
	len = NET_ETH_LEN;
	expect_out(NET_DROP_VLAN);
	assert_int_equal(head.len, NET_ETH_LEN);
}

static void test_trunk_out(void **state unused_param)
{
	trunk_port(10, 29);
	expect_out(NET_DROP_VLAN); /* untagged */
	put_tag(0x8100, 10);
	expect_out(NET_PASS);
	put_tag(0x8100, 0xf01d); /* 29 with a priority, which is kept */
	expect_out(NET_PASS);
	assert_memory_equal(head.frame + 12, "\x81\x00\xf0\x1d\x08\x00", 6);
	assert_int_equal(head.len, NET_LOOK_LEN);
	put_tag(0x8100, 11);
	expect_out(NET_DROP_VLAN);
	put_tag(0x8100, 0);
	expect_out(NET_DROP_VLAN);
	put_tag(0x8100, 4095);
	expect_out(NET_DROP_VLAN);
	put_tag(0x88a8, 10);
	expect_out(NET_DROP_VLAN);
}

static void test_trunk_double(void **state unused_param)
{
	trunk_port(10, 29);
	put_tag(0x8100, 10);
	put_type(16, 0x8100);
	expect_out(NET_DROP_VLAN);
	expect_in(NET_DROP_VLAN);
	put_type(16, 0x88a8);
	expect_out(NET_DROP_VLAN);
	expect_in(NET_DROP_VLAN);
	put_type(16, 0x86dd);
	len = NET_LOOK_LEN;
	expect_out(NET_PASS);
	/* Too short to see. */
	len = NET_LOOK_LEN - 1;
	expect_out(NET_DROP_VLAN);
	expect_in(NET_DROP_VLAN);
}

static void test_antispoof(void **state unused_param)
{
	port.antispoof = true;
	expect_out(NET_PASS);
	head.frame[11] ^= 1;
	expect_out(NET_DROP_SPOOF);
	port.antispoof = false;
	expect_out(NET_PASS);
}

/* No checksum is written into what was checked, or behind the frame. */
static void test_csum_start(void **state unused_param)
{
	needs_csum(NET_ETH_LEN - 1, 16);
	expect_out(NET_DROP_HEADER);
	needs_csum(0, 0);
	expect_out(NET_DROP_HEADER);
	needs_csum(NET_ETH_LEN, 0);
	expect_out(NET_PASS);
	trunk_port(10, 11);
	put_tag(0x8100, 10);
	needs_csum(NET_LOOK_LEN - 1, 0);
	expect_out(NET_DROP_HEADER);
	needs_csum(NET_LOOK_LEN, 0);
	expect_out(NET_PASS);
	needs_csum(LEN - 8, 6);
	expect_out(NET_PASS);
	needs_csum(LEN - 8, 7);
	expect_out(NET_DROP_HEADER);
	needs_csum(UINT16_MAX, UINT16_MAX);
	expect_out(NET_DROP_HEADER);
	port.out.csum = false;
	needs_csum(34, 16);
	expect_out(NET_DROP_HEADER);
}

static void test_far_offsets(void **state unused_param)
{
	len = NET_FRAME_MAX;
	access_port(3);
	needs_csum(UINT16_MAX - 4, 0);
	expect_out(NET_PASS);
	assert_int_equal(le16_get(head.hdr.csum_start), UINT16_MAX);
	setup(NULL);
	len = NET_FRAME_MAX;
	access_port(3);
	needs_csum(UINT16_MAX - 3, 0);
	expect_out(NET_DROP_HEADER);
	setup(NULL);
	len = NET_FRAME_MAX;
	access_port(3);
	head.hdr.hdr_len = le16_of(UINT16_MAX - 3);
	expect_out(NET_DROP_HEADER);
}

static void test_gso_types(void **state unused_param)
{
	static const uint8_t good[] = { 0, 1, 3, 4, 5, 0x81, 0x84 };
	unsigned int type, i;

	for (type = 0; type < 256; type++) {
		bool want = false;

		for (i = 0; i < ARRAY_SIZE(good); i++)
			want |= good[i] == type;
		needs_gso(type, 1448);
		expect_out(want ? NET_PASS : NET_DROP_HEADER);
		assert_int_equal(net_hdr_in(&port, &head.hdr, false, 1),
				 want ? NET_PASS : NET_DROP_HEADER);
	}
	needs_gso(NET_GSO_TCPV4, 0);
	expect_out(NET_DROP_HEADER);
	/* Each one has to be negotiated. */
	for (i = 1; i < ARRAY_SIZE(good); i++) {
		needs_gso(good[i], 1448);
		port.out.gso = (uint8_t)(port.in.gso & ~net_gso_bit(good[i]));
		expect_out(NET_DROP_HEADER);
		port.out.gso = 0;
		expect_out(NET_DROP_HEADER);
	}
	needs_gso(NET_GSO_NONE, 1448);
	expect_out(NET_PASS);
}

static void test_hdr_len(void **state unused_param)
{
	head.hdr.hdr_len = le16_of(LEN);
	expect_out(NET_PASS);
	head.hdr.hdr_len = le16_of(LEN + 1);
	expect_out(NET_DROP_HEADER);
}

static void test_access_in(void **state unused_param)
{
	access_port(300);
	expect_in(NET_DROP_VLAN); /* untagged */
	put_tag(0x8100, 0x612c); /* 300, with a priority */
	expect_in(NET_PASS);
	assert_true(net_tag_is(&port.vlan, head.frame + 12));
	len = NET_LOOK_LEN;
	expect_in(NET_PASS);
	len = NET_LOOK_LEN - 1;
	expect_in(NET_DROP_VLAN);
	len = LEN;
	put_type(16, 0x8100); /* would reach the guest with a tag */
	expect_in(NET_DROP_VLAN);
	put_tag(0x8100, 301);
	expect_in(NET_DROP_VLAN);
	assert_false(net_tag_is(&port.vlan, head.frame + 12));
	put_tag(0x88a8, 300);
	expect_in(NET_DROP_VLAN);
	assert_false(net_tag_is(&port.vlan, head.frame + 12));
}

static void test_trunk_in(void **state unused_param)
{
	trunk_port(10, 29);
	expect_in(NET_DROP_VLAN);
	put_tag(0x8100, 29);
	expect_in(NET_PASS);
	put_tag(0x8100, 28);
	expect_in(NET_DROP_VLAN);
	put_tag(0x8100, 0);
	expect_in(NET_DROP_VLAN);
}

static void test_hdr_in(void **state unused_param)
{
	needs_csum(34, 16);
	head.hdr.flags |= NET_HDR_F_DATA_VALID | 0xf0;
	needs_gso(NET_GSO_TCPV6, 1400);
	assert_int_equal(net_hdr_in(&port, &head.hdr, false, 3), NET_PASS);
	assert_int_equal(head.hdr.flags,
			 NET_HDR_F_NEEDS_CSUM | NET_HDR_F_DATA_VALID);
	assert_int_equal(le16_get(head.hdr.num_buffers), 3);
	assert_int_equal(le16_get(head.hdr.csum_start), 34);
	/* Without GUEST_CSUM flags are 0. */
	port.in = (struct net_offloads){ .csum = false };
	assert_int_equal(net_hdr_in(&port, &head.hdr, false, 1),
			 NET_DROP_HEADER);
	needs_gso(NET_GSO_NONE, 0);
	head.hdr.flags = NET_HDR_F_DATA_VALID;
	assert_int_equal(net_hdr_in(&port, &head.hdr, false, 1), NET_PASS);
	assert_int_equal(head.hdr.flags, 0);
}

static void test_untag(void **state unused_param)
{
	needs_csum(38, 16);
	head.hdr.hdr_len = le16_of(58);
	assert_int_equal(net_hdr_in(&port, &head.hdr, true, 1), NET_PASS);
	assert_int_equal(le16_get(head.hdr.csum_start), 34);
	assert_int_equal(le16_get(head.hdr.csum_offset), 16);
	assert_int_equal(le16_get(head.hdr.hdr_len), 54);
	/* The host's did not have the tag. */
	needs_csum(38, 16);
	head.hdr.hdr_len = le16_of(54);
	assert_int_equal(net_hdr_in(&port, &head.hdr, true, 1), NET_PASS);
	assert_int_equal(le16_get(head.hdr.hdr_len), 52);
	/* A checksum that begins inside the tag is none. */
	needs_csum(NET_LOOK_LEN - 1, 16);
	assert_int_equal(net_hdr_in(&port, &head.hdr, true, 1),
			 NET_DROP_HEADER);
	/* Nothing to move. */
	memset(&head.hdr, 0, sizeof(head.hdr));
	assert_int_equal(net_hdr_in(&port, &head.hdr, true, 1), NET_PASS);
	assert_int_equal(le16_get(head.hdr.csum_start), 0);
	assert_int_equal(le16_get(head.hdr.hdr_len), 0);
}

/* What leaves one access port enters another one as it was. */
static void test_there_and_back(void **state unused_param)
{
	struct net_head was = head;

	access_port(4094);
	needs_csum(54, 6);
	needs_gso(NET_GSO_UDP_L4, 1200);
	head.hdr.hdr_len = le16_of(62);
	was.hdr = head.hdr;
	expect_out(NET_PASS);
	expect_in(NET_PASS);
	assert_int_equal(net_hdr_in(&port, &head.hdr, true, 0), NET_PASS);
	assert_memory_equal(&head.hdr, &was.hdr, sizeof(was.hdr));
	assert_memory_equal(head.frame, was.frame, 12);
	assert_memory_equal(head.frame + 16, was.frame + 12, 6);
}

#define UNIT(t) cmocka_unit_test_setup(t, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_sets),	   UNIT(test_plain),
		UNIT(test_length),	   UNIT(test_flags),
		UNIT(test_access_out),	   UNIT(test_access_plain),
		UNIT(test_access_no_tags), UNIT(test_trunk_out),
		UNIT(test_trunk_double),   UNIT(test_antispoof),
		UNIT(test_csum_start),	   UNIT(test_far_offsets),
		UNIT(test_gso_types),	   UNIT(test_hdr_len),
		UNIT(test_access_in),	   UNIT(test_trunk_in),
		UNIT(test_hdr_in),	   UNIT(test_untag),
		UNIT(test_there_and_back), UNIT(test_access_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
