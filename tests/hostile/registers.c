/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Ports, configuration space, BARs, MSI-X tables, the I/O APIC, ACPI. */
#include "hostile.h"

#include "io.h"

#define ECAM_LEN (1u << 20)
#define IOAPIC 0xfec00000u
#define IOAPIC_DATA 0x10u
#define IOAPIC_EOI 0x40u
#define IOAPIC_TABLE 0x10u
#define PIC_MASK 0x21

#define BAR_LEN 0x8000u /* registers of a device */
#define BAR_MSIX 0x6000u /* the last of them */
#define MSI_ADDR 0xfee00000u
/* Delivery mode of a message or a pin: SMI (2) and INIT (5) end a machine without
 * firmware. */
#define MODE_SHIFT 8
#define MODE_MASK (7u << MODE_SHIFT)
#define MODE_STARTUP 6u
#define VECTOR_FIRST 0x40u

#define POWER_S5 0x34u
#define POWER_RESET 1u
#define STRING_MAX 4096

static unsigned some_width(struct attacker *a)
{
	return 1u << below(a, 4);
}

/* Vector and delivery mode. A CPU that a message starts is parked, mostly: what it
 * would find elsewhere is no program, and soon no processor's. */
static uint32_t some_message(struct attacker *a)
{
	static const uint8_t harmless[] = { 0, 0, 0, 1, 3, 4, 6, 7 };
	uint32_t mode = harmless[below(a, ARRAY_SIZE(harmless))];
	uint32_t rest = (uint32_t)random_next(&a->random) & ~MODE_MASK;

	if (one_in(a, 2))
		rest = VECTOR_FIRST + (uint32_t)below(a, 64);
	if (mode == MODE_STARTUP && !one_in(a, 50))
		rest = PARK_PAGE >> 12;
	return rest | mode << MODE_SHIFT;
}

/* ---- ports ------------------------------------------------------------ */

static uint16_t some_port(struct attacker *a)
{
	static const uint16_t others[] = { 0x80,  0xcf8, 0xcfc, 0x60,	  0x64,
					   0x70,  0x71,	 0x20,	PIC_MASK, 0x40,
					   0x43,  0x92,	 0xb2,	0xcf9,	  0x510,
					   0x514, 0x2f8, 0xfffc };

	switch (below(a, 8)) {
	case 0:
	case 1:
		return (uint16_t)(PORT_SERIAL - 1 + below(a, 10));
	case 2:
		return (uint16_t)(PORT_POWER - 1 + below(a, 8));
	case 3:
	case 4:
		return (uint16_t)(PORT_HOTPLUG - 2 + below(a, 18));
	case 5:
		return others[below(a, ARRAY_SIZE(others))];
	default:
		return (uint16_t)below(a, 0xfffd);
	}
}

/* It would end the machine, which is seldom wanted. */
static bool is_fatal(struct attacker *a, uint16_t port, uint32_t value)
{
	uint8_t byte = (uint8_t)value;

	if (port + 4u <= PORT_POWER || port > PORT_POWER + 3)
		return false;
	if (byte == POWER_RESET)
		return !a->may_reset || !one_in(a, 32);
	return byte == POWER_S5; /* that is the end of the process */
}

static void strings(struct attacker *a)
{
	uint64_t len = below(a, one_in(a, 8) ? STRING_MAX : 32);
	uint16_t port = some_port(a);
	uint8_t *data = next_slot(a);

	a->accesses += len;
	if (port >= PORT_POWER - 4 && port < PORT_POWER + 4)
		return;
	if (one_in(a, 2)) {
		out8_string(port, data, len);
		return;
	}
	__asm__ volatile("rep insb"
			 : "+D"(data), "+c"(len)
			 : "d"(port)
			 : "memory");
}

static void ports(struct attacker *a)
{
	uint16_t port = some_port(a);
	uint32_t value =
		(uint32_t)(one_in(a, 2) ? edge(a) : random_next(&a->random));

	a->accesses++;
	switch (below(a, 7)) {
	case 0:
		in8(port);
		break;
	case 1:
		in16(port);
		break;
	case 2:
		in32(port);
		break;
	case 3:
		strings(a);
		break;
	default:
		if (is_fatal(a, port, value))
			break;
		if (one_in(a, 2))
			out8(port, (uint8_t)value);
		else if (one_in(a, 2))
			out16(port, (uint16_t)value);
		else
			out32(port, value);
	}
}

/* Events are read, and everything is ejected and refused. */
static void hotplug(struct attacker *a)
{
	uint32_t kind = (uint32_t)below(a, 4);
	uint32_t index = (uint32_t)below(a, one_in(a, 4) ? 65536 : 33);
	uint32_t word = kind << 24 | index << 8;

	a->accesses += 2;
	if (one_in(a, 2))
		word = in32(PORT_HOTPLUG) & 0xffffff00u;
	out32(one_in(a, 4) ? PORT_HOTPLUG + 8 : PORT_HOTPLUG + 4,
	      word | (uint32_t)below(a, 256));
}

/* ---- PCI -------------------------------------------------------------- */

static uint64_t some_bar(struct attacker *a)
{
	const struct target *t = &targets[below(a, nr_targets)];
	uint64_t addr = address(a);

	switch (below(a, 4)) {
	case 0: /* over, beside, or half over another */
		addr = t->dev.common + BAR_LEN * below(a, 3) - BAR_LEN;
		break;
	case 1:
		addr = t->shm.len ? t->shm.addr : 0x200000 * below(a, 64);
		break;
	}
	return addr;
}

/* A write that changes nothing still costs the host what a move does. */
static void put_register(struct attacker *a, uint64_t at, uint32_t mask,
			 uint32_t value)
{
	if ((peek(a, at, 4) & mask) != value)
		poke(a, at, 4, value);
}

void put_back(struct attacker *a, struct target *t)
{
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *b = &t->dev.pci.bar[i];
		uint64_t reg = t->dev.pci.config + PCI_BAR0 + 4 * i;

		if (!b->size)
			continue;
		put_register(a, reg, ~15u, (uint32_t)b->addr);
		if (b->is_64)
			put_register(a, reg + 4, ~0u,
				     (uint32_t)(b->addr >> 32));
	}
	put_register(a, t->dev.pci.config + PCI_COMMAND, 0xffff,
		     PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void move_bars(struct attacker *a, struct target *t)
{
	uint64_t config = t->dev.pci.config;

	for (uint64_t n = 1 + below(a, 3); n > 0; n--) {
		uint64_t bar = config + PCI_BAR0 + 4 * below(a, 7);
		uint64_t addr = some_bar(a);

		if (one_in(a, 2))
			poke(a, config + PCI_COMMAND, 2, below(a, 8));
		poke(a, bar, 4, addr);
		poke(a, bar + 4, 4, addr >> 32);
		if (one_in(a, 2))
			poke(a, config + PCI_COMMAND, 2,
			     PCI_COMMAND_MEMORY | below(a, 8));
		peek(a, bar, 4);
		peek(a, t->dev.common + below(a, BAR_LEN - 8), some_width(a));
	}
	if (!one_in(a, 4))
		put_back(a, t);
}

static void config_space(struct attacker *a)
{
	uint64_t base = pci_config(0, 0);
	uint64_t at = base + below(a, ECAM_LEN - 8);

	/* Function 0 of what is there has most to say. */
	if (!one_in(a, 4))
		at = pci_config((uint8_t)below(a, PCI_NR_SLOTS), 0) +
		     below(a, one_in(a, 8) ? 4088 : 256);
	if (one_in(a, 2))
		peek(a, at, some_width(a));
	else
		poke(a, at, some_width(a), edge(a));
}

/* The window on BARs in configuration space (virtio 1.2 §4.1.4.9). */
static void config_window(struct attacker *a, struct target *t)
{
	uint64_t cap = t->dev.pci.config + t->dev.pci_cfg_cap;

	poke(a, cap + 4, 1, one_in(a, 4) ? edge(a) : 0);
	poke(a, cap + 8, 4, one_in(a, 4) ? edge(a) : below(a, BAR_MSIX));
	poke(a, cap + 12, 4, one_in(a, 8) ? edge(a) : 1u << below(a, 3));
	if (one_in(a, 2))
		peek(a, cap + 16, 4);
	else
		poke(a, cap + 16, 4, edge(a));
}

void attack_msix(struct attacker *a, struct target *t)
{
	const struct pci_dev *pci = &t->dev.pci;
	uint64_t at = pci->msix_table + 16 * below(a, pci->nr_vectors);
	uint64_t addr = MSI_ADDR | below(a, 3) << 12;

	if (one_in(a, 2))
		addr = one_in(a, 2) ? MSI_ADDR | below(a, 1 << 20) : address(a);
	poke(a, at, 4, addr);
	poke(a, at + 4, 4, one_in(a, 4) ? edge(a) : addr >> 32);
	poke(a, at + 8, 4, some_message(a));
	poke(a, at + 12, 4, one_in(a, 4) ? edge(a) : below(a, 2));
	switch (below(a, 8)) {
	case 0:
		poke(a, pci->config + pci->msix_cap + 2, 2, edge(a));
		break;
	case 1:
	case 2:
		poke(a, pci->config + pci->msix_cap + 2, 2,
		     MSIX_CONTROL_ENABLE | below(a, 2) << 14);
		break;
	case 3:
		poke(a, pci->msix_pba + below(a, 64), some_width(a), edge(a));
		break;
	case 4:
		peek(a, pci->msix_pba + below(a, 64), some_width(a));
		break;
	}
}

/* Any register of it, but no messages that nobody has looked at. */
static void device_registers(struct attacker *a, struct target *t)
{
	uint64_t base = t->dev.common, at = base + below(a, BAR_LEN - 8);
	uint64_t table = t->dev.pci.msix_table & ~0xfffull;

	if (!one_in(a, 4))
		at = base + below(a, 0x40);
	if (at >= table - 8 && at < table + 0x1000) {
		attack_msix(a, t);
		return;
	}
	if (one_in(a, 3))
		peek(a, at, some_width(a));
	else
		poke(a, at, some_width(a), edge(a));
}

/* ---- the rest of the board -------------------------------------------- */

static void ioapic(struct attacker *a)
{
	uint32_t reg = (uint32_t)below(a, one_in(a, 4) ? 256 : 0x22);

	if (one_in(a, 8)) {
		poke(a, IOAPIC + below(a, 4088), some_width(a), edge(a));
		return;
	}
	poke(a, IOAPIC, 4, reg);
	if (one_in(a, 2))
		peek(a, IOAPIC + IOAPIC_DATA, 4);
	else if (reg >= IOAPIC_TABLE && reg % 2)
		poke(a, IOAPIC + IOAPIC_DATA, 4, (uint32_t)below(a, 3) << 24);
	else
		poke(a, IOAPIC + IOAPIC_DATA, 4,
		     some_message(a) & ~(uint32_t)(below(a, 2) << 16));
	if (one_in(a, 4))
		poke(a, IOAPIC + IOAPIC_EOI, 4, below(a, 256));
}

/* Where nothing is, or a file's pages. */
static void elsewhere(struct attacker *a)
{
	const struct target *t = &targets[below(a, nr_targets)];
	uint64_t at = 0xd0000000u + below(a, 1 << 20);

	if (t->shm.len && one_in(a, 2)) {
		/* A write to pages that are read-only ends the machine. */
		peek(a, t->shm.addr + below(a, t->shm.len - 8), some_width(a));
		return;
	}
	if (one_in(a, 2))
		peek(a, at, some_width(a));
	else
		poke(a, at, some_width(a), edge(a));
}

void attack_registers(struct attacker *a)
{
	/* So that a round has its mixture, and the next another. */
	uint64_t kind = below(a, 10);
	struct target *t = &targets[below(a, nr_targets)];

	for (uint64_t n = 10 + below(a, 60); n > 0 && !is_over(a); n--) {
		switch (one_in(a, 3) ? below(a, 10) : kind) {
		case 0:
		case 1:
			ports(a);
			break;
		case 2:
			hotplug(a);
			break;
		case 3:
			move_bars(a, t);
			break;
		case 4:
			config_space(a);
			break;
		case 5:
			config_window(a, t);
			break;
		case 6:
			attack_msix(a, t);
			break;
		case 7:
			ioapic(a);
			break;
		case 8:
			elsewhere(a);
			break;
		default:
			device_registers(a, t);
		}
	}
}
