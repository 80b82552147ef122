/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/param_ranges.h"

#include <stdio.h>
#include <stdlib.h>

#include "vmm/param_text.h"
#include "vmm/util.h"

#define RANGE_TEXT_MAX sizeof("4294967294:4294967294:4294967294;")

/* The last of what was read is sound, and apart from those before it. */
static int ranges_check(const struct id_ranges *ranges, struct error *err)
{
	const struct id_range *last = &ranges->ranges[ranges->nr - 1];

	if (!last->count)
		return error_set(
			err, EINVAL,
			"range %u has no ids; give a count of at least 1",
			ranges->nr);
	if (last->count > UINT32_MAX - last->guest ||
	    last->count > UINT32_MAX - last->host)
		return error_set(
			err, EINVAL,
			"range %u goes beyond the last id, %u; use a smaller count",
			ranges->nr, UINT32_MAX - 1);
	for (const struct id_range *r = ranges->ranges; r < last; r++) {
		bool guest = ranges_overlap(r->guest, r->count, last->guest,
					    last->count);

		if (guest ||
		    ranges_overlap(r->host, r->count, last->host, last->count))
			return error_set(
				err, EINVAL,
				"ranges %u and %u have ids of the %s in common; leave them out of one",
				(unsigned int)(r - ranges->ranges) + 1,
				ranges->nr, guest ? "guest" : "host");
	}
	return 0;
}

/* One number of a range and what stands behind it, NUL not included. */
static int ranges_number(const char **text, char behind, uint32_t *out)
{
	uint64_t v;

	if (param_digits(text, &v) || v > UINT32_MAX)
		return -EINVAL;
	*out = (uint32_t)v;
	if (!behind)
		return 0;
	return *(*text)++ == behind ? 0 : -EINVAL;
}

int param_read_ranges(const char *text, struct id_ranges *out,
		      struct error *err)
{
	struct id_ranges read = { .nr = 0 };
	bool more = true;

	for (; more; text += more) {
		struct id_range *range = &read.ranges[read.nr];

		if (read.nr == ID_RANGES_MAX)
			return error_set(err, EINVAL,
					 "too many ranges; %u are possible",
					 ID_RANGES_MAX);
		if (ranges_number(&text, ':', &range->guest) ||
		    ranges_number(&text, ':', &range->host) ||
		    ranges_number(&text, '\0', &range->count) ||
		    (*text && *text != ';'))
			return error_set(
				err, EINVAL,
				"range %u is not GUEST:HOST:COUNT; write ranges such as 0:100000:65536 with ';' between two",
				read.nr + 1);
		read.nr++;
		if (ranges_check(&read, err))
			return -EINVAL;
		more = *text == ';';
	}
	*out = read;
	return 0;
}

char *param_ranges_text(const struct id_ranges *ranges)
{
	char *text = malloc(ranges->nr * RANGE_TEXT_MAX + 1), *at = text;

	if (!text)
		return NULL;
	*text = '\0';
	for (unsigned int i = 0; i < ranges->nr; i++) {
		const struct id_range *r = &ranges->ranges[i];

		at += sprintf(at, "%s%u:%u:%u", i ? ";" : "", r->guest, r->host,
			      r->count);
	}
	return text;
}
