/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_PARAM_RANGES_H
#define VMM_PARAM_RANGES_H

#include "vmm/error.h"
#include "vmm/param_table.h"

/* Ranges of ids as values of parameters. Any thread. */

/*
 * Read "0:100000:65536;65536:1000:1": guest's first id, the host's for it, how
 * many. At most ID_RANGES_MAX of them, each with at least one id; no id is in
 * two of one side; the last one there could be, 4294967295, is none. -EINVAL
 * with reason and fix, and *out is as before.
 */
int param_read_ranges(const char *text, struct id_ranges *out,
		      struct error *err);
/* The other way round, malloc'd. NULL: no memory. */
char *param_ranges_text(const struct id_ranges *ranges);

#endif
