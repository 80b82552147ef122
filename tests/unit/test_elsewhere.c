/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A device whose ring is served elsewhere, as vhost does: by a thread that has
 * nothing of the device but the ring's addresses and two descriptors.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/virtio/transport_pci.h"
#include "devices/virtio/virtio.h"
#include "tests/lib/guest_virtio.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define RING 0x1000ull
#define RING_SIZE 16u
#define DATA 0x20000ull
#define VECTOR_CONTROL(v) (gv.bar + gv.offset[GV_MSIX] + 16 * (v) + 12)

/* The one who serves: it pops, writes a byte, and says so. */
struct server {
	pthread_t thread;
	struct virtqueue vq; /* its own, on the ring of the device's */
	int kick_fd, call_fd, stop_fd;
	struct loop *loop; /* of the queue: where the end is told */
	struct loop_call ended;
};

struct far {
	struct virtio_dev dev;
	struct server server;
	unsigned int starts, ends;
};

static struct fake_vm fv;
static struct guest_virtio gv;
static struct guest_ring ring;
static struct far *far;

static void server_turn(struct server *s)
{
	struct vq_chain *c;

	while ((c = virtqueue_pop(&s->vq))) {
		memset(c->iov->iov_base, 0x5a, 1);
		virtqueue_push(&s->vq, c, 1);
	}
	if (virtqueue_publish(&s->vq))
		assert_int_equal(eventfd_write(s->call_fd, 1), 0);
}

static void *server_run(void *arg)
{
	struct server *s = arg;
	struct pollfd fds[] = { { .fd = s->kick_fd, .events = POLLIN },
				{ .fd = s->stop_fd, .events = POLLIN } };
	eventfd_t n;

	for (;;) {
		poll(fds, ARRAY_SIZE(fds), -1);
		if (fds[1].revents)
			break;
		(void)!eventfd_read(s->kick_fd, &n);
		server_turn(s);
	}
	loop_post(s->loop, &s->ended);
	return NULL;
}

static void far_on_ended(struct loop_call *lc)
{
	struct far *f = container_of(lc, struct far, server.ended);

	pthread_join(f->server.thread, NULL);
	close_fd(&f->server.stop_fd);
	virtqueue_stop(&f->server.vq);
	f->ends++;
	virtio_queue_returned(&f->dev.queues[0], f->server.vq.last_avail);
	virtqueue_clear(&f->server.vq);
}

static int far_queue_start(struct virtio_dev *dev, unsigned int qidx)
{
	struct far *f = container_of(dev, struct far, dev);
	struct virtio_queue *q = &dev->queues[qidx];
	struct server *s = &f->server;

	*s = (struct server){
		.vq = { .size_max = q->vq.size_max,
			.iov_max = 4,
			.size = q->vq.size,
			.desc_gpa = q->vq.desc_gpa,
			.avail_gpa = q->vq.avail_gpa,
			.used_gpa = q->vq.used_gpa,
			.start_avail = q->vq.start_avail,
			.start_used = q->vq.start_used },
		.kick_fd = q->kick.fd,
		.call_fd = q->call.fd,
		.stop_fd = eventfd(0, EFD_CLOEXEC),
		.loop = q->loop,
		.ended.fn = far_on_ended,
	};
	f->starts++;
	assert_int_equal(
		virtqueue_start(&s->vq, &dev->board->gmem, false, false), 0);
	return -pthread_create(&s->thread, NULL, server_run, s);
}

static void far_queue_stop(struct virtio_dev *dev,
			   unsigned int qidx unused_param)
{
	struct far *f = container_of(dev, struct far, dev);

	assert_int_equal(eventfd_write(f->server.stop_fd, 1), 0);
}

static void far_destroy(struct virtio_dev *dev)
{
	virtio_fini(dev);
	free(container_of(dev, struct far, dev));
}

static const struct virtio_ops far_ops = {
	.queue_start = far_queue_start,
	.queue_stop = far_queue_stop,
	.destroy = far_destroy,
};

static int far_create(struct board *board, const void *config unused_param,
		      void *opened unused_param, struct device **out,
		      struct error *err)
{
	static const struct device_class class = { .name = "far" };
	const struct virtio_init init = {
		.board = board,
		.class = &class,
		.ops = &far_ops,
		.id = 42,
		.nr_queues = 1,
		.queue_size = 64,
		.iov_max = 4,
		.nr_elsewhere = 1,
	};

	far = calloc(1, sizeof(*far));
	assert_int_equal(virtio_init(&far->dev, &init, err), 0);
	assert_int_equal(vpci_attach(&far->dev, 0xff0000, err), 0);
	*out = &far->dev.device;
	return 0;
}

static const struct device_class far_class = {
	.name = "far",
	.create = far_create,
};

/* ---- the driver ---- */

static void bring_up(void)
{
	unsigned int i;

	assert_true(gv_negotiate(&gv, VIRTIO_F(VIRTIO_F_VERSION_1) |
					      VIRTIO_F(VIRTIO_F_RING_RESET)));
	guest_ring_init(&ring, &fv.board.gmem, RING, RING_SIZE);
	for (i = 0; i < RING_SIZE; i++)
		guest_ring_desc(&ring, i, DATA + i, 1, RING_WRITE, 0);
	gv_queue(&gv, 0, &ring);
	gv_driver_ok(&gv);
	fake_vm_turn(&fv);
}

static int setup(void **state unused_param)
{
	fake_vm_init(&fv);
	fake_vm_add_pci(&fv);
	assert_non_null(fake_vm_add(&fv, &far_class, NULL));
	guest_virtio_probe(&gv, &fv, 1);
	gv_enable_msix(&gv, 2);
	bring_up();
	return 0;
}

static int teardown(void **state unused_param)
{
	fake_vm_fini(&fv);
	return 0;
}

static bool is_used(void *arg)
{
	return guest_ring_used_idx(&ring) == *(uint16_t *)arg;
}

static bool has_interrupts(void *arg)
{
	return fv.nr_msi == *(unsigned int *)arg;
}

/* One more buffer: it is used, whoever does it. */
static void go(void)
{
	uint16_t want = (uint16_t)(guest_ring_used_idx(&ring) + 1);

	guest_ring_offer(&ring, want % RING_SIZE);
	gv_kick(&gv, 0);
	assert_true(fake_vm_turn_until(&fv, is_used, &want));
	assert_int_equal(*(uint8_t *)guest_mem(&fv.board.gmem,
					       DATA + want % RING_SIZE, 1),
			 0x5a);
}

static void expect_interrupt(uint32_t data)
{
	unsigned int want = 1;

	assert_true(fake_vm_turn_until(&fv, has_interrupts, &want));
	assert_int_equal(fv.msi[0].data, data);
	fv.nr_msi = 0;
}

static void expect_none(void)
{
	usleep(5000);
	fake_vm_turn(&fv);
	assert_int_equal(fv.nr_msi, 0);
}

static bool is_reset(void *arg unused_param)
{
	return gv_read(&gv, GV_STATUS, 1) == 0;
}

static bool is_queue_reset(void *arg unused_param)
{
	return gv_read(&gv, GV_QUEUE_RESET, 2) == 0;
}

/* ---- tests ---- */

static void test_serves(void **state unused_param)
{
	unsigned int i;

	for (i = 0; i < 100; i++) {
		go();
		expect_interrupt(1);
	}
	/* This process has taken nothing. */
	assert_int_equal(far->dev.queues[0].vq.last_avail, 0);
}

/* Interrupts go where the driver has them go at that time. */
static void test_vectors(void **state unused_param)
{
	go();
	expect_interrupt(1);
	gv_write(&gv, GV_QUEUE_SELECT, 0, 2);
	gv_write(&gv, GV_QUEUE_VECTOR, 0, 2);
	go();
	expect_interrupt(0);
	gv_write(&gv, GV_QUEUE_VECTOR, VIRTIO_NO_VECTOR, 2);
	go();
	expect_none();
	gv_write(&gv, GV_QUEUE_VECTOR, 1, 2);
	fake_mmio_write(&fv, VECTOR_CONTROL(1), 1, 4);
	go();
	go();
	expect_none(); /* pending, and sent once when it is unmasked */
	fake_mmio_write(&fv, VECTOR_CONTROL(1), 0, 4);
	expect_interrupt(1);
	/* The function's mask, too. */
	fake_cfg_write(&fv, gv.slot, gv.cap[GV_MSIX] + 2u, 0xc000, 2);
	go();
	expect_none();
	fake_cfg_write(&fv, gv.slot, gv.cap[GV_MSIX] + 2u, 0x8000, 2);
	expect_interrupt(1);
}

/* data of the message that the call sends by itself; -1: none. */
static void expect_direct(int data)
{
	assert_int_equal(fv.nr_msi_fds, data >= 0);
	if (data < 0)
		return;
	assert_int_equal(fv.msi_fds[0].fd, far->dev.queues[0].call.fd);
	assert_int_equal(fv.msi_fds[0].msi.data, data);
	assert_int_equal(fv.msi_fds[0].msi.addr, 0xfee00000);
	assert_int_equal(fv.msi_fds[0].msi.devid, gv.slot << 3);
}

/* The host interrupts without us while the driver has a vector for it. */
static void test_direct(void **state unused_param)
{
	struct device *device = &far->dev.device;

	expect_direct(1);
	gv_write(&gv, GV_QUEUE_SELECT, 0, 2);
	gv_write(&gv, GV_QUEUE_VECTOR, 0, 2);
	expect_direct(0);
	gv_write(&gv, GV_QUEUE_VECTOR, VIRTIO_NO_VECTOR, 2);
	expect_direct(-1);
	gv_write(&gv, GV_QUEUE_VECTOR, 1, 2);
	expect_direct(1);
	fake_mmio_write(&fv, VECTOR_CONTROL(1), 1, 4);
	expect_direct(-1);
	fake_mmio_write(&fv, VECTOR_CONTROL(1), 0, 4);
	expect_direct(1);
	fake_mmio_write(&fv, VECTOR_CONTROL(1) - 4, 77, 4);
	expect_direct(77);
	fake_cfg_write(&fv, gv.slot, gv.cap[GV_MSIX] + 2u, 0xc000, 2);
	expect_direct(-1);
	fake_cfg_write(&fv, gv.slot, gv.cap[GV_MSIX] + 2u, 0x8000, 2);
	expect_direct(77);
	/* Not while it is paused, and not of a ring that is off. */
	fake_vm_quiesce(&fv, device);
	expect_direct(-1);
	device->ops->resume(device);
	fake_vm_turn(&fv);
	expect_direct(77);
	gv_write(&gv, GV_STATUS, 0, 1);
	expect_direct(-1);
	assert_true(fake_vm_turn_until(&fv, is_reset, NULL));
	bring_up();
	expect_direct(77);
	fake_vm_quiesce(&fv, device);
	device->ops->reset(device);
	expect_direct(-1);
}

/* Paused, nobody serves; resumed, they take up where they were. */
static void test_pause(void **state unused_param)
{
	struct device *device = &far->dev.device;
	uint16_t want = 4;

	go();
	go();
	fake_vm_quiesce(&fv, device);
	assert_int_equal(far->ends, 1);
	assert_int_equal(far->dev.queues[0].vq.start_avail, 2);
	assert_int_equal(far->dev.queues[0].vq.start_used, 2);
	fake_vm_turn(&fv);
	fv.nr_msi = 0;
	guest_ring_offer(&ring, 3);
	gv_kick(&gv, 0);
	guest_ring_offer(&ring, 4);
	expect_none();
	assert_int_equal(guest_ring_used_idx(&ring), 2);
	device->ops->resume(device);
	assert_true(fake_vm_turn_until(&fv, is_used, &want));
	assert_int_equal(far->starts, 2);
	fv.nr_msi = 0;
	go();
}

/* What was used last is announced, be it while the ring comes back. */
static void test_last_interrupt(void **state unused_param)
{
	struct device *device = &far->dev.device;
	uint64_t end = loop_now_ns() + 5000000000ull;

	guest_ring_offer(&ring, 0);
	gv_kick(&gv, 0);
	while (!guest_ring_used_idx(&ring))
		assert_true(loop_now_ns() < end);
	fake_vm_quiesce(&fv, device);
	assert_int_equal(fv.nr_msi, 1);
}

static void test_resets(void **state unused_param)
{
	unsigned int i;

	for (i = 0; i < 10; i++) {
		go();
		gv_write(&gv, GV_STATUS, 0, 1);
		assert_true(fake_vm_turn_until(&fv, is_reset, NULL));
		assert_int_equal(far->ends, 2 * i + 1);
		bring_up();
		go();
		gv_write(&gv, GV_QUEUE_SELECT, 0, 2);
		gv_write(&gv, GV_QUEUE_RESET, 1, 2);
		assert_true(fake_vm_turn_until(&fv, is_queue_reset, NULL));
		assert_int_equal(far->ends, 2 * i + 2);
		guest_ring_set_start(&ring, 0);
		gv_queue(&gv, 0, &ring);
		fake_vm_turn(&fv);
	}
	go();
	assert_int_equal(
		gv_read(&gv, GV_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_serves), UNIT(test_vectors),
		UNIT(test_pause),  UNIT(test_last_interrupt),
		UNIT(test_resets), UNIT(test_direct),
	};

	log_init(STDERR_FILENO, LOG_ERROR); /* warnings are expected */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
