/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A network's rings in the hands of a double of the host's kernel. The device
 * is a bare one: pairs of queues, and a control queue that it serves itself.
 */
#include "devices/virtio/net_vhost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "devices/virtio/transport_pci.h"
#include "tests/lib/fake_vhost.h"
#include "tests/lib/guest_virtio.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define PAIRS 2u
#define CONTROL (2 * PAIRS)
#define QUEUES (CONTROL + 1)
#define RING_SIZE 16u
#define RINGS 0x10000ull
#define DATA 0x40000ull
#define DATA_LEN 0x400u /* of a buffer */
#define DIMM_GPA 0x200000000ull

struct dev {
	struct virtio_dev virtio;
	struct net_vhost nv;
	struct vhost_net host;
	struct tap tap; /* the kernel's ends */
};

static struct fake_vm fv;
static struct guest_virtio gv;
static struct guest_ring rings[QUEUES];
static struct dev *dev;
static int far[PAIRS]; /* what the TAPs lead to */
static struct error err;

/* ---- the device ---- */

static int dev_queue_start(struct virtio_dev *vd, unsigned int qidx)
{
	struct dev *d = container_of(vd, struct dev, virtio);

	return qidx == CONTROL
		       ? 0
		       : net_vhost_queue_start(&d->nv, &vd->queues[qidx], true);
}

static void dev_queue_stop(struct virtio_dev *vd, unsigned int qidx)
{
	struct dev *d = container_of(vd, struct dev, virtio);

	if (qidx == CONTROL)
		virtio_queue_idle(&vd->queues[qidx]);
	else
		net_vhost_queue_stop(&d->nv, &vd->queues[qidx]);
}

/* Answers with what it was sent, one more each byte. */
static void dev_kick(struct virtio_dev *vd, unsigned int qidx)
{
	struct virtio_queue *q = &vd->queues[qidx];
	struct vq_chain *c;

	assert_int_equal(qidx, CONTROL);
	while ((c = virtqueue_pop(&q->vq))) {
		*(uint8_t *)c->iov[1].iov_base =
			(uint8_t)(*(uint8_t *)c->iov[0].iov_base + 1);
		virtqueue_push(&q->vq, c, 1);
	}
	virtio_queue_publish(q);
}

static void dev_destroy(struct virtio_dev *vd)
{
	struct dev *d = container_of(vd, struct dev, virtio);

	net_vhost_fini(&d->nv);
	virtio_fini(vd);
	vhost_net_close(&d->host);
	free(d);
}

static const struct virtio_ops dev_ops = {
	.queue_start = dev_queue_start,
	.queue_stop = dev_queue_stop,
	.kick = dev_kick,
	.destroy = dev_destroy,
};

static int dev_create(struct board *board, const void *config unused_param,
		      void *opened unused_param, struct device **out,
		      struct error *e)
{
	static const struct device_class class = { .name = "vhosted" };
	const struct virtio_init init = {
		.board = board,
		.class = &class,
		.ops = &dev_ops,
		.id = 1,
		.nr_queues = QUEUES,
		.queue_size = 64,
		.iov_max = 4,
		.group_size = 2,
		.nr_elsewhere = CONTROL,
	};

	dev = calloc(1, sizeof(*dev));
	assert_int_equal(vhost_net_open(&dev->host, PAIRS, e), 0);
	assert_int_equal(virtio_init(&dev->virtio, &init, e), 0);
	assert_int_equal(net_vhost_init(&dev->nv, &dev->host, &dev->tap,
					&board->gmem, e),
			 0);
	assert_int_equal(vpci_attach(&dev->virtio, 0x020000, e), 0);
	for (unsigned int i = 0; i < PAIRS; i++) {
		int ends[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK,
					    0, ends),
				 0);
		dev->tap.fds[i] = ends[0];
		far[i] = ends[1];
	}
	*out = &dev->virtio.device;
	return 0;
}

static const struct device_class dev_class = {
	.name = "vhosted",
	.create = dev_create,
};

/* ---- the driver ---- */

static gpa_t buffer(unsigned int queue, unsigned int i)
{
	return DATA + (queue * RING_SIZE + i) * DATA_LEN;
}

static void bring_up(void)
{
	gpa_t at = RINGS;

	assert_true(gv_negotiate(&gv, VIRTIO_F(VIRTIO_F_VERSION_1) |
					      VIRTIO_F(VIRTIO_F_RING_RESET)));
	for (unsigned int n = 0; n < QUEUES; n++) {
		at = ALIGN_UP(guest_ring_init(&rings[n], &fv.board.gmem, at,
					      RING_SIZE),
			      16);
		for (unsigned int i = 0; i < RING_SIZE; i++)
			guest_ring_desc(&rings[n], i, buffer(n, i), DATA_LEN,
					n % 2 ? 0 : VRING_DESC_F_WRITE, 0);
		gv_queue(&gv, n, &rings[n]);
	}
	gv_driver_ok(&gv);
	fake_vm_turn(&fv);
}

static int setup(void **state unused_param)
{
	fake_vm_init(&fv);
	assert_int_equal(
		gmem_reserve(&fv.board.gmem, DIMM_GPA, 2 * GMEM_BLOCK, &err),
		0);
	fake_vm_add_pci(&fv);
	assert_non_null(fake_vm_add(&fv, &dev_class, NULL));
	guest_virtio_probe(&gv, &fv, 1);
	gv_enable_msix(&gv, QUEUES + 1);
	bring_up();
	return 0;
}

static int teardown(void **state unused_param)
{
	for (unsigned int i = 0; i < PAIRS; i++) {
		close(dev->tap.fds[i]);
		close(far[i]);
	}
	fake_vm_fini(&fv);
	assert_int_equal(fake_vhost_nr_open(), 0);
	fake_vhost_join();
	return 0;
}

static uint16_t want[QUEUES]; /* used entries */

static bool is_used(void *arg)
{
	unsigned int n = *(unsigned int *)arg;

	return guest_ring_used_idx(&rings[n]) == want[n];
}

static bool has_interrupt(void *arg)
{
	for (unsigned int i = 0; i < fv.nr_msi; i++)
		if (fv.msi[i].data == *(unsigned int *)arg + 1)
			return true;
	return false;
}

static void expect_used(unsigned int n)
{
	assert_true(fake_vm_turn_until(&fv, is_used, &n));
	assert_true(fake_vm_turn_until(&fv, has_interrupt, &n));
	fv.nr_msi = 0;
}

/* A frame from descriptor i leaves by the pair's TAP. */
static void send_one(unsigned int pair, unsigned int i)
{
	unsigned int n = 2 * pair + 1;
	uint8_t got[DATA_LEN],
		*sent = guest_mem(&fv.board.gmem, buffer(n, i), DATA_LEN);

	memset(sent, (int)(0x40 + i), DATA_LEN);
	want[n] = (uint16_t)(guest_ring_used_idx(&rings[n]) + 1);
	guest_ring_offer(&rings[n], i);
	gv_kick(&gv, n);
	expect_used(n);
	assert_int_equal(recv(far[pair], got, sizeof(got), 0), DATA_LEN);
	assert_memory_equal(got, sent, DATA_LEN);
}

static void receive_one(unsigned int pair, unsigned int i)
{
	static const uint8_t frame[100] = { 1, 2, 3, 4 };
	unsigned int n = 2 * pair;

	want[n] = (uint16_t)(guest_ring_used_idx(&rings[n]) + 1);
	guest_ring_offer(&rings[n], i);
	gv_kick(&gv, n);
	assert_int_equal(send(far[pair], frame, sizeof(frame), 0),
			 sizeof(frame));
	expect_used(n);
	assert_memory_equal(
		guest_mem(&fv.board.gmem, buffer(n, i), sizeof(frame)), frame,
		sizeof(frame));
}

static void ask_control(void)
{
	struct guest_ring *r = &rings[CONTROL];
	uint8_t *question = guest_mem(&fv.board.gmem, buffer(CONTROL, 0), 1);
	uint8_t *answer = guest_mem(&fv.board.gmem, buffer(CONTROL, 1), 1);

	*question = 7;
	*answer = 0;
	guest_ring_desc(r, 0, buffer(CONTROL, 0), 1, VRING_DESC_F_NEXT, 1);
	want[CONTROL] = (uint16_t)(guest_ring_used_idx(r) + 1);
	guest_ring_offer(r, 0);
	gv_kick(&gv, CONTROL);
	expect_used(CONTROL);
	assert_int_equal(*answer, 8);
}

static bool is_reset(void *arg unused_param)
{
	return gv_read(&gv, GV_STATUS, 1) == 0;
}

/* ---- tests ---- */

static void test_serves(void **state unused_param)
{
	assert_int_equal(fake_vhost_nr_connected(), 2 * PAIRS);
	for (unsigned int i = 0; i < 3 * RING_SIZE; i++) {
		send_one(i % PAIRS, i % RING_SIZE);
		receive_one(i % PAIRS, i % RING_SIZE);
		ask_control();
	}
	assert_int_equal(dev->virtio.queues[1].vq.last_avail, 0);
}

static void test_pause(void **state unused_param)
{
	struct device *device = &dev->virtio.device;

	send_one(0, 0);
	receive_one(0, 0);
	receive_one(0, 1);
	fake_vm_quiesce(&fv, device);
	assert_int_equal(fake_vhost_nr_connected(), 0);
	assert_int_equal(dev->virtio.queues[0].vq.start_avail, 2);
	assert_int_equal(dev->virtio.queues[1].vq.start_avail, 1);
	fv.nr_msi = 0;
	/* Kicked meanwhile: it is sent afterwards. */
	want[1] = 2;
	guest_ring_offer(&rings[1], 5);
	gv_kick(&gv, 1);
	usleep(5000);
	fake_vm_turn(&fv);
	assert_int_equal(guest_ring_used_idx(&rings[1]), 1);
	device->ops->resume(device);
	expect_used(1);
	assert_int_equal(recv(far[0], &(char){ 0 }, 1, 0), 1);
	receive_one(0, 2);
	ask_control();
}

static void test_reset(void **state unused_param)
{
	for (unsigned int i = 0; i < 10; i++) {
		send_one(0, i);
		send_one(1, i);
		gv_write(&gv, GV_STATUS, 0, 1);
		assert_true(fake_vm_turn_until(&fv, is_reset, NULL));
		assert_int_equal(fake_vhost_nr_connected(), 0);
		bring_up();
		receive_one(1, i);
	}
}

/* Without a link nothing moves; it goes on where it was. */
static void test_link(void **state unused_param)
{
	assert_int_equal(net_vhost_set_link(&dev->nv, false), 0);
	assert_int_equal(fake_vhost_nr_connected(), 0);
	want[3] = 1;
	guest_ring_offer(&rings[3], 0);
	gv_kick(&gv, 3);
	usleep(5000);
	fake_vm_turn(&fv);
	assert_int_equal(guest_ring_used_idx(&rings[3]), 0);
	ask_control();
	/* Nor after a reset. */
	gv_write(&gv, GV_STATUS, 0, 1);
	assert_true(fake_vm_turn_until(&fv, is_reset, NULL));
	bring_up();
	assert_int_equal(fake_vhost_nr_connected(), 0);
	guest_ring_offer(&rings[3], 0);
	gv_kick(&gv, 3);
	assert_int_equal(net_vhost_set_link(&dev->nv, true), 0);
	assert_int_equal(fake_vhost_nr_connected(), 2 * PAIRS);
	gv_kick(&gv, 3);
	expect_used(3);
	assert_int_equal(recv(far[1], &(char){ 0 }, 1, 0), 1);
	send_one(1, 1);
}

/* Memory that comes is used at once, and forgotten when it goes. */
static void test_memory(void **state unused_param)
{
	struct gmem *gm = &fv.board.gmem;
	struct pages_job job = { .ended.fn = NULL };
	unsigned int before = fake_vhost_nr_regions();
	uint8_t got[DATA_LEN];

	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(gmem_plug_begin(gm, 0, DIMM_GPA, GMEM_BLOCK,
						 &job, &err),
				 0);
		assert_int_equal(gmem_plug_end(gm, 0, &err), 0);
		assert_int_equal(fake_vhost_nr_regions(), before + 1);
		guest_ring_desc(&rings[1], i, DIMM_GPA + GMEM_BLOCK - DATA_LEN,
				DATA_LEN, 0, 0);
		memset(guest_mem(gm, DIMM_GPA + GMEM_BLOCK - DATA_LEN,
				 DATA_LEN),
		       0x77, DATA_LEN);
		want[1] = (uint16_t)(i + 1);
		guest_ring_offer(&rings[1], i);
		gv_kick(&gv, 1);
		expect_used(1);
		assert_int_equal(recv(far[0], got, sizeof(got), 0), DATA_LEN);
		assert_int_equal(got[DATA_LEN - 1], 0x77);
		gmem_unplug(gm, 0);
		assert_int_equal(fake_vhost_nr_regions(), before);
	}
	/* A guest that points to it even so: it is not read. */
	guest_ring_offer(&rings[1], 0);
	gv_kick(&gv, 1);
	usleep(5000);
	assert_int_equal(guest_ring_used_idx(&rings[1]), 5);
}

static void test_removal(void **state unused_param)
{
	struct device *device = &dev->virtio.device;
	int taps[PAIRS] = { dev->tap.fds[0], dev->tap.fds[1] };

	send_one(0, 0);
	fake_vm_quiesce(&fv, device);
	fake_vm_remove(&fv, device);
	assert_int_equal(fake_vhost_nr_open(), 0);
	for (unsigned int i = 0; i < PAIRS; i++)
		close(taps[i]);
	fake_vhost_join();
	/* teardown() needs one. */
	assert_non_null(fake_vm_add(&fv, &dev_class, NULL));
	for (unsigned int i = 0; i < PAIRS; i++)
		assert_true(dev->tap.fds[i] >= 0);
}

static void test_refused(void **state unused_param)
{
	static const struct {
		int code;
		const char *word;
	} cases[] = {
		{ ENOENT, "modprobe vhost_net" },
		{ EACCES, "no permission" },
		{ EMFILE, "ulimit" },
	};
	struct vhost_net host;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_vhost_errno = cases[i].code;
		assert_int_equal(vhost_net_open(&host, 2, &err),
				 -cases[i].code);
		if (!strstr(err.msg, cases[i].word))
			fail_msg("%s", err.msg);
	}
	fake_vhost_errno = 0;
	fake_vhost_features = 0;
	assert_int_equal(vhost_net_open(&host, 2, &err), -ENOTSUP);
	assert_non_null(strstr(err.msg, "too old"));
	fake_vhost_features = UINT64_MAX;
	vhost_net_close(&host);
	assert_int_equal(fake_vhost_nr_open(), 0);
	fake_vhost_join();
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_serves),
		UNIT(test_pause),
		UNIT(test_reset),
		UNIT(test_link),
		UNIT(test_memory),
		UNIT(test_removal),
		cmocka_unit_test(test_refused),
	};

	log_init(STDERR_FILENO, LOG_ERROR); /* warnings are expected */
	return cmocka_run_group_tests_name("vhost_net", tests, NULL, NULL);
}
