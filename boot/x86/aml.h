/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_X86_AML_H
#define BOOT_X86_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"

/*
 * A writer of AML byte code (ACPI 6.5 chapter 20). Every function appends terms
 * to the caller's buffer, in the order of the byte code: an operator first,
 * then its operands.
 *
 * What does not fit is dropped and remembered; aml_finish() tells. Wrong use
 * (a bad name, an end without a beginning) is our bug and asserts: nothing a
 * guest or a user gives comes here unchecked. Any thread, one at a time.
 */
#define AML_MAX_DEPTH 16

struct aml {
	uint8_t *buf; /* borrowed */
	size_t room; /* bytes in buf */
	size_t len; /* bytes written */
	bool overflow;
	unsigned int depth;
	struct aml_open {
		size_t at; /* where the length goes */
		bool resources; /* a resource template: a size goes there too */
	} open[AML_MAX_DEPTH];
};

/* Start in an empty buf of room bytes. */
void aml_init(struct aml *a, void *buf, size_t room);

/*
 * All terms must be closed. *len: bytes written.
 * -ENOSPC when something did not fit.
 */
int aml_finish(const struct aml *a, size_t *len);

/*
 * Append terms that are written as words with spaces between them, after
 * printf() has filled in arguments; at most 255 characters.
 *
 *	store l0 EVST        an operator, then operands: Store (Local0, EVST)
 *	and l0 1 0           a target of 0 drops the result
 *	if PREDICATE ... end   so all that holds others: if, else, while, scope
 *	                     PATH, device NAME, method NAME :ARGS (+8 when
 *	                     serialized), package :COUNT, field REGION :ACCESS,
 *	                     resources (what is in them comes from
 *	                     aml_resource.h)
 *	l0 .. l7, a0 .. a6   Local0 .. Local7, Arg0 .. Arg6
 *	12, 0x1f             an integer, in its shortest form
 *	'COM1'               a string
 *	#PNP0A08             EisaId ("PNP0A08")
 *	:3, +32              one byte as it is; a number of bits, in field
 *	_HID, \_SB.PCI0      a name as in ASL; short segments are padded
 *
 * The operators are those of aml.c's table.
 */
void aml_code(struct aml *a, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Append bytes as they are; for resource descriptors. */
void aml_bytes(struct aml *a, const void *p, size_t len);

/* Buffer () with len bytes. */
void aml_buffer(struct aml *a, const void *p, size_t len);

/* ---- resource descriptors ---- */

/*
 * Resource descriptors (ACPI 6.5 section 6.4), for the inside of `resources` in
 * aml_code(). A producer (bridge) hands its range on to the devices below it, a
 * consumer uses it.
 */
enum aml_range {
	AML_BUSES, /* a bridge's bus numbers */
	AML_BRIDGE32, /* a bridge's memory below 4 GiB; as the next two: */
	AML_BRIDGE64, /* its memory anywhere */
	AML_MEMORY64, /* a consumer's: not cacheable, writable */
	AML_RAM64, /* a consumer's, which can be cached */
};

/* [base, base + len) in fields as wide as the kind's name says; both ends are
 * fixed. len is not 0. */
void aml_range(struct aml *a, enum aml_range kind, uint64_t base, uint64_t len);

/* Fixed I/O ports of a device, all 16 address bits decoded; len up to 255. */
void aml_io_ports(struct aml *a, uint16_t base, uint8_t len);

/* One interrupt of a device: edge, active high, not shared. */
void aml_interrupt(struct aml *a, uint32_t gsi);

#endif
