/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Numbers to break things with, and the accesses themselves. */
#include "hostile.h"

#include "io.h"

#define PCI_HOLE 0xc0000000ull
#define ECAM 0xe0000000ull
#define IOAPIC 0xfec00000ull
#define LAPIC 0xfee00000ull
#define KVM_PAGES 0xfffbc000ull
#define FOUR_GIB (1ull << 32)
/* What is written there, NEAR bytes at most, hits nothing that CPU 1 starts with,
 * nor this program. */
#define LOW_END 0x50000u
#define BIOS 0xe0000u
#define BIOS_LEN 0xf000u
#define NEAR 65536u /* to an edge */

uint64_t edge(struct attacker *a)
{
	static const uint64_t edges[] = {
		0,
		1,
		2,
		3,
		4,
		7,
		8,
		15,
		16,
		31,
		63,
		0x7f,
		0x80,
		0xff,
		0x100,
		0xfff,
		0x1000,
		0x7fff,
		0x8000,
		0xfffe,
		0xffff,
		0x10000,
		0x1fffff,
		0x7fffffff,
		0x80000000,
		0xfffff000,
		0xffffffff,
		0x100000000,
		0x7fffffffffffffff,
		0x8000000000000000,
		0xfffffffffffff000,
		~0ull,
	};
	uint64_t x = edges[below(a, ARRAY_SIZE(edges))];

	switch (below(a, 8)) {
	case 0:
		return random_next(&a->random);
	case 1:
		return x - below(a, 8);
	case 2:
		return 1ull << below(a, 64);
	case 3:
		return address(a);
	default:
		return x;
	}
}

/* About the edges of what is RAM. */
static uint64_t edge_of_ram(struct attacker *a)
{
	const struct guest_ram *ram =
		&hostile_info->ram[below(a, hostile_info->nr_ram)];

	if (ram->start > 0x100000 && one_in(a, 3))
		return ram->start - below(a, NEAR);
	return ram->end + NEAR / 8 - below(a, NEAR);
}

/* About a device's registers and its shared memory. */
static uint64_t in_device(struct attacker *a)
{
	const struct target *t;

	if (!nr_targets)
		return PCI_HOLE;
	t = &targets[below(a, nr_targets)];
	if (!t->shm.len || one_in(a, 3))
		return t->dev.common + below(a, NEAR);
	if (one_in(a, 2))
		return t->shm.addr + below(a, t->shm.len);
	return t->shm.addr + (one_in(a, 2) ? t->shm.len : 0) - NEAR / 2 +
	       below(a, NEAR);
}

uint64_t address(struct attacker *a)
{
	switch (below(a, 16)) {
	case 0:
	case 1:
		return edge_of_ram(a);
	case 2:
	case 3:
		return in_device(a);
	case 4:
		return below(a, LOW_END);
	case 5:
		return BIOS + below(a, BIOS_LEN);
	case 6:
		return PCI_HOLE - NEAR / 2 + below(a, NEAR);
	case 7:
		return (one_in(a, 2) ? ECAM : PCI_HOLE) + below(a, 1 << 20);
	case 8:
		return (one_in(a, 2) ? IOAPIC : LAPIC) + below(a, 4096);
	case 9:
		return KVM_PAGES + below(a, 4 * 4096);
	case 10: /* where memory is plugged in */
		return FOUR_GIB + below(a, 1ull << 29) - NEAR / 2;
	case 11:
		return ~0ull - below(a, NEAR);
	case 12:
		return (1ull << (47 + below(a, 17))) - below(a, NEAR);
	default:
		return (uint64_t)a->play + below(a, PLAY_LEN - NEAR);
	}
}

uint32_t odd_length(struct attacker *a)
{
	static const uint32_t lengths[] = {
		0,	    1,		7,	    8,		15,    16,
		17,	    43,		44,	    511,	512,   513,
		4095,	    4096,	4097,	    65535,	65536, 65537,
		0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff,
	};

	return one_in(a, 4) ? (uint32_t)below(a, NEAR)
			    : lengths[below(a, ARRAY_SIZE(lengths))];
}

uint8_t *next_slot(struct attacker *a)
{
	a->slot = (a->slot + 1) % (PLAY_LEN / SLOT_LEN);
	return a->play + a->slot * SLOT_LEN;
}

/* ---- accesses --------------------------------------------------------- */

void poke(struct attacker *a, uint64_t addr, unsigned width, uint64_t value)
{
	a->accesses++;
	switch (width) {
	case 1:
		mmio_write8(addr, (uint8_t)value);
		break;
	case 2:
		mmio_write16(addr, (uint16_t)value);
		break;
	case 4:
		mmio_write32(addr, (uint32_t)value);
		break;
	default:
		__asm__ volatile("movq %0, (%1)"
				 :
				 : "r"(value), "r"(addr)
				 : "memory");
	}
}

uint64_t peek(struct attacker *a, uint64_t addr, unsigned width)
{
	a->accesses++;
	switch (width) {
	case 1:
		return mmio_read8(addr);
	case 2:
		return mmio_read16(addr);
	case 4:
		return mmio_read32(addr);
	default:
		return mmio_read64(addr);
	}
}
