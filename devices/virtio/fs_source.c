/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/fs_source.h"

#include <stddef.h>
#include <stdlib.h>

#include "vmm/param.h"
#include "vmm/util.h"

/* The parameter's ranges are those of the tree, which knows no parameters. */
_Static_assert(sizeof(struct id_range) == sizeof(struct fs_id_range) &&
		       offsetof(struct id_range, host) ==
			       offsetof(struct fs_id_range, host) &&
		       offsetof(struct id_range, count) ==
			       offsetof(struct fs_id_range, count),
	       "a range is a range");

static struct fs_id_map source_ids(const struct id_ranges *ranges)
{
	const struct fs_id_map map = {
		.range = (const struct fs_id_range *)(const void *)
				 ranges->ranges,
		.nr = ranges->nr,
	};

	return map;
}

static int source_open_tree(struct fs_source *s, const struct fs_config *c,
			    struct error *err)
{
	const struct fs_tree_config tc = {
		.path = c->path,
		.fd = c->socket ? s->handover.dir : c->fd,
		.readonly = c->readonly,
		.writeback = c->writeback,
		.posix_acl = c->posix_acl,
		.locks = c->locks,
		.frozen = c->frozen,
		.cache = (enum fs_cache)c->cache,
		.xattr = (enum fs_xattr)c->xattr,
		.uids = source_ids(&c->uidmap),
		.gids = source_ids(&c->gidmap),
	};

	return fs_tree_open(&s->tree, &tc, err);
}

/* From who listens at the socket; the descriptor is the tree's afterwards, as a
 * copy, and who gave it stays connected. */
static int source_take(struct fs_source *s, const struct fs_config *config,
		       struct error *err)
{
	struct fs_config *told = malloc(sizeof(*told));
	int r;

	if (!told)
		return error_set(err, ENOMEM, "out of memory");
	*told = *config;
	r = fs_handover_get(&s->handover, config->socket, err);
	if (!r) {
		r = fs_params_take(told, s->handover.words, err);
		if (r)
			error_prefix(err, r, "words from socket=%s",
				     error_value(config->socket).text);
	}
	if (!r)
		r = source_open_tree(s, told, err);
	close_fd(&s->handover.dir);
	free(told);
	return r;
}

int fs_source_open(struct fs_source **source, const struct fs_config *config,
		   struct error *err)
{
	struct fs_source *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return error_set(err, ENOMEM, "out of memory");
	s->handover.dir = s->handover.connection = -1;
	r = config->socket ? source_take(s, config, err)
			   : source_open_tree(s, config, err);
	if (r)
		fs_source_close(s);
	else
		*source = s;
	return r;
}

void fs_source_close(struct fs_source *source)
{
	if (!source)
		return;
	fs_tree_close(source->tree);
	fs_handover_close(&source->handover);
	free(source);
}
