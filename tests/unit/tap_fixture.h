/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_UNIT_TAP_FIXTURE_H
#define TESTS_UNIT_TAP_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "vmm/opener.h"
#include "vmm/util.h"

/* Real TAPs, in a network namespace of the test's own. Included behind
 * cmocka.h. */

#define FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

static inline struct ifreq ifreq_of(const char *name)
{
	struct ifreq ifr = { .ifr_flags = 0 };

	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	return ifr;
}

/* An ioctl by the name of an interface. */
static inline int name_ioctl(unsigned long request, struct ifreq *ifr)
{
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM, 0);

	return ioctl(fd, request, ifr) ? -errno : 0;
}

/* A TAP of somebody else's. */
static inline int attach(const char *name, int flags)
{
	struct ifreq ifr = ifreq_of(name);
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	ifr.ifr_flags = (short)flags;
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr))
		close_fd(&fd);
	return fd;
}

/* A socket on the host's side of the interface. */
static inline int host_side(const char *name)
{
	struct ifreq ifr = ifreq_of(name);
	struct sockaddr_ll addr = { .sll_family = AF_PACKET,
				    .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	assert_true(fd >= 0);
	assert_int_equal(name_ioctl(SIOCGIFINDEX, &ifr), 0);
	addr.sll_ifindex = ifr.ifr_ifindex;
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* Set the interface up, or down. */
static inline void set_up(const char *name, bool up)
{
	struct ifreq ifr = ifreq_of(name);

	assert_int_equal(name_ioctl(SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags =
		(short)(up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP);
	assert_int_equal(name_ioctl(SIOCSIFFLAGS, &ifr), 0);
}

/* TAPs are opened by an opener, as whom become() makes it. */
static inline void start_opener(int (*become)(const void *arg))
{
	const struct opener_config oc = { .become = become };
	struct error err;

	opener_end();
	if (opener_start(&oc, &err))
		fail_msg("%s", err.msg);
}

/* Enter an own namespace, and start an opener there. False: the host refuses
 * that, or TAPs in it. */
static inline bool enter_namespace(void)
{
	cleanup_fd int fd = unshare(CLONE_NEWNET) ? -1 : attach("", FLAGS);

	if (fd >= 0)
		start_opener(NULL);

	if (fd < 0)
		print_message("no network namespace, or no TAP in it: %s\n",
			      strerror(errno));
	return fd >= 0;
}

#endif
