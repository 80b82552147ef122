/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "power.h"

#include "cpu.h"
#include "psci.h"
#include "text.h"

static void __attribute__((noreturn)) power_call(uint32_t function)
{
	psci_call(function, 0, 0, 0);
	say("FATAL: PSCI function %x did nothing", function);
	for (;;)
		cpu_halt();
}

void power_off(void)
{
	power_call(PSCI_SYSTEM_OFF);
}

void power_reset(void)
{
	power_call(PSCI_SYSTEM_RESET);
}

static void power_reset2(void)
{
	power_call(PSCI_SYSTEM_RESET2);
}

const struct power_way power_ways[] = {
	{ "off", power_off },
	{ "reset", power_reset },
	{ "reset2", power_reset2 },
	{ 0 },
};
