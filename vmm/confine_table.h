/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_CONFINE_TABLE_H
#define VMM_CONFINE_TABLE_H

#include "vmm/confine.h"

/* What tools/filters.c has made. */
extern const struct confine_table confine_filters;

#endif
