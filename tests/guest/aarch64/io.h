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

#define MMIO_READ(bits, load)                                       \
	static inline uint##bits##_t mmio_read##bits(uint64_t addr) \
	{                                                           \
		uint64_t value;                                     \
                                                                    \
		__asm__ volatile(load "\n\tdmb oshld"               \
				 : "=r"(value)                      \
				 : "r"(addr)                        \
				 : "memory");                       \
		return (uint##bits##_t)value;                       \
	}
MMIO_READ(8, "ldrb %w0, [%1]")
MMIO_READ(16, "ldrh %w0, [%1]")
MMIO_READ(32, "ldr %w0, [%1]")
MMIO_READ(64, "ldr %0, [%1]")

#define MMIO_WRITE(bits, store)                                    \
	static inline void mmio_write##bits(uint64_t addr,         \
					    uint##bits##_t value)  \
	{                                                          \
		__asm__ volatile("dmb oshst\n\t" store             \
				 :                                 \
				 : "r"((uint64_t)value), "r"(addr) \
				 : "memory");                      \
	}
MMIO_WRITE(8, "strb %w0, [%1]")
MMIO_WRITE(16, "strh %w0, [%1]")
MMIO_WRITE(32, "str %w0, [%1]")

static inline void mmio_write64(uint64_t addr, uint64_t value)
{
	mmio_write32(addr, (uint32_t)value);
	mmio_write32(addr + 4, (uint32_t)(value >> 32));
}

#endif
