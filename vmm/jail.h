/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_JAIL_H
#define VMM_JAIL_H

#include "vmm/jail_params.h"

/*
 * The jail: the process puts itself where nothing is. What it has open by then
 * is all it has; what vmm/kept.h lists is opened for it. A user who may not make
 * namespaces makes a user namespace for them, which has one user: itself. All
 * this is done before there are other threads.
 */

/*
 * Go into the jail: an empty root, no capabilities, the user and group of jc.
 * Does nothing unless jc->on. Root that stays root keeps the capabilities in
 * kept, bits 1 << CAP_*, for the threads of that name (vmm/privilege.h); NULL:
 * there will be none, and nothing that shares directories. -errno with a message;
 * the process is then somewhere between and has to end.
 */
int jail_enter(const struct jail_config *jc, const char *name, uint32_t kept,
	       struct error *err);

/* Steps of it. Write text to a file of the kernel's that takes one write. -errno. */
int jail_write(const char *path, const char *text);
/* May the process become that? -EPERM with a message. */
int jail_check_ids(const struct jail_ids *ids, struct error *err);
/* Become it, for good, with no capability but those kept, which are not in force.
 * -errno with a message. */
int jail_drop(const struct jail_ids *ids, uint32_t kept, struct error *err);
/* Have a user namespace where this process needs one to make others; once.
 * -errno with a message. */
int jail_own_users(struct error *err);

#endif
