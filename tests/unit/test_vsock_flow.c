/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The bytes of a vsock device: credit, sides that are full, and what happens to
 * connections when the machine pauses, the guest resets, or the device goes. */
#include "tests/unit/vsock_fixture.h"

#include <pthread.h>
#include <unistd.h>

#include "devices/registry.h"
#include "devices/virtio/virtio_limit.h"
#include "devices/virtio/vsock.h"

static uint8_t pattern[GVS_DATA];

static void fill_pattern(unsigned int salt)
{
	for (unsigned int i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + salt * 13 + (i >> 8));
}

/* ---- to the guest ---- */

static void guest_credit(uint32_t port, uint32_t buf_alloc, uint32_t fwd_cnt)
{
	struct vsock_header h =
		guest_vsock_header(OP(CREDIT_UPDATE), GUEST_PORT, port);

	h.buf_alloc = le32_of(buf_alloc);
	h.fwd_cnt = le32_of(fwd_cnt);
	guest_vsock_send(&gs, h, NULL, 0);
}

/* Nothing is sent without credit, and the guest is asked for it once. */
static void test_credit_of_the_guest(void **state unused_param)
{
	uint32_t port;
	int fd = connect_guest(&port);
	uint32_t start = 0xffffff00u;
	struct vsock_conn *c = only_conn();

	/* The counts of bytes wrap on the way. */
	c->credit.sent = start;
	guest_credit(port, 1000, start);
	fill_pattern(1);
	assert_int_equal(write(fd, pattern, 1500), 1500);
	guest_vsock_turn(&gs);
	expect(OP(RW), GUEST_PORT, port);
	assert_int_equal(got.len, 1000);
	assert_memory_equal(got.data, pattern, 1000);
	expect(OP(CREDIT_REQUEST), GUEST_PORT, port);
	expect_nothing();
	assert_int_equal(gs.v->counters.credit_stalls, 1);
	/* Still none. */
	guest_credit(port, 1000, start);
	expect_nothing();
	guest_credit(port, 1000, start + 300);
	expect(OP(RW), GUEST_PORT, port);
	assert_int_equal(got.len, 300);
	expect(OP(CREDIT_REQUEST), GUEST_PORT, port);
	assert_int_equal(c->credit.sent, 1300 - 256);
	/* Less room than is used, or more forwarded than was sent: none. */
	guest_credit(port, 10, start + 1000);
	guest_credit(port, 1000, start + 5000);
	expect_nothing();
	guest_credit(port, 1000, start + 1300);
	expect(OP(RW), GUEST_PORT, port);
	assert_int_equal(got.len, 200);
	assert_memory_equal(got.data, pattern + 1300, 200);
	expect_nothing();
	close(fd);
}

/* Packets are as large as the guest's buffers; one read fills several. */
static void test_large_data(void **state unused_param)
{
	uint32_t port, sum = 0;
	int fd = connect_guest(&port);

	for (unsigned int i = 0; i < 8; i++) {
		fill_pattern(i);
		assert_int_equal(write(fd, pattern, GVS_DATA), GVS_DATA);
	}
	guest_vsock_turn(&gs);
	for (unsigned int i = 0; i < 8; i++) {
		expect(OP(RW), GUEST_PORT, port);
		fill_pattern(i);
		assert_int_equal(got.len, GVS_DATA);
		assert_memory_equal(got.data, pattern, GVS_DATA);
		sum += got.len;
	}
	expect_nothing();
	assert_int_equal(only_conn()->credit.sent, sum);
	close(fd);
}

/* Buffers of other sizes: for a header alone, and too short for one. */
static void test_odd_buffers(void **state unused_param)
{
	uint32_t port;
	int fd = connect_guest(&port);

	gs.keeps_buffers = true;
	while (gs.rings[VSOCK_RX].next_used != gs.rings[VSOCK_RX].next_avail) {
		guest_says(OP(CREDIT_REQUEST), GUEST_PORT, port);
		expect(OP(CREDIT_UPDATE), GUEST_PORT, port);
	}
	assert_int_equal(write(fd, "data", 4), 4);
	guest_vsock_turn(&gs);
	expect_nothing();
	assert_true(gs.v->counters.no_buffers > 0);
	guest_vsock_offer_rx(&gs, 1, sizeof(struct vsock_header));
	expect(OP(CREDIT_UPDATE), GUEST_PORT, port);
	guest_vsock_offer_rx(&gs, 1, sizeof(struct vsock_header) + 1);
	expect(OP(RW), GUEST_PORT, port);
	assert_int_equal(got.len, 1);
	guest_vsock_offer_rx(&gs, 1, sizeof(struct vsock_header) - 1);
	assert_true(gv_read(&gs.gv, GV_STATUS, 1) &
		    VIRTIO_CONFIG_S_NEEDS_RESET);
	close(fd);
}

/* A CPU of the guest: it answers as soon as it is given something. */
static void *answer_at_once(void *port)
{
	struct vsock_header h =
		guest_vsock_header(OP(RW), GUEST_PORT, *(uint32_t *)port);
	struct guest_ring *r = &gs.rings[VSOCK_RX];

	while (guest_ring_used_idx(r) == r->next_used)
		usleep(100);
	h.len = le32_of(4);
	guest_vsock_put(&gs, &h, "pong", sizeof(h) + 4);
	return NULL;
}

static void guest_is_told(int fd, uint32_t port)
{
	assert_int_equal(write(fd, "ping", 4), 4);
	guest_vsock_turn(&gs);
	expect(OP(RW), GUEST_PORT, port);
}

/* Answers that come at once are waited for, those that do not are less and less,
 * and now and then again: one that had to wake the device tells nothing. */
static void test_wait_for_answer(void **state unused_param)
{
	const uint64_t enough = 60000000000, little = 8000;
	unsigned int i, nr_halves = 0, nr_tries = 0;
	uint32_t port;
	int fd = connect_guest(&port);
	pthread_t guest;

	gs.v->answer_max_ns = enough;
	pthread_create(&guest, NULL, answer_at_once, &port);
	guest_is_told(fd, port);
	pthread_join(guest, NULL);
	assert_int_equal(gs.v->answer_ns, enough);
	gs.v->answer_max_ns = gs.v->answer_ns = little;
	for (i = 0; i < 40; i++) {
		nr_tries += gs.v->answer_ns == little / 2;
		guest_is_told(fd, port);
		nr_halves += gs.v->answer_ns > 0;
	}
	assert_in_range(nr_tries, 2, 4);
	assert_in_range(nr_halves, 2 * nr_tries, 4 * nr_tries);
	close(fd);
}

/* ---- from the guest ---- */

/* Who sends more than its credit is reset, and nobody else is. */
static void test_credit_violated(void **state unused_param)
{
	uint32_t port, sum = 0;
	int other = connect_host(2000), fd = connect_guest(&port);
	struct vsock_conn *c;

	c = container_of(gs.v->conns.prev, struct vsock_conn, all);
	assert_int_equal(c->host_port, port);
	/* The host does not read: what it takes is the socket's to say. */
	while (!c->full) {
		guest_writes(pattern, GVS_DATA, GUEST_PORT, port);
		sum += GVS_DATA;
		while (guest_vsock_receive(&gs, &got))
			assert_int_equal(got.op, OP(CREDIT_UPDATE));
		assert_true(sum < 100u << 20);
	}
	while (vsock_credit_allows(&c->credit, GVS_DATA)) {
		guest_writes(pattern, GVS_DATA, GUEST_PORT, port);
		while (guest_vsock_receive(&gs, &got))
			assert_int_equal(got.op, OP(CREDIT_UPDATE));
	}
	assert_true(c->credit.buf_alloc - vsock_pending(&c->credit) < GVS_DATA);
	guest_writes(pattern, GVS_DATA, GUEST_PORT, port);
	expect(OP(RST), GUEST_PORT, port);
	assert_int_equal(gs.v->nr_conns, 1);
	assert_int_equal(gs.v->nr_lent, 0);
	guest_writes("x", 1, 2000, HOST_PORT);
	assert_int_equal(host_read(other, pattern, 8), 1);
	close(fd);
	close(other);
}

/* The guest never has to wait for credit that we have not told it of. */
static void test_credit_is_told_in_time(void **state unused_param)
{
	uint32_t port, sent = 0, told = 0, alloc;
	int fd = connect_guest(&port);
	struct vsock_conn *c = only_conn();

	c->credit.received = c->credit.forwarded = c->credit.told = 0xfffff000u;
	sent = told = 0xfffff000u;
	alloc = c->credit.buf_alloc;
	for (unsigned int i = 0; i < 1000; i++) {
		uint8_t data[GVS_DATA];

		fill_pattern(i);
		assert_true(alloc - (sent - told) >= GVS_DATA);
		guest_writes(pattern, GVS_DATA, GUEST_PORT, port);
		sent += GVS_DATA;
		assert_int_equal(host_read(fd, data, GVS_DATA), GVS_DATA);
		assert_memory_equal(data, pattern, GVS_DATA);
		while (guest_vsock_receive(&gs, &got)) {
			assert_int_equal(got.op, OP(CREDIT_UPDATE));
			told = got.fwd_cnt;
			assert_true(got.buf_alloc >= alloc); /* never less */
			alloc = got.buf_alloc;
		}
	}
	assert_int_equal(alloc, VSOCK_BUF_MAX);
	assert_int_equal(gs.v->promised, VSOCK_BUF_MAX);
	assert_int_equal(gs.v->counters.tx_bytes, 1000 * GVS_DATA);
	assert_int_equal(gs.v->counters.copied_bytes, 0);
	close(fd);
}

/*
 * Hosts that do not read hold up nobody: chains come back, others go on. When they
 * read, they get everything.
 */
static void test_hosts_that_do_not_read(void **state unused_param)
{
	uint32_t port[2], sent[2] = { 0, 0 };
	int fd[2] = { connect_guest(&port[0]), connect_guest(&port[1]) };
	int other = connect_host(2000);
	unsigned int i, n;

	for (n = 0; n < 2; n++) {
		struct vsock_conn *c =
			container_of(gs.v->conns.next, struct vsock_conn, all);

		if (c->host_port != port[n])
			c = container_of(c->all.next, struct vsock_conn, all);
		while (vsock_credit_allows(&c->credit, GVS_DATA)) {
			fill_pattern(sent[n] / GVS_DATA + n);
			guest_writes(pattern, GVS_DATA, GUEST_PORT, port[n]);
			sent[n] += GVS_DATA;
			assert_true(guest_vsock_nr_lent(&gs) <= GVS_RING / 2);
			while (guest_vsock_receive(&gs, &got))
				assert_int_equal(got.op, OP(CREDIT_UPDATE));
		}
		assert_true(c->full);
	}
	assert_true(gs.v->nr_lent <= GVS_RING / 2);
	assert_true(gs.v->counters.copied_bytes > 0);
	guest_writes("ping", 4, 2000, HOST_PORT);
	assert_int_equal(host_read(other, pattern, 8), 4);
	/* One ends its writing: that has to come after the data. */
	guest_shuts(VIRTIO_VSOCK_SHUTDOWN_SEND, GUEST_PORT, port[0]);
	/* The other is closed, which the guest hears at once. */
	guest_shuts(VSOCK_SHUTDOWN_BOTH, GUEST_PORT, port[1]);
	expect(OP(RST), GUEST_PORT, port[1]);
	for (n = 0; n < 2; n++) {
		for (i = 0; i < sent[n]; i += GVS_DATA) {
			uint8_t data[GVS_DATA];

			fill_pattern(i / GVS_DATA + n);
			guest_vsock_turn(&gs);
			assert_int_equal(recv(fd[n], data, GVS_DATA,
					      MSG_WAITALL | MSG_DONTWAIT),
					 GVS_DATA);
			assert_memory_equal(data, pattern, GVS_DATA);
		}
		assert_true(host_is_closed(fd[n]));
	}
	guest_vsock_turn(&gs);
	assert_int_equal(gs.v->nr_lent, 0);
	assert_int_equal(guest_vsock_nr_lent(&gs), 0);
	assert_int_equal(gs.v->nr_conns, 2);
	close(fd[0]);
	close(fd[1]);
	close(other);
}

/* What nobody takes for a minute is dropped. */
static void test_flush_has_an_end(void **state unused_param)
{
	uint32_t port;
	int fd = connect_guest(&port);
	struct vsock_conn *c = only_conn();

	while (!c->full) {
		guest_writes(pattern, GVS_DATA, GUEST_PORT, port);
		while (guest_vsock_receive(&gs, &got))
			;
	}
	guest_shuts(VIRTIO_VSOCK_SHUTDOWN_SEND, GUEST_PORT, port);
	guest_says(OP(RST), GUEST_PORT, port);
	expect_nothing();
	assert_int_equal(c->state, VSOCK_FLUSHING);
	time_passes();
	assert_int_equal(gs.v->nr_conns, 0);
	assert_int_equal(guest_vsock_nr_lent(&gs), 0);
	close(fd);
}

/* Both sides full, in both directions, with nobody reading: then they do. */
static void test_no_deadlock(void **state unused_param)
{
	uint32_t port, sent = 0, read_bytes = 0, echoed = 0, wrote = 0;
	int fd = connect_guest(&port);
	struct vsock_conn *c = only_conn();
	uint8_t data[GVS_DATA];
	ssize_t n;

	gs.keeps_buffers = true;
	while ((n = send(fd, pattern, GVS_DATA, MSG_DONTWAIT)) > 0)
		wrote += (uint32_t)n;
	guest_vsock_turn(&gs); /* all receive buffers are used */
	while ((n = send(fd, pattern, GVS_DATA, MSG_DONTWAIT)) > 0)
		wrote += (uint32_t)n;
	/* The guest's writes go on without any buffer of it. */
	while (vsock_credit_allows(&c->credit, GVS_DATA)) {
		guest_writes(pattern, GVS_DATA, GUEST_PORT, port);
		sent += GVS_DATA;
	}
	assert_true(c->full);
	gs.keeps_buffers = false;
	while (echoed < wrote) {
		if (!guest_vsock_receive(&gs, &got)) {
			guest_vsock_offer_rx(
				&gs, 8, sizeof(struct vsock_header) + GVS_DATA);
			continue;
		}
		echoed += got.op == OP(RW) ? got.len : 0;
	}
	while (read_bytes < sent) {
		n = host_read(fd, data, GVS_DATA);
		assert_true(n > 0);
		read_bytes += (uint32_t)n;
	}
	assert_int_equal(read_bytes, sent);
	assert_int_equal(echoed, wrote);
	close(fd);
}

/* ---- what a guest can do often ---- */

/* A flood of what is answered by RST, with no buffer for the answers. */
static void test_flood(void **state unused_param)
{
	unsigned int i, n = 0;

	gs.keeps_buffers = true;
	for (i = 0; i < 1000; i++) {
		struct vsock_header h =
			guest_vsock_header(OP(REQUEST), 2000 + i, HOST_PORT);

		if (guest_vsock_nr_lent(&gs) == GVS_RING)
			break;
		guest_vsock_put(&gs, &h, NULL, sizeof(h));
		gv_kick(&gs.gv, VSOCK_TX);
		guest_vsock_turn(&gs);
	}
	/* It stops taking, and does not spin: the guest is to go first. */
	assert_int_equal(i, RX_BUFFERS + VSOCK_STRAYS + GVS_RING);
	assert_int_equal(gs.v->nr_strays, VSOCK_STRAYS);
	assert_true(gs.v->dev.queues[VSOCK_TX].resting);
	while (n < i) {
		if (guest_vsock_receive(&gs, &got)) {
			assert_int_equal(got.op, OP(RST));
			assert_int_equal(got.dst_port, 2000 + n);
			n++;
		} else {
			guest_vsock_offer_rx(&gs, 16,
					     sizeof(struct vsock_header));
		}
	}
	assert_int_equal(guest_vsock_nr_lent(&gs), 0);
	expect_nothing();
}

/* Streams and a ping take turns. */
static void test_fairness(void **state unused_param)
{
	uint32_t port[3];
	int fd[3];
	unsigned int i, before = 0;

	for (i = 0; i < 3; i++)
		fd[i] = connect_guest(&port[i]);
	gs.keeps_buffers = true;
	for (i = 0; i < 2; i++)
		while (send(fd[i], pattern, GVS_DATA, MSG_DONTWAIT) > 0)
			;
	guest_vsock_turn(&gs); /* all receive buffers are used */
	while (guest_vsock_receive(&gs, &got))
		;
	for (i = 0; i < 2; i++)
		while (send(fd[i], pattern, GVS_DATA, MSG_DONTWAIT) > 0)
			;
	assert_int_equal(write(fd[2], "ping", 4), 4);
	guest_vsock_turn(&gs);
	for (;;) {
		if (!guest_vsock_receive(&gs, &got))
			guest_vsock_offer_rx(
				&gs, 1, sizeof(struct vsock_header) + GVS_DATA);
		else if (got.src_port == port[2])
			break;
		else
			before++;
	}
	assert_true(before <= 2 * (128u << 10) / GVS_DATA);
	for (i = 0; i < 3; i++)
		close(fd[i]);
}

static int setup_limit(void **state unused_param)
{
	return setup_with(",bw_size=1000,bw_refill_time=3600000,tx_bw_size=0");
}

static void test_limit(void **state unused_param)
{
	const struct limits_config none = { .both.bw.size = 0 };
	uint32_t port;
	int fd = connect_guest(&port);

	assert_int_equal(write(fd, pattern, 1000), 1000);
	guest_vsock_turn(&gs);
	expect(OP(RW), GUEST_PORT, port);
	assert_int_equal(write(fd, "more", 4), 4);
	/* Data waits; the other direction and control packets do not. */
	guest_writes("free", 4, GUEST_PORT, port);
	assert_int_equal(host_read(fd, pattern, 8), 4);
	expect_nothing();
	assert_true(gs.v->dev.queues[VSOCK_RX].held);
	guest_says(OP(REQUEST), 2000, HOST_PORT);
	expect(OP(RST), 2000, HOST_PORT);
	guest_says(OP(CREDIT_REQUEST), GUEST_PORT, port);
	expect(OP(CREDIT_UPDATE), GUEST_PORT, port);
	expect_nothing();
	virtio_set_limits(&gs.v->dev, &none);
	guest_vsock_turn(&gs);
	expect(OP(RW), GUEST_PORT, port);
	assert_int_equal(got.len, 4);
	close(fd);
}

/* ---- pause, reset, removal ---- */

static void test_pause(void **state unused_param)
{
	uint32_t port, sent = 0;
	int fd = connect_guest(&port), asked, waiting;
	struct vsock_conn *c = only_conn();
	uint8_t data[GVS_DATA];

	asked = host_client("CONNECT 99\n");
	expect(OP(REQUEST), 99, port + 1);
	while (!c->full || sent % (8 * GVS_DATA)) {
		fill_pattern(sent / GVS_DATA);
		guest_writes(pattern, GVS_DATA, GUEST_PORT, port);
		sent += GVS_DATA;
		while (guest_vsock_receive(&gs, &got))
			assert_int_equal(got.op, OP(CREDIT_UPDATE));
	}
	assert_true(gs.v->nr_lent > 0);
	fake_vm_quiesce(&gs.fv, gs.device);
	/* Nothing is in flight, and receive buffers are the ring's. */
	assert_int_equal(guest_vsock_nr_lent(&gs), 0);
	assert_int_equal(gs.v->dev.queues[VSOCK_RX].vq.start_avail,
			 gs.v->dev.queues[VSOCK_RX].vq.start_used);
	assert_int_equal(write(fd, "while paused", 12), 12);
	waiting = host_client("CONNECT 1\n");
	expect_nothing();
	gs.device->ops->resume(gs.device);
	guest_vsock_turn(&gs);
	expect(OP(RW), GUEST_PORT, port);
	assert_int_equal(got.len, 12);
	expect(OP(REQUEST), 1, port + 2);
	guest_says(OP(RESPONSE), 99, port + 1);
	assert_true(host_read(asked, data, 32) > 0);
	for (uint32_t i = 0; i < sent; i += GVS_DATA) {
		fill_pattern(i / GVS_DATA);
		guest_vsock_turn(&gs);
		assert_int_equal(
			recv(fd, data, GVS_DATA, MSG_WAITALL | MSG_DONTWAIT),
			GVS_DATA);
		assert_memory_equal(data, pattern, GVS_DATA);
	}
	close(fd);
	close(asked);
	close(waiting);
}

/* A reset of one queue (section 2.6.1) is no end of connections. */
static void test_driver_resets(void **state unused_param)
{
	uint32_t port;
	int fd = connect_guest(&port), hello = host_client("CONN"), other;

	guest_says(OP(REQUEST), 2000, HOST_PORT); /* a stray is owed */
	gv_write(&gs.gv, GV_STATUS, 0, 1);
	guest_vsock_turn(&gs);
	assert_true(host_is_closed(fd));
	assert_int_equal(gs.v->nr_conns, 1); /* it has said nothing yet */
	guest_vsock_start(&gs);
	guest_vsock_offer_rx(&gs, RX_BUFFERS,
			     sizeof(struct vsock_header) + GVS_DATA);
	expect_nothing();
	/* The listening socket is still there, ports go on. */
	other = connect_guest(&port);
	assert_int_equal(port, VSOCK_PORT_FIRST + 1);
	close(fd);
	close(hello);
	close(other);
}

static void test_transport_reset(void **state unused_param)
{
	uint32_t port, id, len;
	int fd = connect_guest(&port), other;

	vsock_reset_transport(&gs.v->dev);
	guest_vsock_turn(&gs);
	/* The host's end is closed; the guest has no buffer to hear of it. */
	assert_true(host_is_closed(fd));
	other = host_client("CONNECT 1024\n");
	expect_nothing();
	guest_vsock_offer_event(&gs, 2); /* too short */
	assert_true(gs.v->reset_pending);
	guest_vsock_offer_event(&gs, 4);
	assert_false(gs.v->reset_pending);
	assert_true(guest_ring_take(&gs.rings[VSOCK_EVENT], &id, &len));
	assert_int_equal(len, 0);
	assert_true(guest_ring_take(&gs.rings[VSOCK_EVENT], &id, &len));
	assert_int_equal(len, 4);
	/* Only now. */
	expect(OP(REQUEST), GUEST_PORT, port + 1);
	/* It survives a pause. */
	vsock_reset_transport(&gs.v->dev);
	fake_vm_quiesce(&gs.fv, gs.device);
	gs.device->ops->resume(gs.device);
	guest_vsock_offer_event(&gs, 4);
	assert_true(guest_ring_take(&gs.rings[VSOCK_EVENT], &id, &len));
	assert_int_equal(len, 4);
	/* A buffer that waits lets the loop sleep. */
	guest_vsock_offer_event(&gs, 4);
	assert_true(gs.v->dev.queues[VSOCK_EVENT].resting);
	close(fd);
	close(other);
}

static void test_removal(void **state unused_param)
{
	uint32_t port;
	int fd = connect_guest(&port), hello = host_client("");
	struct vsock_conn *c;
	char byte;

	c = container_of(gs.v->conns.next, struct vsock_conn, all);
	while (!c->full) {
		guest_writes(pattern, GVS_DATA, GUEST_PORT, port);
		while (guest_vsock_receive(&gs, &got))
			;
	}
	gs.device->ops->unplug(gs.device, true);
	fake_vm_quiesce(&gs.fv, gs.device);
	assert_int_equal(access(path, F_OK), 0);
	gs.fv.board.io_loops[0] = gs.board_loop;
	fake_vm_remove(&gs.fv, gs.device);
	gs.device = NULL;
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(recv(hello, &byte, 1, MSG_DONTWAIT), 0);
	close(fd);
	close(hello);
}

/* ---- what the host names ---- */

static void test_configuration(void **state unused_param)
{
	const struct device_class *class = &vsock_class;
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "socket=/tmp/x", "cid" },
		{ "cid=2,socket=/tmp/x", "cid" },
		{ "cid=4294967295,socket=/tmp/x", "cid" },
		{ "cid=18446744073709551615,socket=/tmp/x", "cid" },
		{ "cid=3", "socket" },
		{ "cid=3,socket=/tmp/x,fd=5", "fd" },
		{ "cid=3,socket=/tmp/x,connections=0", "connections" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct device_config dc;
		struct error err = { "" };
		int r;

		assert_int_equal(device_config_init(&dc, class, &err), 0);
		r = param_parse(class->params, dc.config, bad[i].text, &err);
		assert_true(r < 0);
		if (!strstr(err.msg, bad[i].says))
			fail_msg("%s: %s", bad[i].text, err.msg);
		device_config_free(&dc);
	}
	assert_true(class->single);
}

/* A path of 97 bytes and more has no room for all ports; 107 are the most. */
static void test_long_path(void **state unused_param)
{
	struct vsock_host vh;
	struct error err;
	char name[128];
	int n = snprintf(name, sizeof(name), "%s/", folder), fd;

	memset(name + n, 'x', sizeof(name) - (size_t)n);
	name[108] = '\0';
	assert_int_equal(vsock_host_open(&vh, name, -1, &err), -ENAMETOOLONG);
	name[106] = '\0';
	assert_int_equal(vsock_host_open(&vh, name, -1, &err), 0);
	assert_int_equal(vsock_host_connect(&vh, 1), -ENAMETOOLONG);
	vsock_host_close(&vh);
	name[105] = '\0';
	assert_int_equal(vsock_host_open(&vh, name, -1, &err), 0);
	assert_int_equal(vsock_host_connect(&vh, 1), -ENOENT);
	vsock_host_close(&vh);
	/* One that is inherited: ports are next to it. */
	strcpy(name + n, "inherited");
	fd = host_socket(name, true, 8);
	assert_int_equal(vsock_host_open(&vh, NULL, fd, &err), 0);
	assert_string_equal(vh.path, name);
	vsock_host_close(&vh);
	close(fd);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(vsock_host_open(&vh, NULL, 0, &err), -EINVAL);
}

/* Memory of a window may be cut while it is lent. */
static void test_copy(void **state unused_param)
{
	char to[8] = "";
	const struct iovec good[] = { { (char *)"ab", 2 },
				      { (char *)"cde", 3 } };
	const struct iovec bad[] = { { (char *)"ab", 2 }, { (void *)8, 3 } };

	assert_int_equal(vsock_copy(to, good, 2, 5), 0);
	assert_memory_equal(to, "abcde", 5);
	assert_int_equal(vsock_copy(to, bad, 2, 5), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_credit_of_the_guest),
		UNIT(test_large_data),
		UNIT(test_odd_buffers),
		UNIT(test_wait_for_answer),
		UNIT(test_credit_violated),
		UNIT(test_credit_is_told_in_time),
		UNIT(test_hosts_that_do_not_read),
		UNIT(test_flush_has_an_end),
		UNIT(test_no_deadlock),
		UNIT(test_flood),
		UNIT(test_fairness),
		cmocka_unit_test_setup_teardown(test_limit, setup_limit,
						teardown),
		UNIT(test_pause),
		UNIT(test_driver_resets),
		UNIT(test_transport_reset),
		UNIT(test_removal),
		UNIT(test_configuration),
		UNIT(test_long_path),
		UNIT(test_copy),
	};

	log_init(STDERR_FILENO, LOG_ERROR); /* warnings are expected */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
