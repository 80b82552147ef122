/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"

struct vm;

#define VCPU_NR_EXITS 64

struct vcpu {
	/* set at creation */
	struct vm *vm;
	unsigned int index; /* also the APIC id / MPIDR affinity */
	int fd;
	int stats_fd; /* KVM's counters; -1: this host has none */
	struct kvm_run *run;
	pthread_t thread;
	bool has_thread;

	/* any thread: what the thread is to do when it is kicked */
	atomic_bool stop;
	atomic_bool pause;
	atomic_bool nmi;

	/* own and main thread, under lock (a leaf) */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool parked; /* by pause, or the thread has ended */

	/* own thread; others may read a slightly old value */
	uint64_t exits[VCPU_NR_EXITS]; /* by KVM exit reason */
};

/* What the run loop does after an exit was handled. */
enum vcpu_next {
	VCPU_CONTINUE,
	VCPU_LEAVE, /* an event was raised, or KVM gave up */
};

/* Main thread. -errno with a message. */
int vcpu_create(struct vm *vm, unsigned int index, struct vcpu **out,
		struct error *err);
/* Stops the thread first. NULL and half-built ones are accepted. */
void vcpu_destroy(struct vcpu *vcpu);

/* Start the thread "vcpuN", which enters the guest. Main thread. */
int vcpu_start(struct vcpu *vcpu, struct error *err);

/* Ask the thread to end; join waits for it. Main thread. */
void vcpu_request_stop(struct vcpu *vcpu);
void vcpu_join(struct vcpu *vcpu);

/*
 * Take the vCPU out of the guest, with the instruction it was at complete, and
 * hold it; wait returns when it is held or its thread has ended. Main thread.
 */
void vcpu_request_pause(struct vcpu *vcpu);
void vcpu_wait_paused(struct vcpu *vcpu);
void vcpu_resume(struct vcpu *vcpu);

/* Inject a non-maskable interrupt soon. Main thread. */
void vcpu_nmi(struct vcpu *vcpu);

/* "io", "mmio", ...; never NULL. */
const char *vcpu_exit_name(uint32_t reason);

#endif
