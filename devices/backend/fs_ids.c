/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/fs_tree.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/util.h"

/* Who belongs to no range, as in Linux's user namespaces. */
#define FS_ID_OVERFLOW 65534u

int fs_id_to_host(const struct fs_id_map *map, uint32_t id, uint32_t *host)
{
	*host = id;
	if (!map->nr)
		return 0;
	for (unsigned int i = 0; i < map->nr; i++) {
		const struct fs_id_range *r = &map->range[i];

		if (id >= r->guest && id - r->guest < r->count) {
			*host = r->host + (id - r->guest);
			return 0;
		}
	}
	return -EPERM;
}

uint32_t fs_id_to_guest(const struct fs_id_map *map, uint32_t id)
{
	if (!map->nr)
		return id;
	for (unsigned int i = 0; i < map->nr; i++) {
		const struct fs_id_range *r = &map->range[i];

		if (id >= r->host && id - r->host < r->count)
			return r->guest + (id - r->host);
	}
	return FS_ID_OVERFLOW;
}

void fs_stat_to_guest(const struct fs_tree *t, struct statx *stx)
{
	stx->stx_uid = fs_id_to_guest(&t->config.uids, stx->stx_uid);
	stx->stx_gid = fs_id_to_guest(&t->config.gids, stx->stx_gid);
}

/* No range is empty or wraps, and no id is in two. */
static int map_check(const struct fs_id_map *map, const char *name,
		     struct error *err)
{
	for (unsigned int i = 0; i < map->nr; i++) {
		const struct fs_id_range *r = &map->range[i];

		if (!r->count || r->count - 1 > UINT32_MAX - 1 - r->guest ||
		    r->count - 1 > UINT32_MAX - 1 - r->host)
			return error_set(
				err, EINVAL,
				"%s=%u:%u:%u: no such ids; give guest:host:count, count 1 or more",
				name, r->guest, r->host, r->count);
		for (unsigned int j = 0; j < i; j++) {
			const struct fs_id_range *o = &map->range[j];

			if (ranges_overlap(r->guest, r->count, o->guest,
					   o->count) ||
			    ranges_overlap(r->host, r->count, o->host,
					   o->count))
				return error_set(
					err, EINVAL,
					"%s=%u:%u:%u: has ids of another range; leave them out of one",
					name, r->guest, r->host, r->count);
		}
	}
	return 0;
}

/* A process that cannot act for others is all there is: the guest's root. */
static void ids_single_user(struct fs_tree *t)
{
	t->ranges[0] = (struct fs_id_range){ 0, (uint32_t)geteuid(), 1 };
	t->ranges[1] = (struct fs_id_range){ 0, (uint32_t)getegid(), 1 };
	t->config.uids = (struct fs_id_map){ &t->ranges[0], 1 };
	t->config.gids = (struct fs_id_map){ &t->ranges[1], 1 };
}

int fs_ids_init(struct fs_tree *t, const struct fs_tree_config *config,
		bool mapped, struct error *err)
{
	const struct fs_id_map *u = &config->uids, *g = &config->gids;
	int r = map_check(u, "uidmap", err);

	if (!r)
		r = map_check(g, "gidmap", err);
	if (r)
		return r;
	/* Where nothing is made, nobody has to be acted for. */
	t->single_user = !fs_caller_can_change() &&
			 !(config->readonly && fs_caller_can_read());
	t->config.uids.nr = 0;
	t->config.gids.nr = 0;
	if (mapped)
		return 0;
	if ((u->nr || g->nr) && (config->posix_acl || t->single_user))
		return error_set(
			err, EINVAL,
			config->posix_acl
				? "uidmap and gidmap: the ids in ACLs cannot be mapped: leave out posix_acl"
				: "uidmap and gidmap: need CAP_SETUID, CAP_SETGID and CAP_CHOWN; without them this user is the guest's root");
	if (t->single_user && config->posix_acl)
		return error_set(
			err, EINVAL,
			"posix_acl: needs CAP_SETUID, CAP_SETGID and CAP_CHOWN: the ids in ACLs cannot be mapped to one user");
	t->ranges = calloc(MAX(u->nr + g->nr, 2), sizeof(*t->ranges));
	if (!t->ranges)
		return error_set(err, ENOMEM, "out of memory");
	if (t->single_user) {
		ids_single_user(t);
		return 0;
	}
	if (u->nr)
		memcpy(t->ranges, u->range, u->nr * sizeof(*t->ranges));
	if (g->nr)
		memcpy(t->ranges + u->nr, g->range, g->nr * sizeof(*t->ranges));
	t->config.uids = (struct fs_id_map){ t->ranges, u->nr };
	t->config.gids = (struct fs_id_map){ t->ranges + u->nr, g->nr };
	return 0;
}

void fs_ids_fini(struct fs_tree *t)
{
	free(t->ranges);
}
