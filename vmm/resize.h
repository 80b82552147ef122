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

/* Requests between two turns of the main loop, which leaves one under way and
 * one waiting. */
#define RESIZE_QUEUE_MAX 64u

/* Equal requests for one size, one after the other. */
struct resize_request {
	uint64_t wanted;
	unsigned int nr;
};

/* What is asked for, of vCPUs or of memory, the oldest one first. */
struct resizer {
	struct resize *resize;
	const struct resizer_ops *ops;
	struct resize_request queue[RESIZE_QUEUE_MAX];
	unsigned int nr;
	bool begun; /* the first one is under way */
	bool growing; /* its growth goes on, on other threads */
	uint64_t began; /* size when it began */
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

	/* DIMMs on their way: a bit each, and what populates them */
	uint32_t coming;
	struct pages_job pages;
	struct loop_call populated;
};

/* rs: the caller's storage, with the borrowed fields set. */
void resize_init(struct resize *rs);
/* Forget what is under way. Accepts a zeroed one. Main thread. */
void resize_fini(struct resize *rs);

/* The guest is gone: it has let go of what it was asked for, so that what is
 * under way comes to its end; what waits fails. No vCPU runs. */
void resize_on_stop(struct resize *rs);

/* As hotplug_resize_vcpus(). */
int resize_vcpus(struct resize *rs, unsigned int nr, struct error *err);
/* As hotplug_resize_memory(). */
int resize_memory(struct resize *rs, uint64_t bytes, struct error *err);
/* Bytes of memory that the guest has now. Main thread. */
uint64_t resize_memory_size(const struct resize *rs);

#endif
