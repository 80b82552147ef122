/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A TAP's life. What it was told by whoever had it before (header, offloads,
 * filter, queues) outlives that one's descriptors when the TAP itself does: all
 * of it is set anew, and put back at the end. Of a kernel's TAP these belong to
 * the interface, of a macvtap to each descriptor; so all descriptors are told.
 */
#include "devices/backend/tap.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "devices/backend/netns.h"
#include "vmm/log.h"
#include "vmm/util.h"

#define TAP_DEVICE "/dev/net/tun"
#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
#define TAP_USO (TAP_F_USO4 | TAP_F_USO6)
/* Who was killed a moment ago may not have let go yet: a second in all. */
#define TAP_TRIES 100u
#define TAP_WAIT_US 10000u

/* One tap_open(), on whatever thread. */
struct tap_opening {
	struct tap *tap;
	const struct tap_config *config;
	int sock; /* for ioctls by the interface's name */
	struct error *err;
};

/* An ifreq of the TAP's name. */
static struct ifreq tap_ifreq(const char *name)
{
	struct ifreq ifr = { .ifr_flags = 0 };

	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	return ifr;
}

/* ---- a TAP by its name ---- */

static int tap_no_device(struct error *err)
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
static int tap_unfit(struct tap_opening *o, const char *name)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq ifr = tap_ifreq(name);

	if (ioctl(o->sock, SIOCGIFFLAGS, &ifr))
		return error_set(
			o->err, EINVAL,
			"tap=%s: is not a name for an interface; at most 15 bytes without '/', ':' and spaces are",
			error_value(name).text);
	ifr.ifr_data = (char *)&info;
	if (ioctl(o->sock, SIOCETHTOOL, &ifr))
		strcpy(info.driver, "unknown");
	if (strcmp(info.driver, "tun") != 0)
		return error_set(
			o->err, EINVAL,
			"tap=%s: is not a TAP (its driver: %.32s); bridge it with one, or pass a macvtap as fd=[N], open on its /dev/tapN",
			name, info.driver);
	if (strcmp(info.bus_info, "tap") != 0)
		return error_set(
			o->err, EINVAL,
			"tap=%s: is a TUN, without Ethernet, not a TAP; make one: ip tuntap add mode tap name NAME",
			name);
	return error_set(
		o->err, EINVAL,
		"tap=%s: its queues do not fit; it has one: use num_queues=2, or make it again with multi_queue",
		name);
}

static int tap_not_attached(struct tap_opening *o, const char *name, bool there)
{
	switch (errno) {
	case EINVAL:
		return tap_unfit(o, name);
	case EPERM:
		if (there)
			return error_set(
				o->err, EPERM,
				"tap=%s: belongs to another user; make it for this one: ip tuntap add mode tap name %s user USER",
				name, name);
		return error_set(
			o->err, EPERM,
			"tap=%s: there is no such interface, and no permission to make it; make it before: ip tuntap add mode tap name NAME user USER",
			error_value(name).text);
	case EBUSY:
		return error_set(
			o->err, EBUSY,
			"tap=%s: is in use by another process or device; give each a TAP of its own",
			name);
	default:
		return error_set(o->err, errno, "tap=%s: %s",
				 error_value(name).text, error_text(errno));
	}
}

/* Attach one more queue; 0 or -errno. */
static int tap_attach(struct tap *tap, const char *name, int flags,
		      unsigned int queue)
{
	struct ifreq ifr = tap_ifreq(name);

	ifr.ifr_flags = (short)flags;
	if (ioctl(tap->fds[queue], TUNSETIFF, &ifr))
		return -errno;
	memcpy(tap->name, ifr.ifr_name, IFNAMSIZ);
	return 0;
}

/* Of a TAP for several, the kernel lets everybody have some. */
static bool tap_is_shared(struct tap_opening *o)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = tap_ifreq(o->tap->name);

	ifr.ifr_data = (char *)&ch;
	return !ioctl(o->sock, SIOCETHTOOL, &ifr) && ch.combined_count > 1;
}

/* Attach the first queue to the TAP that is there. *flags: as it has them. */
static int tap_attach_first(struct tap_opening *o, const char *name, int *flags)
{
	struct tap *tap = o->tap;
	int r = tap_attach(tap, name, *flags, 0);

	if (r == -EINVAL && tap->nr_queues == 1) {
		*flags |= IFF_MULTI_QUEUE;
		r = tap_attach(tap, name, *flags, 0);
	}
	if (r || !tap_is_shared(o))
		return r;
	/* An attached descriptor cannot be had back. */
	close_fd(&tap->fds[0]);
	tap->fds[0] = open(TAP_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	return tap->fds[0] < 0 ? -errno : -EBUSY;
}

static int tap_find_or_make(struct tap_opening *o, const char *name, int *flags)
{
	struct tap *tap = o->tap;
	unsigned int tries = 0;
	int r = tap_attach(tap, name, *flags | IFF_TUN_EXCL, 0);

	tap->made = !r;
	if (r != -EBUSY) {
		errno = -r;
		return r ? tap_not_attached(o, name, false) : 0;
	}
	while ((r = tap_attach_first(o, name, flags)) == -EBUSY &&
	       ++tries < TAP_TRIES)
		usleep(TAP_WAIT_US);
	errno = -r;
	return r ? tap_not_attached(o, name, true) : 0;
}

static int tap_open_named(struct tap_opening *o)
{
	const char *name = o->config->name ? o->config->name : "";
	struct tap *tap = o->tap;
	int flags = TAP_FLAGS | (tap->nr_queues > 1 ? IFF_MULTI_QUEUE : 0);
	unsigned int i;
	int r = 0;

	if (strlen(name) >= IFNAMSIZ) {
		errno = EINVAL;
		return tap_unfit(o, name);
	}
	for (i = 0; i < tap->nr_queues && !r; i++) {
		tap->fds[i] = open(TAP_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (tap->fds[i] < 0)
			return tap_no_device(o->err);
		if (!i) {
			r = tap_find_or_make(o, name, &flags);
		} else if (tap_attach(tap, tap->name, flags, i)) {
			r = tap_not_attached(o, tap->name, true);
		}
	}
	return r;
}

/* ---- what it is set to ---- */

/*
 * While the interface counts as one that has a filter, the kernel gives it to a
 * queue that comes, and forgets to attach the queue (tun_attach()). One that is
 * none is refused, takes none away from any queue, and ends that; where there is
 * no queue, it is not refused.
 */
static void tap_forget_filter(struct tap *tap)
{
	struct sock_fprog none = { .len = 0 };

	if (!ioctl(tap->fds[0], TUNATTACHFILTER, &none))
		ioctl(tap->fds[0], TUNDETACHFILTER, &none);
}

int tap_set_queue(struct tap *tap, unsigned int queue, bool attached)
{
	struct ifreq ifr = tap_ifreq("");

	if (tap->attached[queue] == attached)
		return 0;
	if (attached)
		tap_forget_filter(tap);
	ifr.ifr_flags = attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
	if (ioctl(tap->fds[queue], TUNSETQUEUE, &ifr))
		return -errno;
	tap->attached[queue] = attached;
	return 0;
}

/* Whatever they were; EINVAL: one is attached already. */
static void tap_attach_all(struct tap *tap)
{
	for (unsigned int i = 0; i < tap->nr_queues; i++) {
		if (tap->fds[i] >= 0)
			tap_set_queue(tap, i, true);
		tap->attached[i] = true;
	}
}

/* For all queues; 0 or -errno. */
static int tap_ioctl(const struct tap *tap, unsigned long request, void *arg)
{
	for (unsigned int i = 0; i < tap->nr_queues; i++)
		if (tap->fds[i] >= 0 && ioctl(tap->fds[i], request, arg))
			return -errno;
	return 0;
}

int tap_set_offloads(struct tap *tap, unsigned int offloads)
{
	unsigned int i;

	/* The kernel wants both or none, and none without checksums. */
	if ((offloads & TAP_USO) != TAP_USO)
		offloads &= ~TAP_USO;
	if (!(offloads & TUN_F_CSUM))
		offloads = 0;
	for (i = 0; i < tap->nr_queues; i++)
		if (tap->fds[i] >= 0 &&
		    ioctl(tap->fds[i], TUNSETOFFLOAD, (unsigned long)offloads))
			return -errno;
	return 0;
}

/* Find out what the kernel can do; older ones know less. */
static int tap_try_offloads(struct tap *tap, unsigned int wanted)
{
	static const unsigned int less[] = { 0, TAP_USO, TAP_USO | TUN_F_UFO,
					     ~0u };
	unsigned int i;
	int r = -EINVAL;

	for (i = 0; i < ARRAY_SIZE(less) && r == -EINVAL; i++) {
		tap->offloads = wanted & ~less[i];
		r = tap_set_offloads(tap, tap->offloads);
	}
	return r ? r : tap_set_offloads(tap, 0);
}

static int tap_set_header(struct tap *tap)
{
	int size = TAP_HEADER, le = 0, r;

	if (ioctl(tap->fds[0], TUNGETVNETHDRSZ, &tap->header) ||
	    ioctl(tap->fds[0], TUNGETVNETLE, &le))
		return -errno;
	/* That is how one is left by who was killed, not how they begin. */
	if (le && tap->header == size)
		tap->header = 10;
	le = 1;
	r = tap_ioctl(tap, TUNSETVNETHDRSZ, &size);
	return r ? r : tap_ioctl(tap, TUNSETVNETLE, &le);
}

/* It goes from the queues that are attached. A macvtap has none. */
static void tap_clear_filter(struct tap *tap)
{
	struct sock_fprog unused = { .len = 0 };

	tap_attach_all(tap);
	ioctl(tap->fds[0], TUNDETACHFILTER, &unused);
}

/* ---- descriptors ---- */

static int tap_bad_fd(struct error *err, unsigned int i, const char *why)
{
	return error_set(
		err, EINVAL,
		"fd: descriptor %u %s; open /dev/net/tun or /dev/tapN, and of the former ask for IFF_TAP, IFF_NO_PI and IFF_VNET_HDR",
		i + 1, why);
}

/* It is what net devices can work with. */
static int tap_check_fd(struct tap *tap, unsigned int i, struct error *err)
{
	struct ifreq ifr = tap_ifreq("");

	if (ioctl(tap->fds[i], TUNGETIFF, &ifr))
		return tap_bad_fd(err, i,
				  errno == EBADFD ? "belongs to no interface"
						  : "is not a TAP");
	if (!(ifr.ifr_flags & IFF_TAP))
		return tap_bad_fd(err, i, "is a TUN, without Ethernet");
	if (i && strcmp(tap->name, ifr.ifr_name) != 0)
		return tap_bad_fd(err, i, "is of another interface");
	if (!(ifr.ifr_flags & IFF_VNET_HDR))
		return tap_bad_fd(err, i, "lacks IFF_VNET_HDR");
	if (!(ifr.ifr_flags & IFF_NO_PI))
		return tap_bad_fd(err, i, "lacks IFF_NO_PI");
	memcpy(tap->name, ifr.ifr_name, IFNAMSIZ);
	return 0;
}

/* While there is no filter, TUNGETIFF says so by the bit of IFF_NO_PI. */
static void tap_pass_all(struct tap *tap)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	struct sock_fprog prog = { 1, &all };

	tap_attach_all(tap);
	ioctl(tap->fds[0], TUNATTACHFILTER, &prog);
}

static int tap_open_fds(struct tap *tap, const struct tap_config *config,
			struct error *err)
{
	unsigned int i;
	int flags, r = 0;

	tap->given = true;
	for (i = 0; i < tap->nr_queues; i++) {
		tap->fds[i] = fcntl(config->fds[i], F_DUPFD_CLOEXEC, 0);
		if (tap->fds[i] < 0)
			return error_set(err, errno, "fd: descriptor %u: %s",
					 i + 1, error_text(errno));
		flags = fcntl(tap->fds[i], F_GETFL);
		tap->blocking[i] = !(flags & O_NONBLOCK);
		fcntl(tap->fds[i], F_SETFL, flags | O_NONBLOCK);
	}
	tap_pass_all(tap);
	for (i = 0; i < tap->nr_queues && !r; i++)
		r = tap_check_fd(tap, i, err);
	return r;
}

/* Only the first one is attached. A descriptor that was given twice is one
 * queue. */
static int tap_detach_others(struct tap *tap, struct error *err)
{
	for (unsigned int i = tap->nr_queues - 1; i; i--)
		if (tap_set_queue(tap, i, false))
			return tap_bad_fd(
				err, i,
				"is the same queue as another one, or of a TAP without IFF_MULTI_QUEUE");
	/* To attach it once more is wrong, unless it is one of the others. */
	tap->attached[0] = false;
	if (!tap_set_queue(tap, 0, true))
		return tap_bad_fd(err, 0, "is the same queue as another one");
	tap->attached[0] = true;
	return 0;
}

/* ---- the interface ---- */

static int tap_set_refused(struct tap_opening *o, const char *what,
			   const char *command)
{
	const char *why = errno == EPERM   ? "no permission"
			  : errno == EBADF ? "it is in another namespace"
					   : error_text(errno);

	return error_set(o->err, errno,
			 "%s: %s: %s; do it before: ip link set dev %s %s",
			 o->config->fds ? "fd" : "tap", what, why, o->tap->name,
			 command);
}

static int tap_set_mac_and_mtu(struct tap_opening *o)
{
	const struct tap_config *c = o->config;
	struct ifreq ifr = tap_ifreq(o->tap->name);

	if (c->host_mac) {
		ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
		memcpy(ifr.ifr_hwaddr.sa_data, c->host_mac, 6);
		if (ioctl(o->tap->fds[0], SIOCSIFHWADDR, &ifr))
			return tap_set_refused(o, "cannot set host_mac",
					       "address MAC");
	}
	if (c->mtu) {
		ifr.ifr_mtu = (int)c->mtu;
		if (ioctl(o->sock, SIOCSIFMTU, &ifr))
			return tap_set_refused(o, "cannot set mtu", "mtu N");
	}
	if (!ioctl(o->sock, SIOCGIFMTU, &ifr) && ifr.ifr_mtu > 0)
		o->tap->mtu = (uint32_t)ifr.ifr_mtu;
	return 0;
}

static int tap_set_address(struct tap_opening *o, unsigned long request,
			   uint32_t address)
{
	struct ifreq ifr = tap_ifreq(o->tap->name);
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = address };

	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	if (address && ioctl(o->sock, request, &ifr))
		return error_set(
			o->err, errno,
			"ip: cannot give it to %s: %s; check ip and mask",
			o->tap->name, error_text(errno));
	return 0;
}

static int tap_bring_up(struct tap_opening *o)
{
	struct ifreq ifr = tap_ifreq(o->tap->name);

	if (o->tap->given || ioctl(o->sock, SIOCGIFFLAGS, &ifr) ||
	    ifr.ifr_flags & IFF_UP)
		return 0;
	ifr.ifr_flags = (short)(ifr.ifr_flags | IFF_UP);
	if (ioctl(o->sock, SIOCSIFFLAGS, &ifr))
		return tap_set_refused(o, "is down, and cannot be set up",
				       "up");
	return 0;
}

static int tap_set_interface(struct tap_opening *o)
{
	const struct tap_config *c = o->config;
	int r = tap_set_mac_and_mtu(o);

	if (!r && o->tap->made) {
		r = tap_set_address(o, SIOCSIFADDR, c->ip);
		if (!r && c->ip)
			r = tap_set_address(o, SIOCSIFNETMASK, c->mask);
	}
	return r ? r : tap_bring_up(o);
}

/* ---- life ---- */

/* A given one may be in a namespace that is closed to us, where we are there is
 * another one of its name, or none. */
static bool tap_is_here(struct tap_opening *o)
{
	struct ifreq a = tap_ifreq(o->tap->name), b = a;

	return !ioctl(o->tap->fds[0], SIOCGIFHWADDR, &a) &&
	       !ioctl(o->sock, SIOCGIFHWADDR, &b) &&
	       !memcmp(a.ifr_hwaddr.sa_data, b.ifr_hwaddr.sa_data, 6);
}

/* In the TAP's namespace, as far as that can be had. */
static int tap_set_up(void *arg)
{
	struct tap_opening *o = arg;
	struct tap *tap = o->tap;
	int r;

	o->sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (o->sock < 0)
		return error_set(o->err, errno, "cannot make a socket: %s",
				 error_text(errno));
	if (tap->given && !tap_is_here(o))
		close_fd(&o->sock);
	r = tap->given ? 0 : tap_open_named(o);
	if (r)
		return r;
	tap_clear_filter(tap);
	r = tap_set_header(tap);
	if (!r)
		r = tap_try_offloads(tap, o->config->offloads);
	if (r)
		return error_set(
			o->err, r,
			"%s: cannot set header and offloads: %s; that takes Linux 4.8 or later",
			tap->name, error_text(-r));
	r = tap_detach_others(tap, o->err);
	if (r)
		return r;
	r = tap_set_interface(o);
	if (!r && o->sock >= 0)
		tap_link_open(&tap->link, tap->name);
	return r;
}

int tap_open(struct tap *tap, const struct tap_config *config,
	     struct error *err)
{
	struct tap_opening o = { tap, config, -1, err };
	cleanup_fd int netns = -1;
	unsigned int i;
	int r = 0;

	memset(tap, 0, sizeof(*tap));
	for (i = 0; i < TAP_QUEUES_MAX; i++)
		tap->fds[i] = -1;
	tap->link = (struct tap_link){ .fd = -1, .up = true };
	tap->nr_queues = config->nr_queues;
	if (config->fds)
		r = tap_open_fds(tap, config, err);
	if (!r && config->netns)
		r = netns_get(config->netns, &netns, err);
	if (!r && config->fds)
		netns = netns_of_tap(tap->fds[0]);
	if (!r)
		r = netns_call(netns, tap_set_up, &o, err);
	if (r == -EPERM && config->fds && o.sock < 0)
		r = tap_set_up(&o);
	close_fd(&o.sock);
	if (r)
		tap_close(tap);
	return r;
}

void tap_close(struct tap *tap)
{
	int le = 0;

	tap_link_close(&tap->link);
	if (tap->given || (tap->header && !tap->made))
		tap_clear_filter(tap);
	if (tap->header && !tap->made) {
		tap_set_offloads(tap, 0);
		tap_ioctl(tap, TUNSETVNETHDRSZ, &tap->header);
		tap_ioctl(tap, TUNSETVNETLE, &le);
	}
	for (unsigned int i = 0; i < tap->nr_queues; i++) {
		if (tap->fds[i] >= 0 && tap->blocking[i])
			fcntl(tap->fds[i], F_SETFL,
			      fcntl(tap->fds[i], F_GETFL) & ~O_NONBLOCK);
		close_fd(&tap->fds[i]);
	}
}
