/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/registry.h"

const struct device_class *const device_classes[] = {
#define DEVICE(name) &name##_class,
#include "devices/registry.def"
#ifdef DEVICES_ALSO
#include DEVICES_ALSO
#endif
#undef DEVICE
	NULL,
};
