/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/param_net.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The value of two hexadecimal digits; -1: they are none. */
static int param_hex_byte(const char *text)
{
	static const char digits[] = "00112233445566778899aAbBcCdDeEfF";
	int v = 0;

	for (unsigned int i = 0; i < 2; i++) {
		const char *at = text[i] ? strchr(digits, text[i]) : NULL;

		if (!at)
			return -1;
		v = v * 16 + (int)(at - digits) / 2;
	}
	return v;
}

int param_read_mac(const char *text, uint8_t mac[PARAM_MAC_LEN],
		   struct error *err)
{
	static const uint8_t none[PARAM_MAC_LEN];
	uint8_t read[PARAM_MAC_LEN];
	bool good = strlen(text) == 3 * PARAM_MAC_LEN - 1;
	int byte;

	for (unsigned int i = 0; good && i < PARAM_MAC_LEN; i++) {
		byte = param_hex_byte(text + 3 * i);
		good = byte >= 0 && (!i || text[3 * i - 1] == ':');
		read[i] = (uint8_t)byte;
	}
	if (!good)
		return error_set(
			err, EINVAL,
			"not a MAC address; use one such as 52:54:00:12:34:56");
	if (read[0] & 1 || !memcmp(read, none, sizeof(none)))
		return error_set(
			err, EINVAL,
			"not the MAC address of a station; use one with an even first byte, such as 52:54:00:12:34:56");
	memcpy(mac, read, sizeof(read));
	return 0;
}

struct param_net_text param_mac_text(const uint8_t mac[PARAM_MAC_LEN])
{
	struct param_net_text t;

	snprintf(t.text, sizeof(t.text), "%02x:%02x:%02x:%02x:%02x:%02x",
		 mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return t;
}

int param_read_ipv4(const char *text, uint32_t *ip, struct error *err)
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) != 1)
		return error_set(
			err, EINVAL,
			"not an IPv4 address; use one such as 192.168.249.1");
	*ip = in.s_addr;
	return 0;
}

struct param_net_text param_ipv4_text(uint32_t ip)
{
	const struct in_addr in = { ip };
	struct param_net_text t;

	inet_ntop(AF_INET, &in, t.text, sizeof(t.text));
	return t;
}
