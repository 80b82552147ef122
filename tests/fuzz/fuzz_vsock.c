/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A driver without manners, and programs of the host without any either, on a
 * vsock device: the input is a row of packets and of what the host does. One
 * thread, real sockets. What must hold: credit and counts add up, packets to the
 * guest are whole, and a pause and a reset leave nothing lent.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/virtio/vsock.h"
#include "tests/fuzz/stream.h"
#include "tests/lib/guest_vsock.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define MAX_OPS 200u
#define NR_PROGRAMS 8u
#define HOST_PORT 5000u
#define NR_CONNS 6u /* the device's limit */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct guest_vsock gs;
static char path[64];
static int listener;
static int programs[NR_PROGRAMS]; /* sockets of the host, or -1 */

/* ---- the host ---- */

static struct sockaddr_un address(const char *behind)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s%s", path, behind);
	return addr;
}

static void keep(int fd)
{
	unsigned int i;

	for (i = 0; i < NR_PROGRAMS && programs[i] >= 0; i++)
		;
	if (i < NR_PROGRAMS)
		programs[i] = fd;
	else
		close(fd);
}

static void host_connects(struct stream *s)
{
	static const char *const lines[] = {
		"CONNECT 1\n", "connect 2\nbytes", "CONNECT 4294967295\n",
		"CONN",	       "CONNECT 1024",	   "\n",
	};
	const struct sockaddr_un addr = address("");
	const char *line = lines[stream_take(s, 1) % ARRAY_SIZE(lines)];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	require(fd >= 0);
	if (!connect(fd, (const void *)&addr, sizeof(addr)))
		(void)!send(fd, line, strlen(line), MSG_NOSIGNAL);
	keep(fd);
}

static void host_accepts(void)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		keep(fd);
}

static void host_does(struct stream *s)
{
	static uint8_t bytes[32768];
	unsigned int what = (unsigned int)stream_take(s, 1);
	int *fd = &programs[what % NR_PROGRAMS];
	size_t len = (size_t)stream_take(s, 2) % sizeof(bytes);

	switch (what / NR_PROGRAMS % 8) {
	case 0:
		close_fd(fd);
		break;
	case 1:
		shutdown(*fd, SHUT_WR);
		break;
	case 2:
		shutdown(*fd, SHUT_RD);
		break;
	case 3:
	case 4:
		(void)!recv(*fd, bytes, len, MSG_DONTWAIT);
		break;
	case 5:
		(void)!send(*fd, "ATE 7\n", 6, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	default:
		(void)!send(*fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* ---- the guest ---- */

/* The ports of a connection that there is, or made up. */
static void take_ports(struct stream *s, struct vsock_header *h)
{
	unsigned int nr = (unsigned int)stream_take(s, 1);
	uint32_t guest_port = nr % 4, host_port = HOST_PORT + nr % 3;

	list_for_each_entry (struct vsock_conn, c, &gs.v->conns, all) {
		if (nr-- % 8)
			continue;
		guest_port = c->guest_port;
		host_port = c->host_port;
		break;
	}
	h->src_port = le32_of(guest_port);
	h->dst_port = le32_of(host_port);
}

static void guest_sends(struct stream *s)
{
	static const uint8_t data[GVS_DATA + 1];
	struct vsock_header h = guest_vsock_header(0, 0, 0);
	unsigned int odd = (unsigned int)stream_take(s, 1);
	uint32_t len = 0;

	if (guest_vsock_nr_lent(&gs) == GVS_RING)
		return;
	take_ports(s, &h);
	h.op = le16_of((uint16_t)(odd % 16 < 12 ? odd % 8 : odd % 16));
	if (le16_get(h.op) == VIRTIO_VSOCK_OP_RW)
		len = (uint32_t)stream_take(s, 2) % (GVS_DATA + 1);
	h.len = le32_of(len);
	h.flags = le32_of(odd >> 4);
	switch (odd >> 4) {
	case 12:
		h.buf_alloc = le32_of((uint32_t)stream_take(s, 2));
		h.fwd_cnt = le32_of((uint32_t)stream_take(s, 4));
		break;
	case 13:
		h.src_cid = le64_of(stream_take(s, 1));
		break;
	case 14:
		h.type = le16_of((uint16_t)stream_take(s, 1));
		break;
	case 15:
		h.len = le32_of((uint32_t)stream_take(s, 4));
	}
	guest_vsock_put(&gs, &h, data,
			(uint32_t)sizeof(h) + (uint32_t)stream_take(s, 1) % 2 +
				len);
	gv_kick(&gs.gv, VSOCK_TX);
}

static void guest_offers(struct stream *s)
{
	const struct guest_ring *r = &gs.rings[VSOCK_RX];
	unsigned int n = (unsigned int)stream_take(s, 1);
	uint16_t there = (uint16_t)(r->next_avail - r->next_used);

	n = MIN(n % 16, GVS_RING - there);
	guest_vsock_offer_rx(&gs, n,
			     sizeof(struct vsock_header) +
				     (uint32_t)stream_take(s, 2) %
					     (GVS_DATA + 1));
}

static void guest_receives(void)
{
	struct guest_packet p;

	if (!guest_vsock_receive(&gs, &p))
		return;
	require(p.len <= GVS_DATA && p.op && p.op < 8);
	require(!p.len || p.op == VIRTIO_VSOCK_OP_RW);
}

static void guest_starts(void)
{
	gv_write(&gs.gv, GV_STATUS, 0, 1);
	guest_vsock_turn(&gs);
	require(gv_read(&gs.gv, GV_STATUS, 1) == 0);
	guest_vsock_start(&gs);
	guest_vsock_offer_rx(&gs, 8, sizeof(struct vsock_header) + GVS_DATA);
}

/* ---- both ---- */

static void time_passes(void)
{
	list_for_each_entry (struct vsock_conn, c, &gs.v->conns, all)
		c->deadline_ns = 0;
	vsock_conn_on_timer(&gs.v->wait_timer);
}

static void pause_and_resume(void)
{
	fake_vm_quiesce(&gs.fv, gs.device);
	require(!gs.v->nr_lent);
	gs.device->ops->resume(gs.device);
}

static void event(struct stream *s)
{
	vsock_reset_transport(&gs.v->dev);
	if (stream_take(s, 1) % 2)
		guest_vsock_offer_event(&gs, 4);
}

static void check(void)
{
	unsigned int nr = 0, lent = 0;
	uint64_t promised = 0;

	list_for_each_entry (struct vsock_conn, c, &gs.v->conns, all) {
		require(vsock_pending(&c->credit) <= c->credit.buf_alloc);
		require(c->copied_len <= vsock_pending(&c->credit));
		require(c->lf.fd >= 0 || list_is_empty(&c->packets));
		list_for_each_entry (struct vsock_packet, p, &c->packets, node)
			lent++;
		promised += c->credit.buf_alloc;
		nr++;
	}
	require(nr == gs.v->nr_conns && nr <= NR_CONNS);
	require(nr == gs.v->counters.connections);
	require(lent == gs.v->nr_lent && lent <= GVS_RING);
	require(promised == gs.v->promised);
	require(gs.v->nr_strays <= VSOCK_STRAYS);
}

static void step(struct stream *s)
{
	switch (stream_take(s, 1) % 32) {
	case 0 ... 11:
		guest_sends(s);
		break;
	case 12 ... 14:
		guest_offers(s);
		break;
	case 15 ... 18:
		guest_receives();
		break;
	case 19 ... 20:
		host_connects(s);
		break;
	case 21:
		host_accepts();
		break;
	case 22 ... 27:
		host_does(s);
		break;
	case 28:
		time_passes();
		break;
	case 29:
		pause_and_resume();
		break;
	case 30:
		event(s);
		break;
	default:
		guest_starts();
	}
	guest_vsock_turn(&gs);
	check();
}

/* ---- one machine for all inputs ---- */

static void remove_files(void)
{
	guest_vsock_fini(&gs);
	unlink(address("_5000").sun_path);
}

static void set_up(void)
{
	struct sockaddr_un addr;

	log_init(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_ERROR);
	snprintf(path, sizeof(path), "/tmp/fuzz_vsock.%d", (int)getpid());
	guest_vsock_init(&gs, path, ",connections=6");
	require(gs.device);
	addr = address("_5000");
	unlink(addr.sun_path);
	listener =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	require(!bind(listener, (const void *)&addr, sizeof(addr)));
	require(!listen(listener, 2));
	memset(programs, 0xff, sizeof(programs));
	atexit(remove_files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream s = { data, size };
	unsigned int i;

	if (!gs.device)
		set_up();
	guest_starts();
	gs.v->next_port = VSOCK_PORT_FIRST;
	for (i = 0; i < MAX_OPS && s.left; i++)
		step(&s);
	for (i = 0; i < NR_PROGRAMS; i++)
		close_fd(&programs[i]);
	gv_write(&gs.gv, GV_STATUS, 0, 1);
	guest_vsock_turn(&gs);
	while ((i = (unsigned int)accept(listener, NULL, NULL)) != -1u)
		close((int)i);
	require(!gs.v->nr_conns && !gs.v->nr_lent && !gs.v->promised);
	return 0;
}
