/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_PLATFORM_PRIMECELL_H
#define DEVICES_PLATFORM_PRIMECELL_H

#include <stdint.h>

/* What ARM's PrimeCells have in common: 4 KiB of registers, of which the last
 * eight say what it is, a byte each. */
#define PRIMECELL_LEN 0x1000u
#define PRIMECELL_ID 0xfe0u

/* The register at off >= PRIMECELL_ID. id: the peripheral's part and revision;
 * the last four are those of all. Any thread. */
static inline uint64_t primecell_id(uint64_t off, const uint8_t id[4])
{
	static const uint8_t cell[4] = { 0x0d, 0xf0, 0x05, 0xb1 };
	unsigned int i = (unsigned int)(off - PRIMECELL_ID) / 4;

	return i < 4 ? id[i] : cell[i % 4];
}

#endif
