/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* How connections of a vsock device begin and end. */
#include "tests/unit/vsock_fixture.h"

/* ---- the first line ---- */

static void test_connect(void **state unused_param)
{
	static const char *const lines[] = {
		"CONNECT 1024\n",   "connect 1024\n",	 "Connect 1024\r\n",
		"CONNECT  1024 \n", "  CONNECT\t1024\n",
	};
	uint32_t last = 0;

	assert_int_equal(gv_config(&gs.gv, 0, 8), GVS_CID);
	for (unsigned int i = 0; i < ARRAY_SIZE(lines); i++) {
		int fd = host_client(lines[i]);

		expect(OP(REQUEST), GUEST_PORT, gs.v->next_port - 1);
		assert_true(got.src_port >= 1u << 30 && got.src_port > last);
		assert_true(got.buf_alloc > 0);
		last = got.src_port;
		guest_says(OP(RST), GUEST_PORT, last);
		assert_true(host_is_closed(fd));
		close(fd);
	}
	assert_int_equal(gs.v->nr_conns, 0);
	expect_nothing();
}

/* What comes behind the line is the guest's, all of it. */
static void test_nothing_is_lost_behind_the_line(void **state unused_param)
{
	char line[64];
	uint32_t port;
	int fd = host_client("CONNECT 1024\nhello");

	port = gs.v->next_port - 1;
	expect(OP(REQUEST), GUEST_PORT, port);
	expect_nothing();
	guest_says(OP(RESPONSE), GUEST_PORT, port);
	expect(OP(RW), GUEST_PORT, port);
	assert_int_equal(got.len, 5);
	assert_memory_equal(got.data, "hello", 5);
	assert_int_equal(host_read(fd, line, sizeof(line)), 14);
	close(fd);
}

static void test_line_in_pieces(void **state unused_param)
{
	const char *line = "CONNECT 77\n";
	int fd = host_client("");

	for (; *line; line++) {
		expect_nothing();
		assert_int_equal(write(fd, line, 1), 1);
	}
	guest_vsock_turn(&gs);
	expect(OP(REQUEST), 77, gs.v->next_port - 1);
	close(fd);
}

static void test_bad_lines(void **state unused_param)
{
	static const char *const lines[] = {
		"\n",
		"CONNECT\n",
		"CONNECT \n",
		"CONNECT1024\n",
		"CONNECT x\n",
		"CONNECT -1\n",
		"CONNECT 4294967296\n",
		"CONNECT 99999999999999999999\n",
		"CONNECT 10 24\n",
		"CONNECT 1024x\n",
		"GET / HTTP/1.1\r\n",
		"CONNECT 1024                     ",
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(lines); i++) {
		int fd = host_client(lines[i]);
		char c;

		/* Closed with bytes unread, it may be a reset. */
		assert_true(host_read(fd, &c, 1) <= 0);
		assert_int_equal(gs.v->nr_conns, 0);
		close(fd);
	}
	expect_nothing();
}

static void test_client_says_nothing(void **state unused_param)
{
	int fd = host_client(""), other = host_client("CONN");

	assert_int_equal(gs.v->nr_conns, 2);
	/* Nothing is said before the client speaks. */
	assert_int_equal(host_read(fd, path, 0), -1);
	close(other);
	guest_vsock_turn(&gs);
	assert_int_equal(gs.v->nr_conns, 1);
	time_passes();
	assert_true(host_is_closed(fd));
	assert_int_equal(gs.v->nr_conns, 0);
	close(fd);
}

/* 2 seconds for an answer; one that comes too late is none of a connection. */
static void test_no_answer(void **state unused_param)
{
	int fd = host_client("CONNECT 1024\n");
	uint32_t port = gs.v->next_port - 1;

	expect(OP(REQUEST), GUEST_PORT, port);
	assert_true(only_conn()->deadline_ns <= loop_now_ns() + 2000000000ull);
	assert_true(gs.v->wait_timer.armed);
	time_passes();
	assert_true(host_is_closed(fd));
	expect(OP(RST), GUEST_PORT, port);
	guest_says(OP(RESPONSE), GUEST_PORT, port);
	expect(OP(RST), GUEST_PORT, port);
	expect_nothing();
	close(fd);
}

/* Without a driver, nobody ever hears of the client. */
static void test_no_driver(void **state unused_param)
{
	int fd;

	gv_write(&gs.gv, GV_STATUS, 0, 1);
	guest_vsock_turn(&gs);
	fd = host_client("CONNECT 1024\n");
	assert_int_equal(host_read(fd, path, 0), -1);
	time_passes();
	assert_true(host_is_closed(fd));
	assert_int_equal(gs.v->nr_conns, 0);
	close(fd);
}

/* A client that is gone before the guest answers. */
static void test_client_gives_up(void **state unused_param)
{
	int fd = host_client("CONNECT 1024\n");
	uint32_t port = gs.v->next_port - 1;

	expect(OP(REQUEST), GUEST_PORT, port);
	close(fd);
	guest_vsock_turn(&gs);
	expect(OP(RST), GUEST_PORT, port);
	assert_int_equal(gs.v->nr_conns, 0);
}

static void test_ports_are_not_reused(void **state unused_param)
{
	uint32_t port, first;
	int fd = connect_guest(&first), other;

	gs.v->next_port = UINT32_MAX - 1;
	other = host_client("CONNECT 1024\n");
	expect(OP(REQUEST), GUEST_PORT, UINT32_MAX - 1);
	close(other);
	guest_vsock_turn(&gs);
	expect(OP(RST), GUEST_PORT, UINT32_MAX - 1);
	/* Once around: the one in use is left out. */
	assert_int_equal(gs.v->next_port, VSOCK_PORT_FIRST);
	other = connect_guest(&port);
	assert_int_equal(port, first + 1);
	close(other);
	close(fd);
}

/* ---- what the guest starts ---- */

static void test_guest_connects(void **state unused_param)
{
	char data[8];
	int fd = connect_host(2000);

	guest_writes("ping", 4, 2000, HOST_PORT);
	assert_int_equal(host_read(fd, data, sizeof(data)), 4);
	assert_memory_equal(data, "ping", 4);
	assert_int_equal(write(fd, "pong!", 5), 5);
	guest_vsock_turn(&gs);
	expect(OP(RW), 2000, HOST_PORT);
	assert_int_equal(got.len, 5);
	assert_memory_equal(got.data, "pong!", 5);
	assert_int_equal(got.fwd_cnt, 4);
	guest_says(OP(RST), 2000, HOST_PORT);
	assert_true(host_is_closed(fd));
	assert_int_equal(gs.v->nr_conns, 0);
	expect_nothing();
	close(fd);
}

static void test_nobody_listens(void **state unused_param)
{
	guest_says(OP(REQUEST), 2000, HOST_PORT);
	expect(OP(RST), 2000, HOST_PORT);
	assert_int_equal(gs.v->nr_conns, 0);
}

/* A listener that accepts nobody holds up nobody. */
static void test_full_backlog(void **state unused_param)
{
	int listener = host_listen(HOST_PORT, 0);
	unsigned int i, refused = 0;

	for (i = 0; i < 4; i++) {
		guest_says(OP(REQUEST), 2000 + i, HOST_PORT);
		assert_true(guest_vsock_receive(&gs, &got));
		refused += got.op == OP(RST);
	}
	assert_true(refused >= 2);
	close(listener);
	host_unlink(HOST_PORT);
}

static int setup_few(void **state unused_param)
{
	return setup_with(",connections=2");
}

static void test_too_many(void **state unused_param)
{
	uint32_t port;
	int a = connect_host(2000), b = connect_guest(&port);
	int listener = host_listen(HOST_PORT, 8);
	int c = host_socket(path, false, 0);
	struct pollfd waiting = { listener, POLLIN, 0 };

	assert_true(host_is_closed(c));
	guest_says(OP(REQUEST), 2001, HOST_PORT);
	expect(OP(RST), 2001, HOST_PORT);
	/* No connection was made for it. */
	assert_int_equal(poll(&waiting, 1, 0), 0);
	guest_says(OP(RST), GUEST_PORT, port);
	assert_true(host_is_closed(b));
	guest_says(OP(REQUEST), 2001, HOST_PORT);
	expect(OP(RESPONSE), 2001, HOST_PORT);
	close(listener);
	host_unlink(HOST_PORT);
	close(a);
	close(b);
	close(c);
}

/* ---- every operation in every state ---- */

enum stage { STAGE_NONE, STAGE_ASKED, STAGE_OPEN, STAGE_CLOSING, STAGE_NR };

/* What the device answers: an operation, or none. R: RST, and the connection is
 * gone. */
#define NO OP(INVALID)
#define R OP(RST)

static const struct {
	unsigned int answer[STAGE_NR];
	bool ends[STAGE_NR]; /* is the connection gone then? */
} ops[] = {
	[OP(INVALID)] = { { R, R, R, R }, { true, true, true, true } },
	[OP(REQUEST)] = { { R, R, R, R }, { true, true, true, true } },
	[OP(RESPONSE)] = { { R, NO, R, R }, { true, false, true, true } },
	[OP(RST)] = { { NO, NO, NO, NO }, { true, true, true, true } },
	[OP(SHUTDOWN)] = { { R, R, R, R }, { true, true, true, true } },
	[OP(RW)] = { { R, R, NO, NO }, { true, true, false, false } },
	[OP(CREDIT_UPDATE)] = { { R, R, NO, NO },
				{ true, true, false, false } },
	[OP(CREDIT_REQUEST)] = { { R, R, OP(CREDIT_UPDATE), OP(CREDIT_UPDATE) },
				 { true, true, false, false } },
	[OP(CREDIT_REQUEST) + 1] = { { R, R, R, R },
				     { true, true, true, true } },
	[0xffff % 16] = { { R, R, R, R }, { true, true, true, true } },
};

/* Bring a connection into the stage; its host's socket, or -1. */
static int enter(enum stage stage, uint32_t *port)
{
	int fd = -1;

	*port = 1u << 31; /* of none */
	if (stage == STAGE_ASKED) {
		fd = host_client("CONNECT 1024\n");
		*port = gs.v->next_port - 1;
		expect(OP(REQUEST), GUEST_PORT, *port);
	} else if (stage != STAGE_NONE) {
		fd = connect_guest(port);
	}
	if (stage == STAGE_CLOSING) {
		close(fd);
		fd = -1;
		guest_vsock_turn(&gs);
		expect(OP(SHUTDOWN), GUEST_PORT, *port);
		assert_int_equal(got.flags, VSOCK_SHUTDOWN_BOTH);
	}
	return fd;
}

static void test_every_op(void **state unused_param)
{
	unsigned int op;
	int stage;

	for (op = 0; op < ARRAY_SIZE(ops); op++) {
		if (op > OP(CREDIT_REQUEST) + 1 && op != 15)
			continue;
		for (stage = 0; stage < STAGE_NR; stage++) {
			uint32_t port;
			int fd = enter((enum stage)stage, &port);
			struct vsock_header h = guest_vsock_header(
				op == 15 ? 0xffff : op, GUEST_PORT, port);

			h.flags = le32_of(VSOCK_SHUTDOWN_BOTH);
			guest_vsock_send(&gs, h, "x", op == OP(RW));
			if (ops[op].answer[stage] != NO)
				expect(ops[op].answer[stage], GUEST_PORT, port);
			expect_nothing();
			assert_int_equal(gs.v->nr_conns, !ops[op].ends[stage]);
			if (fd >= 0)
				close(fd);
			guest_vsock_turn(&gs);
			guest_says(OP(RST), GUEST_PORT, port);
			while (guest_vsock_receive(&gs, &got))
				;
			assert_int_equal(gs.v->nr_conns, 0);
		}
	}
	assert_int_equal(gv_read(&gs.gv, GV_STATUS, 1) & 64, 0);
}

/* An answer before the question was put. */
static void test_response_too_early(void **state unused_param)
{
	int fd;

	gs.keeps_buffers = true;
	for (unsigned int i = 0; i < RX_BUFFERS; i++) {
		guest_says(OP(REQUEST), 3000 + i, HOST_PORT);
		assert_true(guest_vsock_receive(&gs, &got));
	}
	fd = host_client("CONNECT 1024\n");
	expect_nothing();
	guest_says(OP(RESPONSE), GUEST_PORT, gs.v->next_port - 1);
	assert_true(host_is_closed(fd));
	close(fd);
}

/* ---- packets that are wrong ---- */

static void test_bad_packets(void **state unused_param)
{
	uint32_t port;
	int fd = connect_guest(&port);
	struct vsock_header good = guest_vsock_header(OP(RW), GUEST_PORT, port),
			    h;

	/* Of nobody. A connection of almost the same numbers stays. */
	h = good;
	h.src_cid = le64_of(GVS_CID + 1);
	guest_vsock_send(&gs, h, NULL, 0);
	assert_true(guest_vsock_receive(&gs, &got));
	assert_int_equal(got.op, OP(RST));
	assert_int_equal(got.dst_cid, GVS_CID + 1);
	h = good;
	h.dst_cid = le64_of(3);
	guest_vsock_send(&gs, h, NULL, 0);
	assert_true(guest_vsock_receive(&gs, &got));
	assert_int_equal(got.op, OP(RST));
	assert_int_equal(got.src_cid, 3);
	h = good;
	h.src_cid = le64_of(1ull << 32 | GVS_CID);
	guest_vsock_send(&gs, h, NULL, 0);
	assert_true(guest_vsock_receive(&gs, &got));
	assert_int_equal(got.op, OP(RST));
	guest_says(OP(RW), GUEST_PORT + 1, port);
	expect(OP(RST), GUEST_PORT + 1, port);
	/* No RST to an RST. */
	guest_says(OP(RST), GUEST_PORT + 1, port);
	h = good;
	h.op = le16_of(OP(RST));
	h.type = le16_of(9);
	guest_vsock_send(&gs, h, NULL, 0);
	/* Too short for a header. */
	guest_vsock_put(&gs, &good, NULL, sizeof(good) - 1);
	gv_kick(&gs.gv, VSOCK_TX);
	expect_nothing();
	assert_int_equal(guest_vsock_nr_lent(&gs), 0);
	assert_int_equal(gs.v->nr_conns, 1);
	/* Of a type that nobody knows: the answer has the same. */
	h = guest_vsock_header(OP(REQUEST), 2000, HOST_PORT);
	h.type = le16_of(2);
	guest_vsock_send(&gs, h, NULL, 0);
	assert_true(guest_vsock_receive(&gs, &got));
	assert_int_equal(got.op, OP(RST));
	assert_int_equal(got.type, 2);
	/* More payload than there is. */
	h = good;
	h.len = le32_of(5);
	guest_vsock_put(&gs, &h, "abcd", sizeof(h) + 4);
	gv_kick(&gs.gv, VSOCK_TX);
	guest_vsock_turn(&gs);
	expect(OP(RST), GUEST_PORT, port);
	assert_true(host_is_closed(fd));
	close(fd);
}

/* A buffer longer than the payload is no fault. */
static void test_long_buffer(void **state unused_param)
{
	struct vsock_header h;
	uint32_t port;
	int fd = connect_guest(&port);
	char data[16];

	h = guest_vsock_header(OP(RW), GUEST_PORT, port);
	h.len = le32_of(3);
	guest_vsock_put(&gs, &h, "abcdefgh", sizeof(h) + 8);
	gv_kick(&gs.gv, VSOCK_TX);
	assert_int_equal(host_read(fd, data, sizeof(data)), 3);
	assert_memory_equal(data, "abc", 3);
	close(fd);
}

/* ---- half-close ---- */

static void test_guest_shuts_send(void **state unused_param)
{
	uint32_t port;
	int fd = connect_guest(&port);
	char data[8];

	guest_writes("bye", 3, GUEST_PORT, port);
	guest_shuts(VIRTIO_VSOCK_SHUTDOWN_SEND, GUEST_PORT, port);
	assert_int_equal(host_read(fd, data, sizeof(data)), 3);
	assert_true(host_is_closed(fd));
	/* The other way goes on. */
	assert_int_equal(write(fd, "more", 4), 4);
	guest_vsock_turn(&gs);
	expect(OP(RW), GUEST_PORT, port);
	assert_int_equal(got.len, 4);
	/* Hints are permanent: bits that are clear take nothing back. */
	guest_shuts(0, GUEST_PORT, port);
	guest_writes("x", 1, GUEST_PORT, port);
	expect(OP(RST), GUEST_PORT, port);
	close(fd);
}

static void test_guest_shuts_receive(void **state unused_param)
{
	uint32_t port;
	int fd = connect_guest(&port);
	char data[8];

	guest_shuts(VIRTIO_VSOCK_SHUTDOWN_RCV, GUEST_PORT, port);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	guest_writes("still", 5, GUEST_PORT, port);
	assert_int_equal(host_read(fd, data, sizeof(data)), 5);
	/* The host goes: the guest hears of it. */
	close(fd);
	guest_vsock_turn(&gs);
	expect(OP(SHUTDOWN), GUEST_PORT, port);
	assert_int_equal(got.flags, VSOCK_SHUTDOWN_BOTH);
	guest_says(OP(RST), GUEST_PORT, port);
	assert_int_equal(gs.v->nr_conns, 0);
	expect_nothing();
}

/* One after the other is as good as both. */
static void test_guest_shuts_both(void **state unused_param)
{
	uint32_t port;
	int fd = connect_guest(&port);

	guest_shuts(VIRTIO_VSOCK_SHUTDOWN_RCV, GUEST_PORT, port);
	expect_nothing();
	guest_shuts(VIRTIO_VSOCK_SHUTDOWN_SEND, GUEST_PORT, port);
	expect(OP(RST), GUEST_PORT, port);
	assert_true(host_is_closed(fd));
	assert_int_equal(gs.v->nr_conns, 0);
	close(fd);
}

static void test_host_shuts_send(void **state unused_param)
{
	uint32_t port;
	int fd = connect_guest(&port);
	char data[8];

	assert_int_equal(write(fd, "bye", 3), 3);
	shutdown(fd, SHUT_WR);
	guest_vsock_turn(&gs);
	expect(OP(RW), GUEST_PORT, port);
	expect(OP(SHUTDOWN), GUEST_PORT, port);
	assert_int_equal(got.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	guest_writes("go on", 5, GUEST_PORT, port);
	assert_int_equal(host_read(fd, data, sizeof(data)), 5);
	close(fd);
	guest_vsock_turn(&gs);
	expect(OP(SHUTDOWN), GUEST_PORT, port);
	assert_int_equal(got.flags, VSOCK_SHUTDOWN_BOTH);
	/* The guest does not answer for 8 seconds. */
	time_passes();
	expect(OP(RST), GUEST_PORT, port);
	assert_int_equal(gs.v->nr_conns, 0);
}

static void test_host_shuts_receive(void **state unused_param)
{
	uint32_t port;
	int fd = connect_guest(&port);

	shutdown(fd, SHUT_RD);
	guest_writes("nobody", 6, GUEST_PORT, port);
	expect(OP(SHUTDOWN), GUEST_PORT, port);
	assert_int_equal(got.flags, VIRTIO_VSOCK_SHUTDOWN_RCV);
	assert_int_equal(write(fd, "but", 3), 3);
	guest_vsock_turn(&gs);
	expect(OP(RW), GUEST_PORT, port);
	assert_int_equal(got.fwd_cnt, 6);
	/* What was on its way is swallowed. */
	guest_writes("late", 4, GUEST_PORT, port);
	expect_nothing();
	close(fd);
	guest_vsock_turn(&gs);
	expect(OP(SHUTDOWN), GUEST_PORT, port);
	assert_int_equal(got.flags, VSOCK_SHUTDOWN_BOTH);
}

/* The host closes with bytes unread: that is no end in order. */
static void test_host_breaks_off(void **state unused_param)
{
	uint32_t port;
	int fd = connect_guest(&port);

	guest_writes("unread", 6, GUEST_PORT, port);
	close(fd);
	guest_vsock_turn(&gs);
	expect(OP(RST), GUEST_PORT, port);
	assert_int_equal(gs.v->nr_conns, 0);
}

/* Both close at the same time: each confirms. */
static void test_both_close(void **state unused_param)
{
	uint32_t port;
	int fd = connect_guest(&port);

	close(fd);
	guest_shuts(VSOCK_SHUTDOWN_BOTH, GUEST_PORT, port);
	while (guest_vsock_receive(&gs, &got) && got.op != OP(RST))
		assert_int_equal(got.op, OP(SHUTDOWN));
	assert_int_equal(got.op, OP(RST));
	assert_int_equal(gs.v->nr_conns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_connect),
		UNIT(test_nothing_is_lost_behind_the_line),
		UNIT(test_line_in_pieces),
		UNIT(test_bad_lines),
		UNIT(test_client_says_nothing),
		UNIT(test_no_answer),
		UNIT(test_no_driver),
		UNIT(test_client_gives_up),
		UNIT(test_ports_are_not_reused),
		UNIT(test_guest_connects),
		UNIT(test_nobody_listens),
		UNIT(test_full_backlog),
		cmocka_unit_test_setup_teardown(test_too_many, setup_few,
						teardown),
		UNIT(test_every_op),
		UNIT(test_response_too_early),
		UNIT(test_bad_packets),
		UNIT(test_long_buffer),
		UNIT(test_guest_shuts_send),
		UNIT(test_guest_shuts_receive),
		UNIT(test_guest_shuts_both),
		UNIT(test_host_shuts_send),
		UNIT(test_host_shuts_receive),
		UNIT(test_host_breaks_off),
		UNIT(test_both_close),
	};

	log_init(STDERR_FILENO, LOG_ERROR); /* warnings are expected */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
