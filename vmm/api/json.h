/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_API_JSON_H
#define VMM_API_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "vmm/config.h"
#include "vmm/error.h"

/*
 * JSON to parameter tables and back. Clients are written for another monitor,
 * and send keys that only it has (vmm/peer_key.h): those are checked, refused
 * when they would change what the guest sees, and shown again by vm.info
 * otherwise. All other keys are ignored; null is as good as absent. Any thread
 * that owns the arguments.
 *
 * Readers return -EBADMSG when a field has the wrong type, -EINVAL when its
 * value is refused, -ENOMEM; the message starts with the path of the field.
 * What was read before the error stays in the struct, for its owner to free.
 */

/* Descriptors that came along. "fd": N in a body means the Nth of them. */
struct json_fds {
	int *fds; /* the caller's, less those that were taken over: -1 */
	unsigned int nr;
	/* The request is for one device: if that takes a list of them, these are
	 * it, in order, unless the body says which are. */
	bool for_one;
};

/* Parse a body of len bytes; the caller's reference. NULL with a message that
 * starts with the field where the text breaks off, if there is one. */
json_t *json_read_text(const char *text, size_t len, struct error *err);
/* value as text: compact and in ASCII; malloc'd. NULL: no memory. */
char *json_write_text(const json_t *value);

/* Put the values of cfg into obj. all: those that are at their defaults too, but
 * for unset ones, and groups that are not in obj yet. */
void json_write_set(const struct param_set *set, const void *cfg, json_t *obj,
		    bool all);

/* One device. dc: after device_config_init(); to be freed by the caller in every
 * case. where: put in front of paths in messages, "disks[0]." or "". fds: what
 * came along; NULL: nothing did. */
int json_read_device(struct device_config *dc, const json_t *obj,
		     const char *where, const struct json_fds *fds,
		     struct error *err);

/* Is key where the path of some parameter of set begins? */
bool json_has_key(const struct param_set *set, const char *key);

/* The changes of a device that is there: what the parameters of set have as the
 * first part of their path, and is in obj, replaces all that is behind it; what
 * is left out there is at its default. -EBADMSG when there is nothing of all
 * that. cfg: the struct of all, changed in part when this fails. */
int json_read_changes(const struct param_set *set, void *cfg, const json_t *obj,
		      struct error *err);

/* A whole machine: the body of vm.create. vc: after vm_config_init(), to be
 * freed by the caller in every case. */
int json_read_config(struct vm_config *vc, const json_t *root,
		     const struct json_fds *fds, struct error *err);

/* "config" of vm.info, a new reference. NULL: no memory. */
json_t *json_write_config(const struct vm_config *vc);

#endif
