/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_PARAM_H
#define VMM_PARAM_H

#include "vmm/error.h"
#include "vmm/param_table.h"

/* Fill every field with its default (strings NULL). cfg: set->size bytes, its
 * former content is not freed. Any thread. */
void param_defaults(const struct param_set *set, void *cfg);

/*
 * Parse "k=v,k=v" into cfg, which holds defaults or an earlier result; then
 * param_check() it. Grammar: commas inside [...] or "..." do not split, quotes
 * are stripped (a doubled quote inside quotes is a quote), `key=` means unset,
 * the last one wins, on/off/true/false in any case, sizes are binary K, M, G.
 * Unknown keys are errors that list the known ones; the message starts with
 * the option. After an error cfg holds what came before it. -EINVAL, -ENOMEM.
 */
int param_parse(const struct param_set *set, void *cfg, const char *text,
		struct error *err);

/*
 * Set one parameter from its text, without grammar: every character of text
 * counts. The message says reason and fix; the caller puts option, key and
 * value in front. On error cfg is as before. -EINVAL, -ENOMEM.
 */
int param_assign(const struct param *p, void *cfg, const char *text,
		 struct error *err);

/* Its field is at a default that stands for nothing at all. */
bool param_is_unset(const struct param *p, const void *cfg);
/* Give one field its default, and release what it had. */
void param_unset(const struct param *p, void *cfg);

/* Complete cfg: all required parameters are given, and set->check agrees.
 * -EINVAL with a message that leaves out the option. */
int param_check(const struct param_set *set, void *cfg, struct error *err);

/* A copy of cfg (set->size bytes) on the heap that owns its strings and
 * descriptors. NULL, with errno: no memory, or too many descriptors. Any
 * thread. */
void *param_copy(const struct param_set *set, const void *cfg);

/* Release strings, close descriptors; cfg's fields are unset afterwards. */
void param_free(const struct param_set *set, void *cfg);

#endif
