/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_API_JSON_PEER_H
#define VMM_API_JSON_PEER_H

#include <jansson.h>
#include <stdbool.h>

#include "vmm/error.h"

/*
 * The keys of other monitors' configurations that our parameter tables do not
 * have.
 */
struct json_peer {
	const char *path; /* dots between levels */
	json_type type; /* JSON_TRUE for both booleans */
	/* Values that pass, '|' between them; "": only empty, 0, false. NULL:
	 * all of the type. */
	const char *pass;
	const char *why; /* of a refusal */
	/* Shown when the group is there and this is not; NULL: nothing. */
	const char *def;
	bool always; /* shown even when the group is not there */
};

/* Of the body of vm.create; of an entry of the list `name`, NULL when there is
 * no table for it. All end with a path NULL. */
extern const struct json_peer json_peer_config[];
const struct json_peer *json_peer_find(const char *list);

/* Check all keys of the table in obj and add those to keep to `kept`.
 * -EBADMSG, -EINVAL as in vmm/api/json.h. */
int json_peer_read(const struct json_peer *table, const json_t *obj,
		   const char *where, json_t *kept, struct error *err);
/* Add the defaults. */
void json_peer_write(const struct json_peer *table, json_t *obj);

/* ---- paths, for json.c too ---- */

/* The value at path, NULL when it is absent or null. -EBADMSG when something
 * on the way is no object. */
int json_path_get(const json_t *obj, const char *path, const char *where,
		  json_t **value, struct error *err);
/* Steals value. Objects on the way are made. */
void json_path_set(json_t *obj, const char *path, json_t *value);
/* The object that holds the last part of path is there. */
bool json_path_has_parent(const json_t *obj, const char *path);
/* "true or false", "a string", ... */
const char *json_type_text(json_type type);
/* What a client sent, as it can stand in a message. */
struct error_value json_shown(const json_t *value);

#endif
