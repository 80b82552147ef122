/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_JAIL_PARAMS_H
#define VMM_JAIL_PARAMS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/error.h"
#include "vmm/param.h"

/* What --jail says. */
struct jail_config {
	bool on;
	/* Names or numbers, owned; NULL: as the process is. */
	char *user;
	char *group;
	bool shares; /* may come later, of whatever options */
	bool newnet;
	bool pid;
	char *cgroup; /* a directory, owned; NULL: none */
	/* Limits of resources; 0: as they are. */
	uint64_t nofile;
	uint64_t fsize;
	uint64_t memlock;
};

extern const struct param_set jail_params;

struct jail_ids {
	uid_t uid;
	gid_t gid;
	bool change; /* they are not what the process has */
};

/* The user and the group of jc. Reads files of the host. -EINVAL with a message:
 * there is none such. */
int jail_find_ids(const struct jail_config *jc, struct jail_ids *ids,
		  struct error *err);

#endif
