/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The engine that always works: plain system calls. Those that may wait are
 * made on threads of the pool.
 */
#include "devices/backend/block_engine.h"

#include <stdlib.h>

static void sync_submit(struct block_engine *be, struct block_req *req)
{
	block_engine_begin(be, req);
	block_engine_submit_plain(be, req);
}

static void sync_commit(struct block_engine *be)
{
	if (be->writes)
		block_engine_write_now(be, block_engine_defer);
	block_engine_settle(be);
}

static void sync_destroy(struct block_engine *be)
{
	block_engine_fini(be);
	free(be);
}

static int sync_create(struct block_engine **out,
		       const struct block_engine_config *config)
{
	struct block_engine *be = calloc(1, sizeof(*be));
	int r;

	if (!be)
		return -ENOMEM;
	r = block_engine_init(be, &block_sync_ops, config);
	if (r) {
		sync_destroy(be);
		return r;
	}
	*out = be;
	return 0;
}

const struct block_engine_ops block_sync_ops = {
	.name = "sync",
	.create = sync_create,
	.submit = sync_submit,
	.commit = sync_commit,
	.poll = block_engine_deliver,
	.events = block_engine_events,
	.cancel = block_engine_cancel,
	.destroy = sync_destroy,
};
