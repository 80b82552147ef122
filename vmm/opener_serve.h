/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_OPENER_SERVE_H
#define VMM_OPENER_SERVE_H

#include <stddef.h>

#include "vmm/error.h"
#include "vmm/opener_protocol.h"

/* What the opener does when it is asked (vmm/opener.h). One thread. */

/* Answer call, of which len bytes of the request came, whatever they are. given
 * stays open. */
void opener_serve(struct opener_call *call, size_t len);
/* The session ends: its listener goes, and what it knew of networks. */
void opener_serve_end(void);

#endif
