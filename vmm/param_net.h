/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_PARAM_NET_H
#define VMM_PARAM_NET_H

#include <stdint.h>

#include "vmm/error.h"

/* Addresses of networks as values of parameters. Any thread. */

#define PARAM_MAC_LEN 6u

struct param_net_text {
	char text[18];
};

/* Read "52:54:00:12:34:56", an address of one station. -EINVAL with reason and
 * fix, and mac is as before. */
int param_read_mac(const char *text, uint8_t mac[PARAM_MAC_LEN],
		   struct error *err);
/* The other way round: use as param_mac_text(mac).text inside the call. */
struct param_net_text param_mac_text(const uint8_t mac[PARAM_MAC_LEN]);

/* Read "192.168.249.1"; *ip is in network byte order. -EINVAL with reason and
 * fix, and *ip is as before. */
int param_read_ipv4(const char *text, uint32_t *ip, struct error *err);
/* As param_mac_text(). */
struct param_net_text param_ipv4_text(uint32_t ip);

#endif
