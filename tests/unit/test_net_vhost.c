/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* A network whose frames a double of the host's kernel moves (vhost=on). */
#include "tests/unit/net_fixture.h"

#include <unistd.h>

#include "tests/lib/fake_vhost.h"

#define DIMM_GPA 0x200000000ull

/* What the double has used is seen in its time. */
static bool has_used(void *arg)
{
	const struct guest_ring *r = arg;

	return guest_ring_used_idx(r) != r->next_used;
}

static void expect_sent(void)
{
	uint32_t id, len;

	make(300, 1);
	leave(NULL, 300, 200);
	assert_true(fake_vm_turn_until(&fv, has_used, &tx));
	assert_true(guest_ring_take(&tx, &id, &len));
	assert_int_equal(fake_tap_receive(0, got, sizeof(got)), HDR + 300);
	assert_memory_equal(got + HDR, frame, 300);
}

static void expect_received(void)
{
	uint32_t id, len;

	give(1, RX_LEN);
	make(400, 2);
	come(NULL, 400);
	assert_true(fake_vm_turn_until(&fv, has_used, &rx));
	assert_true(guest_ring_take(&rx, &id, &len));
	assert_int_equal(len, HDR + 400);
	assert_memory_equal(mem(RX + id * RX_LEN + HDR, 400), frame, 400);
}

static void expect_frames(void)
{
	expect_sent();
	expect_received();
}

static bool is_connected(void *arg)
{
	return fake_vhost_nr_connected() == *(unsigned int *)arg;
}

static void expect_connected(unsigned int nr)
{
	assert_true(fake_vm_turn_until(&fv, is_connected, &nr));
}

/* So many vCPUs have another loop, which is a thread. */
static void open_pairs(const char *options, uint64_t features)
{
	fv.board.nr_cpus = 2;
	open_net(options, features);
}

/* As command(), when another thread may answer. */
static void expect_command(unsigned int class, unsigned int number,
			   const void *data, uint32_t len)
{
	uint32_t id, used;
	int r = command(class, number, data, len);

	if (r < 0) {
		assert_true(fake_vm_turn_until(&fv, has_used, &ctrl));
		assert_true(guest_ring_take(&ctrl, &id, &used));
		r = mem(CTRL + 0x800, 1)[0];
	}
	assert_int_equal(r, 0);
}

static void test_frames(void **state unused_param)
{
	unsigned int i;

	open_net("vhost=on", WITH_CTRL | VIRTIO_F(NET_F_CTRL_RX));
	expect_connected(2);
	for (i = 0; i < 100; i++)
		expect_frames();
	/* Commands are ours, and the TAP follows. */
	expect_command(0, 0, "\0", 1);
	assert_true(fake_tap.has_filter);
	expect_frames();
	assert_int_equal(net->dev.queues[0].vq.last_avail, 0);
}

/* The queue behind a single pair is the control queue of a driver that knows of
 * no others, and that driver has no other pair. */
static void test_without_mq(void **state unused_param)
{
	open_pairs("vhost=on,num_queues=4",
		   WITH_CTRL | VIRTIO_F(NET_F_CTRL_RX));
	expect_connected(2);
	expect_command(0, 0, "\0", 1);
	expect_frames();
}

/* With it, that is a queue of the second pair. */
static void test_pairs(void **state unused_param)
{
	struct guest_ring rings[3];
	uint32_t id, len;
	gpa_t at = 0x100000;
	unsigned int i;

	open_pairs("vhost=on,num_queues=4", MRG);
	assert_true(gv_negotiate(&gv, WITH_CTRL | VIRTIO_F(NET_F_MQ)));
	guest_ring_init(&rx, &fv.board.gmem, RX_RING, RING_SIZE);
	guest_ring_init(&tx, &fv.board.gmem, TX_RING, RING_SIZE);
	gv_queue(&gv, 0, &rx);
	gv_queue(&gv, 1, &tx);
	for (i = 0; i < 3; i++) {
		at = ALIGN_UP(guest_ring_init(&rings[i], &fv.board.gmem, at,
					      RING_SIZE),
			      16);
		gv_queue(&gv, 2 + i, &rings[i]);
	}
	gv_driver_ok(&gv);
	nr_rx = 0;
	go();
	expect_connected(4);
	expect_frames();
	assert_false(fake_tap.attached[1]);
	/* Both pairs, please. */
	memcpy(mem(CTRL, 4), "\4\0\2\0", 4);
	guest_ring_desc(&rings[2], 0, CTRL, 4, RING_NEXT, 1);
	guest_ring_desc(&rings[2], 1, CTRL + 0x800, 1, RING_WRITE, 0);
	mem(CTRL + 0x800, 1)[0] = 0xa5;
	guest_ring_offer(&rings[2], 0);
	gv_kick(&gv, 4);
	assert_true(fake_vm_turn_until(&fv, has_used, &rings[2]));
	assert_true(guest_ring_take(&rings[2], &id, &len));
	assert_int_equal(mem(CTRL + 0x800, 1)[0], 0);
	assert_true(fake_tap.attached[1]);
	/* A frame by the second one. */
	make(200, 3);
	memset(mem(TX, HDR), 0, HDR);
	memcpy(mem(TX + HDR, 200), frame, 200);
	guest_ring_desc(&rings[1], 0, TX, HDR + 200, 0, 0);
	guest_ring_offer(&rings[1], 0);
	gv_kick(&gv, 3);
	assert_true(fake_vm_turn_until(&fv, has_used, &rings[1]));
	assert_int_equal(fake_tap_receive(1, got, sizeof(got)), HDR + 200);
}

static void test_pause_and_reset(void **state unused_param)
{
	open_net("vhost=on", WITH_CTRL);
	expect_frames();
	fake_vm_quiesce(&fv, dev);
	expect_connected(0);
	dev->ops->resume(dev);
	go();
	expect_frames();
	fake_vm_quiesce(&fv, dev);
	dev->ops->reset(dev);
	guest_virtio_probe(&gv, &fv, 1);
	start(WITH_CTRL);
	expect_frames();
}

static void set(const char *options)
{
	struct error err;

	if (param_parse(&net_param_set, &config, options, &err) ||
	    dev->ops->set(dev, &config, &err))
		fail_msg("%s", err.msg);
}

static void test_link(void **state unused_param)
{
	open_net("vhost=on,link=down", WITH_CTRL | VIRTIO_F(NET_F_STATUS));
	assert_int_equal(gv_config(&gv, 6, 2) & NET_S_LINK_UP, 0);
	expect_connected(0);
	set("link=up");
	expect_connected(2);
	assert_int_equal(gv_config(&gv, 6, 2) & NET_S_LINK_UP, NET_S_LINK_UP);
	expect_frames();
	set("link=down");
	make(100, 1);
	leave(NULL, 100, 200);
	usleep(5000);
	go();
	assert_int_equal(fake_tap_receive(0, got, sizeof(got)), -1);
}

/* Between its end on the host and its own, memory changes. */
static void test_released(void **state unused_param)
{
	struct gmem *gm = &fv.board.gmem;
	struct pages_job job = { .ended.fn = NULL };
	struct error err;

	assert_int_equal(gmem_reserve(gm, DIMM_GPA, GMEM_BLOCK, &err), 0);
	open_pairs("vhost=on,num_queues=4", WITH_CTRL);
	expect_frames();
	assert_int_equal(fake_vhost_nr_open(), 2);
	fake_vm_quiesce(&fv, dev);
	dev->ops->release(dev);
	assert_int_equal(fake_vhost_nr_open(), 0);
	assert_int_equal(
		gmem_plug_begin(gm, 0, DIMM_GPA, GMEM_BLOCK, &job, &err), 0);
	assert_int_equal(gmem_plug_end(gm, 0, &err), 0);
	gmem_unplug(gm, 0);
	list_remove(&dev->node);
	dev->ops->destroy(dev);
}

static void test_refused(void **state unused_param)
{
	struct error err;

	param_defaults(&net_param_set, &config);
	assert_int_equal(
		param_parse(&net_param_set, &config, "vhost=on,id=n0", &err),
		0);
	fake_vhost_errno = ENOENT;
	assert_null(fake_vm_add(&fv, &net_class, &config));
	assert_non_null(strstr(fv.err.msg, "modprobe vhost_net"));
	fake_vhost_errno = 0;
}

static int teardown_vhost(void **state)
{
	int r = teardown(state);

	assert_int_equal(fake_vhost_nr_open(), 0);
	fake_vhost_join();
	return r;
}

#undef UNIT
#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown_vhost)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_frames),  UNIT(test_without_mq),
		UNIT(test_pairs),   UNIT(test_pause_and_reset),
		UNIT(test_link),    UNIT(test_released),
		UNIT(test_refused),
	};

	log_init(STDERR_FILENO, LOG_ERROR);
	return cmocka_run_group_tests_name("net_vhost", tests, NULL, NULL);
}
