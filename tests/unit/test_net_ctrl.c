/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The control queue of a network, by drivers of all kinds. */
#include "tests/unit/net_fixture.h"

#include <linux/if_tun.h>
#include <unistd.h>

#define ALL_CTRL                                                               \
	(WITH_CTRL | VIRTIO_F(NET_F_CTRL_RX) | VIRTIO_F(NET_F_CTRL_RX_EXTRA) | \
	 VIRTIO_F(NET_F_CTRL_MAC_ADDR) | VIRTIO_F(NET_F_GUEST_ANNOUNCE) |      \
	 VIRTIO_F(NET_F_CTRL_GUEST_OFFLOADS) | NET_GUEST_OFFLOADS)
#define OK 0
#define ERR 1

static const uint8_t zeroes[4096];

#define expect_ok(class, number, data, len) \
	assert_int_equal(command(class, number, data, len), OK)
#define expect_err(class, number, data, len) \
	assert_int_equal(command(class, number, data, len), ERR)

/* Every class and command with no data, and with too much. */
static void test_unknown(void **state unused_param)
{
	unsigned int class, number;

	open_net("", ALL_CTRL);
	for (class = 0; class < 8; class ++)
		for (number = 0; number < 8; number++) {
			if (class != 3 || number) /* the only one without */
				expect_err(class, number, "", 0);
			expect_err(class, number, zeroes, 9);
			expect_err(class, number, zeroes, 2000);
		}
	assert_true(net->state.mode.on[NET_RX_PROMISC]);
}

/* Commands of features that the driver did not take. */
static void test_not_negotiated(void **state unused_param)
{
	open_net("", WITH_CTRL);
	expect_err(0, 0, "\1", 1);
	expect_err(0, 2, "\1", 1);
	expect_err(1, 0, zeroes, 8);
	expect_err(1, 1, own, 6);
	expect_err(2, 0, "\1\0", 2); /* VLAN filters are not offered */
	expect_err(3, 0, "", 0);
	expect_err(4, 0, "\1\0", 2);
	expect_err(5, 0, zeroes, 8);
}

static void test_rx_mode(void **state unused_param)
{
	static const uint8_t table[] = { 1, 0, 0, 0, 2, 0, 0,  0, 0, 9,
					 1, 0, 0, 0, 1, 0, 94, 0, 0, 1 };

	open_net("", ALL_CTRL);
	assert_false(fake_tap.has_filter);
	expect_ok(0, 0, "\0", 1);
	assert_true(fake_tap.has_filter);
	assert_false(fake_tap.filter.all_unicast);
	assert_true(fake_tap.filter.broadcast);
	assert_int_equal(fake_tap.filter.nr_macs, 1);
	assert_memory_equal(fake_tap.macs[0], own, 6);
	expect_ok(1, 0, table, sizeof(table));
	assert_int_equal(fake_tap.filter.nr_macs, 3);
	assert_memory_equal(fake_tap.macs[1], table + 4, 6);
	assert_memory_equal(fake_tap.macs[2], table + 14, 6);
	expect_ok(0, 1, "\1", 1);
	assert_true(fake_tap.filter.all_multicast);
	expect_ok(0, 3, "\1", 1); /* no groups at all */
	assert_false(fake_tap.filter.all_multicast);
	assert_int_equal(fake_tap.filter.nr_macs, 2);
	expect_ok(0, 4, "\1", 1); /* and no stations */
	assert_int_equal(fake_tap.filter.nr_macs, 0);
	expect_ok(0, 5, "\1", 1);
	assert_false(fake_tap.filter.broadcast);
	expect_ok(0, 0, "\1", 1);
	assert_false(fake_tap.has_filter);
	expect_err(0, 0, "\2", 1);
	expect_err(0, 0, "\0\0", 2);
	start(ALL_CTRL);
	assert_true(net->state.mode.on[NET_RX_PROMISC]);
	assert_int_equal(net->state.mode.nr_macs, 0);
}

/* nr addresses of each kind, and what else the lengths say. */
static int set_table(uint32_t uni, uint32_t multi, uint32_t len)
{
	static uint8_t data[2048];

	memset(data, 2, sizeof(data));
	le_store(data, uni, 4);
	if (uni < 200)
		le_store(data + 4 + 6ul * uni, multi, 4);
	return command(1, 0, data, len);
}

static void test_mac_table(void **state unused_param)
{
	open_net("", ALL_CTRL);
	expect_ok(0, 0, "\0", 1);
	assert_int_equal(set_table(0, 0, 8), OK);
	assert_int_equal(set_table(NET_MACS_MAX, 0, 8 + 6 * NET_MACS_MAX), OK);
	assert_false(fake_tap.filter.all_unicast);
	assert_int_equal(fake_tap.filter.nr_macs, TAP_FILTER_MACS);
	/* More than there is room for: all, then. */
	assert_int_equal(set_table(NET_MACS_MAX + 1, 0, 14 + 6 * NET_MACS_MAX),
			 OK);
	assert_true(fake_tap.filter.all_unicast);
	assert_int_equal(set_table(60, 4, 8 + 6 * 64), OK);
	assert_false(fake_tap.filter.all_unicast);
	assert_true(fake_tap.filter.all_multicast);
	/* Lengths that are not those of the tables. */
	assert_int_equal(set_table(0, 0, 7), ERR);
	assert_int_equal(set_table(0, 0, 9), ERR);
	assert_int_equal(set_table(1, 0, 8), ERR);
	assert_int_equal(set_table(1, 1, 14), ERR);
	assert_int_equal(set_table(UINT32_MAX, 0, 2000), ERR);
	assert_int_equal(set_table(0x2aaaaaab, 0, 10), ERR); /* * 6 wraps */
	assert_int_equal(set_table(3, UINT32_MAX, 200), ERR);
	/* What was refused has changed nothing. */
	assert_true(fake_tap.filter.all_multicast);
	assert_int_equal(net->state.mode.nr_macs, 60);
}

static void test_mac(void **state unused_param)
{
	static const uint8_t mac[6] = { 2, 1, 2, 3, 4, 5 };
	static const uint8_t group[6] = { 3, 1, 2, 3, 4, 5 };

	open_net("", ALL_CTRL);
	expect_ok(1, 1, mac, 6);
	assert_int_equal(gv_config(&gv, 1, 1), 1);
	assert_int_equal(gv_config(&gv, 5, 1), 5);
	expect_err(1, 1, mac, 5);
	expect_err(1, 1, group, 6);
	expect_ok(0, 0, "\0", 1);
	assert_memory_equal(fake_tap.macs[0], mac, 6);
	start(ALL_CTRL);
	assert_int_equal(gv_config(&gv, 5, 1), 1);
}

static void test_mac_is_fixed(void **state unused_param)
{
	open_net("antispoof=mac", ALL_CTRL);
	expect_err(1, 1, "\2\1\2\3\4\5", 6);
	expect_ok(1, 1, own, 6);
	assert_int_equal(gv_config(&gv, 5, 1), 1);
}

static void test_offloads(void **state unused_param)
{
	uint8_t data[8];

	open_net("", ALL_CTRL & ~VIRTIO_F(NET_F_GUEST_UFO));
	le_store(data, VIRTIO_F(NET_F_GUEST_CSUM), 8);
	expect_ok(5, 0, data, 8);
	assert_int_equal(fake_tap.offloads, TUN_F_CSUM);
	le_store(data, VIRTIO_F(NET_F_GUEST_UFO), 8);
	expect_err(5, 0, data, 8); /* not negotiated */
	le_store(data, VIRTIO_F(NET_F_CSUM), 8);
	expect_err(5, 0, data, 8); /* not of these */
	expect_err(5, 0, data, 7);
	fake_tap.refuse_offloads = true;
	expect_err(5, 0, zeroes, 8);
	assert_true(net->state.offloads == VIRTIO_F(NET_F_GUEST_CSUM));
	fake_tap.refuse_offloads = false;
	expect_ok(5, 0, zeroes, 8);
	assert_int_equal(fake_tap.offloads, 0);
}

/* Chains that are no commands at all. */
static void test_malformed(void **state unused_param)
{
	uint32_t id, used;

	open_net("", ALL_CTRL);
	guest_ring_desc(&ctrl, 0, CTRL, 3, 0, 0); /* no room for an answer */
	guest_ring_offer(&ctrl, 0);
	guest_ring_desc(&ctrl, 1, CTRL, 1, RING_NEXT, 2); /* half a head */
	guest_ring_desc(&ctrl, 2, CTRL + 0x800, 4, RING_WRITE, 0);
	guest_ring_offer(&ctrl, 1);
	guest_ring_desc(&ctrl, 3, CTRL + 0x900, 4, RING_WRITE, 0); /* none */
	guest_ring_offer(&ctrl, 3);
	gv_kick(&gv, 2);
	go();
	assert_true(guest_ring_take(&ctrl, &id, &used));
	assert_int_equal(used, 0);
	assert_true(guest_ring_take(&ctrl, &id, &used));
	assert_int_equal(used, 1);
	assert_int_equal(mem(CTRL + 0x800, 1)[0], ERR);
	assert_true(guest_ring_take(&ctrl, &id, &used));
	assert_int_equal(mem(CTRL + 0x900, 1)[0], ERR);
	expect_ok(3, 0, "", 0);
}

/* Who asks without end is held back, and nobody waits. */
static void test_rate(void **state unused_param)
{
	unsigned int n;

	open_net("", ALL_CTRL);
	for (n = 0; n < 1000 && command(0, 0, "\1", 1) == OK; n++)
		;
	assert_true(n > 100 && n < 1000);
	assert_true(virtqueue_is_idle(&net->dev.queues[2].vq));
	make(100, 1);
	leave(NULL, 100, 1000);
	expect_left(100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_unknown),  UNIT(test_not_negotiated),
		UNIT(test_rx_mode),  UNIT(test_mac_table),
		UNIT(test_mac),	     UNIT(test_mac_is_fixed),
		UNIT(test_offloads), UNIT(test_malformed),
		UNIT(test_rate),
	};

	log_init(STDERR_FILENO, LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
