/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_API_JSON_PEER_H
#define VMM_API_JSON_PEER_H

#include <jansson.h>
#include <stdbool.h>

#include "vmm/error.h"
#include "vmm/peer_key.h"

/*
 * The keys of another monitor's configuration that our parameter tables do not
 * have, and how to walk JSON by paths: "memory.size" is size of memory. Any
 * thread that owns the values.
 */

/* The keys of the body of vm.create but those of devices, which are in the
 * classes. */
extern const struct peer_key json_peer_config[];

/*
 * Check all keys of the table (NULL: none) in obj, and put into echo what
 * vm.info is to show of them. where: put in front of paths in messages. Returns
 * -EBADMSG or -EINVAL as in vmm/api/json.h.
 */
int json_peer_read(const struct peer_key *table, const json_t *obj,
		   const char *where, json_t *echo, struct error *err);
/* Add the defaults of the table (NULL: none) to obj. */
void json_peer_write(const struct peer_key *table, json_t *obj);

/* The value at path, borrowed; NULL when it is absent or null. -EBADMSG with a
 * message when it is not of that type, or something on the way is no object. */
int json_get(const json_t *obj, const char *path, enum peer_type type,
	     const char *where, json_t **value, struct error *err);
/* The object that has the last part of *path, borrowed, and *path becomes that
 * part. NULL: something on the way is not there, unless make, which makes it. */
json_t *json_parent(json_t *obj, const char **path, bool make);
/* Put value, of which a reference is taken over, at path. Objects on the way
 * are made. */
void json_path_set(json_t *obj, const char *path, json_t *value);
/* What a client sent, short, as it can stand in a message. */
struct error_value json_shown(const json_t *value);

#endif
