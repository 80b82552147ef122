/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Memory, and where there is none. */
#include "mech.h"

#include "io.h"
#include "memory.h"
#include "param.h"
#include "text.h"

const char *mech_mmio_unassigned(void)
{
	uint64_t value = mmio_read8(mech_unassigned);

	if (value != 0xff)
		return failed("8 bits read %lx", value);
	value = mmio_read16(mech_unassigned);
	if (value != 0xffff)
		return failed("16 bits read %lx", value);
	value = mmio_read32(mech_unassigned);
	if (value != 0xffffffff)
		return failed("32 bits read %lx", value);
	value = mmio_read64(mech_unassigned);
	if (value != ~0ull)
		return failed("64 bits read %lx", value);
	mmio_write8(mech_unassigned, 1);
	mmio_write32(mech_unassigned, 2);
	return NULL;
}

/* Both ends of each range of RAM that the machine names hold what is put
 * there, and are different memory. */
const char *mech_ram_ends(void)
{
	uint64_t at[2 * GUEST_RAM_MAX], kept[2 * GUEST_RAM_MAX], total = 0;
	unsigned n = 0, nr_bad = 0;

	for (unsigned i = 0; i < mech_info->nr_ram; i++) {
		const struct guest_ram *ram = &mech_info->ram[i];

		total += ram->end - ram->start;
		if (ram->end <= 1 << 20)
			continue;
		if (ram->end >> 32)
			memory_map(ram->start, ram->end - ram->start);
		if (ram->start > 1 << 20)
			at[n++] = ram->start;
		at[n++] = ram->end - 8;
	}
	if (!n)
		return failed("no RAM above 1 MiB");
	for (unsigned i = 0; i < n; i++) {
		kept[i] = *(volatile uint64_t *)at[i];
		*(volatile uint64_t *)at[i] = ~at[i];
	}
	for (unsigned i = 0; i < n; i++) {
		if (*(volatile uint64_t *)at[i] != ~at[i])
			nr_bad++;
	}
	for (unsigned i = 0; i < n; i++)
		*(volatile uint64_t *)at[i] = kept[i];
	if (nr_bad)
		return failed("%u of %u places do not hold", nr_bad, n);
	if (total < param_number("min_ram", 0))
		return failed("only %lu bytes of RAM", total);
	return NULL;
}
