/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "boot/aml_resource.h"

#include "vmm/byteorder.h"

enum {
	TAG_IO = 0x47, /* small item, 7 bytes of content */
	TAG_WORD = 0x88,
	TAG_DWORD = 0x87,
	TAG_QWORD = 0x8a,
	TAG_INTERRUPT = 0x89,
};

/* Resource types of the address space descriptors (6.4.3.5). */
enum {
	SPACE_MEMORY = 0,
	SPACE_BUS = 2,
};

#define GENERAL_FIXED 0x0c /* _MIF and _MAF: both ends are fixed */
#define MEMORY_READ_WRITE 0x01
#define MEMORY_WRITE_BACK 0x02
#define IO_DECODE_16 0x01

#define IRQ_CONSUMER 0x01
#define IRQ_EDGE 0x02

/* A range of addresses, in fields of `width` bytes (2, 4 or 8). */
static void aml_address_space(struct aml *a, unsigned int tag,
			      unsigned int width, unsigned int type,
			      unsigned int role, unsigned int type_flags,
			      uint64_t base, uint64_t len)
{
	const uint64_t fields[5] = {
		0, /* granularity */
		base, base + (len - 1), 0, /* translation */
		len,
	};
	uint8_t d[6 + 5 * 8];
	unsigned int i;

	d[0] = (uint8_t)tag;
	le_store(d + 1, 3 + 5 * width, 2);
	d[3] = (uint8_t)type;
	d[4] = (uint8_t)(GENERAL_FIXED | role);
	d[5] = (uint8_t)type_flags;
	for (i = 0; i < 5; i++)
		le_store(d + 6 + i * width, fields[i], width);
	aml_bytes(a, d, 6 + 5 * width);
}

void aml_memory32(struct aml *a, uint32_t base, uint32_t len)
{
	aml_address_space(a, TAG_DWORD, 4, SPACE_MEMORY, AML_PRODUCER,
			  MEMORY_READ_WRITE, base, len);
}

void aml_memory64(struct aml *a, enum aml_role role, uint64_t base,
		  uint64_t len)
{
	aml_address_space(a, TAG_QWORD, 8, SPACE_MEMORY, role,
			  MEMORY_READ_WRITE, base, len);
}

void aml_ram64(struct aml *a, uint64_t base, uint64_t len)
{
	aml_address_space(a, TAG_QWORD, 8, SPACE_MEMORY, AML_CONSUMER,
			  MEMORY_READ_WRITE | MEMORY_WRITE_BACK, base, len);
}

void aml_bus_numbers(struct aml *a, uint16_t base, uint16_t len)
{
	aml_address_space(a, TAG_WORD, 2, SPACE_BUS, AML_PRODUCER, 0, base,
			  len);
}

void aml_io_ports(struct aml *a, uint16_t base, uint8_t len)
{
	uint8_t d[8] = { TAG_IO, IO_DECODE_16 };

	le_store(d + 2, base, 2);
	le_store(d + 4, base, 2);
	d[6] = 1; /* alignment */
	d[7] = len;
	aml_bytes(a, d, sizeof(d));
}

void aml_interrupt(struct aml *a, uint32_t gsi)
{
	uint8_t d[9] = { TAG_INTERRUPT };

	le_store(d + 1, sizeof(d) - 3, 2);
	d[3] = IRQ_CONSUMER | IRQ_EDGE;
	d[4] = 1; /* one interrupt */
	le_store(d + 5, gsi, 4);
	aml_bytes(a, d, sizeof(d));
}
