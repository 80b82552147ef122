/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Memory: the C primitives, an arena that only grows, mappings. */
#ifndef GUEST_MEMORY_H
#define GUEST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "insn.h"

void *memcpy(void *dst, const void *src, size_t len);
void *memmove(void *dst, const void *src, size_t len);
void *memset(void *dst, int value, size_t len);
int memcmp(const void *a, const void *b, size_t len);
int strcmp(const char *a, const char *b);

void arena_init(uint64_t start, uint64_t end);

/* Zeroed; align is a power of two. Out of memory ends the guest. */
void *arena_alloc(size_t len, size_t align);

/* Makes [addr, addr + len) usable, one to one: as memory, though it may be a
 * device's, or as registers, which addresses below 4 GiB are by themselves where
 * no RAM can be. */
void memory_map(uint64_t addr, uint64_t len);
void memory_map_registers(uint64_t addr, uint64_t len);

/* For them: a page of zeroes that becomes a page table. */
uint64_t memory_table(void);

#endif
