/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/registry.h"

#include <string.h>

const struct device_class *const device_classes[] = {
#define DEVICE(name) &name##_class,
#include "devices/registry.def"
#ifdef DEVICES_ALSO
#include DEVICES_ALSO
#endif
#undef DEVICE
	NULL,
};

const struct device_class *device_class_find(const char *name)
{
	const struct device_class *const *c;

	for (c = device_classes; *c; c++)
		if (!strcmp((*c)->name, name))
			return *c;
	return NULL;
}
