/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_CHECK_HOST_H
#define VMM_CHECK_HOST_H

#include <stdbool.h>
#include <stdio.h>

/*
 * Print a table of what this host's KVM and kernel offer and what the lack of
 * it means. Returns true when Linux guests can run here. Main thread; takes up
 * to a tenth of a second, as it times a guest loop.
 */
bool check_host(FILE *out);

#endif
