/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Memory: the C primitives, an arena that only grows, mappings. */
#ifndef GUEST_MEMORY_H
#define GUEST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *dst, const void *src, size_t len);
void *memmove(void *dst, const void *src, size_t len);
void *memset(void *dst, int value, size_t len);
int memcmp(const void *a, const void *b, size_t len);
int strcmp(const char *a, const char *b);

void arena_init(uint64_t start, uint64_t end);

/* Zeroed; align is a power of two. Out of memory ends the guest. */
void *arena_alloc(size_t len, size_t align);

/* Makes [addr, addr + len) above 4 GiB usable, one to one. */
void memory_map(uint64_t addr, uint64_t len);

#define barrier() __asm__ volatile("" : : : "memory")
#define full_fence() __asm__ volatile("mfence" : : : "memory")
#define cpu_relax() __asm__ volatile("pause" : : : "memory")

#endif
