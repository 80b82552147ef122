/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "irq.h"

#include "apic.h"
#include "io.h"
#include "ring0.h"

#define XAPIC_BASE 0xfee00000
#define XAPIC_ID (XAPIC_BASE + 0x20)
#define XAPIC_TPR (XAPIC_BASE + 0x80)
#define XAPIC_SVR (XAPIC_BASE + 0xf0)

#define MSR_APIC_BASE 0x1b
#define APIC_BASE_ENABLE (1u << 11)
#define APIC_BASE_X2APIC (1u << 10)
#define MSR_X2APIC_ID 0x802
#define MSR_X2APIC_TPR 0x808
#define MSR_X2APIC_SVR 0x80f
#define SVR_ENABLE_SPURIOUS_FF 0x1ff

#define PIC1_MASK 0x21
#define PIC2_MASK 0xa1

#define MSI_ADDR 0xfee00000

/* Interrupts come to start.S, which counts them. */
uint8_t irq_x2apic; /* read by it */

static void irq_start_by(bool x2apic)
{
	uint64_t base = ring0_call(RING0_RDMSR, MSR_APIC_BASE, 0);

	out8(PIC1_MASK, 0xff);
	out8(PIC2_MASK, 0xff);
	irq_x2apic = x2apic || (base & APIC_BASE_X2APIC);
	base |= APIC_BASE_ENABLE;
	if (irq_x2apic)
		base |= APIC_BASE_X2APIC;
	ring0_call(RING0_WRMSR, MSR_APIC_BASE, base);
	if (irq_x2apic) {
		ring0_call(RING0_WRMSR, MSR_X2APIC_TPR, 0);
		ring0_call(RING0_WRMSR, MSR_X2APIC_SVR, SVR_ENABLE_SPURIOUS_FF);
	} else {
		mmio_write32(XAPIC_TPR, 0);
		mmio_write32(XAPIC_SVR, SVR_ENABLE_SPURIOUS_FF);
	}
	ring0_call(RING0_IRQ_ON, 0, 0);
}

void irq_start(void)
{
	irq_start_by(false);
}

void irq_start_x2apic(void)
{
	irq_start_by(true);
}

void irq_stop(void)
{
	ring0_call(RING0_IRQ_OFF, 0, 0);
}

uint32_t irq_apic_id(void)
{
	if (irq_x2apic)
		return (uint32_t)ring0_call(RING0_RDMSR, MSR_X2APIC_ID, 0);
	return mmio_read32(XAPIC_ID) >> 24;
}

void irq_aim(struct pci_dev *dev, uint16_t entry, uint8_t vector)
{
	msix_set(dev, entry, MSI_ADDR | (uint64_t)irq_apic_id() << 12, vector);
}
