/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/nearest.h"

#include <string.h>

#include "vmm/util.h"

/* Longer words are never typing errors of ours. */
#define NEAREST_MAX_LEN 31

/*
 * Optimal string alignment: insert, delete, replace and swap of neighbours
 * cost one each. Both words have at most NEAREST_MAX_LEN characters.
 */
static unsigned int nearest_distance(const char *a, const char *b)
{
	unsigned int rows[3][NEAREST_MAX_LEN + 1];
	unsigned int *before = rows[0], *above = rows[1], *row = rows[2];
	size_t la = strlen(a), lb = strlen(b);

	for (size_t j = 0; j <= lb; j++)
		above[j] = (unsigned int)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned int *spare = before;

		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned int d = above[j - 1] + (a[i - 1] != b[j - 1]);

			d = MIN(d, above[j] + 1);
			d = MIN(d, row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				d = MIN(d, before[j - 2] + 1);
			row[j] = d;
		}
		before = above;
		above = row;
		row = spare;
	}
	return above[lb];
}

void nearest_init(struct nearest *n, const char *word)
{
	size_t len = strlen(word);

	n->word = word;
	n->best = NULL;
	/* One edit in a short word, two from six letters on. */
	n->distance = len > NEAREST_MAX_LEN ? 0 : len < 6 ? 2 : 3;
}

void nearest_offer(struct nearest *n, const char *candidate)
{
	size_t len = strlen(n->word);
	unsigned int d;

	if (n->distance == 0 || strlen(candidate) > NEAREST_MAX_LEN)
		return;
	if (len >= 2 && strncmp(n->word, candidate, len) == 0)
		d = 1; /* an abbreviation */
	else
		d = nearest_distance(n->word, candidate);
	if (d < n->distance) {
		n->distance = d;
		n->best = candidate;
	}
}
