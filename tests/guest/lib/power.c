/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "power.h"

#include "memory.h"
#include "param.h"
#include "text.h"

void power_by(const char *name)
{
	for (const struct power_way *way = power_ways; way->name; way++) {
		if (!strcmp(way->name, name))
			way->go();
	}
	power_off_failed("no such way out");
}

void power_end(void)
{
	while (param_is("end", "stay"))
		cpu_relax();
	power_by(param_text("end", "off"));
}

void power_off_failed(const char *why)
{
	say("FATAL: %s", why);
	power_off();
}
