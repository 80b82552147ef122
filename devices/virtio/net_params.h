/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_VIRTIO_NET_PARAMS_H
#define DEVICES_VIRTIO_NET_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/backend/tap.h"
#include "devices/virtio/limit.h"
#include "devices/virtio/net_frame.h"
#include "vmm/param.h"
#include "vmm/peer_key.h"

enum net_antispoof {
	NET_ANTISPOOF_OFF,
	NET_ANTISPOOF_MAC, /* the guest sends from its own address only */
};

enum net_link {
	NET_LINK_UP, /* as the TAP's is */
	NET_LINK_DOWN,
};

/* --net; the fields that the parameter table fills. */
struct net_config {
	char *tap;
	struct fd_list fds;
	char *netns;
	uint8_t mac[NET_MAC_LEN]; /* given, or made up */
	uint8_t host_mac[NET_MAC_LEN];
	uint64_t mtu; /* 0: the TAP's */
	uint32_t ip, mask; /* network byte order; 0: none */
	uint64_t num_queues; /* of both directions */
	uint64_t queue_size;
	bool offload_tso;
	bool offload_ufo;
	bool offload_csum;
	char *vlan; /* as net_vlan_parse() takes it */
	int antispoof; /* enum net_antispoof */
	int link; /* enum net_link */
	bool vhost;
	uint64_t poll_us;
	char *id;
	struct limits_config limits;
};

extern const struct param_set net_param_set;
/* What of it may be changed while the device is there. */
extern const struct param_set net_set_params;
extern const struct peer_key net_peer_keys[];

static inline unsigned int net_config_pairs(const struct net_config *config)
{
	return (unsigned int)config->num_queues / 2;
}

/* Of one MAC address: for device_class.is_same. */
bool net_config_is_same(const void *config, const void *other);

/* Is the machine of nr_cpus vCPUs large enough? -EINVAL with a message. */
int net_config_check_cpus(const struct net_config *config, unsigned int nr_cpus,
			  struct error *err);

/* What the TAP is to be, for as long as config stays. */
void net_config_tap(const struct net_config *config, struct tap_config *tap);

/* "off" (or NULL), "10", "trunk:10" or "trunk:[10,20-29]". -EINVAL with reason
 * and fix, and *vlan is undefined. */
int net_vlan_parse(const char *text, struct vlan_ports *vlan,
		   struct error *err);

#endif
