/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_LIB_FAKE_VHOST_H
#define TESTS_LIB_FAKE_VHOST_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A double of /dev/vhost-net, for programs that are linked with --wrap=ioctl
 * and --wrap=open64: a thread for each that is opened serves two rings as the
 * kernel does, with the addresses and by the table it was given, and nothing
 * else. It knows no indirect descriptors and no event index. Whatever the
 * kernel would not take aborts.
 */

/* There is none: opening it fails with this errno; 0: there is one. */
extern int fake_vhost_errno;
/* What VHOST_GET_FEATURES says. */
extern uint64_t fake_vhost_features;

/* How many are open, and how many ask for frames of a TAP just now. */
unsigned int fake_vhost_nr_open(void);
unsigned int fake_vhost_nr_connected(void);
/* The number of regions that all of them know. */
unsigned int fake_vhost_nr_regions(void);

/* End the thread of one that was closed; all of them are. */
void fake_vhost_join(void);

#endif
