/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Ports, ACPI tables, the 16550A and the x2APIC. */
#include "mech.h"

#include "acpi.h"
#include "apic.h"
#include "clock.h"
#include "io.h"
#include "irq.h"
#include "memory.h"
#include "param.h"
#include "ring0.h"
#include "text.h"

#define PORT_UNASSIGNED 0x2f00
#define PORT_STAMP 0x80

#define UART 0x3f8
#define UART_IER (UART + 1)
#define UART_IIR (UART + 2) /* read */
#define UART_FCR (UART + 2) /* write */
#define UART_LCR (UART + 3)
#define UART_MCR (UART + 4)
#define UART_LSR (UART + 5)
#define UART_MSR (UART + 6)
#define UART_SCR (UART + 7)
#define UART_GSI 4

#define LCR_8N1 0x03
#define LCR_DLAB 0x80
#define FCR_ENABLE 0x01
#define FCR_CLEAR 0x06
#define IIR_NONE 0x01
#define IIR_FIFO 0xc0
#define IER_THRE 0x02
#define LSR_DATA 0x01
#define LSR_EMPTY 0x60
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10

#define MADT_LAPIC 0
#define MADT_IOAPIC 1
#define MADT_X2APIC 9

const uint64_t mech_unassigned = 0xdffff000;

static const char *mech_port_unassigned(void)
{
	uint32_t value = in8(PORT_UNASSIGNED);

	if (value != 0xff)
		return failed("8 bits read %x", value);
	value = in16(PORT_UNASSIGNED);
	if (value != 0xffff)
		return failed("16 bits read %x", value);
	value = in32(PORT_UNASSIGNED);
	if (value != 0xffffffff)
		return failed("32 bits read %x", value);
	out8(PORT_UNASSIGNED, 1);
	out16(PORT_UNASSIGNED, 2);
	out32(PORT_UNASSIGNED, 3);
	return NULL;
}

static const char *mech_port_stamp(void)
{
	out8(PORT_STAMP, 0x42);
	out16(PORT_STAMP, 0x4343);
	out32(PORT_STAMP, 0x44444444);
	return NULL;
}

/* The host looks for the line. */
static const char *mech_port_string(void)
{
	static const char line[] = "STRING outsb\n";

	out8_string(UART, line, sizeof(line) - 1);
	return NULL;
}

static const char *mech_tables(void)
{
	const struct acpi_table *table;

	if (!acpi_rsdp())
		return failed("no RSDP");
	if (!acpi_rsdp_is_whole())
		return failed("checksum of the RSDP");
	for (unsigned n = 0; (table = acpi_nth(n)); n++) {
		if (!acpi_sum_is_zero(table, table->len))
			return failed("checksum of table %u", n);
	}
	table = acpi_find("DSDT");
	if (!table || memcmp(table->signature, "DSDT", 4))
		return failed("no DSDT");
	if (!acpi_sum_is_zero(table, table->len))
		return failed("checksum of the DSDT");
	if (!acpi_find("FACP") || !acpi_find("APIC"))
		return failed("no FADT or no MADT");
	return NULL;
}

/* Address of the first I/O APIC, 0 when there is none. */
static uint64_t madt_ioapic(unsigned *nr_cpus)
{
	const struct acpi_table *madt = acpi_find("APIC");
	const uint8_t *entry = (const uint8_t *)(madt + 1) + 8;
	const uint8_t *end = (const uint8_t *)madt + madt->len;
	uint64_t ioapic = 0;

	*nr_cpus = 0;
	for (; entry + 2 <= end && entry[1] >= 2; entry += entry[1]) {
		if ((entry[0] == MADT_LAPIC && (entry[4] & 1)) ||
		    (entry[0] == MADT_X2APIC && (entry[8] & 1)))
			++*nr_cpus;
		if (entry[0] == MADT_IOAPIC && !ioapic)
			ioapic = *(const uint32_t *)(entry + 4);
	}
	return ioapic;
}

static const char *mech_cpus(void)
{
	unsigned nr_cpus;

	if (!acpi_find("APIC"))
		return failed("no MADT");
	if (!madt_ioapic(&nr_cpus))
		return failed("no I/O APIC");
	if (nr_cpus != param_number("cpus", 1))
		return failed("%u enabled CPUs", nr_cpus);
	return NULL;
}

static const char *mech_serial_registers(void)
{
	uint8_t lcr, ier, iir, lsr, scr, divisor[2];

	clock_wait_us(10000); /* what was said has left */
	out8(UART_LCR, LCR_8N1 | LCR_DLAB);
	out8(UART, 0x0c);
	out8(UART_IER, 0x00);
	divisor[0] = in8(UART);
	divisor[1] = in8(UART_IER);
	out8(UART, 0x01);
	out8(UART_LCR, LCR_8N1);
	lcr = in8(UART_LCR);
	out8(UART_IER, 0x0f);
	ier = in8(UART_IER);
	out8(UART_IER, 0);
	out8(UART_FCR, FCR_ENABLE | FCR_CLEAR);
	iir = in8(UART_IIR);
	lsr = in8(UART_LSR);
	out8(UART_SCR, 0xa5);
	scr = in8(UART_SCR);
	if (divisor[0] != 0x0c || divisor[1] != 0)
		return failed("the divisor reads %x %x", divisor[1],
			      divisor[0]);
	if (lcr != LCR_8N1 || ier != 0x0f || scr != 0xa5)
		return failed("LCR %x IER %x SCR %x", lcr, ier, scr);
	if ((iir & IIR_FIFO) != IIR_FIFO || !(iir & IIR_NONE))
		return failed("IIR %x: no FIFO, or an interrupt", iir);
	if ((lsr & LSR_EMPTY) != LSR_EMPTY)
		return failed("LSR %x: the transmitter is not empty", lsr);
	return NULL;
}

/* A looped line gives back what is sent, and its modem outputs as inputs. */
static const char *mech_serial_loopback(void)
{
	uint8_t modem, ready, data, after;

	clock_wait_us(10000);
	out8(UART_FCR, FCR_ENABLE | FCR_CLEAR);
	out8(UART_MCR, MCR_LOOP | 0x0a); /* OUT2 and RTS */
	modem = in8(UART_MSR) & 0xf0;
	out8(UART, 0x5a);
	clock_wait_us(10000);
	ready = in8(UART_LSR);
	data = in8(UART);
	after = in8(UART_LSR);
	out8(UART_MCR, MCR_OUT2 | 0x03);
	if (modem != 0x90)
		return failed("MSR %x", modem);
	if (!(ready & LSR_DATA) || data != 0x5a || (after & LSR_DATA))
		return failed("LSR %x, data %x, LSR %x", ready, data, after);
	return NULL;
}

static void ioapic_route(uint64_t ioapic, unsigned pin, uint32_t low)
{
	mmio_write32(ioapic, 0x10 + 2 * pin + 1);
	mmio_write32(ioapic + 0x10, irq_apic_id() << 24);
	mmio_write32(ioapic, 0x10 + 2 * pin);
	mmio_write32(ioapic + 0x10, low);
}

/* Transmitter empty, through the I/O APIC as an edge. */
static const char *mech_serial_interrupt(void)
{
	const uint8_t vector = IRQ_FIRST_VECTOR;
	uint32_t before = irq_counts[vector];
	unsigned nr_cpus;
	uint64_t ioapic;
	bool came;
	uint8_t iir;

	if (!acpi_find("APIC"))
		return failed("no MADT");
	ioapic = madt_ioapic(&nr_cpus);
	irq_start();
	ioapic_route(ioapic, UART_GSI, vector);
	out8(UART_MCR, MCR_OUT2 | 0x03);
	out8(UART_IER, IER_THRE);
	came = irq_wait(vector, before + 1, 1000);
	iir = in8(UART_IIR) & 0x0f;
	out8(UART_IER, 0);
	ioapic_route(ioapic, UART_GSI, 1 << 16);
	irq_stop();
	if (!came)
		return failed("no interrupt; IIR %x", iir);
	if (iir != 0x02)
		return failed("IIR %x", iir);
	return NULL;
}

static const char *mech_msix_x2apic(void)
{
	uint32_t regs[4];

	ring0_call(RING0_CPUID, 1, (uint64_t)regs);
	if (!(regs[2] >> 21 & 1))
		return skipped("no x2APIC");
	return mech_msix_deliver_by(irq_start_x2apic);
}

const struct test mech_arch_tests[] = {
	MECH_TEST(port_unassigned),
	MECH_TEST(port_stamp),
	MECH_TEST(port_string),
	MECH_TEST(tables),
	MECH_TEST(cpus),
	MECH_TEST(serial_registers),
	MECH_TEST(serial_loopback),
	MECH_TEST(serial_interrupt),
	{ 0 },
};

const struct test mech_last_tests[] = {
	MECH_TEST(msix_x2apic),
	{ 0 },
};
