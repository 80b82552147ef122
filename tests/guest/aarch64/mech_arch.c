/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The device tree, PSCI, the PL011, the PL031 and the processor's timer. */
#include "mech.h"

#include "clock.h"
#include "cpu.h"
#include "fdt.h"
#include "gic.h"
#include "io.h"
#include "irq.h"
#include "machine.h"
#include "memory.h"
#include "param.h"
#include "psci.h"
#include "text.h"

#define FDT_MAX 0x40000u
#define SEED_MIN 16u

#define UART_DR 0x00
#define UART_FR 0x18
#define UART_IBRD 0x24
#define UART_FBRD 0x28
#define UART_LCRH 0x2c
#define UART_CR 0x30
#define UART_IFLS 0x34
#define UART_IMSC 0x38
#define UART_RIS 0x3c
#define UART_MIS 0x40
#define UART_ICR 0x44
#define FR_RXFE 0x10
#define FR_TXFE 0x80
#define LCRH_8N1_FIFO 0x70
#define CR_LBE 0x80
#define CR_ON 0x301
#define INT_RX 0x50 /* or something waits */
#define INT_TX 0x20
#define INT_ALL 0x7ff

#define RTC_DR 0x00
#define RTC_LR 0x08
#define RTC_CR 0x0c
#define SECONDS_2020 1577836800u

#define PRIMECELL_PERIPHERAL 0xfe0
#define PRIMECELL_CELL 0xff0
#define PRIMECELL_CELL_ID 0xb105f00du

#define PSCI_1_0 0x10000
#define PSCI_UNKNOWN 0x8400001f
#define AFFINITY_UNKNOWN 0xff00

/* Between the clock and the redistributors. */
const uint64_t mech_unassigned = 0x0a000000;

/* ---- the device tree -------------------------------------------------- */

/* What all machines have, with registers at a place of its own each. */
static const char *registers_apart(void)
{
	static const char *const compatible[] = {
		"arm,pl011",
		"arm,pl031",
		"arm,gic-v3",
		"arm,gic-v3-its",
		"pci-host-ecam-generic",
	};
	struct guest_ram at[ARRAY_SIZE(compatible) + 1];
	unsigned nr = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(compatible); i++) {
		const uint32_t *node =
			fdt_find(NULL, "compatible", compatible[i]);
		uint32_t len = 0;

		if (!node || !fdt_get(node, "reg", &len) || len % 16)
			return failed("no %s", compatible[i]);
		for (unsigned j = 0; j < len / 16; j++) {
			if (nr == ARRAY_SIZE(at))
				return failed("%s has too much", compatible[i]);
			at[nr].start = fdt_number(node, "reg", 2 * j);
			at[nr].end = at[nr].start +
				     fdt_number(node, "reg", 2 * j + 1);
			nr++;
		}
	}
	for (unsigned i = 0; i < nr; i++) {
		for (unsigned j = 0; j < i; j++) {
			if (at[i].start < at[j].end && at[j].start < at[i].end)
				return failed("%lx and %lx overlap",
					      at[i].start, at[j].start);
		}
		for (unsigned j = 0; j < mech_info->nr_ram; j++) {
			if (at[i].start < mech_info->ram[j].end &&
			    mech_info->ram[j].start < at[i].end)
				return failed("%lx is in RAM", at[i].start);
		}
	}
	return NULL;
}

static const char *mech_tables(void)
{
	const uint32_t *root = fdt_find(NULL, "#address-cells", NULL);
	const uint32_t *chosen = fdt_find(NULL, "stdout-path", NULL);
	const uint32_t *psci = fdt_find(NULL, "compatible", "arm,psci-0.2");
	uint32_t len = fdt_check();
	const uint8_t *seed;
	const char *method;

	if (!len || len > FDT_MAX)
		return failed("no whole device tree: length %u", len);
	if (fdt_cell(root, "#address-cells", 0) != 2 ||
	    fdt_cell(root, "#size-cells", 0) != 2)
		return failed("addresses and sizes have not two cells");
	if (!chosen)
		return failed("nothing is said of the console");
	seed = fdt_get(chosen, "rng-seed", &len);
	if (!seed || len < SEED_MIN)
		return failed("no seed");
	if (!memcmp(seed, seed + len / 2, len / 2))
		return failed("the seed repeats itself");
	method = psci ? fdt_get(psci, "method", &len) : NULL;
	if (!method || strcmp(method, "hvc"))
		return failed("PSCI by something else than hvc");
	return registers_apart();
}

/* ---- PSCI ------------------------------------------------------------- */

static const char *mech_psci(void)
{
	uint64_t self = sysreg_read("mpidr_el1") & 0xff00ffffff;
	int64_t r = psci_call(PSCI_VERSION, 0, 0, 0);

	if (r < PSCI_1_0)
		return failed("version %lx", r);
	r = psci_call(PSCI_FEATURES, PSCI_CPU_ON, 0, 0);
	if (r < 0)
		return failed("CPU_ON is not there: %ld", r);
	r = (int32_t)psci_call(PSCI_UNKNOWN, 0, 0, 0);
	if (r != PSCI_NOT_SUPPORTED)
		return failed("an unknown function gives %ld", r);
	r = psci_call(PSCI_AFFINITY_INFO, self, 0, 0);
	if (r != PSCI_IS_ON)
		return failed("this CPU is not on: %ld", r);
	r = psci_call(PSCI_CPU_ON, self, 0, 0);
	if (r != PSCI_ALREADY_ON)
		return failed("this CPU can be turned on: %ld", r);
	r = psci_call(PSCI_CPU_ON, AFFINITY_UNKNOWN, 0, 0);
	if (r != PSCI_INVALID_PARAMETERS)
		return failed("a CPU that is not there: %ld", r);
	return NULL;
}

static volatile uint64_t cpu1_affinity;

static void cpu1_look(void)
{
	cpu1_affinity = sysreg_read("mpidr_el1") & 0xff00ffffff;
	while (!cpu1_stop)
		cpu_relax();
}

static bool cpu1_is(int64_t state)
{
	uint64_t deadline = clock_after_ms(2000);

	while (psci_call(PSCI_AFFINITY_INFO, machine.cpu1, 0, 0) != state) {
		if (clock_is_past(deadline))
			return false;
	}
	return true;
}

/* All others are off; the second is started and turns itself off, twice. */
static const char *mech_cpus(void)
{
	const uint32_t *node = NULL;

	if (machine.nr_cpus != param_number("cpus", 1))
		return failed("%u CPUs", machine.nr_cpus);
	for (unsigned i = 0; i < machine.nr_cpus; i++) {
		int64_t want = i ? PSCI_IS_OFF : PSCI_IS_ON, r;

		node = fdt_find(node, "device_type", "cpu");
		r = psci_call(PSCI_AFFINITY_INFO, fdt_cpu(node), 0, 0);
		if (r != want)
			return failed("CPU %u is at %ld", i, r);
	}
	if (machine.nr_cpus == 1)
		return NULL;
	for (unsigned i = 0; i < 2; i++) {
		cpu1_affinity = ~0ull;
		if (!cpu1_run(cpu1_look))
			return failed("CPU 1 does not start");
		if (!cpu1_is(PSCI_IS_ON) || psci_call(PSCI_CPU_ON, machine.cpu1,
						      0, 0) != PSCI_ALREADY_ON)
			return failed("CPU 1 runs and is not on");
		if (!cpu1_end() || !cpu1_is(PSCI_IS_OFF))
			return failed("CPU 1 does not go off");
		if (cpu1_affinity != machine.cpu1)
			return failed("CPU 1 is %lx", cpu1_affinity);
	}
	return NULL;
}

/* ---- the processor's timer -------------------------------------------- */

static const char *mech_timer(void)
{
	uint32_t before = irq_counts[machine.timer_intid];
	uint64_t begin = clock_cycles(), wait = 5 * clock_khz();
	bool came;

	irq_start();
	gic_line_on(machine.timer_intid, false);
	sysreg_write("cntv_tval_el0", wait);
	sysreg_write("cntv_ctl_el0", 1);
	sync_context();
	came = irq_wait((uint8_t)machine.timer_intid, before + 1, 2000);
	sysreg_write("cntv_ctl_el0", 0);
	sync_context();
	irq_stop();
	if (!came)
		return failed("no interrupt");
	if (clock_cycles() - begin < wait)
		return failed("too early");
	return NULL;
}

/* ---- chips ------------------------------------------------------------ */

static uint32_t uart_read(uint32_t reg)
{
	return mmio_read32(machine.uart + reg);
}

static void uart_write(uint32_t reg, uint32_t value)
{
	mmio_write32(machine.uart + reg, value);
}

/* Four registers of a byte each. */
static uint32_t primecell_id(uint64_t base, uint32_t reg)
{
	uint32_t id = 0;

	for (uint32_t i = 0; i < 4; i++)
		id |= (mmio_read32(base + reg + 4 * i) & 0xff) << (8 * i);
	return id;
}

static const char *is_primecell(uint64_t base, uint32_t part)
{
	uint32_t id = primecell_id(base, PRIMECELL_PERIPHERAL);

	if ((id & 0xfff) != part)
		return failed("peripheral id %x", id);
	id = primecell_id(base, PRIMECELL_CELL);
	if (id != PRIMECELL_CELL_ID)
		return failed("cell id %x", id);
	return NULL;
}

static const char *mech_serial_registers(void)
{
	static const struct {
		uint8_t reg;
		uint16_t value;
	} plain[] = {
		{ UART_IBRD, 0x5aa5 },
		{ UART_FBRD, 0x2a },
		{ UART_LCRH, LCRH_8N1_FIFO },
		{ UART_IFLS, 0x2d },
		{ UART_IMSC, 0 },
		{ UART_CR, CR_ON },
	};
	uint32_t flags;

	clock_wait_us(10000); /* what was said has left */
	for (unsigned i = 0; i < ARRAY_SIZE(plain); i++) {
		uart_write(plain[i].reg, plain[i].value);
		if (uart_read(plain[i].reg) != plain[i].value)
			return failed("register %x reads %x", plain[i].reg,
				      uart_read(plain[i].reg));
	}
	uart_write(UART_ICR, INT_ALL);
	flags = uart_read(UART_FR);
	if ((flags & (FR_TXFE | FR_RXFE)) != (FR_TXFE | FR_RXFE))
		return failed("FR %x: not empty", flags);
	if (uart_read(UART_RIS))
		return failed("RIS %x", uart_read(UART_RIS));
	return is_primecell(machine.uart, 0x011);
}

/* A looped line gives back what is sent. */
static const char *mech_serial_loopback(void)
{
	uint32_t before, after, data, told;

	clock_wait_us(10000);
	uart_write(UART_CR, CR_ON | CR_LBE);
	uart_write(UART_DR, 0x5a);
	clock_wait_us(10000);
	before = uart_read(UART_FR);
	told = uart_read(UART_RIS);
	data = uart_read(UART_DR);
	after = uart_read(UART_FR);
	uart_write(UART_CR, CR_ON);
	uart_write(UART_ICR, INT_ALL);
	if ((before & FR_RXFE) || data != 0x5a || !(after & FR_RXFE))
		return failed("FR %x, data %x, FR %x", before, data, after);
	if (!(told & INT_RX))
		return failed("RIS %x", told);
	return NULL;
}

/* What is sent leaves room, of which an interrupt tells. */
static const char *mech_serial_interrupt(void)
{
	uint32_t before = irq_counts[machine.uart_intid], status;
	bool came;

	irq_start();
	gic_line_on(machine.uart_intid, false);
	uart_write(UART_ICR, INT_ALL);
	uart_write(UART_IMSC, INT_TX);
	uart_write(UART_DR, '\n');
	came = irq_wait((uint8_t)machine.uart_intid, before + 1, 1000);
	status = uart_read(UART_MIS);
	uart_write(UART_IMSC, 0);
	uart_write(UART_ICR, INT_ALL);
	irq_stop();
	if (!came)
		return failed("no interrupt; MIS %x", status);
	if (status != INT_TX)
		return failed("MIS %x", status);
	if (uart_read(UART_RIS))
		return failed("RIS %x stays", uart_read(UART_RIS));
	return NULL;
}

static const char *mech_rtc(void)
{
	uint32_t now = mmio_read32(machine.rtc + RTC_DR), set;
	uint64_t deadline = clock_after_ms(3000);

	if (now < SECONDS_2020)
		return failed("it is %u", now);
	while (mmio_read32(machine.rtc + RTC_DR) == now) {
		if (clock_is_past(deadline))
			return failed("it stands still");
	}
	mmio_write32(machine.rtc + RTC_LR, 1000);
	set = mmio_read32(machine.rtc + RTC_DR);
	mmio_write32(machine.rtc + RTC_LR, now);
	if (set != 1000 && set != 1001)
		return failed("set to 1000 it reads %u", set);
	if (!(mmio_read32(machine.rtc + RTC_CR) & 1))
		return failed("it is off");
	return is_primecell(machine.rtc, 0x031);
}

const struct test mech_arch_tests[] = {
	MECH_TEST(tables),
	MECH_TEST(psci),
	MECH_TEST(cpus),
	MECH_TEST(timer),
	MECH_TEST(serial_registers),
	MECH_TEST(serial_loopback),
	MECH_TEST(serial_interrupt),
	MECH_TEST(rtc),
	{ 0 },
};

const struct test mech_last_tests[] = {
	{ 0 },
};
