/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TOOLS_VMMCTL_FOLLOW_H
#define TOOLS_VMMCTL_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "tools/vmmctl/ctl.h"
#include "vmm/error.h"

/* The verb events: as struct verb's run(). */
int follow_run(const struct ctl *ctl, int argc, char **argv, struct error *err);

/*
 * One event's text (JSON) as one line on out. Returns 1 when it is the
 * monitor's last one, 0 when it is not, -EINVAL when it is no event.
 */
int follow_put_event(const char *text, size_t len, bool json, FILE *out);

#endif
