/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Lengths and addresses come from hostile files: every sum is checked before
 * it is made. Inside this file an end is the last byte, so that a range may
 * reach the top of the address space.
 */
#include "boot/space.h"

#include <assert.h>

#include "vmm/util.h"

void space_init(struct space *s, const struct boot_range *map,
		unsigned int nr_map)
{
	s->map = map;
	s->nr_map = nr_map;
	s->nr = 0;
	/* Wrong sums would undo every later check. */
	assert(nr_map && nr_map <= BOOT_MAX_RANGES);
	for (unsigned int i = 0; i < nr_map; i++)
		assert(map[i].len && map[i].len - 1 <= UINT64_MAX - map[i].gpa);
}

static int space_check(const struct space *s, gpa_t gpa, uint64_t len,
		       const char *what, struct error *err)
{
	if (!len || len - 1 > UINT64_MAX - gpa)
		return error_set(
			err, EINVAL,
			"%s: %#llx bytes at %#llx is not an address range",
			what, llu(len), llu(gpa));
	if (s->nr == SPACE_MAX_CLAIMS)
		return error_set(err, ENOSPC, "%s: more than %d parts", what,
				 SPACE_MAX_CLAIMS);
	return 0;
}

int space_reserve(struct space *s, gpa_t gpa, uint64_t len, const char *what,
		  struct error *err)
{
	int r = space_check(s, gpa, len, what, err);

	if (!r)
		s->claims[s->nr++] = (struct space_claim){ gpa, len, what };
	return r;
}

/* The first claim that shares a byte with [first, last], or NULL. */
static const struct space_claim *space_clash(const struct space *s, gpa_t first,
					     gpa_t last)
{
	for (unsigned int i = 0; i < s->nr; i++) {
		const struct space_claim *c = &s->claims[i];

		if (first <= c->gpa + (c->len - 1) && c->gpa <= last)
			return c;
	}
	return NULL;
}

static bool space_is_ram(const struct space *s, gpa_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < s->nr_map; i++) {
		const struct boot_range *r = &s->map[i];
		uint64_t off = gpa - r->gpa;

		if (r->type == BOOT_RANGE_RAM && gpa >= r->gpa &&
		    off < r->len && len <= r->len - off)
			return true;
	}
	return false;
}

int space_claim(struct space *s, gpa_t gpa, uint64_t len, const char *what,
		struct error *err)
{
	gpa_t last = gpa + (len - 1), other_last;
	const struct space_claim *other;
	int r = space_check(s, gpa, len, what, err);

	if (r)
		return r;
	if (!space_is_ram(s, gpa, len))
		return error_set(
			err, ENOSPC,
			"%s at %#llx-%#llx is not inside RAM; give more --memory or a smaller file",
			what, llu(gpa), llu(last));
	other = space_clash(s, gpa, last);
	if (other) {
		other_last = other->gpa + (other->len - 1);
		return error_set(
			err, EINVAL,
			"%s at %#llx-%#llx overlaps %s at %#llx-%#llx; link it elsewhere",
			what, llu(gpa), llu(last), other->what, llu(other->gpa),
			llu(other_last));
	}
	s->claims[s->nr++] = (struct space_claim){ gpa, len, what };
	return 0;
}

/* Is [at, at + span] between these, and free? */
static bool space_fits(const struct space *s, gpa_t first, gpa_t last, gpa_t at,
		       uint64_t span)
{
	return at >= first && at <= last && span <= last - at &&
	       !space_clash(s, at, at + span);
}

int space_find(const struct space *s, const struct space_want *want, gpa_t *gpa)
{
	const uint64_t span = want->len - 1;
	bool found = false;
	unsigned int i, c;

	if (!want->len || !IS_POW2(want->align))
		return -ENOSPC;
	/* The best place is next to a border: of a range, or of a claim. */
	for (i = 0; i < s->nr_map * (s->nr + 1); i++) {
		const struct boot_range *r = &s->map[i / (s->nr + 1)];
		gpa_t first = MAX(r->gpa, want->min);
		gpa_t last = MIN(r->gpa + (r->len - 1), want->max);
		gpa_t at = want->high ? last : first;

		c = i % (s->nr + 1);
		if (c < s->nr && want->high)
			at = s->claims[c].gpa - 1;
		else if (c < s->nr)
			at = s->claims[c].gpa + s->claims[c].len;
		/* Past the end of addresses it is a place as well, if a free
		 * one. */
		at = want->high ? ALIGN_DOWN(at - span, want->align)
				: ALIGN_UP(at, want->align);
		if (r->type != BOOT_RANGE_RAM ||
		    !space_fits(s, first, last, at, span) ||
		    (found && (want->high ? at <= *gpa : at >= *gpa)))
			continue;
		*gpa = at;
		found = true;
	}
	return found ? 0 : -ENOSPC;
}
