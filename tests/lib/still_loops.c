/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Loops of devices without threads: a test turns them itself. For programs that
 * are linked with -Wl,--wrap=loop_thread_start.
 */
#include "vmm/loop.h"
#include "vmm/util.h"

int __wrap_loop_thread_start(struct loop *loop, struct error *err);

int __wrap_loop_thread_start(struct loop *loop unused_param,
			     struct error *err unused_param)
{
	return 0;
}
