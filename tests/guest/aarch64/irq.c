/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The GICv3 and its ITS (ARM IHI 0069). Devices' messages are LPIs; number n of
 * them counts as vector n, of which IRQ_FIRST_VECTOR is behind all lines.
 */
#include "irq.h"

#include "clock.h"
#include "gic.h"
#include "io.h"
#include "machine.h"
#include "memory.h"
#include "power.h"

#define GICD_CTLR 0x0000
#define GICD_IGROUPR 0x0080
#define GICD_ISENABLER 0x0100
#define GICD_ICENABLER 0x0180
#define GICD_IPRIORITYR 0x0400
#define GICD_ICFGR 0x0c00
#define GICD_IROUTER 0x6000
#define GICD_CTLR_ARE 0x10
#define GICD_CTLR_GROUP1 0x02
#define GICD_CTLR_RWP (1u << 31)

#define GICR_CTLR 0x0000
#define GICR_TYPER 0x0008
#define GICR_WAKER 0x0014
#define GICR_PROPBASER 0x0070
#define GICR_PENDBASER 0x0078
#define GICR_PRIVATE 0x10000 /* from here as the distributor, for INTIDs < 32 */
#define GICR_CTLR_LPIS 0x01
#define GICR_CTLR_RWP 0x08
#define GICR_WAKER_SLEEP 0x02
#define GICR_WAKER_ASLEEP 0x04

#define GITS_CTLR 0x0000
#define GITS_TYPER 0x0008
#define GITS_CBASER 0x0080
#define GITS_CWRITER 0x0088
#define GITS_CREADR 0x0090
#define GITS_BASER 0x0100
#define GITS_NR_BASERS 8
#define GITS_TRANSLATER 0x10040
#define GITS_BASER_TYPE(baser) ((baser) >> 56 & 7)
#define GITS_BASER_PAGES_64K (2ull << 8)

/* Of addresses of tables: they are there, cached and shared. */
#define TABLE_VALID (1ull << 63)
#define TABLE_CACHED (7ull << 59 | 1ull << 10)
#define LPI_CACHED (7ull << 7 | 1ull << 10)

#define LPI_BITS 14
#define LPI_NR 256
#define LPI_ENABLED 0xa1 /* with a priority */
#define LPI_TABLES \
	(64u << 10) /* alignment of the tables, and more than enough */
#define PRIORITY 0xa0

#define ITS_EVENT_BITS 8
#define ITS_ENTRY_MAX 16
#define ITS_QUEUE_LEN 4096
#define ITS_COMMAND_LEN 32
#define ITS_WAIT_MS 5000
#define ITS_MAPD 0x08
#define ITS_MAPC 0x09
#define ITS_MAPTI 0x0a
#define ITS_SYNC 0x05

#define INTID_SPECIAL 1020 /* these four are no interrupts */
#define INTID_SPECIAL_END 1024

/* Entered from start.S. */
void irq_on_interrupt(void);

static struct {
	volatile uint64_t (*queue)[ITS_COMMAND_LEN / 8];
	uint64_t target; /* the first CPU, as commands name it */
	uint32_t at; /* in the queue, in bytes */
	bool has_device[PCI_NR_SLOTS];
	bool has_vector[PCI_NR_SLOTS][LPI_NR];
} its;

static void wait_clear(uint64_t reg, uint32_t bits, const char *what)
{
	uint64_t deadline = clock_after_ms(ITS_WAIT_MS);

	while (mmio_read32(reg) & bits) {
		if (clock_is_past(deadline))
			power_off_failed(what);
		cpu_relax();
	}
}

/* ---- the lines -------------------------------------------------------- */

/* Registers of a line: private ones are at the CPU's redistributor. */
static uint64_t line_registers(uint32_t intid)
{
	return intid < INTID_SPI ? machine.gic_redistributors + GICR_PRIVATE
				 : machine.gic_distributor;
}

static void line_off(uint32_t intid)
{
	mmio_write32(line_registers(intid) + GICD_ICENABLER + intid / 32 * 4,
		     1u << intid % 32);
}

void gic_line_on(uint32_t intid, bool is_edge)
{
	uint64_t base = line_registers(intid);
	uint64_t group = base + GICD_IGROUPR + intid / 32 * 4;
	uint64_t trigger = base + GICD_ICFGR + intid / 16 * 4;
	uint32_t edge = 2u << intid % 16 * 2;

	mmio_write32(group, mmio_read32(group) | 1u << intid % 32);
	mmio_write8(base + GICD_IPRIORITYR + intid, PRIORITY);
	if (intid >= INTID_SPI) {
		mmio_write32(trigger, (mmio_read32(trigger) & ~edge) |
					      (is_edge ? edge : 0));
		mmio_write64(base + GICD_IROUTER + 8 * intid, 0);
	}
	mmio_write32(base + GICD_ISENABLER + intid / 32 * 4, 1u << intid % 32);
}

/* ---- messages --------------------------------------------------------- */

static void its_command(uint64_t a, uint64_t b, uint64_t c)
{
	volatile uint64_t *command = its.queue[its.at / ITS_COMMAND_LEN];
	uint64_t deadline = clock_after_ms(ITS_WAIT_MS);

	command[0] = a;
	command[1] = b;
	command[2] = c;
	command[3] = 0;
	its.at = (its.at + ITS_COMMAND_LEN) % ITS_QUEUE_LEN;
	mmio_write64(machine.its + GITS_CWRITER, its.at);
	while (mmio_read32(machine.its + GITS_CREADR) != its.at) {
		if (clock_is_past(deadline))
			power_off_failed("the ITS does not go on");
		cpu_relax();
	}
}

static void its_start(void)
{
	uint64_t base = machine.its;

	mmio_write32(base + GITS_CTLR, 0);
	its.queue = arena_alloc(ITS_QUEUE_LEN, LPI_TABLES);
	mmio_write64(base + GITS_CBASER,
		     TABLE_VALID | TABLE_CACHED | (uint64_t)its.queue);
	mmio_write64(base + GITS_CWRITER, 0);
	its.at = 0;
	for (unsigned i = 0; i < GITS_NR_BASERS; i++) {
		uint64_t reg = base + GITS_BASER + 8 * i;

		if (GITS_BASER_TYPE(mmio_read64(reg)))
			mmio_write64(reg,
				     TABLE_VALID | TABLE_CACHED |
					     GITS_BASER_PAGES_64K |
					     (uint64_t)arena_alloc(LPI_TABLES,
								   LPI_TABLES));
	}
	mmio_write32(base + GITS_CTLR, 1);
	/* Processors have numbers, unless this one is an address. */
	its.target = mmio_read64(base + GITS_TYPER) >> 19 & 1
			     ? machine.gic_redistributors
			     : (mmio_read64(machine.gic_redistributors +
					    GICR_TYPER) >>
					8 &
				0xffff) << 16;
	its_command(ITS_MAPC, 0, TABLE_VALID | its.target);
}

static void lpis_start(void)
{
	uint64_t base = machine.gic_redistributors;
	uint8_t *config = arena_alloc(LPI_TABLES, LPI_TABLES);
	uint8_t *pending = arena_alloc(LPI_TABLES, LPI_TABLES);

	memset(config, LPI_ENABLED, LPI_NR);
	/* They may be on from before a reset. */
	mmio_write32(base + GICR_CTLR, 0);
	wait_clear(base + GICR_CTLR, GICR_CTLR_RWP, "LPIs stay on");
	mmio_write64(base + GICR_PROPBASER,
		     LPI_CACHED | (uint64_t)config | (LPI_BITS - 1));
	mmio_write64(base + GICR_PENDBASER, LPI_CACHED | (uint64_t)pending);
	mmio_write32(base + GICR_CTLR, GICR_CTLR_LPIS);
}

/* A device's events have the numbers of the vectors that they raise. */
void irq_aim(struct pci_dev *dev, uint16_t entry, uint8_t vector)
{
	uint64_t id = (uint64_t)dev->slot << 3;

	if (!its.has_device[dev->slot]) {
		uint64_t table = (uint64_t)arena_alloc(
			(1u << ITS_EVENT_BITS) * ITS_ENTRY_MAX, 4096);

		its_command(ITS_MAPD | id << 32, ITS_EVENT_BITS - 1,
			    TABLE_VALID | table);
		its.has_device[dev->slot] = true;
	}
	if (!its.has_vector[dev->slot][vector]) {
		its_command(ITS_MAPTI | id << 32,
			    (uint64_t)(INTID_LPI + vector) << 32 | vector, 0);
		its_command(ITS_SYNC, 0, its.target);
		its.has_vector[dev->slot][vector] = true;
	}
	msix_set(dev, entry, machine.its + GITS_TRANSLATER, vector);
}

/* ---- the CPU ---------------------------------------------------------- */

void irq_on_interrupt(void)
{
	uint32_t intid = (uint32_t)sysreg_read("s3_0_c12_c12_0"); /* IAR1 */

	if (intid >= INTID_SPECIAL && intid < INTID_SPECIAL_END)
		return;
	irq_counts[intid % LPI_NR]++;
	if (intid < INTID_LPI)
		line_off(intid);
	sysreg_write("s3_0_c12_c12_1", intid); /* EOIR1 */
	sync_context();
}

static void gic_start(void)
{
	uint64_t waker = machine.gic_redistributors + GICR_WAKER;

	mmio_write32(machine.gic_distributor + GICD_CTLR,
		     GICD_CTLR_ARE | GICD_CTLR_GROUP1);
	wait_clear(machine.gic_distributor + GICD_CTLR, GICD_CTLR_RWP,
		   "the distributor does not start");
	mmio_write32(waker, mmio_read32(waker) & ~GICR_WAKER_SLEEP);
	wait_clear(waker, GICR_WAKER_ASLEEP, "the redistributor sleeps");
	lpis_start();
	its_start();
	sysreg_write("s3_0_c12_c12_5", 7); /* SRE: by these registers */
	sync_context();
	sysreg_write("s3_0_c4_c6_0", 0xff); /* PMR: of all priorities */
	sysreg_write("s3_0_c12_c12_7", 1); /* IGRPEN1 */
	sync_context();
}

void irq_start(void)
{
	if (!its.queue)
		gic_start();
	__asm__ volatile("msr daifclr, #2" : : : "memory");
}

void irq_stop(void)
{
	__asm__ volatile("msr daifset, #2" : : : "memory");
}
