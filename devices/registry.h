/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_REGISTRY_H
#define DEVICES_REGISTRY_H

#include "devices/device.h"

/* Declarations for the files that define the classes and for the table.
 * DEVICES_ALSO: another file like registry.def, by which tests add devices. */
#define DEVICE(name) extern const struct device_class name##_class;
#include "devices/registry.def"
#ifdef DEVICES_ALSO
#include DEVICES_ALSO
#endif
#undef DEVICE

#endif
