/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What is on bus 0 stays there: devices come and go behind root ports. */
#include "hotplug.h"

#include "power.h"

uint32_t hotplug_event(void)
{
	return 0;
}

void hotplug_eject(uint32_t word)
{
	(void)word;
	power_off_failed("nothing was to go");
}
