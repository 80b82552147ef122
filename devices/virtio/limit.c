/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/limit.h"

#include <string.h>

#include "vmm/util.h"

static uint64_t limit_pick(uint64_t both, uint64_t each)
{
	return each == LIMIT_UNSET ? both : each;
}

struct limit_config limit_of(const struct limits_config *limits,
			     enum virtio_direction direction)
{
	const struct limit_config *both = &limits->both;
	const struct limit_config *each = &limits->each[direction];

	return (struct limit_config){
		.bw_size = limit_pick(both->bw_size, each->bw_size),
		.bw_burst = limit_pick(both->bw_burst, each->bw_burst),
		.bw_refill_ms =
			limit_pick(both->bw_refill_ms, each->bw_refill_ms),
		.ops_size = limit_pick(both->ops_size, each->ops_size),
		.ops_burst = limit_pick(both->ops_burst, each->ops_burst),
		.ops_refill_ms =
			limit_pick(both->ops_refill_ms, each->ops_refill_ms),
	};
}

void limit_init(struct limit *limit)
{
	atomic_store(&limit->active, false);
	memset(&limit->config, 0, sizeof(limit->config));
	pthread_mutex_init(&limit->lock, NULL);
}

void limit_fini(struct limit *limit)
{
	pthread_mutex_destroy(&limit->lock);
}

bool limit_set(struct limit *limit, const struct limit_config *config,
	       uint64_t now_ns)
{
	const struct token_bucket_config bytes = { config->bw_size,
						   config->bw_burst,
						   config->bw_refill_ms };
	const struct token_bucket_config ops = { config->ops_size,
						 config->ops_burst,
						 config->ops_refill_ms };
	bool changed;

	pthread_mutex_lock(&limit->lock);
	changed = memcmp(&limit->config, config, sizeof(*config)) != 0;
	if (changed) {
		limit->config = *config;
		token_bucket_set(&limit->bytes, &bytes, now_ns);
		token_bucket_set(&limit->ops, &ops, now_ns);
		atomic_store(&limit->active,
			     limit->bytes.refill_ns || limit->ops.refill_ns);
	}
	pthread_mutex_unlock(&limit->lock);
	return changed;
}

bool limit_take(struct limit *limit, uint64_t now_ns, uint64_t len,
		uint64_t *until_ns)
{
	uint64_t bytes, ops, wait_ns;

	pthread_mutex_lock(&limit->lock);
	bytes = token_bucket_wait_ns(&limit->bytes, now_ns);
	ops = token_bucket_wait_ns(&limit->ops, now_ns);
	wait_ns = MAX(bytes, ops);
	if (!wait_ns) {
		token_bucket_spend(&limit->bytes, len);
		token_bucket_spend(&limit->ops, 1);
	}
	pthread_mutex_unlock(&limit->lock);
	/* A time beyond all clocks is not one in the past. */
	*until_ns = now_ns + MIN(wait_ns, UINT64_MAX - now_ns);
	return !wait_ns;
}
