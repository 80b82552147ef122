/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The chip's registers, which ACPI reads otherwise. */
#include "hotplug.h"

#include "io.h"

#define HOTPLUG_EVENT 0x620
#define HOTPLUG_EJECT 0x624

uint32_t hotplug_event(void)
{
	return in32(HOTPLUG_EVENT);
}

void hotplug_eject(uint32_t word)
{
	out32(HOTPLUG_EJECT, word & 0xffff00);
}
