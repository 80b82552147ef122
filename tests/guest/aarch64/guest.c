/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* From start.S to guest_begin(): take what the device tree says. */
#include "guest.h"

#include "fdt.h"
#include "machine.h"
#include "power.h"
#include "text.h"

#define PCI_SPACE(flags) ((flags) >> 24 & 3)
#define PCI_SPACE_MEM32 2
#define PCI_RANGE_CELLS \
	7 /* three of the bus, two of the processor, two of size */
#define TIMER_VIRTUAL 2 /* of the timer's interrupts */

struct machine machine;

/* Entered from start.S. */
__attribute__((noreturn)) void guest_start(uint64_t device_tree);
__attribute__((noreturn)) void guest_on_fault(uint64_t esr, uint64_t elr,
					      uint64_t far);

static void read_memory(void)
{
	const uint32_t *node = NULL;

	while ((node = fdt_find(node, "device_type", "memory"))) {
		uint32_t len = 0;

		fdt_get(node, "reg", &len);
		for (unsigned i = 0; i < len / 16; i++) {
			uint64_t start = fdt_number(node, "reg", 2 * i);

			guest_add_ram(start, start + fdt_number(node, "reg",
								2 * i + 1));
		}
	}
}

static void read_cpus(void)
{
	const uint32_t *node = NULL;

	while ((node = fdt_find(node, "device_type", "cpu"))) {
		if (machine.nr_cpus++ == 1)
			machine.cpu1 = fdt_cpu(node);
	}
}

static void read_pci(void)
{
	const uint32_t *node =
		fdt_find(NULL, "compatible", "pci-host-ecam-generic");
	uint32_t len = 0;

	if (!node || !fdt_get(node, "ranges", &len))
		return;
	machine.ecam = fdt_number(node, "reg", 0);
	for (unsigned i = 0; i < len / 4; i += PCI_RANGE_CELLS) {
		if (PCI_SPACE(fdt_cell(node, "ranges", i)) != PCI_SPACE_MEM32)
			continue;
		machine.pci_window = fdt_cell(node, "ranges", i + 4);
		machine.pci_window_len = fdt_cell(node, "ranges", i + 6);
	}
}

static void read_chips(void)
{
	const uint32_t *node = fdt_find(NULL, "compatible", "arm,pl011");

	machine.uart = fdt_number(node, "reg", 0);
	machine.uart_intid = INTID_SPI + fdt_cell(node, "interrupts", 1);
	node = fdt_find(NULL, "compatible", "arm,pl031");
	machine.rtc = fdt_number(node, "reg", 0);
	node = fdt_find(NULL, "compatible", "arm,gic-v3");
	machine.gic_distributor = fdt_number(node, "reg", 0);
	machine.gic_redistributors = fdt_number(node, "reg", 2);
	node = fdt_find(NULL, "compatible", "arm,gic-v3-its");
	machine.its = fdt_number(node, "reg", 0);
	node = fdt_find(NULL, "compatible", "arm,armv8-timer");
	machine.timer_intid =
		INTID_PPI + fdt_cell(node, "interrupts", 3 * TIMER_VIRTUAL + 1);
}

void guest_start(uint64_t device_tree)
{
	const uint32_t *chosen;
	const char *cmdline = NULL;
	uint32_t len;

	if (!fdt_init(device_tree))
		power_off();
	read_chips();
	read_memory();
	read_cpus();
	read_pci();
	chosen = fdt_find(NULL, "bootargs", NULL);
	if (chosen)
		cmdline = fdt_get(chosen, "bootargs", &len);
	guest_begin(cmdline);
}

void guest_on_fault(uint64_t esr, uint64_t elr, uint64_t far)
{
	static bool again;

	if (again)
		power_off();
	again = true;
	say("FATAL: exception, esr %lx elr %lx far %lx", esr, elr, far);
	power_end();
}
