/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_BACKEND_TAP_FILTER_H
#define DEVICES_BACKEND_TAP_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

struct tap;

/* Which frames the host's kernel is to put into the queues of a TAP. */

#define TAP_FILTER_VLANS (4096u / 64u)
#define TAP_FILTER_MACS 64u

struct tap_filter {
	/* A bit per VLAN: frames with one 802.1Q tag, which is one of these.
	 * NULL: with tags or without. */
	const uint64_t *vlans; /* TAP_FILTER_VLANS words */
	/* And to all of a kind of destination, or to one of macs. */
	bool all_unicast;
	bool all_multicast; /* without broadcast */
	bool broadcast;
	const uint8_t (*macs)[6];
	unsigned int nr_macs; /* at most TAP_FILTER_MACS */
};

/* Whatever the filter, its program is no longer. */
#define TAP_FILTER_MAX 768u

/* Write the filter's program to code, which has room for TAP_FILTER_MAX, and
 * return its length. Any thread. */
unsigned int tap_filter_compile(const struct tap_filter *filter,
				struct sock_filter *code);

/*
 * Have only frames come that pass. NULL: all. Those that are in the queues
 * already stay. Any thread. -errno: there may be no filter at all now; always so
 * of a macvtap, for which the kernel has none.
 */
int tap_set_filter(struct tap *tap, const struct tap_filter *filter);

#endif
