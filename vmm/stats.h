/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_STATS_H
#define VMM_STATS_H

#include <jansson.h>

struct vm;

/*
 * What the process costs and what the guest does. Main thread; counters of
 * other threads are read while they change, each of them whole. vm NULL: there
 * is no machine, and the figures are those of the process alone.
 *
 * Units are in the names: _bytes, _ns; all others are counts.
 */

/* {device id: {counter: value}} */
json_t *stats_counters(struct vm *vm);

/*
 * {"memory": {name: bytes}, "threads": {thread: {name: value}},
 *  "exits": {vcpu: {kind: count}}, "kvm": {"vm" or vcpu: {name: value}},
 *  "devices": as stats_counters()}
 */
json_t *stats_json(struct vm *vm);

/* The same in Prometheus' text format; malloc'd. NULL: no memory. */
char *stats_prometheus(struct vm *vm);

#endif
