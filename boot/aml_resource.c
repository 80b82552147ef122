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

#define PRODUCER 0
#define CONSUMER 0x01
#define GENERAL_FIXED 0x0c /* _MIF and _MAF: both ends are fixed */
#define MEMORY_READ_WRITE 0x01
#define MEMORY_WRITE_BACK 0x02
#define IO_DECODE_16 0x01

#define IRQ_EDGE 0x02

void aml_range(struct aml *a, enum aml_range kind, uint64_t base, uint64_t len)
{
	static const struct {
		uint8_t tag, width, type, role, flags;
	} kinds[] = {
		[AML_BUSES] = { TAG_WORD, 2, SPACE_BUS, PRODUCER, 0 },
		[AML_BRIDGE32] = { TAG_DWORD, 4, SPACE_MEMORY, PRODUCER,
				   MEMORY_READ_WRITE },
		[AML_BRIDGE64] = { TAG_QWORD, 8, SPACE_MEMORY, PRODUCER,
				   MEMORY_READ_WRITE },
		[AML_MEMORY64] = { TAG_QWORD, 8, SPACE_MEMORY, CONSUMER,
				   MEMORY_READ_WRITE },
		[AML_RAM64] = { TAG_QWORD, 8, SPACE_MEMORY, CONSUMER,
				MEMORY_READ_WRITE | MEMORY_WRITE_BACK },
	};
	const uint64_t fields[5] = {
		0, /* granularity */
		base, base + (len - 1), 0, /* translation */
		len,
	};
	unsigned int width = kinds[kind].width, i;
	uint8_t d[6 + 5 * 8] = { kinds[kind].tag };

	le_store(d + 1, 3 + 5 * width, 2);
	d[3] = kinds[kind].type;
	d[4] = GENERAL_FIXED | kinds[kind].role;
	d[5] = kinds[kind].flags;
	for (i = 0; i < 5; i++)
		le_store(d + 6 + i * width, fields[i], width);
	aml_bytes(a, d, 6 + 5 * width);
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
	d[3] = CONSUMER | IRQ_EDGE;
	d[4] = 1; /* one interrupt */
	le_store(d + 5, gsi, 4);
	aml_bytes(a, d, sizeof(d));
}
