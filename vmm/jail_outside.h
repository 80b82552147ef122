/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_JAIL_OUTSIDE_H
#define VMM_JAIL_OUTSIDE_H

#include <sys/types.h>

#include "vmm/jail_params.h"

/*
 * What has to be first: the control group, and a process of its own. With
 * jc->pid this returns in another process, the first one of its namespace; the
 * one that was called stays, passes signals on, and ends as that one does. Does
 * nothing unless jc->on. Before there are threads or other processes. -errno
 * with a message.
 */
int jail_begin(const struct jail_config *jc, struct error *err);

/* The number of this process as it is outside. Any thread. */
pid_t jail_pid(void);

#endif
