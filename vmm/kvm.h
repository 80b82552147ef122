/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <pthread.h>
#include <stdbool.h>

#include "vmm/board.h"
#include "vmm/error.h"
#include "vmm/gmem.h"
#include "vmm/vcpu.h"

/*
 * The KVM side of a machine: its descriptors, memory slots, vCPUs, ioeventfds
 * and interrupts. All of it but /dev/kvm is thrown away at a reset and built
 * anew by the code that built it first. Main thread, unless it says otherwise.
 */
struct kvm {
	/* set by kvm_open() */
	struct board *board; /* borrowed */
	struct gmem_listener memory; /* while vm_fd is there */
	int fd; /* /dev/kvm */
	/* What vCPUs are, but for what each VM, and each of them, has of its own.
	 * nested and core_sched are the maker's, after kvm_init(). */
	struct vcpu_config vcpu;

	/* changed only while no vCPU runs; read by any thread */
	struct kvm_shown {
		gpa_t gpa;
		const void *hva;
		uint64_t len; /* 0: there is none */
	} shown; /* board_show() */
	int vm_fd; /* -1: not built */
	struct arch_vm *arch; /* the port's part of it */
	struct vcpu **vcpus; /* max_vcpus entries */
	unsigned int max_vcpus;
	unsigned int nr_vcpus; /* made; some may have no thread */

	/* any thread, under lock, which is a leaf */
	pthread_mutex_t lock;
	/* Messages that eventfds send. The place says which GSI it is. */
	struct kvm_sender {
		int event_fd; /* -1: free */
		struct board_msi msi;
	} * senders;
	unsigned int nr_senders; /* places, used or free */
};

/* kvm: the caller's storage. kvm_close() accepts it from here on. The board's
 * ops are set. */
void kvm_init(struct kvm *kvm, struct board *board, unsigned int max_vcpus);
/* Open /dev/kvm and ask for what takes long. -errno with a message. */
int kvm_open(struct kvm *kvm, struct error *err);
/* Close /dev/kvm, after kvm_unbuild(). Main thread. */
void kvm_close(struct kvm *kvm);

/* Make a VM with the first nr vCPUs, which do not run, and a slot for each range
 * of the board's memory: those there are, and those that are added or removed
 * later. Main thread. -errno with a message; nothing is left behind. */
int kvm_build(struct kvm *kvm, unsigned int nr, struct error *err);
/* End the VM, the threads of its vCPUs first; accepts one that is not built. Main
 * thread. */
void kvm_unbuild(struct kvm *kvm);

/* Start the threads of the first nr vCPUs, which kvm_build() made; they are held
 * when the board is paused. -errno with a message; then none runs. */
int kvm_start(struct kvm *kvm, unsigned int nr, struct error *err);
/* End the threads of all vCPUs; their state is kept nowhere. */
void kvm_stop(struct kvm *kvm);

/*
 * Hold all vCPUs where they are, out of the guest and of accesses to devices;
 * none runs when this returns. Main thread.
 */
void kvm_hold(struct kvm *kvm);
/* Let the vCPUs go on, unless the board is paused or stopped. Main thread. */
void kvm_release(struct kvm *kvm);

/* A non-maskable interrupt to every vCPU, soon. -ENOTSUP with a message where the
 * machine has none. */
int kvm_nmi(struct kvm *kvm, struct error *err);

/* One more vCPU, new, or one that was in use before: it waits for the guest to
 * start it. -errno with a message. */
int kvm_start_vcpu(struct kvm *kvm, unsigned int index, struct error *err);
/* End its thread; KVM's vCPU stays for another time. One that is not there is
 * fine. */
void kvm_stop_vcpu(struct kvm *kvm, unsigned int index);

#endif
