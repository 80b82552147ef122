/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "fdt.h"

#include <stddef.h>

#include "memory.h"

#define FDT_MAGIC 0xd00dfeed
#define FDT_VERSION 17

enum fdt_token {
	FDT_BEGIN_NODE = 1,
	FDT_END_NODE = 2,
	FDT_PROP = 3,
	FDT_NOP = 4,
	FDT_END = 9,
};

struct fdt_header {
	uint32_t magic;
	uint32_t total_size;
	uint32_t off_struct;
	uint32_t off_strings;
	uint32_t off_reserved;
	uint32_t version;
	uint32_t last_compatible;
	uint32_t boot_cpu;
	uint32_t size_strings;
	uint32_t size_struct;
};

static const struct fdt_header *fdt;

static uint32_t be32(uint32_t value)
{
	return __builtin_bswap32(value);
}

static const char *at(uint32_t off)
{
	return (const char *)fdt + off;
}

static size_t text_len(const char *text)
{
	size_t len = 0;

	while (text[len])
		len++;
	return len;
}

bool fdt_init(uint64_t addr)
{
	fdt = (const struct fdt_header *)addr;
	return addr && be32(fdt->magic) == FDT_MAGIC;
}

/* The token behind this one. */
static const uint32_t *next_token(const uint32_t *token)
{
	switch (be32(*token)) {
	case FDT_BEGIN_NODE:
		return token + 1 + text_len((const char *)(token + 1)) / 4 + 1;
	case FDT_PROP:
		return token + 3 + (be32(token[1]) + 3) / 4;
	default:
		return token + 1;
	}
}

/* The node behind this one; NULL: no more. */
static const uint32_t *next_node(const uint32_t *node)
{
	if (!node)
		node = (const uint32_t *)at(be32(fdt->off_struct));
	for (; be32(*node) != FDT_END; node = next_token(node)) {
		if (be32(*node) == FDT_BEGIN_NODE)
			return next_token(node);
	}
	return NULL;
}

uint32_t fdt_check(void)
{
	const uint32_t *token = (const uint32_t *)at(be32(fdt->off_struct));
	const char *end = at(be32(fdt->off_struct) + be32(fdt->size_struct));
	unsigned depth = 0;

	if (be32(fdt->magic) != FDT_MAGIC || be32(fdt->version) < FDT_VERSION ||
	    end > at(be32(fdt->total_size)))
		return 0;
	for (; (const char *)(token + 1) <= end; token = next_token(token)) {
		switch (be32(*token)) {
		case FDT_BEGIN_NODE:
			depth++;
			break;
		case FDT_END_NODE:
			if (!depth--)
				return 0;
			break;
		case FDT_PROP:
			if (be32(token[2]) >= be32(fdt->size_strings))
				return 0;
			break;
		case FDT_NOP:
			break;
		case FDT_END:
			return !depth && (const char *)(token + 1) == end
				       ? be32(fdt->total_size)
				       : 0;
		default:
			return 0;
		}
	}
	return 0;
}

const void *fdt_get(const uint32_t *node, const char *name, uint32_t *len)
{
	for (; be32(*node) == FDT_PROP || be32(*node) == FDT_NOP;
	     node = next_token(node)) {
		if (be32(*node) == FDT_NOP ||
		    strcmp(at(be32(fdt->off_strings) + be32(node[2])), name))
			continue;
		*len = be32(node[1]);
		return node + 3;
	}
	return NULL;
}

static bool has_text(const char *list, uint32_t len, const char *text)
{
	for (uint32_t i = 0; i < len; i += text_len(list + i) + 1) {
		if (!strcmp(list + i, text))
			return true;
	}
	return false;
}

const uint32_t *fdt_find(const uint32_t *node, const char *property,
			 const char *text)
{
	while ((node = next_node(node))) {
		uint32_t len;
		const char *value = fdt_get(node, property, &len);

		if (value && (!text || has_text(value, len, text)))
			return node;
	}
	return NULL;
}

uint32_t fdt_cell(const uint32_t *node, const char *name, unsigned n)
{
	uint32_t len;
	const uint32_t *cells = node ? fdt_get(node, name, &len) : NULL;

	return cells && n < len / 4 ? be32(cells[n]) : 0;
}

uint64_t fdt_number(const uint32_t *node, const char *name, unsigned n)
{
	return (uint64_t)fdt_cell(node, name, 2 * n) << 32 |
	       fdt_cell(node, name, 2 * n + 1);
}

uint64_t fdt_cpu(const uint32_t *node)
{
	uint32_t len = 0;

	fdt_get(node, "reg", &len);
	return len == 8 ? fdt_number(node, "reg", 0) : fdt_cell(node, "reg", 0);
}
