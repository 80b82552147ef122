/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_UNIT_VSOCK_FIXTURE_H
#define TESTS_UNIT_VSOCK_FIXTURE_H

#include "tests/lib/guest_vsock.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/log.h"
#include "vmm/util.h"

/*
 * A guest with a vsock device, and programs of the host around it. For the one
 * file that includes this.
 */
#define OP(name) VIRTIO_VSOCK_OP_##name
#define RX_BUFFERS 32u
#define GUEST_PORT 1024u
#define HOST_PORT 5000u

static struct guest_vsock gs;
static char folder[64];
static char path[96];
static struct guest_packet got;

static int host_socket(const char *name, bool listens, int backlog)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	assert_true(fd >= 0 && strlen(name) < sizeof(addr.sun_path));
	memcpy(addr.sun_path, name, strlen(name) + 1);
	if (listens) {
		assert_int_equal(bind(fd, (void *)&addr, sizeof(addr)), 0);
		assert_int_equal(listen(fd, backlog), 0);
		return fd;
	}
	r = connect(fd, (void *)&addr, sizeof(addr));
	if (!r)
		return fd;
	close(fd);
	return -1;
}

/* A program of the host that listens for what the guest starts. */
static int host_listen(unsigned int port, int backlog)
{
	char name[128];

	snprintf(name, sizeof(name), "%s_%u", path, port);
	return host_socket(name, true, backlog);
}

static void host_unlink(unsigned int port)
{
	char name[128];

	snprintf(name, sizeof(name), "%s_%u", path, port);
	assert_int_equal(unlink(name), 0);
}

/* A client, which has said so much. */
static int host_client(const char *says)
{
	int fd = host_socket(path, false, 0);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, says, strlen(says)), strlen(says));
	guest_vsock_turn(&gs);
	return fd;
}

/* Bytes that are there; 0: the other side is closed; -1: nothing. */
static ssize_t host_read(int fd, void *to, size_t len)
{
	guest_vsock_turn(&gs);
	return recv(fd, to, len, MSG_DONTWAIT);
}

static bool host_is_closed(int fd)
{
	char c;

	return host_read(fd, &c, 1) == 0;
}

/* The next packet is this one. */
static void expect(unsigned int op, uint32_t guest_port, uint32_t host_port)
{
	assert_true(guest_vsock_receive(&gs, &got));
	assert_int_equal(got.op, op);
	assert_int_equal(got.src_cid, VSOCK_HOST_CID);
	assert_int_equal(got.dst_cid, GVS_CID);
	assert_int_equal(got.src_port, host_port);
	assert_int_equal(got.dst_port, guest_port);
	assert_int_equal(got.type, VIRTIO_VSOCK_TYPE_STREAM);
	if (op != OP(RW))
		assert_int_equal(got.len, 0);
}

static void expect_nothing(void)
{
	guest_vsock_turn(&gs);
	assert_false(guest_vsock_receive(&gs, &got));
}

static void guest_says(unsigned int op, uint32_t guest_port, uint32_t host_port)
{
	guest_vsock_send(&gs, guest_vsock_header(op, guest_port, host_port),
			 NULL, 0);
}

static void guest_shuts(unsigned int flags, uint32_t guest_port,
			uint32_t host_port)
{
	struct vsock_header h =
		guest_vsock_header(OP(SHUTDOWN), guest_port, host_port);

	h.flags = le32_of(flags);
	guest_vsock_send(&gs, h, NULL, 0);
}

static void guest_writes(const void *data, uint32_t len, uint32_t guest_port,
			 uint32_t host_port)
{
	guest_vsock_send(&gs, guest_vsock_header(OP(RW), guest_port, host_port),
			 data, len);
}

/* A connection that the host starts; its port is *port. */
static int connect_guest(uint32_t *port)
{
	char want[32], line[32] = "";
	int fd = host_client("CONNECT 1024\n");

	*port = gs.v->next_port - 1;
	expect(OP(REQUEST), GUEST_PORT, *port);
	guest_says(OP(RESPONSE), GUEST_PORT, *port);
	snprintf(want, sizeof(want), "OK %u\n", *port);
	assert_int_equal(host_read(fd, line, sizeof(line) - 1), strlen(want));
	assert_string_equal(line, want);
	return fd;
}

/* A connection that the guest starts, from this port of its. */
static int connect_host(uint32_t guest_port)
{
	int listener = host_listen(HOST_PORT, 8), fd;

	guest_says(OP(REQUEST), guest_port, HOST_PORT);
	expect(OP(RESPONSE), guest_port, HOST_PORT);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	close(listener);
	host_unlink(HOST_PORT);
	return fd;
}

/* All that waits for a time limit has waited long enough. */
static void time_passes(void)
{
	list_for_each_entry (struct vsock_conn, c, &gs.v->conns, all)
		c->deadline_ns = 0;
	vsock_conn_on_timer(&gs.v->wait_timer);
	guest_vsock_turn(&gs);
}

/* The one connection there is. */
static struct vsock_conn *only_conn(void)
{
	assert_int_equal(gs.v->nr_conns, 1);
	return container_of(gs.v->conns.next, struct vsock_conn, all);
}

static int setup_with(const char *more)
{
	strcpy(folder, "/tmp/test_vsock.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	guest_vsock_init(&gs, path, more);
	assert_non_null(gs.device);
	guest_vsock_start(&gs);
	guest_vsock_offer_rx(&gs, RX_BUFFERS,
			     sizeof(struct vsock_header) + GVS_DATA);
	return 0;
}

static int setup(void **state unused_param)
{
	return setup_with("");
}

static int teardown(void **state unused_param)
{
	guest_vsock_fini(&gs);
	/* The socket and its lock are gone. */
	assert_int_equal(rmdir(folder), 0);
	return 0;
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
