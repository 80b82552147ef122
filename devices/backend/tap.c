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
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/opener.h"
#include "vmm/util.h"

#define TAP_USO (TAP_F_USO4 | TAP_F_USO6)

_Static_assert(TAP_QUEUES_MAX <= OPENER_QUEUES_MAX, "it can open them");

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
	struct ifreq ifr = { .ifr_flags = 0 };

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
	struct ifreq ifr = { .ifr_flags = 0 };

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

/* ---- life ---- */

static int tap_set_up(struct tap *tap, const struct tap_config *config,
		      struct error *err)
{
	struct opener_interface ask = { .mtu = config->mtu,
					.ip = config->ip,
					.mask = config->mask };
	struct opener_found_interface found;
	int r, link;

	tap_clear_filter(tap);
	r = tap_set_header(tap);
	if (!r)
		r = tap_try_offloads(tap, config->offloads);
	if (r)
		return error_set(
			err, r,
			"%s: cannot set header and offloads: %s; that takes Linux 4.8 or later",
			tap->name, error_text(-r));
	r = tap_detach_others(tap, err);
	if (r)
		return r;
	ask.has_mac = config->host_mac != NULL;
	if (config->host_mac)
		memcpy(ask.mac, config->host_mac, sizeof(ask.mac));
	r = opener_interface(tap->fds[0], &ask, &link, &found, err);
	/* Without opener, one that was given is good as it is. */
	if ((r == -ENOANO || r == -ENOLINK) && config->fds)
		return !ask.has_mac && !ask.mtu
			       ? 0
			       : error_set(
					 err, r,
					 "fd: host_mac and mtu cannot be set without opener; leave them out, and do it before: ip link set dev %s",
					 tap->name);
	if (r)
		return r;
	tap->mtu = found.mtu;
	tap_link_open(&tap->link, link, found.index);
	return 0;
}

static int tap_open_named(struct tap *tap, const struct tap_config *config,
			  struct error *err)
{
	struct opener_found_tap found;
	int r = opener_tap(config->name, config->netns, tap->nr_queues,
			   tap->fds, &found, err);

	if (!r) {
		memcpy(tap->name, found.name, IFNAMSIZ);
		tap->made = found.made;
	}
	return r;
}

int tap_open(struct tap *tap, const struct tap_config *config,
	     struct error *err)
{
	unsigned int i;
	int r;

	memset(tap, 0, sizeof(*tap));
	for (i = 0; i < TAP_QUEUES_MAX; i++)
		tap->fds[i] = -1;
	tap->link = (struct tap_link){ .fd = -1, .up = true };
	tap->nr_queues = config->nr_queues;
	r = config->fds ? tap_open_fds(tap, config, err)
			: tap_open_named(tap, config, err);
	if (!r)
		r = tap_set_up(tap, config, err);
	/* The session is in the TAP's namespace now. */
	if (config->fds || config->netns)
		opener_leave();
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
