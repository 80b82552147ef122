/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_RESIZE_H
#define VMM_RESIZE_H

#include <stdint.h>

#include "vmm/ask.h"
#include "vmm/board.h"
#include "vmm/error.h"
#include "vmm/gmem.h"
#include "vmm/hotplug_listener.h"
#include "vmm/kvm.h"
#include "vmm/loop.h"

/*
 * vCPUs and memory that come and go while the guest runs. Main thread.
 */
struct resize;
struct resizer_ops;

/* Requests that may wait behind the one under way. */
#define RESIZE_QUEUE_MAX 64u

/* Equal requests for one size, one after the other. */
struct resize_request {
	uint64_t wanted;
	unsigned int nr;
};

/* What is asked for, of vCPUs or of memory; the first one is under way. */
struct resizer {
	struct resize *resize;
	const struct resizer_ops *ops;
	struct resize_request queue[RESIZE_QUEUE_MAX];
	unsigned int nr;
	uint64_t began; /* size when the first one began */
	uint32_t refused; /* DIMMs, for this request */
	struct ask ask;
	struct loop_call call;
};

struct resize {
	/* set by resize_init(), borrowed */
	struct board *board;
	struct kvm *kvm;
	struct asks *asks;
	const struct hotplug_listener *listener;
	void *opaque;

	struct resizer cpus;
	struct resizer memory;
};

/* rs: the caller's storage, with the borrowed fields set. */
void resize_init(struct resize *rs);
void resize_fini(struct resize *rs);

/* The guest is gone: what is under way, and what waits, is done. No vCPU
 * runs. */
void resize_on_stop(struct resize *rs);

/* As hotplug_resize_vcpus(), hotplug_resize_memory(), hotplug_memory_size(). */
int resize_vcpus(struct resize *rs, unsigned int nr, struct error *err);
int resize_memory(struct resize *rs, uint64_t bytes, struct error *err);
uint64_t resize_memory_size(const struct resize *rs);

#endif
