/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TOOLS_VMMCTL_TOP_H
#define TOOLS_VMMCTL_TOP_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/vmmctl/ctl.h"
#include "vmm/error.h"

/* The verb top: as struct verb's run(). */
int top_run(const struct ctl *ctl, int argc, char **argv, struct error *err);

/* One screen: what happened between two answers to vm.stats. info: of vm.info,
 * NULL: there is no machine. */
void top_show(FILE *out, const json_t *info, const json_t *before,
	      const json_t *now, uint64_t elapsed_ns);

#endif
