/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Lengths stand in front of what they measure and are 1 to 4 bytes long, so
 * aml_end() moves the content up to make room. Tables are a few KiB: moving
 * is cheaper than guessing, and every length is in its shortest form, as iasl
 * writes it.
 */
#include "boot/x86/aml.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/byteorder.h"

/* ACPI 6.5 section 20.3, AML byte stream byte values. */
enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_BUFFER = 0x11,
	PREFIX_DUAL = 0x2e,
	PREFIX_MULTI = 0x2f,
	OP_EXT = 0x5b, /* prefix of an operator */
	OP_LOCAL0 = 0x60,
	OP_ARG0 = 0x68,
	TAG_END = 0x79,
};

enum aml_form {
	PLAIN, /* operands follow */
	OPENS, /* holds others, up to an end */
	OPENS_RESOURCES,
};

/* The operators of aml_code(), and what follows them. */
static const struct aml_word {
	const char *word;
	uint16_t op; /* above the low byte: OP_EXT, if it has two */
	enum aml_form form;
} aml_words[] = {
	/* What there is most of comes first. */
	{ "name", 0x08, PLAIN }, /* name, value */
	{ "if", 0xa0, OPENS }, /* predicate, terms */
	{ "equal", 0x93, PLAIN }, /* source, source */
	{ "notify", 0x86, PLAIN }, /* object, value */
	{ "method", 0x14, OPENS },
	{ "device", OP_EXT << 8 | 0x82, OPENS },
	{ "store", 0x70, PLAIN }, /* source, target */
	{ "return", 0xa4, PLAIN }, /* source */
	{ "else", 0xa1, OPENS }, /* terms; right behind an if */
	{ "while", 0xa2, OPENS }, /* predicate, terms */
	{ "break", 0xa5, PLAIN },
	{ "scope", 0x10, OPENS },
	{ "package", 0x12, OPENS },
	{ "resources", OP_BUFFER, OPENS_RESOURCES },
	/* name, :space, base, length */
	{ "region", OP_EXT << 8 | 0x80, PLAIN },
	/* From bit 0 on: name or :0 for none, bits. No lock, other bits stay. */
	{ "field", OP_EXT << 8 | 0x81, OPENS },
	{ "add", 0x72, PLAIN }, /* source, source, target */
	{ "subtract", 0x74, PLAIN }, /* source, source, target */
	{ "shift_right", 0x7a, PLAIN }, /* source, count, target */
	{ "and", 0x7b, PLAIN }, /* source, source, target */
	{ "or", 0x7d, PLAIN }, /* source, source, target */
	{ "not", 0x92, PLAIN }, /* source */
	{ "dword_field", 0x8a, PLAIN }, /* buffer, byte index, new name */
	{ "qword_field", 0x8f, PLAIN }, /* buffer, byte index, new name */
	{ NULL, 0, PLAIN },
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

void aml_bytes(struct aml *a, const void *p, size_t len)
{
	aml_insert(a, a->len, p, len);
}

static void aml_byte(struct aml *a, unsigned int v)
{
	uint8_t b = (uint8_t)v;

	aml_bytes(a, &b, 1);
}

static void aml_open(struct aml *a, bool resources)
{
	assert(a->depth < AML_MAX_DEPTH);
	a->open[a->depth].at = a->len;
	a->open[a->depth].resources = resources;
	a->depth++;
}

/* The code of a PkgLength (20.2.4), which counts itself: v and its own bytes;
 * and of a number of bits, which does not. */
static size_t aml_encode_len(uint8_t out[4], uint64_t v, bool counts_itself)
{
	size_t n = 1;

	if (v + counts_itself > 0x3f)
		for (n = 2; n < 4; n++)
			if (!((v + (counts_itself ? n : 0)) >> (8 * n - 4)))
				break;
	v += counts_itself ? n : 0;
	assert(!(v >> 28));
	if (n == 1) {
		out[0] = (uint8_t)v;
		return 1;
	}
	out[0] = (uint8_t)((n - 1) << 6 | (v & 0xf));
	le_store(out + 1, v >> 4, 3);
	return n;
}

static size_t aml_encode_int(uint8_t out[9], uint64_t v)
{
	static const uint8_t ops[] = { OP_BYTE, OP_WORD, OP_DWORD, OP_QWORD };
	unsigned int i = 0; /* 1 << i bytes */

	if (v <= 1) {
		out[0] = v ? OP_ONE : OP_ZERO;
		return 1;
	}
	while (i < 3 && v >> (8u << i))
		i++;
	out[0] = ops[i];
	le_store(out + 1, v, 1u << i);
	return 1 + (1u << i);
}

static void aml_end(struct aml *a)
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
	aml_insert(a, o.at, enc, aml_encode_len(enc, a->len - o.at, true));
}

/* NameString (20.2.2): \ or ^s, then a count prefix, then padded segments. */
static void aml_path(struct aml *a, const char *path)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
	unsigned int nr;
	const char *p;

	while (*path == '\\' || *path == '^')
		aml_byte(a, (unsigned char)*path++);
	nr = *path != '\0';
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
	for (; nr; nr--) {
		size_t len = strspn(path, chars);

		assert(len && len <= NAME_SEG && (*path < '0' || *path > '9') &&
		       path[len] == (nr > 1 ? '.' : '\0'));
		aml_bytes(a, path, len);
		aml_bytes(a, "___", NAME_SEG - len);
		path += len + 1;
	}
}

static void aml_int(struct aml *a, uint64_t value)
{
	uint8_t enc[9];

	aml_bytes(a, enc, aml_encode_int(enc, value));
}

/* EISAID macro (19.6.38): three letters of 5 bits, four hex digits, then the
 * bytes turned round. */
static void aml_eisaid(struct aml *a, const char *id)
{
	uint32_t v = 0;

	assert(strlen(id) == 7);
	for (unsigned int i = 0; i < 3; i++)
		v = v << 5 | (uint32_t)((id[i] - '@') & 0x1f);
	v = v << 16 | (uint32_t)strtoul(id + 3, NULL, 16);
	aml_int(a, __builtin_bswap32(v));
}

static void aml_bits(struct aml *a, uint64_t nr_bits)
{
	uint8_t enc[4];

	aml_bytes(a, enc, aml_encode_len(enc, nr_bits, false));
}

static void aml_string(struct aml *a, const char *s)
{
	size_t len = strcspn(s, "'");

	assert(s[len] && !s[len + 1]);
	aml_byte(a, OP_STRING);
	aml_bytes(a, s, len);
	aml_byte(a, 0);
}

static void aml_operator(struct aml *a, const char *word)
{
	const struct aml_word *w = aml_words;

	while (w->word && (*w->word != *word || strcmp(w->word, word) != 0))
		w++;
	assert(w->word);
	if (w->op >> 8)
		aml_byte(a, w->op >> 8);
	aml_byte(a, w->op & 0xff);
	if (w->form != PLAIN)
		aml_open(a, w->form == OPENS_RESOURCES);
}

static void aml_put_word(struct aml *a, const char *word)
{
	bool numbered = word[1] >= '0' && word[1] <= '7' && !word[2];

	if (*word >= '0' && *word <= '9')
		aml_int(a, strtoull(word, NULL, 0));
	else if (*word == 'l' && numbered)
		aml_byte(a, OP_LOCAL0 + (unsigned int)(word[1] - '0'));
	else if (*word == 'a' && numbered && word[1] < '7')
		aml_byte(a, OP_ARG0 + (unsigned int)(word[1] - '0'));
	else if (*word == '\'')
		aml_string(a, word + 1);
	else if (*word == '#')
		aml_eisaid(a, word + 1);
	else if (*word == ':')
		aml_byte(a, (unsigned int)strtoul(word + 1, NULL, 0));
	else if (*word == '+')
		aml_bits(a, strtoull(word + 1, NULL, 0));
	else if (*word < 'a' || *word > 'z')
		aml_path(a, word);
	else if (strcmp(word, "end") == 0)
		aml_end(a);
	else
		aml_operator(a, word);
}

void aml_code(struct aml *a, const char *format, ...)
{
	char text[256], *rest = text, *word;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	assert(n >= 0 && (size_t)n < sizeof(text));
	while ((word = strsep(&rest, " ")) != NULL)
		aml_put_word(a, word);
}

void aml_buffer(struct aml *a, const void *p, size_t len)
{
	aml_byte(a, OP_BUFFER);
	aml_open(a, false);
	aml_int(a, len);
	aml_bytes(a, p, len);
	aml_end(a);
}

/* ---- resource descriptors ---- */

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
	const unsigned int low = base & 0xff, high = base >> 8;

	aml_code(a, ":%d :%d :%u :%u :%u :%u :1 :%u", TAG_IO, IO_DECODE_16, low,
		 high, low, high, len);
}

void aml_interrupt(struct aml *a, uint32_t gsi)
{
	aml_code(a, ":%d :6 :0 :%d :1 :%u :%u :%u :%u", TAG_INTERRUPT,
		 CONSUMER | IRQ_EDGE, gsi & 0xff, gsi >> 8 & 0xff,
		 gsi >> 16 & 0xff, gsi >> 24);
}
