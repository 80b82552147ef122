/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What the kernel lets into a TAP's queues. */
#include "devices/backend/tap_filter.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/backend/tap.h"
#include "devices/virtio/net_frame.h"
#include "tests/unit/tap_fixture.h"

static bool refused;
static struct tap tap;
static int host; /* a socket on the TAP */
static uint64_t vlans[TAP_FILTER_VLANS];

static int setup(void **state unused_param)
{
	const struct tap_config config = { .name = "f0", .nr_queues = 1 };
	struct error err;

	if (refused)
		skip();
	if (tap_open(&tap, &config, &err))
		fail_msg("%s", err.msg);
	host = host_side("f0");
	memset(vlans, 0, sizeof(vlans));
	return 0;
}

static int teardown(void **state unused_param)
{
	close(host);
	tap_close(&tap);
	return 0;
}

static void add_vlans(unsigned int first, unsigned int last)
{
	for (; first <= last; first++)
		vlans[first / 64] |= 1ull << first % 64;
}

/* ---- frames ---- */

struct frame {
	uint8_t bytes[64];
	size_t len;
};

static void put16(struct frame *f, unsigned int v)
{
	f->bytes[f->len++] = (uint8_t)(v >> 8);
	f->bytes[f->len++] = (uint8_t)v;
}

/* To an address, with tags: pairs of a type and a VLAN, up to a 0. */
static struct frame make_frame(const uint8_t *to, const unsigned int *tags)
{
	static const uint8_t from[6] = { 2, 0, 0, 0, 0, 9 };
	struct frame f = { .len = 12 };

	memcpy(f.bytes, to, 6);
	memcpy(f.bytes + 6, from, 6);
	for (; *tags; tags += 2) {
		put16(&f, tags[0]);
		put16(&f, tags[1]);
	}
	put16(&f, 0x88b5);
	f.len = sizeof(f.bytes);
	return f;
}

static const uint8_t station[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t other[6] = { 2, 0, 0, 0, 0, 2 };
static const uint8_t group[6] = { 0x33, 0x33, 0, 0, 0, 1 };
static const uint8_t everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

/* The frame, without whatever the host sends by itself, is the next one. */
static bool arrives(const struct frame *f, int timeout_ms)
{
	uint8_t buf[256];
	struct iovec iov = { buf, sizeof(buf) };
	struct pollfd pfd = { tap.fds[0], POLLIN, 0 };
	ssize_t n;

	while ((n = tap_read(&tap, 0, &iov, 1)) > 0 ||
	       poll(&pfd, 1, timeout_ms) == 1)
		if (n == (ssize_t)(TAP_HEADER + f->len) &&
		    !memcmp(buf + TAP_HEADER, f->bytes, f->len))
			return true;
	return false;
}

/* Does it pass within that time? It usually has when send() returns. */
static bool passes_within(const struct frame *f, int timeout_ms)
{
	assert_int_equal(send(host, f->bytes, f->len, 0), f->len);
	return arrives(f, timeout_ms);
}

static bool passes_frame(const struct frame *f)
{
	return passes_within(f, 0);
}

static bool passes(const uint8_t *to, const unsigned int *tags)
{
	const struct frame f = make_frame(to, tags);

	return passes_frame(&f);
}

#define TAGS(...) ((const unsigned int[]){ __VA_ARGS__ __VA_OPT__(, ) 0 })

/* ---- VLANs ---- */

static void set_vlans(void)
{
	const struct tap_filter filter = { .vlans = vlans,
					   .all_unicast = true,
					   .all_multicast = true,
					   .broadcast = true };

	assert_int_equal(tap_set_filter(&tap, &filter), 0);
}

static void test_vlans(void **state unused_param)
{
	add_vlans(10, 10);
	add_vlans(20, 29);
	set_vlans();
	assert_true(passes(station, TAGS(0x8100, 10)));
	assert_true(passes(everybody, TAGS(0x8100, 20)));
	assert_true(passes(station, TAGS(0x8100, 29)));
	/* Its priority is no part of it. */
	assert_true(passes(station, TAGS(0x8100, 0xe000 | 25)));
	assert_false(passes(station, TAGS(0x8100, 19)));
	assert_false(passes(station, TAGS(0x8100, 30)));
	assert_false(passes(station, TAGS(0x8100, 0)));
	assert_false(passes(station, TAGS(0x8100, 4095)));
	assert_false(passes(station, TAGS()));
	assert_false(passes(station, TAGS(0x88a8, 10)));
	assert_false(passes(station, TAGS(0x8100, 10, 0x8100, 10)));
	assert_false(passes(station, TAGS(0x8100, 10, 0x88a8, 10)));
	/* None at all. */
	memset(vlans, 0, sizeof(vlans));
	set_vlans();
	assert_false(passes(station, TAGS(0x8100, 10)));
	assert_int_equal(tap_set_filter(&tap, NULL), 0);
	assert_true(passes(station, TAGS(0x8100, 19)));
	assert_true(passes(station, TAGS()));
}

/* Every VLAN by itself, of sets that make small and large programs. */
static void expect_set(void)
{
	set_vlans();
	for (unsigned int id = 0; id < 4096; id++) {
		const struct frame f = make_frame(station, TAGS(0x8100, id));
		bool should = vlans[id / 64] >> id % 64 & 1;

		/* On a busy host, another thread may be the one to queue it. */
		if (passes_within(&f, should ? 5000 : 0) != should)
			fail_msg("VLAN %u", id);
	}
}

static void test_every_vlan(void **state unused_param)
{
	add_vlans(4094, 4094);
	expect_set();
	add_vlans(1, 4094);
	expect_set();
	/* The longest program: no two words are equal. */
	for (unsigned int i = 0; i < TAP_FILTER_VLANS; i++)
		vlans[i] = 0x9e3779b97f4a7c15u * (i + 1);
	expect_set();
}

static void test_longest(void **state unused_param)
{
	uint8_t macs[TAP_FILTER_MACS][6];
	struct tap_filter filter = { .vlans = vlans,
				     .macs = (const uint8_t(*)[6])macs,
				     .nr_macs = TAP_FILTER_MACS };
	struct sock_filter code[TAP_FILTER_MAX + 1];
	unsigned int len;

	for (unsigned int i = 0; i < TAP_FILTER_MACS; i++)
		memcpy(macs[i], (uint8_t[]){ 2, 1, 0, 0, 0, (uint8_t)i }, 6);
	for (unsigned int i = 0; i < TAP_FILTER_VLANS; i++)
		vlans[i] = 0x9e3779b97f4a7c15u * (i + 1);
	memset(&code[TAP_FILTER_MAX], 0xee, sizeof(code[0]));
	len = tap_filter_compile(&filter, code);
	assert_in_range(len, 500, TAP_FILTER_MAX);
	assert_int_equal(code[TAP_FILTER_MAX].code, 0xeeee);
	/* The kernel takes it, also in the place of another one as long. */
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(tap_set_filter(&tap, &filter), 0);
	vlans[0] |= 2;
	assert_int_equal(tap_set_filter(&tap, &filter), 0);
	assert_true(passes(macs[63], TAGS(0x8100, 1)));
	assert_true(passes(macs[0], TAGS(0x8100, 1)));
	assert_false(passes(station, TAGS(0x8100, 1)));
	/* A usual one is short. */
	memset(vlans, 0, sizeof(vlans));
	add_vlans(10, 10);
	filter.nr_macs = 1;
	assert_in_range(tap_filter_compile(&filter, code), 20, 80);
}

/* The guest's side decides alike. */
static void test_as_port(void **state unused_param)
{
	static const unsigned int types[] = { 0x8100, 0x88a8, 0x88b5 };
	struct net_port port = { .vlan.mode = VLAN_TRUNK };

	srand(1);
	add_vlans(1, 2000);
	memcpy(port.vlan.trunk, vlans, sizeof(vlans));
	set_vlans();
	for (unsigned int i = 0; i < 500; i++) {
		const unsigned int tags[] = {
			types[rand() % 3], (unsigned int)rand() & 0xffff,
			types[rand() % 3], (unsigned int)rand() & 0xffff, 0
		};
		const struct frame f = make_frame(station, tags);

		assert_int_equal(passes_frame(&f),
				 net_frame_in(&port, f.bytes, f.len) ==
					 NET_PASS);
	}
}

/* ---- tags that the kernel has taken out of the frame ---- */

static void test_tag_beside(void **state unused_param)
{
	cleanup_fd int from = attach("from0", FLAGS), sock = -1;
	struct ifreq ifr = ifreq_of("br0");
	struct frame f;
	uint8_t out[10 + sizeof(f.bytes)] = { 0 };

	/* A bridge's other port; on its way in, the outer tag goes. */
	sock = socket(AF_INET, SOCK_DGRAM, 0);
	if (ioctl(sock, SIOCBRADDBR, "br0"))
		skip();
	for (unsigned int i = 0; i < 2; i++) {
		struct ifreq port = ifreq_of(i ? "from0" : "f0");

		assert_int_equal(ioctl(sock, SIOCGIFINDEX, &port), 0);
		ifr.ifr_ifindex = port.ifr_ifindex;
		assert_int_equal(ioctl(sock, SIOCBRADDIF, &ifr), 0);
	}
	set_up("from0", true);
	set_up("br0", true);
	for (unsigned int tries = 0; tries < 100; tries++) {
		f = make_frame(everybody, TAGS());
		memcpy(out + 10, f.bytes, f.len);
		assert_int_equal(write(from, out, sizeof(out)), sizeof(out));
		if (arrives(&f, 50))
			break; /* the bridge forwards */
	}
	add_vlans(10, 10);
	set_vlans();
#define CROSSES(...)                                                   \
	(f = make_frame(everybody, TAGS(__VA_ARGS__)),                 \
	 memcpy(out + 10, f.bytes, f.len),                             \
	 assert_int_equal(write(from, out, sizeof(out)), sizeof(out)), \
	 arrives(&f, 100))
	assert_true(CROSSES(0x8100, 10));
	assert_true(CROSSES(0x8100, 0x2000 | 10));
	assert_false(CROSSES(0x8100, 11));
	assert_false(CROSSES(0x88a8, 10));
	assert_false(CROSSES(0x8100, 10, 0x8100, 10));
	assert_false(CROSSES(0x8100, 10, 0x88a8, 10));
	assert_false(CROSSES());
	assert_true(CROSSES(0x8100, 10));
	set_up("br0", false);
	assert_int_equal(ioctl(sock, SIOCBRDELBR, "br0"), 0);
}

/* ---- destinations ---- */

static void expect_destinations(const struct tap_filter *filter, bool own,
				bool unicast, bool multicast, bool broadcast)
{
	assert_int_equal(tap_set_filter(&tap, filter), 0);
	assert_int_equal(passes(station, TAGS()), own);
	assert_int_equal(passes(other, TAGS()), unicast);
	assert_int_equal(passes(group, TAGS()), multicast);
	assert_int_equal(passes(everybody, TAGS()), broadcast);
}

static void test_destinations(void **state unused_param)
{
	struct tap_filter f = { .macs = &station, .nr_macs = 1 };

	expect_destinations(&f, true, false, false, false);
	f.broadcast = true;
	expect_destinations(&f, true, false, false, true);
	f.all_multicast = true;
	expect_destinations(&f, true, false, true, true);
	f.broadcast = false;
	expect_destinations(&f, true, false, true, false);
	f.all_multicast = false;
	f.all_unicast = true;
	expect_destinations(&f, true, true, false, false);
	f.all_multicast = true;
	f.broadcast = true;
	expect_destinations(&f, true, true, true, true);
	f = (struct tap_filter){ .macs = (const uint8_t[][6]){ { 0x33, 0x33, 0,
								 0, 0, 1 } },
				 .nr_macs = 1 };
	expect_destinations(&f, false, false, true, false);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_vlans),      TEST(test_every_vlan),
		TEST(test_longest),    TEST(test_as_port),
		TEST(test_tag_beside), TEST(test_destinations),
	};

	refused = !enter_namespace();
	return cmocka_run_group_tests_name("tap_filter", tests, NULL, NULL);
}
