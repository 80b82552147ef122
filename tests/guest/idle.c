/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A guest at rest with one disk in use: what does the monitor weigh? Says
 * READY, then halts for good; idle=spin keeps the CPU busy instead, idle=talk the
 * serial port.
 */
#include "blk.h"
#include "cpu.h"
#include "irq.h"
#include "memory.h"
#include "param.h"
#include "power.h"
#include "text.h"

void guest_main(const struct guest_info *info)
{
	static struct blk blk;
	static uint8_t sector[BLK_SECTOR];
	const char *why;
	int status;

	(void)info;
	why = blk_open(&blk, 0);
	if (!why)
		why = blk_start(&blk, BLK_F_ALL, 1, 0);
	if (why)
		power_off_failed(why);
	status = blk_read(&blk, 0, sector, sizeof(sector));
	if (status != BLK_OK)
		power_off_failed("cannot read the disk");
	irq_start();
	say("READY");
	while (param_is("idle", "spin"))
		cpu_relax();
	while (param_is("idle", "talk"))
		say("READY");
	for (;;)
		cpu_halt();
}
