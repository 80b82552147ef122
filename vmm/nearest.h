/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_NEAREST_H
#define VMM_NEAREST_H

/*
 * "Did you mean ...?": the candidate nearest to a misspelt word. Init with the
 * word, offer every candidate, read `best` (NULL: none is near). All strings
 * are borrowed.
 */
struct nearest {
	const char *word;
	const char *best;
	unsigned int distance; /* edits between word and best */
};

/* Start with a misspelt word. Any thread, as below. */
void nearest_init(struct nearest *n, const char *word);
/* Take candidate for the best when it is nearer than the best so far; the first
 * of several that are as near stays. */
void nearest_offer(struct nearest *n, const char *candidate);

#endif
