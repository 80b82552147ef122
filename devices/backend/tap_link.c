/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/tap_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

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

/* No message about another interface wakes us, be there thousands. */
static int link_attach_filter(const struct tap_link *link)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct link_message, info.ifi_index)),
		/* Numbers are in the host's order, and loads are not. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			 htonl((uint32_t)link->ifindex), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog prog = { ARRAY_SIZE(code), code };

	return setsockopt(link->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
			  sizeof(prog));
}

/* The answer comes as a message like all others. */
static int link_ask(const struct tap_link *link)
{
	const struct link_message ask = {
		.header = { .nlmsg_len = sizeof(ask),
			    .nlmsg_type = RTM_GETLINK,
			    .nlmsg_flags = NLM_F_REQUEST },
		.info = { .ifi_index = link->ifindex },
	};

	return send(link->fd, &ask, sizeof(ask), 0) == sizeof(ask) ? 0 : -errno;
}

/* Take one message. False: there is none. */
static bool link_read(struct tap_link *link)
{
	struct link_message m;
	struct sockaddr_nl from = { .nl_pid = 0 };
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(link->fd, &m, sizeof(m), 0,
			     (struct sockaddr *)&from, &len);

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

void tap_link_open(struct tap_link *link, const char *name)
{
	const struct sockaddr_nl groups = { .nl_family = AF_NETLINK,
					    .nl_groups = RTMGRP_LINK };

	*link = (struct tap_link){ .fd = -1, .up = true };
	link->ifindex = (int)if_nametoindex(name);
	if (!link->ifindex)
		return;
	link->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			  NETLINK_ROUTE);
	if (link->fd < 0)
		return;
	/* Bound last, so that nothing comes that the filter has not seen. */
	if (link_attach_filter(link) ||
	    bind(link->fd, (const struct sockaddr *)&groups, sizeof(groups)) ||
	    link_ask(link))
		close_fd(&link->fd);
	/* The kernel has answered when the question is sent. */
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
