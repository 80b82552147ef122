/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * virtio-net (virtio 1.2 section 5.1): configuration space, features, the
 * device's life, and how its pairs of queues follow what is decided.
 *
 * While nothing moves, nothing runs: the loop waits for the TAP's queue, or for
 * the guest's kick, but not for a TAP that has frames when the guest has no
 * buffers.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/registry.h"
#include "devices/virtio/net_ctrl.h"
#include "devices/virtio/net_host.h"
#include "devices/virtio/net_rx.h"
#include "devices/virtio/net_state.h"
#include "devices/virtio/net_stats.h"
#include "devices/virtio/net_tx.h"
#include "devices/virtio/net_vhost.h"
#include "devices/virtio/transport_pci.h"
#include "devices/virtio/virtio_limit.h"
#include "vmm/board.h"
#include "vmm/log.h"
#include "vmm/syscall_rule.h"

#define NET_VIRTIO_ID 1
#define NET_PCI_CLASS 0x020000 /* network, Ethernet */

static void net_on_tap(struct loop_fd *lf, uint32_t events)
{
	struct net_pair *p = container_of(lf, struct net_pair, fd);

	net_pair_sync(p);
	if (events & (EPOLLERR | EPOLLHUP) && p->active && !p->gone) {
		p->gone = true;
		log_warn("%s: %s is gone", p->net->dev.device.id,
			 p->net->tap->name);
	}
	if (events & EPOLLOUT)
		net_tx_unblock(p);
	if (events & EPOLLIN)
		net_rx_run(p);
	net_pair_watch(p);
}

/* ---- link ---- */

static void net_on_link(void *opaque, bool up)
{
	struct net *net = opaque;

	pthread_mutex_lock(&net->lock);
	net->tap_up = up;
	pthread_mutex_unlock(&net->lock);
	net_tell_status(net, up);
}

/* Peers may have forgotten where it is. */
static void net_resume(struct virtio_dev *dev)
{
	net_tell_status(net_of(dev), true);
}

/* ---- queues ---- */

enum net_role {
	NET_ROLE_RX,
	NET_ROLE_TX,
	NET_ROLE_CTRL,
	NET_ROLE_NONE, /* the driver should not have it */
};

static enum net_role net_role(const struct net *net, unsigned int qidx)
{
	unsigned int ctrl = net_ctrl_index(net);

	if (qidx < ctrl)
		return qidx % 2 ? NET_ROLE_TX : NET_ROLE_RX;
	return qidx == ctrl && virtio_has(&net->dev, NET_F_CTRL_VQ)
		       ? NET_ROLE_CTRL
		       : NET_ROLE_NONE;
}

/* A queue of a pair starts: it begins with what holds now. */
static void net_pair_begin(struct net_pair *p)
{
	atomic_fetch_add(&p->nr_running, 1);
	p->gone = false;
	atomic_store(&p->seen, atomic_load(&p->net->generation) - 1);
	net_pair_sync(p);
}

static void net_pair_end(struct net_pair *p)
{
	struct net *net = p->net;

	net_pair_watch(p);
	atomic_fetch_sub(&p->nr_running, 1);
	if (atomic_load(&net->ctrl_waits))
		virtio_notify_write(&net->dev, net_ctrl_index(net));
}

static int net_queue_start(struct virtio_dev *dev, unsigned int qidx)
{
	struct net *net = net_of(dev);
	enum net_role role = net_role(net, qidx);
	struct net_pair *p = &net->pairs[MIN(qidx / 2, net->nr_pairs - 1)];

	if (dev->queues[qidx].elsewhere) {
		net_host_apply(net);
		return net_vhost_queue_start(&net->vhost, &dev->queues[qidx],
					     role <= NET_ROLE_TX);
	}
	if (role == NET_ROLE_NONE)
		virtio_queue_want(&dev->queues[qidx], false);
	if (role > NET_ROLE_TX)
		return 0;
	net_pair_begin(p);
	if (role == NET_ROLE_RX)
		net_rx_start(p);
	else
		net_tx_start(p);
	net_pair_watch(p);
	return 0;
}

static void net_queue_stop(struct virtio_dev *dev, unsigned int qidx)
{
	struct net *net = net_of(dev);
	enum net_role role = net_role(net, qidx);
	struct net_pair *p = &net->pairs[MIN(qidx / 2, net->nr_pairs - 1)];

	if (dev->queues[qidx].elsewhere) {
		net_vhost_queue_stop(&net->vhost, &dev->queues[qidx]);
		return;
	}
	if (role == NET_ROLE_RX)
		net_rx_stop(p);
	else if (role == NET_ROLE_TX)
		net_tx_stop(p);
	else if (role == NET_ROLE_CTRL)
		net_ctrl_stop(net, &dev->queues[qidx]);
	if (role <= NET_ROLE_TX)
		net_pair_end(p);
	virtio_queue_idle(&dev->queues[qidx]);
}

static void net_on_kick(struct virtio_dev *dev, unsigned int qidx)
{
	struct net *net = net_of(dev);
	enum net_role role = net_role(net, qidx);

	if (role == NET_ROLE_RX)
		net_rx_run(&net->pairs[qidx / 2]);
	else if (role == NET_ROLE_TX)
		net_tx_run(&net->pairs[qidx / 2]);
	else if (role == NET_ROLE_CTRL)
		net_ctrl_run(net, &dev->queues[qidx]);
}

static bool net_poll(struct virtio_dev *dev, unsigned int qidx)
{
	struct net *net = net_of(dev);
	enum net_role role = net_role(net, qidx);
	struct net_pair *p;

	if (role == NET_ROLE_CTRL)
		return net_ctrl_poll(net, &dev->queues[qidx]);
	if (role == NET_ROLE_NONE)
		return false;
	p = &net->pairs[qidx / 2];
	net_pair_sync(p);
	if (role == NET_ROLE_TX || p->rx.wait != NET_RX_TURN)
		return false;
	net_rx_run(p);
	return true;
}

static void net_events(struct virtio_dev *dev, unsigned int qidx, bool on)
{
	struct net *net = net_of(dev);
	enum net_role role = net_role(net, qidx);
	struct net_pair *p = &net->pairs[MIN(qidx / 2, net->nr_pairs - 1)];

	if (!on && role <= NET_ROLE_TX)
		io_count(role == NET_ROLE_RX ? &p->rx.stats.wakeups
					     : &p->tx.stats.wakeups,
			 1);
}

/* ---- features and reset ---- */

static void net_features_ok(struct virtio_dev *dev)
{
	struct net *net = net_of(dev);
	uint64_t offloads = dev->features & NET_GUEST_OFFLOADS;

	if (!virtio_has(dev, NET_F_GUEST_CSUM))
		offloads = 0;
	/* That is the control queue of a driver that knows of one pair. */
	if (net->vhost.host)
		dev->queues[2].elsewhere = net_ctrl_index(net) != 2;
	pthread_mutex_lock(&net->lock);
	net->state.offloads = offloads;
	pthread_mutex_unlock(&net->lock);
	atomic_fetch_add(&net->generation, 1);
}

static void net_reset(struct virtio_dev *dev)
{
	struct net *net = net_of(dev);
	struct net_state *s = &net->state;

	pthread_mutex_lock(&net->lock);
	memcpy(s->mac, net->mac, sizeof(s->mac));
	s->pairs = 1;
	s->offloads = 0;
	s->mode = (struct net_rx_mode){ .on[NET_RX_PROMISC] = true };
	s->announce = false;
	pthread_mutex_unlock(&net->lock);
	atomic_fetch_add(&net->generation, 1);
	memcpy(net->space.mac, net->mac, sizeof(net->mac));
	net->space.status = le16_of(le16_get(net->space.status) &
				    (uint16_t)~NET_S_ANNOUNCE);
}

static int net_set(struct virtio_dev *dev, const void *config,
		   struct error *err)
{
	const struct net_config *c = config;
	struct net *net = net_of(dev);
	struct vlan_ports vlan;
	bool up = c->link == NET_LINK_UP, came;
	int r = net_vlan_parse(c->vlan, &vlan, err);

	if (r)
		return r;
	virtio_set_limits(dev, &c->limits);
	pthread_mutex_lock(&net->lock);
	came = up && !net->state.link;
	net->state.vlan = vlan;
	net->state.link = up;
	pthread_mutex_unlock(&net->lock);
	if (net->vhost.host && net_vhost_set_link(&net->vhost, up))
		log_warn("%s: vhost-net does not follow the link",
			 dev->device.id);
	net_changed(net);
	net_tell_status(net, came);
	return 0;
}

/* ---- life ---- */

struct net_opened {
	struct tap tap;
	struct vhost_net vhost; /* with vhost=on */
	bool has_vhost;
};

static struct net_opened *net_opened(struct net *net)
{
	return container_of(net->tap, struct net_opened, tap);
}

static void net_close(void *opened)
{
	struct net_opened *o = opened;

	if (o && o->has_vhost)
		vhost_net_close(&o->vhost);
	if (o)
		tap_close(&o->tap);
	free(o);
}

static int net_open(const void *config, void **opened, struct error *err)
{
	const struct net_config *c = config;
	struct net_opened *o = calloc(1, sizeof(*o));
	struct tap_config tc;
	int r;

	if (!o)
		return error_set(err, ENOMEM, "out of memory");
	net_config_tap(c, &tc);
	r = tap_open(&o->tap, &tc, err);
	if (!r && c->vhost)
		r = vhost_net_open(&o->vhost, net_config_pairs(c), err);
	o->has_vhost = !r && c->vhost;
	if (r)
		net_close(o);
	else
		*opened = o;
	return r;
}

static void net_release(struct virtio_dev *dev)
{
	struct net *net = net_of(dev);

	net_vhost_let_go(&net->vhost);
	net_close(net_opened(net));
}

static void net_destroy(struct virtio_dev *dev)
{
	struct net *net = net_of(dev);
	unsigned int i;

	tap_link_unwatch(&net->tap_link);
	tap_link_close(&net->tap_link);
	net_vhost_fini(&net->vhost);
	virtio_fini(dev);
	for (i = 0; net->pairs && i < net->nr_pairs; i++) {
		net_rx_fini(&net->pairs[i]);
		net_tx_fini(&net->pairs[i]);
	}
	free(net->pairs);
	pthread_mutex_destroy(&net->host_lock);
	pthread_mutex_destroy(&net->lock);
	free(net);
}

static const struct virtio_ops net_ops = {
	.features_ok = net_features_ok,
	.queue_start = net_queue_start,
	.kick = net_on_kick,
	.poll = net_poll,
	.events = net_events,
	.queue_stop = net_queue_stop,
	.reset = net_reset,
	.set = net_set,
	.resume = net_resume,
	.counters = net_counters,
	.release = net_release,
	.destroy = net_destroy,
};

static uint64_t net_features(const struct net *net, const struct net_config *c)
{
	uint64_t f = VIRTIO_F(NET_F_MAC) | VIRTIO_F(NET_F_MRG_RXBUF) |
		     VIRTIO_F(NET_F_STATUS) | VIRTIO_F(NET_F_CTRL_VQ) |
		     VIRTIO_F(NET_F_CTRL_RX) | VIRTIO_F(NET_F_CTRL_RX_EXTRA) |
		     VIRTIO_F(NET_F_GUEST_ANNOUNCE) |
		     VIRTIO_F(NET_F_CTRL_MAC_ADDR) |
		     net_host_features(net->tap->offloads);

	if (c->mtu || net->tap->mtu)
		f |= VIRTIO_F(NET_F_MTU);
	if (net->tap->offloads)
		f |= VIRTIO_F(NET_F_CTRL_GUEST_OFFLOADS);
	if (net->nr_pairs > 1)
		f |= VIRTIO_F(NET_F_MQ);
	return f;
}

static int net_make_pairs(struct net *net)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < net->nr_pairs && !r; i++) {
		struct net_pair *p = &net->pairs[i];

		p->net = net;
		p->index = i;
		p->fd.fd = net->tap->fds[i];
		p->fd.on_event = net_on_tap;
		r = net_rx_init(p);
		r = r ? r : net_tx_init(p);
	}
	return r;
}

static int net_build(struct net *net, struct board *board,
		     const struct net_config *c, struct error *err)
{
	uint64_t mtu = c->mtu ? c->mtu : net->tap->mtu;
	struct net_opened *o = net_opened(net);
	const struct virtio_init init = {
		.board = board,
		.class = &net_class,
		.name = c->id,
		.ops = &net_ops,
		.id = NET_VIRTIO_ID,
		.features = net_features(net, c),
		.nr_queues = 2 * net->nr_pairs + 1,
		.queue_size = (uint16_t)c->queue_size,
		.iov_max = NET_CHAIN_IOV,
		.poll_us = (uint32_t)c->poll_us,
		.gives_way = true,
		.group_size = 2,
		.nr_elsewhere = o->has_vhost ? 2 * net->nr_pairs : 0,
		.config = &net->space,
		.config_len = sizeof(net->space),
	};
	int r = net_vlan_parse(c->vlan, &net->state.vlan, err);

	net->pairs = calloc(net->nr_pairs, sizeof(*net->pairs));
	if (!r && !net->pairs)
		r = error_set(err, ENOMEM, "out of memory");
	if (!r)
		r = virtio_init(&net->dev, &init, err);
	if (!r && net_make_pairs(net))
		r = error_set(err, ENOMEM, "out of memory");
	if (!r && o->has_vhost)
		r = net_vhost_init(&net->vhost, &o->vhost, &o->tap,
				   &board->gmem, err);
	if (r)
		return r;
	if (o->has_vhost)
		net_vhost_set_link(&net->vhost, net->state.link);
	virtio_set_limits(&net->dev, &c->limits);
	net->space.max_virtqueue_pairs = le16_of((uint16_t)net->nr_pairs);
	net->space.mtu = le16_of((uint16_t)MIN(mtu, UINT16_MAX));
	net_reset(&net->dev);
	r = vpci_attach(&net->dev, NET_PCI_CLASS, err);
	if (r)
		return r;
	net_tell_status(net, false);
	if (tap_link_watch(&net->tap_link, board->main_loop, net_on_link, net))
		log_warn("%s: the link of %s is not watched",
			 net->dev.device.id, net->tap->name);
	return 0;
}

/* One that nobody watches. */
static void net_move_link(struct tap_link *from, struct tap_link *to)
{
	*to = *from;
	from->fd = -1;
}

static int net_create(struct board *board, const void *config, void *opened,
		      struct device **out, struct error *err)
{
	const struct net_config *c = config;
	struct net *net;
	int r = net_config_check_cpus(c, board->nr_cpus, err);

	if (r)
		return r;
	net = calloc(1, sizeof(*net));
	if (!net)
		return error_set(err, ENOMEM, "out of memory");
	pthread_mutex_init(&net->lock, NULL);
	pthread_mutex_init(&net->host_lock, NULL);
	net->tap = &((struct net_opened *)opened)->tap;
	net->nr_pairs = net_config_pairs(c);
	memcpy(net->mac, c->mac, sizeof(net->mac));
	net->antispoof = c->antispoof == NET_ANTISPOOF_MAC;
	net->state.link = c->link == NET_LINK_UP;
	net->tap_up = net->tap->link.up;
	net->tap_link.fd = -1;
	net_ctrl_init(net);
	/* It is watched on the main thread, the TAP is closed on another. */
	net_move_link(&net->tap->link, &net->tap_link);
	r = net_build(net, board, c, err);
	if (r) {
		tap_link_unwatch(&net->tap_link);
		net_move_link(&net->tap_link, &net->tap->link);
		net_destroy(&net->dev);
		return r;
	}
	*out = &net->dev.device;
	return 0;
}

/* Threads that see a network in use. */
#define NET_HOST (ON_MAIN | ON_IO | ON_POOL)

static const struct syscall_rule net_syscalls[] = {
	/* A TAP that the opener has opened, or somebody else, and its link. */
	MAY("fcntl", ON_POOL, IF_ARG(1, F_DUPFD_CLOEXEC)),
	MAY("ioctl", ON_POOL, IF_ARG(1, TUNGETIFF)),
	MAY("ioctl", ON_POOL, IF_ARG(1, TUNGETVNETHDRSZ)),
	MAY("ioctl", ON_POOL, IF_ARG(1, TUNGETVNETLE)),
	MAY("ioctl", ON_POOL, IF_ARG(1, TUNSETVNETHDRSZ)),
	MAY("ioctl", ON_POOL, IF_ARG(1, TUNSETVNETLE)),
	/* Not seen: on each of these threads. What the driver wants of it is
	 * done on its loop, what a client does on the main thread, and what
	 * comes with opening and closing by the pool; vhost-net as well. */
	MAY("ioctl", NET_HOST, IF_ARG(1, TUNATTACHFILTER)),
	MAY("ioctl", NET_HOST, IF_ARG(1, TUNDETACHFILTER)),
	MAY("ioctl", NET_HOST, IF_ARG(1, TUNSETOFFLOAD)),
	MAY("ioctl", NET_HOST, IF_ARG(1, TUNSETQUEUE)),
	MAY("ioctl", NET_HOST, IF_ARG(1, VHOST_GET_FEATURES)),
	MAY("ioctl", NET_HOST, IF_ARG(1, VHOST_GET_VRING_BASE)),
	MAY("ioctl", NET_HOST, IF_ARG(1, VHOST_NET_SET_BACKEND)),
	MAY("ioctl", NET_HOST, IF_ARG(1, VHOST_SET_FEATURES)),
	MAY("ioctl", NET_HOST | ON_VCPU, IF_ARG(1, VHOST_SET_MEM_TABLE)),
	MAY("ioctl", NET_HOST, IF_ARG(1, VHOST_SET_OWNER)),
	MAY("ioctl", NET_HOST, IF_ARG(1, VHOST_SET_VRING_ADDR)),
	MAY("ioctl", NET_HOST, IF_ARG(1, VHOST_SET_VRING_BASE)),
	MAY("ioctl", NET_HOST, IF_ARG(1, VHOST_SET_VRING_CALL)),
	MAY("ioctl", NET_HOST, IF_ARG(1, VHOST_SET_VRING_KICK)),
	MAY("ioctl", NET_HOST, IF_ARG(1, VHOST_SET_VRING_NUM)),
	MAY("fcntl", NET_HOST, IF_ARG(1, F_SETFL)),
	MAY("read", NET_HOST),
	/* Frames, and addresses that are made up. */
	MAY("close", NET_HOST),
	MAY("getrandom", ON_MAIN),
	MAY("readv", ON_IO),
	MAY("write", NET_HOST),
	MAY("writev", ON_IO),
	MAY("io_uring_enter", ON_IO),
	/* An I/O thread that begins makes a ring, and restricts it. */
	MAY("io_uring_setup", ON_SPAWN),
	MAY("io_uring_register", ON_SPAWN,
	    IF_ARG(1, IORING_REGISTER_RESTRICTIONS)),
	MAY("io_uring_register", ON_SPAWN,
	    IF_ARG(1, IORING_REGISTER_ENABLE_RINGS)),
	/* Its link, as the host tells. */
	MAY("recvmsg", ON_MAIN | ON_POOL),
	{ .name = "" },
};

const struct device_class net_class = {
	.name = "net",
	.option = "net",
	.json_list = "net",
	.params = &net_param_set,
	.set_params = &net_set_params,
	.peer_keys = net_peer_keys,
	.is_same = net_config_is_same,
	.syscalls = net_syscalls,
#ifndef VMM_NO_URING
	.io_local = &tap_ring_local,
#endif
	.open = net_open,
	.close = net_close,
	.create = net_create,
};
