/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/core_sched.h"
#include "vmm/error.h"

struct arch_host;
struct arch_vm;
struct board;

#define VCPU_NR_EXITS 64

/* What a vCPU's thread is asked for. */
enum vcpu_wish {
	VCPU_STOP = 1, /* end */
	/* Leave the guest, with the instruction it was at complete, and stay
	 * out until vcpu_resume(). */
	VCPU_PAUSE = 2,
	VCPU_NMI = 4, /* inject a non-maskable interrupt */
	VCPU_ATTEND = 8, /* another vCPU did something to it */
};

struct vcpu_config {
	struct board *board; /* what exits reach; where its end is raised */
	int kvm_fd; /* /dev/kvm */
	int vm_fd;
	unsigned int mmap_size; /* bytes of struct kvm_run and what follows */
	struct arch_host *host;
	struct arch_vm *arch;
	unsigned int index; /* also the APIC id / MPIDR affinity */
	unsigned int nr_max; /* vCPUs that the machine may have */
	bool nested; /* the guest may run machines of its own */
	enum core_sched core_sched;
};

struct vcpu {
	/* set at creation */
	struct vcpu_config config;
	int fd;
	int stats_fd; /* KVM's counters; -1: this host has none */
	struct kvm_run *run;
	pthread_t thread;

	/* any thread: enum vcpu_wish, bits */
	atomic_uint asked;

	/* any thread, under lock (a leaf) */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool has_thread; /* changed by the main thread alone */
	bool parked; /* by pause, or the thread has ended */

	/* own thread */
	unsigned int mended; /* of windows_mend() */
	/* own thread; others may read a slightly old value */
	uint64_t exits[VCPU_NR_EXITS]; /* by KVM exit reason */
};

/* config is copied, what it points to borrowed until vcpu_destroy(). Main
 * thread. -errno with a message. */
int vcpu_create(struct vcpu **out, const struct vcpu_config *config,
		struct error *err);
/* Stops the thread first. NULL and half-built ones are accepted. */
void vcpu_destroy(struct vcpu *vcpu);

/* Start the thread "vcpuN", which enters the guest, or, when paused, is held
 * until vcpu_resume(). Main thread. -errno with a message. */
int vcpu_start(struct vcpu *vcpu, bool paused, struct error *err);

/* Ask its thread, if there is one, for something; false: there is none. Any
 * thread. */
bool vcpu_ask(struct vcpu *vcpu, enum vcpu_wish wish);
/* Wait until the thread has ended, if there is one. Main thread. */
void vcpu_join(struct vcpu *vcpu);

/* Wait until the vCPU is held, or its thread has ended. Main thread. */
void vcpu_wait_paused(struct vcpu *vcpu);
/* Let the vCPU go on. Main thread. */
void vcpu_resume(struct vcpu *vcpu);

/* The name of a KVM_EXIT_*: "io", "mmio", ...; never NULL. Any thread. */
const char *vcpu_exit_name(uint32_t reason);

#endif
