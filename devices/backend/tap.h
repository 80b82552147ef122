/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_TAP_H
#define DEVICES_BACKEND_TAP_H

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "devices/backend/tap_link.h"
#include "vmm/error.h"

/*
 * The host side of a network: a TAP (or macvtap) with its queues. Each read
 * gives, and each write takes, one frame behind a header of TAP_HEADER bytes,
 * struct virtio_net_hdr_v1 of <linux/virtio_net.h>, little endian. No rings and
 * no guest addresses here.
 */

#define TAP_HEADER 12u
#define TAP_QUEUES_MAX 126u

/* Beside TUN_F_* of <linux/if_tun.h>, whose older releases lack them. */
#define TAP_F_USO4 0x20u
#define TAP_F_USO6 0x40u

struct tap_config {
	/* One that is there is used, and one that is not is made and goes when
	 * it is closed. NULL: one is made that the kernel names. */
	const char *name;
	/* Open ones instead, of which copies are made; one a queue. */
	const int *fds;
	unsigned int nr_queues; /* 1..TAP_QUEUES_MAX, also of fds */
	const char *netns; /* a file of the namespace; NULL: this one's */
	unsigned int offloads; /* TUN_F_*, TAP_F_*: none but these */
	/* What the interface is to have; NULL or 0: as it is. */
	const uint8_t *host_mac;
	uint32_t mtu;
	/* Of one that is made; in network byte order. 0: none. */
	uint32_t ip, mask;
};

/* Filled by tap_open(). fds and below: the device's that has it. */
struct tap {
	char name[IFNAMSIZ]; /* in its own namespace */
	unsigned int nr_queues;
	/* One a queue, which does not wait: the first is attached. -1: none. */
	int fds[TAP_QUEUES_MAX];
	unsigned int offloads; /* TUN_F_*, TAP_F_*: what can be set */
	uint32_t mtu; /* 0: unknown */
	struct tap_link link;
	bool made; /* by us: it goes with its last descriptor */
	/* tap's own, and how it was found */
	bool given;
	bool attached[TAP_QUEUES_MAX];
	bool blocking[TAP_QUEUES_MAX];
	int header; /* bytes; 0: not looked at */
};

/*
 * Open what config names, and set it up: attached is the first queue, offloads
 * are off, no filter is on, whatever somebody who was killed left behind. Any
 * thread; takes as long as the host likes. On failure nothing is open; -errno
 * with a message that starts with the parameter.
 */
int tap_open(struct tap *tap, const struct tap_config *config,
	     struct error *err);
/* Leave it as it was found: header, no offloads, no filter, all its queues
 * attached; one that was made goes. Accepts one that tap_open() did not open.
 * Nobody uses it any more. Any thread; takes as long as the host likes. */
void tap_close(struct tap *tap);

/* What frames that are read may need of the reader: TUN_F_*, TAP_F_*, which the
 * kernel gets in combinations that it takes. Any thread. -errno. */
int tap_set_offloads(struct tap *tap, unsigned int offloads);

/* Have frames come from this queue, or none any more, when there are several.
 * Those that wait in it are dropped then. One that is attached has the filter of
 * when it was detached, until tap_set_filter(). Any thread. -errno. */
int tap_set_queue(struct tap *tap, unsigned int queue, bool attached);

/*
 * Read or write one frame and its header. Bytes; -EAGAIN: there is none, or no
 * room; -EIO on writing: the TAP is down; -EBADFD: it is gone. A frame that is
 * longer than the buffers is cut. Any thread.
 */
static inline ssize_t tap_read(const struct tap *tap, unsigned int queue,
			       const struct iovec *iov, unsigned int nr)
{
	int fd = tap->fds[queue];
	ssize_t n = nr == 1 ? syscall(SYS_read, fd, iov->iov_base, iov->iov_len)
			    : syscall(SYS_readv, fd, iov, nr);

	return n < 0 ? -errno : n;
}

/* As tap_read(). */
static inline ssize_t tap_write(const struct tap *tap, unsigned int queue,
				const struct iovec *iov, unsigned int nr)
{
	int fd = tap->fds[queue];
	ssize_t n =
		nr == 1 ? syscall(SYS_write, fd, iov->iov_base, iov->iov_len)
			: syscall(SYS_writev, fd, iov, nr);

	return n < 0 ? -errno : n;
}

#endif
