/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Ports, memory, ACPI tables and the serial port. */
#include "mech.h"

#include "acpi.h"
#include "clock.h"
#include "io.h"
#include "irq.h"
#include "memory.h"
#include "param.h"
#include "text.h"

#define PORT_UNASSIGNED 0x2f00
#define PORT_STAMP 0x80
#define MMIO_UNASSIGNED 0xdffff000

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

const char *mech_port_unassigned(void)
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

const char *mech_port_stamp(void)
{
	out8(PORT_STAMP, 0x42);
	out16(PORT_STAMP, 0x4343);
	out32(PORT_STAMP, 0x44444444);
	return NULL;
}

/* The host looks for the line. */
const char *mech_port_string(void)
{
	static const char line[] = "STRING outsb\n";

	out8_string(UART, line, sizeof(line) - 1);
	return NULL;
}

const char *mech_mmio_unassigned(void)
{
	uint64_t value = mmio_read8(MMIO_UNASSIGNED);

	if (value != 0xff)
		return failed("8 bits read %lx", value);
	value = mmio_read16(MMIO_UNASSIGNED);
	if (value != 0xffff)
		return failed("16 bits read %lx", value);
	value = mmio_read32(MMIO_UNASSIGNED);
	if (value != 0xffffffff)
		return failed("32 bits read %lx", value);
	value = mmio_read64(MMIO_UNASSIGNED);
	if (value != ~0ull)
		return failed("64 bits read %lx", value);
	mmio_write8(MMIO_UNASSIGNED, 1);
	mmio_write32(MMIO_UNASSIGNED, 2);
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

const char *mech_acpi_tables(void)
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

const char *mech_acpi_madt(void)
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

const char *mech_serial_registers(void)
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
const char *mech_serial_loopback(void)
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
const char *mech_serial_interrupt(void)
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
	irq_start(false);
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
