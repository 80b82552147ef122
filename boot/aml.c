/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Lengths stand in front of what they measure and are 1 to 4 bytes long, so
 * aml_end() moves the content up to make room. Tables are a few KiB: moving
 * is cheaper than guessing, and every length is in its shortest form, as iasl
 * writes it.
 */
#include "boot/aml.h"

#include <assert.h>
#include <string.h>

#include "vmm/byteorder.h"
#include "vmm/util.h"

/* ACPI 6.5 section 20.3, AML byte stream byte values. */
enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	PREFIX_DUAL = 0x2e,
	PREFIX_MULTI = 0x2f,
	OP_EXT = 0x5b,
	OP_LOCAL0 = 0x60,
	OP_ARG0 = 0x68,
	TAG_END = 0x79,
	OP_EXT_REGION = 0x80,
	OP_EXT_FIELD = 0x81,
	OP_EXT_DEVICE = 0x82,
	OP_IF = 0xa0,
	OP_ELSE = 0xa1,
	OP_WHILE = 0xa2,
};

#define NAME_SEG 4

void aml_init(struct aml *a, void *buf, size_t room)
{
	*a = (struct aml){ .buf = buf, .room = room };
}

int aml_finish(const struct aml *a, size_t *len)
{
	assert(!a->depth);
	*len = a->len;
	return a->overflow ? -ENOSPC : 0;
}

void aml_bytes(struct aml *a, const void *p, size_t len)
{
	if (a->overflow || len > a->room - a->len) {
		a->overflow = true;
		return;
	}
	memcpy(a->buf + a->len, p, len);
	a->len += len;
}

static void aml_byte(struct aml *a, unsigned int v)
{
	uint8_t b = (uint8_t)v;

	aml_bytes(a, &b, 1);
}

static void aml_ext(struct aml *a, unsigned int op)
{
	aml_byte(a, OP_EXT);
	aml_byte(a, op);
}

static void aml_insert(struct aml *a, size_t at, const void *p, size_t len)
{
	if (a->overflow || len > a->room - a->len) {
		a->overflow = true;
		return;
	}
	memmove(a->buf + at + len, a->buf + at, a->len - at);
	memcpy(a->buf + at, p, len);
	a->len += len;
}

static void aml_open(struct aml *a, bool resources)
{
	assert(a->depth < AML_MAX_DEPTH);
	a->open[a->depth].at = a->len;
	a->open[a->depth].resources = resources;
	a->depth++;
}

/* PkgLength (20.2.4) counts itself: content plus its own bytes. */
static size_t aml_pkg_length(uint8_t out[4], size_t content)
{
	size_t extra, len, i;

	if (content + 1 <= 0x3f) {
		out[0] = (uint8_t)(content + 1);
		return 1;
	}
	for (extra = 1; extra < 3; extra++)
		if (content + 1 + extra < 1U << (4 + 8 * extra))
			break;
	len = content + 1 + extra;
	assert(len < 1U << 28);
	out[0] = (uint8_t)(extra << 6 | (len & 0xf));
	for (i = 0; i < extra; i++)
		out[1 + i] = (uint8_t)(len >> (4 + 8 * i));
	return 1 + extra;
}

static size_t aml_encode_int(uint8_t out[9], uint64_t v)
{
	unsigned int len;

	if (v <= 1) {
		out[0] = v ? OP_ONE : OP_ZERO;
		return 1;
	}
	if (v <= UINT8_MAX) {
		out[0] = OP_BYTE;
		len = 1;
	} else if (v <= UINT16_MAX) {
		out[0] = OP_WORD;
		len = 2;
	} else if (v <= UINT32_MAX) {
		out[0] = OP_DWORD;
		len = 4;
	} else {
		out[0] = OP_QWORD;
		len = 8;
	}
	le_store(out + 1, v, len);
	return 1 + len;
}

void aml_end(struct aml *a)
{
	static const uint8_t end_tag[2] = { TAG_END, 0 };
	uint8_t enc[9];
	struct aml_open o;

	assert(a->depth);
	o = a->open[--a->depth];
	if (o.resources) {
		/* Checksum 0 counts as right (6.4.2.9). */
		aml_bytes(a, end_tag, sizeof(end_tag));
		aml_insert(a, o.at, enc, aml_encode_int(enc, a->len - o.at));
	}
	aml_insert(a, o.at, enc, aml_pkg_length(enc, a->len - o.at));
}

static bool aml_is_name_char(char c, bool first)
{
	return (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

/* NameString (20.2.2): \ or ^s, then a count prefix, then padded segments. */
void aml_path(struct aml *a, const char *path)
{
	unsigned int nr = 0, i;
	const char *p;

	while (*path == '\\' || *path == '^')
		aml_byte(a, (unsigned char)*path++);
	if (*path)
		nr = 1;
	for (p = path; *p; p++)
		nr += *p == '.';
	assert(nr <= UINT8_MAX);
	if (nr == 0) {
		aml_byte(a, 0);
	} else if (nr == 2) {
		aml_byte(a, PREFIX_DUAL);
	} else if (nr > 2) {
		aml_byte(a, PREFIX_MULTI);
		aml_byte(a, nr);
	}
	while (nr--) {
		for (i = 0; i < NAME_SEG && *path && *path != '.'; i++) {
			assert(aml_is_name_char(*path, i == 0));
			aml_byte(a, (unsigned char)*path++);
		}
		assert(i > 0 && (*path == (nr ? '.' : '\0')));
		path += nr ? 1 : 0;
		for (; i < NAME_SEG; i++)
			aml_byte(a, '_');
	}
}

void aml_scope(struct aml *a, const char *path)
{
	aml_byte(a, OP_SCOPE);
	aml_open(a, false);
	aml_path(a, path);
}

void aml_device(struct aml *a, const char *name)
{
	aml_ext(a, OP_EXT_DEVICE);
	aml_open(a, false);
	aml_path(a, name);
}

void aml_method(struct aml *a, const char *name, unsigned int nr_args,
		bool serialized)
{
	assert(nr_args <= 7);
	aml_byte(a, OP_METHOD);
	aml_open(a, false);
	aml_path(a, name);
	aml_byte(a, nr_args | (serialized ? 1U << 3 : 0));
}

void aml_package(struct aml *a, unsigned int nr_elements)
{
	assert(nr_elements <= UINT8_MAX);
	aml_byte(a, OP_PACKAGE);
	aml_open(a, false);
	aml_byte(a, nr_elements);
}

void aml_if(struct aml *a)
{
	aml_byte(a, OP_IF);
	aml_open(a, false);
}

void aml_else(struct aml *a)
{
	aml_byte(a, OP_ELSE);
	aml_open(a, false);
}

void aml_while(struct aml *a)
{
	aml_byte(a, OP_WHILE);
	aml_open(a, false);
}

void aml_field(struct aml *a, const char *region, enum aml_access access)
{
	aml_ext(a, OP_EXT_FIELD);
	aml_open(a, false);
	aml_path(a, region);
	aml_byte(a, access);
}

void aml_field_unit(struct aml *a, const char *name, unsigned int nr_bits)
{
	uint8_t enc[4];
	size_t len;

	if (name)
		aml_path(a, name);
	else
		aml_byte(a, 0);
	/* The same code as a PkgLength, but it does not count itself. */
	if (nr_bits <= 0x3f) {
		aml_byte(a, nr_bits);
		return;
	}
	for (len = 1; len < 3 && nr_bits >> (4 + 8 * len); len++)
		;
	assert(nr_bits < 1U << 28);
	enc[0] = (uint8_t)(len << 6 | (nr_bits & 0xf));
	le_store(enc + 1, nr_bits >> 4, 3);
	aml_bytes(a, enc, 1 + len);
}

void aml_resources(struct aml *a)
{
	aml_byte(a, OP_BUFFER);
	aml_open(a, true);
}

void aml_name(struct aml *a, const char *name)
{
	aml_byte(a, OP_NAME);
	aml_path(a, name);
}

void aml_int(struct aml *a, uint64_t value)
{
	uint8_t enc[9];

	aml_bytes(a, enc, aml_encode_int(enc, value));
}

void aml_string(struct aml *a, const char *s)
{
	aml_byte(a, OP_STRING);
	aml_bytes(a, s, strlen(s) + 1);
}

void aml_buffer(struct aml *a, const void *p, size_t len)
{
	aml_byte(a, OP_BUFFER);
	aml_open(a, false);
	aml_int(a, len);
	aml_bytes(a, p, len);
	aml_end(a);
}

static unsigned int aml_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a') + 10;
	assert(c >= 'A' && c <= 'F');
	return (unsigned int)(c - 'A') + 10;
}

/* EISAID macro (19.6.38): three letters of 5 bits, four hex digits, then the
 * bytes turned round. */
void aml_eisaid(struct aml *a, const char *id)
{
	uint32_t v = 0;
	unsigned int i;

	assert(strlen(id) == 7);
	for (i = 0; i < 3; i++)
		v = v << 5 | (uint32_t)((id[i] - '@') & 0x1f);
	for (; i < 7; i++)
		v = v << 4 | aml_hex_digit(id[i]);
	aml_int(a, __builtin_bswap32(v));
}

/* ToUUID macro (19.6.142): the first three groups are little-endian. */
void aml_uuid(struct aml *a, const char *uuid)
{
	static const uint8_t order[16] = { 3, 2, 1,  0,	 5,  4,	 7,  6,
					   8, 9, 10, 11, 12, 13, 14, 15 };
	uint8_t out[16];
	unsigned int i;

	assert(strlen(uuid) == 36);
	for (i = 0; i < sizeof(out); i++) {
		if (*uuid == '-')
			uuid++;
		out[order[i]] = (uint8_t)(aml_hex_digit(uuid[0]) << 4 |
					  aml_hex_digit(uuid[1]));
		uuid += 2;
	}
	aml_buffer(a, out, sizeof(out));
}

void aml_region(struct aml *a, const char *name, enum aml_space space,
		uint64_t base, uint64_t len)
{
	aml_ext(a, OP_EXT_REGION);
	aml_path(a, name);
	aml_byte(a, space);
	aml_int(a, base);
	aml_int(a, len);
}

void aml_op(struct aml *a, enum aml_op op)
{
	aml_byte(a, op);
}

void aml_local(struct aml *a, unsigned int n)
{
	assert(n <= 7);
	aml_byte(a, OP_LOCAL0 + n);
}

void aml_arg(struct aml *a, unsigned int n)
{
	assert(n <= 6);
	aml_byte(a, OP_ARG0 + n);
}

void aml_name_int(struct aml *a, const char *name, uint64_t value)
{
	aml_name(a, name);
	aml_int(a, value);
}

void aml_name_string(struct aml *a, const char *name, const char *s)
{
	aml_name(a, name);
	aml_string(a, s);
}

void aml_name_eisaid(struct aml *a, const char *name, const char *id)
{
	aml_name(a, name);
	aml_eisaid(a, id);
}
