/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/net_params.h"

#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "devices/virtio/virtio.h"
#include "vmm/util.h"

/* ---- VLANs ---- */

/* The id that *text begins with, which is moved behind it. */
static int net_vlan_id(const char **text, unsigned int *id)
{
	const char *s = *text;

	for (*id = 0; *s >= '0' && *s <= '9' && *id <= VLAN_ID_MAX; s++)
		*id = *id * 10 + (unsigned int)(*s - '0');
	if (s == *text || *id < 1 || *id > VLAN_ID_MAX)
		return -EINVAL;
	*text = s;
	return 0;
}

/* "10" or "20-29" of a trunk. */
static int net_vlan_range(const char **text, struct vlan_ports *vlan)
{
	unsigned int first, last;

	if (net_vlan_id(text, &first))
		return -EINVAL;
	last = first;
	if (**text == '-') {
		(*text)++;
		if (net_vlan_id(text, &last) || last < first)
			return -EINVAL;
	}
	for (; first <= last; first++)
		vlan_ports_add(vlan, first);
	return 0;
}

static int net_vlan_trunk(const char *text, struct vlan_ports *vlan)
{
	bool many = *text == '[', more = true;

	vlan->mode = VLAN_TRUNK;
	for (text += many; more; text += more) {
		if (net_vlan_range(&text, vlan))
			return -EINVAL;
		more = many && *text == ',';
	}
	return strcmp(text, many ? "]" : "") == 0 ? 0 : -EINVAL;
}

int net_vlan_parse(const char *text, struct vlan_ports *vlan, struct error *err)
{
	static const char trunk[] = "trunk:";
	unsigned int id;

	memset(vlan, 0, sizeof(*vlan));
	if (!text || strcmp(text, "off") == 0)
		return 0;
	if (strncmp(text, trunk, strlen(trunk)) == 0) {
		if (!net_vlan_trunk(text + strlen(trunk), vlan))
			return 0;
	} else if (!net_vlan_id(&text, &id) && !*text) {
		vlan->mode = VLAN_ACCESS;
		vlan->access = (uint16_t)id;
		return 0;
	}
	return error_set(
		err, EINVAL,
		"not of VLANs 1 to %u; use one such as 10, trunk:[10,20-29], or off",
		VLAN_ID_MAX);
}

static int net_check_vlan(const char *text, struct error *err)
{
	struct vlan_ports vlan;

	return net_vlan_parse(text, &vlan, err);
}

/* ---- the table ---- */

/* clang-format off: one line, one thing to say */
static const struct param_choice net_antispoofs[] = {
	[NET_ANTISPOOF_OFF] = { "off", NULL },
	[NET_ANTISPOOF_MAC] = { "mac", NULL },
	{ 0 },
};

static const struct param_choice net_links[] = {
	[NET_LINK_UP] = { "up", NULL },
	[NET_LINK_DOWN] = { "down", NULL },
	{ 0 },
};

#define NET_VLAN_PARAM                                                         \
	PARAM("vlan", WORDS, struct net_config, vlan,                          \
	      "access port of one VLAN, whose tag the guest does not see, or " \
	      "trunk: frames of a set of VLANs pass, tagged, and no others",   \
	      .check_text = net_check_vlan, .look = "N|trunk:[N,N-N...]|off")
#define NET_LINK_PARAM                                                  \
	PARAM("link", ENUM, struct net_config, link,                    \
	      "the cable: plugged in, when the TAP has a link, or not", \
	      .choices = net_links)

static const struct param net_params[] = {
	PARAM("tap", STRING, struct net_config, tap,
	      "the host's interface; made for the guest's time where there is "
	      "none of that name (default: the host names one)",
	      .max = IFNAMSIZ - 1),
	PARAM("fd", FDS, struct net_config, fds,
	      "open TAPs (IFF_TAP, IFF_NO_PI, IFF_VNET_HDR) or /dev/tapN "
	      "instead, one a pair of queues",
	      .min = STDERR_FILENO + 1),
	PARAM("netns", PATH, struct net_config, netns,
	      "network namespace of the TAP, such as /run/netns/NAME"),
	PARAM("mac", MAC, struct net_config, mac,
	      "the guest's address (default: made up)"),
	PARAM("host_mac", MAC, struct net_config, host_mac,
	      "address of the TAP (default: as it is)"),
	PARAM("mtu", UINT, struct net_config, mtu,
	      "largest packet, of the TAP and told to the guest (default: as "
	      "it is)",
	      .min = 68, .max = 65521),
	PARAM("ip", IPV4, struct net_config, ip,
	      "address of a TAP that is made (default: none)"),
	PARAM("mask", IPV4, struct net_config, mask,
	      "its network (default: 255.255.255.0)"),
	PARAM("num_queues", UINT, struct net_config, num_queues,
	      "queues of both directions: pairs, as many as vCPUs at most "
	      "(default: 2, or what fd says)",
	      .min = 2, .max = 2 * TAP_QUEUES_MAX),
	PARAM("queue_size", UINT, struct net_config, queue_size,
	      "buffers a queue can hold", .def = 256, .min = 4, .max = 32768,
	      .pow2 = true),
	PARAM("offload_tso", BOOL, struct net_config, offload_tso,
	      "offer segmentation of TCP", .def = 1),
	PARAM("offload_ufo", BOOL, struct net_config, offload_ufo,
	      "offer segmentation and fragments of UDP", .def = 1),
	PARAM("offload_csum", BOOL, struct net_config, offload_csum,
	      "offer checksums; the others need it", .def = 1),
	NET_VLAN_PARAM,
	PARAM("antispoof", ENUM, struct net_config, antispoof,
	      "mac: the guest sends from its address only, and cannot change it",
	      .choices = net_antispoofs),
	NET_LINK_PARAM,
	PARAM("vhost", BOOL, struct net_config, vhost,
	      "let the host's kernel move the frames (vhost-net)"),
	PARAM("poll_us", UINT, struct net_config, poll_us,
	      "longest busy wait for the guest's next frame", .unit = "us",
	      .def = 32, .max = 1000),
	PARAM("id", STRING, struct net_config, id,
	      "name of the device for later requests", .max = 63),
	LIMITS_PARAMS(struct net_config, limits),
};

static const struct param net_changes[] = {
	NET_VLAN_PARAM,
	NET_LINK_PARAM,
	LIMITS_PARAMS(struct net_config, limits),
};

#define NO_VHOST_USER "vhost-user networks are not supported"

const struct peer_key net_peer_keys[] = {
	{ .path = "ip", .type = PEER_STRING, .def = "\"192.168.249.1\"" },
	{ .path = "mask", .type = PEER_STRING, .def = "\"255.255.255.0\"" },
	PEER_NONE("iommu", PEER_BOOL, PEER_NO_SEGMENTS),
	PEER_NONE("vhost_user", PEER_BOOL, NO_VHOST_USER),
	PEER_NONE("vhost_socket", PEER_STRING, NO_VHOST_USER),
	PEER_KEEP("vhost_mode", PEER_STRING),
	PEER_NONE("pci_segment", PEER_UINT, PEER_NO_SEGMENTS),
	PEER_NONE("pci_device_id", PEER_UINT, "slots are given in order"),
	PEER_KEEP("rate_limiter_config", PEER_OBJECT),
	{ .path = NULL },
};
/* clang-format on */

/* ---- what goes together ---- */

/* Of one station, locally administered. */
static void net_make_mac(uint8_t mac[NET_MAC_LEN])
{
	uint64_t now = monotonic_ns();

	/* A host that has just started may have nothing random yet. */
	if (getrandom(mac, NET_MAC_LEN, GRND_NONBLOCK) != NET_MAC_LEN)
		memcpy(mac, &now, NET_MAC_LEN);
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

static bool net_mac_is_unset(const uint8_t mac[NET_MAC_LEN])
{
	static const uint8_t none[NET_MAC_LEN];

	return memcmp(mac, none, NET_MAC_LEN) == 0;
}

static void net_complete(void *config)
{
	struct net_config *c = config;

	if (net_mac_is_unset(c->mac))
		net_make_mac(c->mac);
	if (!c->num_queues)
		c->num_queues = 2 * MAX(c->fds.nr, 1);
	if (c->ip && !c->mask)
		c->mask = htonl(0xffffff00);
}

/* Who asks for frames to be looked at cannot have the kernel move them. */
static int net_check_vhost(const struct net_config *c, struct error *err)
{
	const struct limit_config in = limit_of(&c->limits, VIRTIO_TO_GUEST);
	const struct limit_config out = limit_of(&c->limits, VIRTIO_FROM_GUEST);
	const char *what = NULL;
	struct vlan_ports vlan;

	if (net_vlan_parse(c->vlan, &vlan, err))
		return -EINVAL;
	if (vlan.mode != VLAN_OFF)
		what = "vlan";
	else if (c->antispoof != NET_ANTISPOOF_OFF)
		what = "antispoof";
	else if (in.bw.size || in.ops.size || out.bw.size || out.ops.size)
		what = "a rate limit";
	if (!c->vhost || !what)
		return 0;
	return error_set(
		err, EINVAL,
		"vhost=on: the kernel moves the frames, and knows nothing of %s; use vhost=off, or leave it out",
		what);
}

static int net_check_address(const struct net_config *c, struct error *err)
{
	uint32_t bits = ~ntohl(c->mask);

	if (c->mask && !c->ip)
		return error_set(err, EINVAL,
				 "mask: is of no use without ip; give both");
	if (c->mask && bits & (bits + 1))
		return error_set(
			err, EINVAL,
			"mask: is no network's; use one such as 255.255.255.0");
	return 0;
}

static int net_check(const void *config, struct error *err)
{
	const struct net_config *c = config;
	int r;

	if (c->tap && c->fds.nr)
		return error_set(err, EINVAL,
				 "give either tap=NAME or fd=N, not both");
	if (c->netns && c->fds.nr)
		return error_set(
			err, EINVAL,
			"netns: a TAP that is passed as fd is in one already; leave netns out");
	if (c->num_queues % 2)
		return error_set(
			err, EINVAL,
			"num_queues=%u: they come in pairs; use an even number",
			(unsigned int)c->num_queues);
	if (c->fds.nr && c->fds.nr != net_config_pairs(c))
		return error_set(
			err, EINVAL,
			"num_queues=%u: its queues do not fit, there %s %u of fd; use num_queues=%u",
			(unsigned int)c->num_queues,
			c->fds.nr == 1 ? "is" : "are", c->fds.nr,
			2 * c->fds.nr);
	r = net_check_address(c, err);
	return r ? r : net_check_vhost(c, err);
}

bool net_config_is_same(const void *config, const void *other)
{
	const struct net_config *a = config, *b = other;

	return !memcmp(a->mac, b->mac, NET_MAC_LEN);
}

int net_config_check_cpus(const struct net_config *config, unsigned int nr_cpus,
			  struct error *err)
{
	if (net_config_pairs(config) <= nr_cpus)
		return 0;
	return error_set(
		err, EINVAL,
		"num_queues=%u: are more pairs than vCPUs; use num_queues=%u at most, or --cpus %u",
		(unsigned int)config->num_queues, 2 * nr_cpus,
		net_config_pairs(config));
}

void net_config_tap(const struct net_config *config, struct tap_config *tap)
{
	*tap = (struct tap_config){
		.name = config->tap,
		.fds = config->fds.nr ? config->fds.fds : NULL,
		.nr_queues = net_config_pairs(config),
		.netns = config->netns,
		.host_mac = net_mac_is_unset(config->host_mac)
				    ? NULL
				    : config->host_mac,
		.mtu = (uint32_t)config->mtu,
		.ip = config->ip,
		.mask = config->mask,
	};
	if (!config->offload_csum)
		return;
	tap->offloads = TUN_F_CSUM;
	if (config->offload_tso)
		tap->offloads |= TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	if (config->offload_ufo)
		tap->offloads |= TUN_F_UFO | TAP_F_USO4 | TAP_F_USO6;
}

const struct param_set net_param_set = {
	.option = "net",
	.help = "add a network device",
	PARAM_TABLE(net_params, struct net_config),
	.shorthand = "tap",
	.complete = net_complete,
	.check = net_check,
};

const struct param_set net_set_params = {
	.option = "net",
	PARAM_TABLE(net_changes, struct net_config),
};
