/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Device registers: one instruction an access, of a set width, and of a form that
 * the processor describes to the host. What was written to memory before is there
 * for a device that is told of it.
 */
#ifndef GUEST_IO_H
#define GUEST_IO_H

#include <stdint.h>

/* Registers of 32 bits are read where they are and not across. */
#define MMIO_ALIGN32 4

static inline uint8_t mmio_read8(uint64_t addr)
{
	uint32_t value;

	__asm__ volatile("ldrb %w0, [%1]\n\tdmb oshld"
			 : "=r"(value)
			 : "r"(addr)
			 : "memory");
	return (uint8_t)value;
}

static inline uint16_t mmio_read16(uint64_t addr)
{
	uint32_t value;

	__asm__ volatile("ldrh %w0, [%1]\n\tdmb oshld"
			 : "=r"(value)
			 : "r"(addr)
			 : "memory");
	return (uint16_t)value;
}

static inline uint32_t mmio_read32(uint64_t addr)
{
	uint32_t value;

	__asm__ volatile("ldr %w0, [%1]\n\tdmb oshld"
			 : "=r"(value)
			 : "r"(addr)
			 : "memory");
	return value;
}

static inline uint64_t mmio_read64(uint64_t addr)
{
	uint64_t value;

	__asm__ volatile("ldr %0, [%1]\n\tdmb oshld"
			 : "=r"(value)
			 : "r"(addr)
			 : "memory");
	return value;
}

static inline void mmio_write8(uint64_t addr, uint8_t value)
{
	__asm__ volatile("dmb oshst\n\tstrb %w0, [%1]"
			 :
			 : "r"(value), "r"(addr)
			 : "memory");
}

static inline void mmio_write16(uint64_t addr, uint16_t value)
{
	__asm__ volatile("dmb oshst\n\tstrh %w0, [%1]"
			 :
			 : "r"(value), "r"(addr)
			 : "memory");
}

static inline void mmio_write32(uint64_t addr, uint32_t value)
{
	__asm__ volatile("dmb oshst\n\tstr %w0, [%1]"
			 :
			 : "r"(value), "r"(addr)
			 : "memory");
}

static inline void mmio_write64(uint64_t addr, uint64_t value)
{
	mmio_write32(addr, (uint32_t)value);
	mmio_write32(addr + 4, (uint32_t)(value >> 32));
}

#endif
