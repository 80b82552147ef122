/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * What no monitor can be faster than, and the other end of what is measured.
 * On a TAP, the calls that a monitor has to make, and nothing else:
 *
 *   net_limit tx TAP LEN GSO BUFFERS MS    a write a frame, 16 a call
 *   net_limit rx TAP BUFFERS MS            a read a frame, poll when there is none
 *   net_limit rtt TAP LEN MS               a write, a poll and a read
 *
 * each with as many buffers, one after the other, as the guest has. And on an
 * interface by packet sockets, as somebody else on the host:
 *
 *   net_limit flood IFACE LEN GSO US       64 frames in, then a pause, until SIGTERM
 *   net_limit echo IFACE                   what comes out goes in again
 *   net_limit spin                         a core kept busy, as by a guest that polls
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#ifndef VMM_NO_URING
#include <liburing.h>
#endif
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "limit.h"

#define HEADER 12u /* struct virtio_net_hdr_mrg_rxbuf */
#define RX_LEN 2048u
#define PAGE 4096u
#define ETH_TEST 0x88b5
#define TCP_HEAD 54u
#define BATCH 64u
#define TX_BATCH 16u

static volatile sig_atomic_t over;

static void on_term(int number)
{
	(void)number;
	over = 1;
}

/* ---- the TAP ---------------------------------------------------------- */

static int tap_open(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int header = HEADER;

	if (fd < 0)
		err(1, "/dev/net/tun");
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETVNETHDRSZ, &header) ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4))
		err(1, "%s", name);
	return fd;
}

static void fill_macs(uint8_t *frame, uint16_t type)
{
	static const uint8_t macs[] = { 2, 0, 0, 0, 0, 0x77, 2, 0, 0, 0, 0, 2 };

	memcpy(frame, macs, sizeof(macs));
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
}

/* As netbench.elf makes them. */
static void fill_frame(uint8_t *header, unsigned len, unsigned gso)
{
	static const uint8_t ip[] = { 0x45, 0, 0,  0, 0, 1, 0,	0, 64, 6,
				      0,    0, 10, 0, 0, 2, 10, 0, 0,  1 };
	struct virtio_net_hdr vnet = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = TCP_HEAD,
		.gso_size = (uint16_t)gso,
		.csum_start = 34,
		.csum_offset = 16,
	};
	uint8_t *frame = header + HEADER;

	fill_macs(frame, gso ? ETHERTYPE_IP : ETH_TEST);
	if (!gso)
		return;
	memcpy(header, &vnet, sizeof(vnet));
	memcpy(frame + 14, ip, sizeof(ip));
	frame[16] = (uint8_t)((len - 14) >> 8);
	frame[17] = (uint8_t)(len - 14);
	frame[46] = 0x50;
	frame[47] = 0x10;
}

#ifndef VMM_NO_URING
static struct io_uring ring;

/* It does not wait, so all is over when the call returns. False: not on this
 * kernel. */
static bool write_batch(int fd, uint8_t *frames, unsigned nr, size_t stride,
			size_t len)
{
	struct io_uring_cqe *cqe;
	unsigned head, i;

	for (i = 0; i < nr; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		io_uring_prep_write(sqe, fd, frames + i * stride, (unsigned)len,
				    0);
		sqe->rw_flags = RWF_NOWAIT;
	}
	if (io_uring_submit_and_wait(&ring, nr) != (int)nr)
		errx(1, "io_uring");
	io_uring_for_each_cqe(&ring, head, cqe)
	{
		if (cqe->res == -EOPNOTSUPP)
			return false;
		if (cqe->res != (int)len)
			errx(1, "write");
	}
	io_uring_cq_advance(&ring, nr);
	return true;
}

static bool can_batch(void)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER |
						   IORING_SETUP_DEFER_TASKRUN };

	return !io_uring_queue_init_params(TX_BATCH, &ring, &params);
}
#else
static bool write_batch(int fd, uint8_t *frames, unsigned nr, size_t stride,
			size_t len)
{
	(void)fd, (void)frames, (void)nr, (void)stride, (void)len;
	return false;
}

static bool can_batch(void)
{
	return false;
}
#endif

static void write_each(int fd, uint8_t *frames, unsigned nr, size_t stride,
		       size_t len)
{
	for (unsigned i = 0; i < nr; i++)
		if (write(fd, frames + i * stride, len) != (ssize_t)len)
			err(1, "write");
}

static int do_tx(char **argv)
{
	int fd = tap_open(argv[0]);
	unsigned len = number(argv[1]), nr = number(argv[3]), i;
	size_t stride = (HEADER + len + PAGE - 1) / PAGE * PAGE;
	uint8_t *area = buffers(nr, stride);
	uint64_t start = now_ns(), end = start + number(argv[4]) * NS_PER_MS;
	uint64_t frames = 0, cpu = cpu_ns();
	bool batches = can_batch();

	for (i = 0; i < nr; i++)
		fill_frame(area + i * stride, len, number(argv[2]));
	while (now_ns() < end) {
		for (i = 0; i < nr; i += TX_BATCH) {
			uint8_t *at = area + i * stride;
			unsigned part = nr - i < TX_BATCH ? nr - i : TX_BATCH;

			batches = batches && write_batch(fd, at, part, stride,
							 HEADER + len);
			if (!batches)
				write_each(fd, at, part, stride, HEADER + len);
		}
		frames += nr;
	}
	say_stream("frames", frames, start, cpu);
	return 0;
}

static int do_rx(char **argv)
{
	int fd = tap_open(argv[0]);
	unsigned nr = number(argv[1]), i = 0;
	uint8_t *area = buffers(nr, RX_LEN);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint64_t start = now_ns(), end = start + number(argv[2]) * NS_PER_MS;
	uint64_t frames = 0, cpu = cpu_ns();

	printf("READY\n");
	fflush(stdout);
	while (now_ns() < end) {
		struct iovec iov = { area + i * RX_LEN, RX_LEN };

		if (readv(fd, &iov, 1) > 0) {
			i = (i + 1) % nr;
			frames++;
		} else if (errno != EAGAIN) {
			err(1, "read");
		} else {
			poll(&wait, 1, 100);
		}
	}
	say_stream("frames", frames, start, cpu);
	return 0;
}

static int do_rtt(char **argv)
{
	static uint32_t times[RTT_MAX];
	int fd = tap_open(argv[0]);
	unsigned len = number(argv[1]), nr = 0;
	uint8_t *area = buffers(2, PAGE);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint64_t end = now_ns() + number(argv[2]) * NS_PER_MS, cpu = cpu_ns();
	uint64_t sent;

	fill_frame(area, len, 0);
	while ((sent = now_ns()) < end && nr < RTT_MAX) {
		if (write(fd, area, HEADER + len) != (ssize_t)(HEADER + len))
			err(1, "write");
		while (read(fd, area + PAGE, PAGE) < 0) {
			if (errno != EAGAIN || poll(&wait, 1, 5000) != 1)
				err(1, "no answer");
		}
		times[nr++] = (uint32_t)(now_ns() - sent);
	}
	say_rtt("frames", times, nr, cpu);
	return 0;
}

/* ---- the interface ---------------------------------------------------- */

static int packet_open(const char *name, int protocol)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons((uint16_t)protocol),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0 || !to.sll_ifindex)
		err(1, "%s", name);
	if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on,
		       sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&to, sizeof(to)))
		err(1, "%s", name);
	return fd;
}

/* Gives way after each batch, even with no pause: who reads has the same core. */
static int do_flood(char **argv)
{
	static uint8_t header[HEADER + UINT16_MAX];
	int fd = packet_open(argv[0], 0), on = 1;
	unsigned len = number(argv[1]) % UINT16_MAX, pause = number(argv[3]), i;
	struct iovec iov[] = { { header, sizeof(struct virtio_net_hdr) },
			       { header + HEADER, len } };
	struct mmsghdr batch[BATCH] = { 0 };
	uint64_t start = now_ns(), frames = 0, cpu = cpu_ns();

	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)))
		err(1, "offloads");
	for (i = 0; i < BATCH; i++)
		batch[i].msg_hdr =
			(struct msghdr){ .msg_iov = iov, .msg_iovlen = 2 };
	fill_frame(header, len, number(argv[2]));
	signal(SIGTERM, on_term);
	while (!over) {
		int sent = sendmmsg(fd, batch, BATCH, 0);

		if (sent > 0)
			frames += (unsigned)sent;
		if (pause)
			usleep(pause);
		else
			sched_yield();
	}
	say_stream("frames", frames, start, cpu);
	return 0;
}

static int do_echo(char **argv)
{
	static uint8_t frame[UINT16_MAX];
	int fd = packet_open(argv[0], ETH_TEST);

	for (;;) {
		ssize_t len = recv(fd, frame, sizeof(frame), 0);

		if (len < 0 && errno != ENETDOWN && errno != EINTR)
			err(1, "recv");
		if (len > 0 && send(fd, frame, (size_t)len, 0) < 0 &&
		    errno != ENOBUFS && errno != ENETDOWN)
			err(1, "send");
	}
}

static int do_spin(char **argv)
{
	(void)argv;
	signal(SIGTERM, on_term);
	while (!over)
		;
	return 0;
}

static const struct {
	const char *name;
	int nr_args;
	int (*run)(char **argv);
} modes[] = {
	{ "tx", 5, do_tx },	{ "rx", 3, do_rx },
	{ "rtt", 3, do_rtt },	{ "flood", 4, do_flood },
	{ "echo", 1, do_echo }, { "spin", 0, do_spin },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]);
	     i++) {
		if (!strcmp(argv[1], modes[i].name) &&
		    argc - 2 == modes[i].nr_args)
			return modes[i].run(argv + 2);
	}
	errx(2, "usage: see the top of net_limit.c");
}
