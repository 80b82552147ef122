/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * TAPs, their interfaces, and vhost-net. A session that has been asked for one in
 * another network namespace stays there: not everybody who may enter one may come
 * back. What is set of an interface is set by its name, which is that of a TAP
 * that the monitor has open.
 */
#include "vmm/opener_serve_net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "vmm/few.h"
#include "vmm/opener_allow.h"
#include "vmm/util.h"

#define TAP_DEVICE "/dev/net/tun"
#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
/* Who was killed a moment ago may not have let go yet: a second in all. */
#define TAP_TRIES 100u
#define TAP_WAIT_US 10000u

#define VHOST_DEVICE "/dev/vhost-net"

/* Of a session: its namespace, and the TAP that was opened by its name last. */
static struct {
	int sock; /* for ioctls by the interface's name; -1: there is none */
	char name[IFNAMSIZ]; /* "": there is none */
	bool made;
} serving = { .sock = -1 };

/* An ifreq of the TAP's name. */
static struct ifreq serve_ifreq(const char *name)
{
	struct ifreq ifr = { .ifr_flags = 0 };

	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	return ifr;
}

/* ---- namespaces ---- */

static int serve_no_namespace(const char *path, struct error *err)
{
	return error_set(
		err, EINVAL,
		"netns=%s: is not a network namespace; give the file of one, such as /run/netns/NAME or /proc/PID/ns/net",
		error_value(path).text);
}

/* The file of a namespace, which path or one of /proc's links leads to, and no
 * other. */
static int serve_open_namespace(const char *path, int *fd, struct error *err)
{
	cleanup_fd int at = opener_openat(path, O_PATH, 0, 0);
	struct statfs fs;
	char again[32];

	if (at < 0)
		return error_set(
			err, at,
			"netns=%s: %s; give the file of a namespace, such as /run/netns/NAME",
			error_value(path).text, error_text(-at));
	if (fstatfs(at, &fs) || fs.f_type != NSFS_MAGIC)
		return serve_no_namespace(path, err);
	snprintf(again, sizeof(again), "/proc/self/fd/%d", at);
	*fd = few_open(again, O_RDONLY, 0);
	return *fd < 0 ? error_set(err, errno, "netns=%s: %s",
				   error_value(path).text, error_text(errno))
		       : 0;
}

/* given: a descriptor of it, instead; -1: none. */
static int serve_enter(const char *path, int given, struct error *err)
{
	cleanup_fd int own = -1;
	int r = 0;

	if (*path && given < 0) {
		r = serve_open_namespace(path, &own, err);
		given = own;
	}
	if (!r && given >= 0 && setns(given, CLONE_NEWNET))
		r = errno == EINVAL
			    ? serve_no_namespace(path, err)
			    : error_set(
				      err, errno,
				      "netns: cannot enter it: %s; that needs CAP_SYS_ADMIN: open the TAP there, and pass it: fd=[N]",
				      error_text(errno));
	return r;
}

static int serve_open_socket(struct error *err)
{
	serving.sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return serving.sock < 0
		       ? error_set(err, errno, "cannot make a socket: %s",
				   error_text(errno))
		       : 0;
}

void opener_serve_net_end(void)
{
	close_fd(&serving.sock);
	*serving.name = '\0';
}

/* ---- a TAP by its name ---- */

static int serve_no_tun(struct error *err)
{
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return error_set(
			err, errno,
			"there is no " TAP_DEVICE
			" on this host; load its module: modprobe tun");
	case EACCES:
	case EPERM:
		return error_set(
			err, errno,
			"no permission to open " TAP_DEVICE
			"; run as a user who may, or pass an open TAP: fd=[N]");
	default:
		return error_set(err, errno, "cannot open " TAP_DEVICE ": %s",
				 error_text(errno));
	}
}

/* The kernel's EINVAL: the interface is none, or none for so many queues. */
static int serve_unfit(const char *name, struct error *err)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq ifr = serve_ifreq(name);

	if (ioctl(serving.sock, SIOCGIFFLAGS, &ifr))
		return error_set(
			err, EINVAL,
			"tap=%s: is not a name for an interface; at most 15 bytes without '/', ':' and spaces are",
			error_value(name).text);
	ifr.ifr_data = (char *)&info;
	if (ioctl(serving.sock, SIOCETHTOOL, &ifr))
		strcpy(info.driver, "unknown");
	if (strcmp(info.driver, "tun") != 0)
		return error_set(
			err, EINVAL,
			"tap=%s: is not a TAP (its driver: %.32s); bridge it with one, or pass a macvtap as fd=[N], open on its /dev/tapN",
			name, info.driver);
	if (strcmp(info.bus_info, "tap") != 0)
		return error_set(
			err, EINVAL,
			"tap=%s: is a TUN, without Ethernet, not a TAP; make one: ip tuntap add mode tap name NAME",
			name);
	return error_set(
		err, EINVAL,
		"tap=%s: its queues do not fit; it has one: use num_queues=2, or make it again with multi_queue",
		name);
}

static int serve_not_attached(const char *name, bool there, struct error *err)
{
	switch (errno) {
	case EINVAL:
		return serve_unfit(name, err);
	case EPERM:
		if (there)
			return error_set(
				err, EPERM,
				"tap=%s: belongs to another user; make it for this one: ip tuntap add mode tap name %s user USER",
				name, name);
		return error_set(
			err, EPERM,
			"tap=%s: there is no such interface, and no permission to make it; make it before: ip tuntap add mode tap name NAME user USER",
			error_value(name).text);
	case EBUSY:
		return error_set(
			err, EBUSY,
			"tap=%s: is in use by another process or device; give each a TAP of its own",
			name);
	default:
		return error_set(err, errno, "tap=%s: %s",
				 error_value(name).text, error_text(errno));
	}
}

static int serve_attach(int fd, const char *name, int flags)
{
	struct ifreq ifr = serve_ifreq(name);

	ifr.ifr_flags = (short)flags;
	if (ioctl(fd, TUNSETIFF, &ifr))
		return -errno;
	memcpy(serving.name, ifr.ifr_name, IFNAMSIZ);
	return 0;
}

/* Of a TAP for several, the kernel lets everybody have some. */
static bool serve_is_shared(void)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = serve_ifreq(serving.name);

	ifr.ifr_data = (char *)&ch;
	return !ioctl(serving.sock, SIOCETHTOOL, &ifr) && ch.combined_count > 1;
}

/* One more; -errno. */
static int serve_open_tun(struct opener_call *call)
{
	int fd = few_open(TAP_DEVICE, O_RDWR | O_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	call->fds[call->reply.nr++] = fd;
	return 0;
}

static void serve_close_all(struct opener_call *call)
{
	while (call->reply.nr)
		close_fd(&call->fds[--call->reply.nr]);
}

/* Attach the first queue to the TAP that is there. *flags: as it has them. */
static int serve_attach_first(struct opener_call *call, const char *name,
			      bool one, int *flags)
{
	int r = serve_attach(call->fds[0], name, *flags);

	if (r == -EINVAL && one) {
		*flags |= IFF_MULTI_QUEUE;
		r = serve_attach(call->fds[0], name, *flags);
	}
	if (r || !serve_is_shared())
		return r;
	/* An attached descriptor cannot be had back. */
	serve_close_all(call);
	r = serve_open_tun(call);
	return r ? r : -EBUSY;
}

static int serve_find_or_make(struct opener_call *call, const char *name,
			      bool one, int *flags)
{
	unsigned int tries = 0;
	int r = serve_attach(call->fds[0], name, *flags | IFF_TUN_EXCL);

	serving.made = !r;
	if (r != -EBUSY) {
		errno = -r;
		return r ? serve_not_attached(name, false, &call->reply.err)
			 : 0;
	}
	while ((r = serve_attach_first(call, name, one, flags)) == -EBUSY &&
	       ++tries < TAP_TRIES)
		few_sleep_us(TAP_WAIT_US);
	errno = -r;
	return r ? serve_not_attached(name, true, &call->reply.err) : 0;
}

static int serve_queues(struct opener_call *call, const char *name,
			unsigned int nr)
{
	int flags = TAP_FLAGS | (nr > 1 ? IFF_MULTI_QUEUE : 0), r = 0;
	struct error *err = &call->reply.err;

	if (strlen(name) >= IFNAMSIZ) {
		errno = EINVAL;
		return serve_unfit(name, err);
	}
	for (unsigned int i = 0; i < nr && !r; i++) {
		if (serve_open_tun(call))
			return serve_no_tun(err);
		if (!i) {
			r = serve_find_or_make(call, name, nr == 1, &flags);
		} else {
			errno = -serve_attach(call->fds[i], serving.name,
					      flags);
			if (errno)
				r = serve_not_attached(serving.name, true, err);
		}
	}
	return r;
}

/* The two strings of the body. */
static bool serve_tap_strings(const struct opener_request *req,
			      const char **name, const char **netns)
{
	const size_t at = sizeof(struct opener_tap);
	const char *end = req->body + req->len;

	if (req->len < at + 2 || end[-1])
		return false;
	*name = req->body + at;
	*netns = *name + strlen(*name) + 1;
	return *netns < end && *netns + strlen(*netns) + 1 == end;
}

int opener_serve_tap(struct opener_call *call)
{
	struct opener_found_tap *found = &call->reply.tap;
	struct error *err = &call->reply.err;
	const char *name, *netns;
	struct opener_tap ask;
	int r;

	if (!serve_tap_strings(&call->request, &name, &netns))
		return -EBADMSG;
	memcpy(&ask, call->request.body, sizeof(ask));
	if (!ask.nr_queues || ask.nr_queues > OPENER_QUEUES_MAX)
		return -EBADMSG;
	opener_serve_net_end();
	r = serve_enter(netns, call->given, err);
	if (!r)
		r = serve_open_socket(err);
	if (!r)
		r = serve_queues(call, name, ask.nr_queues);
	if (r) {
		serve_close_all(call);
		opener_serve_net_end();
		return r;
	}
	memcpy(found->name, serving.name, IFNAMSIZ);
	found->made = serving.made;
	return 0;
}

/* ---- the interface ---- */

/* One that is set up: what it is to have. */
struct serve_interface {
	const char *name;
	int tap; /* a queue of it */
	bool own; /* opened here, by its name */
	struct error *err;
};

static int serve_set_refused(const struct serve_interface *si, const char *what,
			     const char *command)
{
	const char *why = errno == EPERM   ? "no permission"
			  : errno == EBADF ? "it is in another namespace"
					   : error_text(errno);

	return error_set(si->err, errno,
			 "%s: %s: %s; do it before: ip link set dev %s %s",
			 si->own ? "tap" : "fd", what, why, si->name, command);
}

static int serve_set_mac_and_mtu(const struct serve_interface *si,
				 const struct opener_interface *ask)
{
	struct ifreq ifr = serve_ifreq(si->name);

	if (ask->has_mac) {
		ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
		memcpy(ifr.ifr_hwaddr.sa_data, ask->mac, sizeof(ask->mac));
		if (ioctl(si->tap, SIOCSIFHWADDR, &ifr))
			return serve_set_refused(si, "cannot set host_mac",
						 "address MAC");
	}
	if (ask->mtu) {
		ifr.ifr_mtu = (int)ask->mtu;
		if (ioctl(serving.sock, SIOCSIFMTU, &ifr))
			return serve_set_refused(si, "cannot set mtu", "mtu N");
	}
	return 0;
}

static int serve_set_address(const struct serve_interface *si,
			     unsigned long request, uint32_t address)
{
	struct ifreq ifr = serve_ifreq(si->name);
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = address };

	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	if (address && ioctl(serving.sock, request, &ifr))
		return error_set(
			si->err, errno,
			"ip: cannot give it to %s: %s; check ip and mask",
			si->name, error_text(errno));
	return 0;
}

static int serve_bring_up(const struct serve_interface *si)
{
	struct ifreq ifr = serve_ifreq(si->name);

	if (ioctl(serving.sock, SIOCGIFFLAGS, &ifr) || ifr.ifr_flags & IFF_UP)
		return 0;
	ifr.ifr_flags = (short)(ifr.ifr_flags | IFF_UP);
	return ioctl(serving.sock, SIOCSIFFLAGS, &ifr)
		       ? serve_set_refused(si, "is down, and cannot be set up",
					   "up")
		       : 0;
}

/* One that came as a descriptor keeps its address, and is up or down. */
static int serve_set_interface(const struct serve_interface *si,
			       const struct opener_interface *ask)
{
	int r = serve_set_mac_and_mtu(si, ask);

	if (!r && si->own && serving.made) {
		r = serve_set_address(si, SIOCSIFADDR, ask->ip);
		if (!r && ask->ip)
			r = serve_set_address(si, SIOCSIFNETMASK, ask->mask);
	}
	return r || !si->own ? r : serve_bring_up(si);
}

/* No message about another interface wakes us, be there thousands. */
static int serve_filter_link(int fd, int index)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 sizeof(struct nlmsghdr) +
				 offsetof(struct ifinfomsg, ifi_index)),
		/* Numbers are in the host's order, and loads are not. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl((uint32_t)index), 0,
			 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog prog = { ARRAY_SIZE(code), code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
			  sizeof(prog));
}

/* A socket that hears of the interface's link, and of no other; or -1. */
static int serve_open_link(int index)
{
	const struct sockaddr_nl groups = { .nl_family = AF_NETLINK,
					    .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			NETLINK_ROUTE);

	/* Bound last, so that nothing comes that the filter has not seen. */
	if (fd >= 0 &&
	    (serve_filter_link(fd, index) ||
	     bind(fd, (const struct sockaddr *)&groups, sizeof(groups))))
		close_fd(&fd);
	return fd;
}

/* A given one may be in a namespace that is closed to us, where we are there is
 * another one of its name, or none. */
static bool serve_is_here(const struct serve_interface *si)
{
	struct ifreq a = serve_ifreq(si->name), b = a;

	return !ioctl(si->tap, SIOCGIFHWADDR, &a) &&
	       !ioctl(serving.sock, SIOCGIFHWADDR, &b) &&
	       !memcmp(a.ifr_hwaddr.sa_data, b.ifr_hwaddr.sa_data, 6);
}

/* Go where a given TAP is, as far as that can be. */
static int serve_follow(const struct serve_interface *si)
{
	cleanup_fd int netns = ioctl(si->tap, TUNGETDEVNETNS);
	int r;

	opener_serve_net_end();
	if (netns >= 0)
		setns(netns, CLONE_NEWNET);
	r = serve_open_socket(si->err);
	if (!r && !serve_is_here(si))
		close_fd(&serving.sock);
	return r;
}

static void serve_tell(const struct serve_interface *si,
		       struct opener_call *call)
{
	struct opener_found_interface *found = &call->reply.interface;
	struct ifreq ifr = serve_ifreq(si->name);
	int fd;

	if (!ioctl(serving.sock, SIOCGIFMTU, &ifr) && ifr.ifr_mtu > 0)
		found->mtu = (uint32_t)ifr.ifr_mtu;
	if (ioctl(serving.sock, SIOCGIFINDEX, &ifr))
		return;
	found->index = ifr.ifr_ifindex;
	fd = serve_open_link(found->index);
	if (fd >= 0)
		call->fds[call->reply.nr++] = fd;
}

int opener_serve_interface(struct opener_call *call)
{
	struct ifreq ifr = serve_ifreq("");
	struct serve_interface si = { .name = ifr.ifr_name,
				      .tap = call->given,
				      .err = &call->reply.err };
	struct opener_interface ask;
	int r = 0;

	if (call->request.len != sizeof(ask))
		return -EBADMSG;
	memcpy(&ask, call->request.body, sizeof(ask));
	if (ioctl(si.tap, TUNGETIFF, &ifr))
		return -EBADF;
	si.own = serving.sock >= 0 && strcmp(serving.name, si.name) == 0;
	if (!si.own)
		r = serve_follow(&si);
	if (!r)
		r = serve_set_interface(&si, &ask);
	if (!r)
		serve_tell(&si, call);
	opener_serve_net_end();
	return r;
}

/* ---- vhost ---- */

int opener_serve_vhost(struct opener_call *call unused_param)
{
	int fd = few_open(VHOST_DEVICE, O_RDWR, 0);

	return fd < 0 ? -errno : fd;
}
