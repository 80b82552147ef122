/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/tap_link.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "vmm/few.h"
#include "vmm/util.h"

/* <linux/if.h>, which does not go with <net/if.h> */
#define LINK_LOWER_UP 0x10000u

/* Messages of one event; there is a next one. */
#define LINK_MESSAGES 16u

/* All that is of interest of a message; the rest is cut off. */
struct link_message {
	struct nlmsghdr header;
	struct ifinfomsg info;
};

/* The answer comes as a message like all others. */
static int link_ask(const struct tap_link *link)
{
	const struct link_message ask = {
		.header = { .nlmsg_len = sizeof(ask),
			    .nlmsg_type = RTM_GETLINK,
			    .nlmsg_flags = NLM_F_REQUEST },
		.info = { .ifi_index = link->ifindex },
	};

	return few_send(link->fd, &ask, sizeof(ask), 0) == sizeof(ask) ? 0
								       : -errno;
}

/* Take one message. False: there is none. */
static bool link_read(struct tap_link *link)
{
	struct link_message m;
	struct sockaddr_nl from = { .nl_pid = 0 };
	struct iovec iov = { &m, sizeof(m) };
	struct msghdr msg = { .msg_name = &from,
			      .msg_namelen = sizeof(from),
			      .msg_iov = &iov,
			      .msg_iovlen = 1 };
	ssize_t n = recvmsg(link->fd, &msg, 0);

	if (n < 0 && errno == EAGAIN && link->lost) {
		/* Now there is room for the answer. */
		link->lost = false;
		return !link_ask(link);
	}
	if (n < 0) {
		link->lost |= errno == ENOBUFS;
		return errno == ENOBUFS || errno == EINTR;
	}
	/* The kernel is 0. */
	if (n != sizeof(m) || from.nl_pid || m.info.ifi_index != link->ifindex)
		return true;
	if (m.header.nlmsg_type == RTM_DELLINK)
		link->up = false;
	else if (m.header.nlmsg_type == RTM_NEWLINK)
		link->up = m.info.ifi_flags & IFF_UP &&
			   m.info.ifi_flags & LINK_LOWER_UP;
	return true;
}

void tap_link_open(struct tap_link *link, int fd, int ifindex)
{
	*link = (struct tap_link){ .fd = fd, .ifindex = ifindex, .up = true };
	if (fd < 0)
		return;
	/* The kernel has answered when the question is sent. */
	if (link_ask(link))
		close_fd(&link->fd);
	else
		link_read(link);
}

void tap_link_close(struct tap_link *link)
{
	close_fd(&link->fd);
}

static void link_on_event(struct loop_fd *lf, unused_param uint32_t events)
{
	struct tap_link *link = container_of(lf, struct tap_link, events);
	bool was = link->up;
	unsigned int i = 0;

	while ((i < LINK_MESSAGES || link->lost) && link_read(link))
		i++;
	if (link->up != was)
		link->changed(link->opaque, link->up);
}

int tap_link_watch(struct tap_link *link, struct loop *loop,
		   void (*changed)(void *opaque, bool up), void *opaque)
{
	if (link->fd < 0)
		return 0;
	link->events.fd = link->fd;
	link->events.on_event = link_on_event;
	link->changed = changed;
	link->opaque = opaque;
	return loop_fd_add(loop, &link->events, EPOLLIN);
}

void tap_link_unwatch(struct tap_link *link)
{
	loop_fd_del(&link->events);
}
