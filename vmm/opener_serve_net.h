/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_OPENER_SERVE_NET_H
#define VMM_OPENER_SERVE_NET_H

#include "vmm/opener_protocol.h"

/*
 * What the opener does for networks (vmm/opener_serve.h). 0 and descriptors in
 * call, or -errno with a message in its reply. One thread.
 */

/* OPENER_TAP. What of the body cannot be is refused. */
int opener_serve_tap(struct opener_call *call);
/* OPENER_INTERFACE, the same. */
int opener_serve_interface(struct opener_call *call);
/* OPENER_VHOST: the descriptor, or -errno. */
int opener_serve_vhost(struct opener_call *call);
/* The session ends. */
void opener_serve_net_end(void);

#endif
