/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_LIB_FAKE_TAP_H
#define TESTS_LIB_FAKE_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "devices/backend/tap.h"
#include "devices/backend/tap_filter.h"

/*
 * In the place of the functions of tap.c and tap_filter.c: a TAP whose queues
 * are sockets, with the test at their other ends. The one that was opened last.
 */
struct fake_tap {
	unsigned int can; /* offloads */
	bool refuse_filter, refuse_offloads, refuse_queues;
	int ends[4]; /* the wire's side of each queue */
	unsigned int offloads;
	bool attached[4];
	bool has_filter;
	struct tap_filter filter;
	uint64_t vlans[TAP_FILTER_VLANS];
	uint8_t macs[TAP_FILTER_MACS][6];
	unsigned int nr_filters; /* calls */
	struct tap *tap;
};

extern struct fake_tap fake_tap;

/* All offloads, no refusals. Before the TAP is opened. */
void fake_tap_init(void);

/* A frame comes from the wire into queue 0; hdr NULL: of zeroes. False: the
 * queue is full. */
bool fake_tap_send(const void *hdr, const void *frame, size_t len);
/* The next frame that left by a queue, with its header. Bytes; -1: none. */
ssize_t fake_tap_receive(unsigned int queue, void *buf, size_t len);

#endif
