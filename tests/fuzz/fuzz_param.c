/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config.h"
#include "vmm/param.h"
#include "vmm/param_ranges.h"
#include "vmm/util.h"

/*
 * Input: one byte that selects a parameter table, then the text of an option's
 * value. Lines of it are parsed one after the other into the same struct.
 * Checked: what an error leaves behind, and the bounds of what was accepted.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int close(int fd);

/* In place of the C library's: the numbers in an input are of descriptors that
 * belong to the fuzzer, as its log and the pipes of its symbolizer do. */
int close(int fd)
{
	(void)fd;
	return 0;
}

#define FUZZ_SETS_MAX 16u

static const struct param_set *const fuzz_sets[] = {
	&cpus_params,	&memory_params,	 &serial_params,
	&rootfs_params, &payload_params,
};

static const struct param fuzz_ids_table[] = {
	{ .name = "ids", .type = PARAM_RANGES },
};

static const struct param_set fuzz_ids = {
	.option = "ids",
	PARAM_TABLE(fuzz_ids_table, struct id_ranges),
	.shorthand = "ids",
};

/* Set n of those above and of all device classes, or the last one, of ranges;
 * NULL: there are fewer. */
static const struct param_set *fuzz_select(unsigned int n)
{
	if (n == FUZZ_SETS_MAX - 1)
		return &fuzz_ids;
	if (n < ARRAY_SIZE(fuzz_sets))
		return fuzz_sets[n];
	n -= (unsigned int)ARRAY_SIZE(fuzz_sets);
	for (unsigned int i = 0; device_classes[i]; i++) {
		if (device_classes[i]->params && n-- == 0)
			return device_classes[i]->params;
	}
	return NULL;
}

static void fuzz_check_number(const struct param *p, uint64_t v)
{
	if (v == p->def)
		return;
	assert(v >= p->min);
	assert(!p->max || v <= p->max);
	assert(!p->pow2 || IS_POW2(v));
}

/* They are what their own text says. */
static void fuzz_check_ranges(const struct id_ranges *ranges)
{
	static struct id_ranges again;
	char *text = param_ranges_text(ranges);

	assert(text);
	assert(ranges->nr <= ID_RANGES_MAX);
	if (ranges->nr) {
		assert(!param_read_ranges(text, &again, NULL));
		assert(again.nr == ranges->nr);
		assert(!memcmp(again.ranges, ranges->ranges,
			       again.nr * sizeof(again.ranges[0])));
	}
	free(text);
}

static void fuzz_check_value(const struct param *p, const void *field)
{
	const char *text;
	int choice;

	switch (p->type) {
	case PARAM_UINT:
	case PARAM_SIZE:
		fuzz_check_number(p, *(const uint64_t *)field);
		break;
	case PARAM_STRING:
	case PARAM_PATH:
	case PARAM_WORDS:
		text = *(char *const *)field;
		assert(!text || *text);
		assert(!text || !p->max || strlen(text) <= p->max);
		assert(!text || !p->check_text || !p->check_text(text, NULL));
		break;
	case PARAM_ENUM:
		choice = *(const int *)field;
		assert(choice >= 0);
		while (choice >= 0)
			assert(p->choices[choice--].name);
		break;
	case PARAM_FD:
		assert(*(const int *)field >= -1);
		break;
	case PARAM_FDS:
		assert(((const struct fd_list *)field)->nr <= FD_LIST_MAX);
		break;
	case PARAM_MAC:
		assert(!(*(const uint8_t *)field & 1));
		break;
	case PARAM_IPV4:
		break;
	case PARAM_RANGES:
		fuzz_check_ranges(field);
		break;
	case PARAM_BOOL:
		assert(*(const uint8_t *)field <= 1);
		break;
	}
}

static void fuzz_parse(const struct param_set *set, void *cfg, const char *text)
{
	struct error err = { "" };

	if (param_parse(set, cfg, text, &err)) {
		assert(strncmp(err.msg, "--", 2) == 0);
		assert(!strchr(err.msg, '\n'));
	}
	for (unsigned int i = 0; i < set->nr_params; i++)
		fuzz_check_value(&set->params[i],
				 (const char *)cfg + set->params[i].offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct param_set *set;
	void *cfg;
	char *text, *line, *rest;

	if (size == 0)
		return 0;
	set = fuzz_select(data[0] % FUZZ_SETS_MAX);
	if (!set)
		return 0;
	cfg = calloc(1, set->size);
	text = malloc(size);
	assert(cfg && text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	param_defaults(set, cfg);
	for (rest = text; (line = strsep(&rest, "\n")) != NULL;)
		fuzz_parse(set, cfg, line);
	param_free(set, cfg);
	free(text);
	free(cfg);
	return 0;
}
