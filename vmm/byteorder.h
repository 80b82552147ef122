/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_BYTEORDER_H
#define VMM_BYTEORDER_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

/* Guest-endian data is never a bare integer (virtio 1.2 section 1.4). */
typedef struct {
	uint16_t v;
} le16;
typedef struct {
	uint32_t v;
} le32;
typedef struct {
	uint64_t v;
} le64;

static inline uint16_t le16_get(le16 x)
{
	return le16toh(x.v);
}
static inline uint32_t le32_get(le32 x)
{
	return le32toh(x.v);
}
static inline uint64_t le64_get(le64 x)
{
	return le64toh(x.v);
}
static inline le16 le16_of(uint16_t x)
{
	return (le16){ htole16(x) };
}
static inline le32 le32_of(uint32_t x)
{
	return (le32){ htole32(x) };
}
static inline le64 le64_of(uint64_t x)
{
	return (le64){ htole64(x) };
}

/* Little-endian integers of 1, 2, 4 or 8 bytes at any address. */
static inline uint64_t le_load(const void *p, unsigned int len)
{
	uint64_t v = 0;

	memcpy(&v, p, len <= 8 ? len : 8);
	return le64toh(v);
}
static inline void le_store(void *p, uint64_t v, unsigned int len)
{
	v = htole64(v);
	memcpy(p, &v, len <= 8 ? len : 8);
}

#endif
