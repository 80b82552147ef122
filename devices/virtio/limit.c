/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/limit.h"

#include <string.h>

#include "vmm/util.h"

static struct token_bucket_config
limit_pick(const struct token_bucket_config *both,
	   const struct token_bucket_config *each)
{
	struct token_bucket_config c = *each;

	if (c.size == LIMIT_UNSET)
		c.size = both->size;
	if (c.one_time_burst == LIMIT_UNSET)
		c.one_time_burst = both->one_time_burst;
	if (c.refill_time_ms == LIMIT_UNSET)
		c.refill_time_ms = both->refill_time_ms;
	return c;
}

struct limit_config limit_of(const struct limits_config *limits,
			     enum virtio_direction direction)
{
	const struct limit_config *each = &limits->each[direction];

	return (struct limit_config){
		.bw = limit_pick(&limits->both.bw, &each->bw),
		.ops = limit_pick(&limits->both.ops, &each->ops),
	};
}

bool limit_set(struct limit *limit, const struct limit_config *config,
	       uint64_t now_ns)
{
	mutex_guard(&limit->lock);

	if (!memcmp(&limit->config, config, sizeof(*config)))
		return false;
	limit->config = *config;
	token_bucket_set(&limit->bytes, &config->bw, now_ns);
	token_bucket_set(&limit->ops, &config->ops, now_ns);
	atomic_store(&limit->active,
		     limit->bytes.refill_ns || limit->ops.refill_ns);
	return true;
}

bool limit_may(struct limit *limit, uint64_t now_ns, uint64_t *until_ns)
{
	mutex_guard(&limit->lock);
	uint64_t bytes = token_bucket_wait_ns(&limit->bytes, now_ns);
	uint64_t ops = token_bucket_wait_ns(&limit->ops, now_ns);
	uint64_t wait_ns = MAX(bytes, ops);

	/* A time beyond all clocks is not one in the past. */
	*until_ns = now_ns + MIN(wait_ns, UINT64_MAX - now_ns);
	return !wait_ns;
}

bool limit_charge(struct limit *limit, uint64_t len)
{
	mutex_guard(&limit->lock);

	token_bucket_spend(&limit->bytes, len);
	token_bucket_spend(&limit->ops, 1);
	return token_bucket_has(&limit->bytes) && token_bucket_has(&limit->ops);
}
