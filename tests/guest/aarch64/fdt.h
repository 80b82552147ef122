/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The device tree (Devicetree Specification 0.4, section 5), as it lies in memory.
 * A node is where its properties begin. Addresses and sizes have two cells each.
 */
#ifndef GUEST_FDT_H
#define GUEST_FDT_H

#include <stdbool.h>
#include <stdint.h>

/* False: there is none at this address. */
bool fdt_init(uint64_t addr);

/* Its length; 0: what lies there is not a whole one. */
uint32_t fdt_check(void);

/* The first node behind this one (NULL: of all) that has this property, with this
 * text as one of its strings (NULL: whatever it is); NULL: no more. */
const uint32_t *fdt_find(const uint32_t *node, const char *property,
			 const char *text);

/* A property's value and its length in bytes; NULL: the node has no such. */
const void *fdt_get(const uint32_t *node, const char *name, uint32_t *len);

/* Cell number n of a property, and number n of those of two cells; 0: it is not
 * that long, or not there. */
uint32_t fdt_cell(const uint32_t *node, const char *name, unsigned n);
uint64_t fdt_number(const uint32_t *node, const char *name, unsigned n);

/* What "reg" of a processor says, in one cell or two. */
uint64_t fdt_cpu(const uint32_t *node);

#endif
