/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef BOOT_AML_H
#define BOOT_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"

/*
 * A writer of AML byte code (ACPI 6.5 chapter 20). Every function appends one
 * term to the caller's buffer, in the order of the byte code: an operator
 * first, then its operands. `Store (Local0, EVST)` is
 *
 *	aml_op(a, AML_STORE);
 *	aml_local(a, 0);
 *	aml_path(a, "EVST");
 *
 * A term that holds others is opened by its own function and closed by
 * aml_end(), which fills in the length. Names are written as in ASL: "_HID",
 * "\\_SB.PCI0", "^CDW1"; segments shorter than four characters are padded.
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

/* Operators; operands follow. Sources are terms, targets are names or locals,
 * aml_int(a, 0) as a target drops the result. */
enum aml_op {
	AML_STORE = 0x70, /* source, target */
	AML_ADD = 0x72, /* source, source, target */
	AML_SUBTRACT = 0x74, /* source, source, target */
	AML_INCREMENT = 0x75, /* target */
	AML_DECREMENT = 0x76, /* target */
	AML_SHIFT_LEFT = 0x79, /* source, count, target */
	AML_SHIFT_RIGHT = 0x7a, /* source, count, target */
	AML_AND = 0x7b, /* source, source, target */
	AML_OR = 0x7d, /* source, source, target */
	AML_DEREF_OF = 0x83, /* reference */
	AML_NOTIFY = 0x86, /* object, value */
	AML_SIZE_OF = 0x87, /* object */
	AML_INDEX = 0x88, /* object, index, target */
	AML_CREATE_QWORD_FIELD = 0x8f, /* buffer, byte index, new name */
	AML_CREATE_DWORD_FIELD = 0x8a, /* buffer, byte index, new name */
	AML_LAND = 0x90, /* source, source */
	AML_LOR = 0x91, /* source, source */
	AML_LNOT = 0x92, /* source */
	AML_LEQUAL = 0x93, /* source, source */
	AML_LGREATER = 0x94, /* source, source */
	AML_LLESS = 0x95, /* source, source */
	AML_RETURN = 0xa4, /* source */
	AML_BREAK = 0xa5,
};

/* Address spaces of aml_region(). */
enum aml_space {
	AML_SYSTEM_MEMORY = 0,
	AML_SYSTEM_IO = 1,
};

/* Access width of aml_field(). */
enum aml_access {
	AML_BYTE_ACC = 1,
	AML_WORD_ACC = 2,
	AML_DWORD_ACC = 3,
	AML_QWORD_ACC = 4,
};

void aml_init(struct aml *a, void *buf, size_t room);

/*
 * All terms must be closed. *len: bytes written.
 * -ENOSPC when something did not fit.
 */
int aml_finish(const struct aml *a, size_t *len);

/* Append bytes as they are; for resource descriptors. */
void aml_bytes(struct aml *a, const void *p, size_t len);

/* Terms that hold others, until aml_end(). */
void aml_scope(struct aml *a, const char *path);
void aml_device(struct aml *a, const char *name);
void aml_method(struct aml *a, const char *name, unsigned int nr_args,
		bool serialized);
void aml_package(struct aml *a, unsigned int nr_elements); /* at most 255 */
void aml_if(struct aml *a); /* predicate, then terms */
void aml_else(struct aml *a); /* right behind the end of an If */
void aml_while(struct aml *a); /* predicate, then terms */
/* Fields of a region, from bit 0 on; no lock, other bits are preserved. */
void aml_field(struct aml *a, const char *region, enum aml_access access);
/* A buffer of resource descriptors; the end tag comes by itself. */
void aml_resources(struct aml *a);
void aml_end(struct aml *a);

/* Inside aml_field(): nr_bits with a name, or without (NULL). */
void aml_field_unit(struct aml *a, const char *name, unsigned int nr_bits);

/* Whole terms and operands. */
void aml_name(struct aml *a, const char *name); /* Name(); its value follows */
void aml_path(struct aml *a, const char *path); /* a reference, or a call */
void aml_int(struct aml *a, uint64_t value); /* in its shortest form */
void aml_string(struct aml *a, const char *s);
void aml_buffer(struct aml *a, const void *p, size_t len);
void aml_eisaid(struct aml *a, const char *id); /* "PNP0A08" */
/* ToUUID() of "33db4d5b-1ff7-401c-9657-7441c03dd766". */
void aml_uuid(struct aml *a, const char *uuid);
void aml_region(struct aml *a, const char *name, enum aml_space space,
		uint64_t base, uint64_t len);
void aml_op(struct aml *a, enum aml_op op);
void aml_local(struct aml *a, unsigned int n); /* 0 to 7 */
void aml_arg(struct aml *a, unsigned int n); /* 0 to 6 */

/* Name (name, value) in one call. */
void aml_name_int(struct aml *a, const char *name, uint64_t value);
void aml_name_string(struct aml *a, const char *name, const char *s);
void aml_name_eisaid(struct aml *a, const char *name, const char *id);

#endif
