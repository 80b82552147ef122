/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A double of vmm/pool.c without threads, so that a test sees the same each
 * time: a job runs at once, and done() follows in the loop's next turn.
 */
#include "vmm/pool.h"
#include "vmm/util.h"

static void inline_on_done(struct loop_call *lc)
{
	struct pool_job *job = container_of(lc, struct pool_job, call);

	job->done(job);
}

int pool_submit(struct pool_owner *owner, struct pool_job *job)
{
	job->owner = owner;
	job->call.fn = inline_on_done;
	job->run(job);
	loop_post(job->loop, &job->call);
	return 0;
}

bool pool_cancel(struct pool_job *job unused_param)
{
	return false;
}

unsigned int pool_end(uint64_t timeout_ns unused_param)
{
	return 0;
}
