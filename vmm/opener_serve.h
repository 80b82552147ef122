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
/* The session ends: its listener goes. */
void opener_serve_end(void);
/* Nothing but what is beneath these, at most OPENER_ALLOW_MAX, is opened from now
 * on; none: anything is. -errno with a message. */
int opener_allow(const char *const *dirs, unsigned int nr, struct error *err);
/* Close all descriptors from 3 on but this one and those of opener_allow(). */
void opener_keep_only(int fd);

#endif
