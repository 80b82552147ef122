/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/lib/fake_tap.h"

#include <linux/if_tun.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct fake_tap fake_tap;

void fake_tap_init(void)
{
	memset(&fake_tap, 0, sizeof(fake_tap));
	fake_tap.can = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN |
		       TUN_F_UFO | TAP_F_USO4 | TAP_F_USO6;
}

int tap_open(struct tap *tap, const struct tap_config *config,
	     struct error *err)
{
	unsigned int i;

	memset(tap, 0, sizeof(*tap));
	tap->nr_queues = config->nr_queues;
	tap->offloads = fake_tap.can & config->offloads;
	tap->mtu = 1500;
	tap->link.fd = -1;
	tap->link.up = true;
	fake_tap.tap = tap;
	for (i = 0; i < tap->nr_queues; i++) {
		int pair[2];

		if (i == 4 ||
		    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0,
			       pair))
			return error_set(err, ENOMEM, "too many");
		tap->fds[i] = pair[0];
		fake_tap.ends[i] = pair[1];
		fake_tap.attached[i] = !i;
	}
	return 0;
}

void tap_close(struct tap *tap)
{
	for (unsigned int i = 0; i < tap->nr_queues; i++) {
		close(tap->fds[i]);
		close(fake_tap.ends[i]);
	}
}

int tap_set_offloads(struct tap *tap, unsigned int offloads)
{
	(void)tap;
	if (fake_tap.refuse_offloads)
		return -EINVAL;
	fake_tap.offloads = offloads;
	return 0;
}

int tap_set_queue(struct tap *tap, unsigned int queue, bool attached)
{
	(void)tap;
	if (fake_tap.refuse_queues && fake_tap.attached[queue] != attached)
		return -EPERM;
	fake_tap.attached[queue] = attached;
	return 0;
}

int tap_set_filter(struct tap *tap, const struct tap_filter *filter)
{
	(void)tap;
	fake_tap.nr_filters++;
	if (fake_tap.refuse_filter)
		return -EINVAL;
	fake_tap.has_filter = filter;
	if (!filter)
		return 0;
	fake_tap.filter = *filter;
	if (filter->vlans)
		memcpy(fake_tap.vlans, filter->vlans, sizeof(fake_tap.vlans));
	memcpy(fake_tap.macs, filter->macs, 6ul * filter->nr_macs);
	return 0;
}

bool fake_tap_send(const void *hdr, const void *frame, size_t len)
{
	static char zeroes[TAP_HEADER];
	char copy[TAP_HEADER];
	struct iovec iov[2] = { { copy, TAP_HEADER },
				{ (void *)(uintptr_t)frame, len } };

	memcpy(copy, hdr ? hdr : zeroes, TAP_HEADER);
	return writev(fake_tap.ends[0], iov, 2) > 0;
}

ssize_t fake_tap_receive(unsigned int queue, void *buf, size_t len)
{
	return read(fake_tap.ends[queue], buf, len);
}
