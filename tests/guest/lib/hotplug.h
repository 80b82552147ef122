/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Devices on bus 0 that have come or are to go, where the machine has a way to say
 * so. */
#ifndef GUEST_HOTPLUG_H
#define GUEST_HOTPLUG_H

#include <stdint.h>

#define HOTPLUG_DEVICE_CHECK 1
#define HOTPLUG_EJECT_REQUEST 3

/* Kind, index (of 16 bits) and one of the above, a byte each; 0: no more. */
uint32_t hotplug_event(void);

/* The kind and index of one that may go. */
void hotplug_eject(uint32_t word);

#endif
