/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Threads with the same cookie may run on one core together. The machine's is
 * that of the main thread, which vCPUs take over; threads start without.
 */
#include "vmm/core_sched.h"

#include <errno.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vmm/log.h"

static int sched_core(unsigned long command, pid_t thread)
{
	return prctl(PR_SCHED_CORE, command, thread, PR_SCHED_CORE_SCOPE_THREAD,
		     0)
		       ? -errno
		       : 0;
}

int core_sched_prepare(enum core_sched mode, struct error *err)
{
	int r;

	if (mode == CORE_SCHED_OFF)
		return 0;
	r = sched_core(PR_SCHED_CORE_CREATE, 0);
	if (!r || r == -ENODEV || mode == CORE_SCHED_AUTO)
		return 0;
	return error_set(
		err, r,
		"--cpus core_scheduling=%s: the host's kernel cannot: %s; it needs Linux 5.14 with SCHED_CORE, or say off",
		mode == CORE_SCHED_VM ? "vm" : "vcpu", strerror(-r));
}

void core_sched_join(enum core_sched mode)
{
	int r = 0;

	if (mode == CORE_SCHED_VCPU)
		r = sched_core(PR_SCHED_CORE_CREATE, 0);
	else if (mode != CORE_SCHED_OFF)
		r = sched_core(PR_SCHED_CORE_SHARE_FROM, getpid());
	if (r && r != -ENODEV && mode != CORE_SCHED_AUTO)
		log_error("core scheduling: %s", strerror(-r));
}
