/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/device.h"
#include "vmm/board.h"
#include "vmm/config.h"
#include "vmm/error.h"
#include "vmm/hotplug.h"
#include "vmm/kvm.h"
#include "vmm/loop.h"

/* What a machine reports to its owner. All members are set; main thread. */
struct vm_listener {
	/* The guest stopped, by itself or by board_raise(): no vCPU runs. */
	void (*stopped)(void *opaque, enum vm_event event);
	struct hotplug_listener hotplug;
};

/*
 * The order of a machine's life: create, boot, pause, reset, destroy. One per
 * process. Everything is built, changed and torn down on the main thread; what
 * other threads use says so.
 */
struct vm {
	struct board board; /* what devices see */
	struct kvm kvm; /* what runs the guest */

	/* set at creation */
	const struct vm_config *config;
	int kernel_fd;
	int initramfs_fd;

	/* any thread */
	struct loop_call event_call;

	/* main thread */
	const struct vm_listener *listener; /* borrowed */
	void *opaque; /* the listener's */
	struct hotplug hotplug;
	struct pages_job pages; /* memory, before the guest starts */
};

/*
 * Open KVM, kernel and images, reserve memory, build vCPUs and devices; the
 * guest does not run yet. config and listener are borrowed for the VM's life.
 * Returns 0 or -errno with a message for the person who wrote the config;
 * nothing is left behind on failure.
 */
int vm_create(struct vm **out, const struct vm_config *config,
	      struct loop *main_loop, const struct vm_listener *listener,
	      void *opaque, struct error *err);
/* Stops what runs, frees all. NULL is accepted. */
void vm_destroy(struct vm *vm);

/* Load the boot images into memory and start the vCPU threads. */
int vm_boot(struct vm *vm, struct error *err);

/* Stop the vCPU threads; the guest's state is kept nowhere. What it was asked
 * for, it has let go of. */
void vm_stop(struct vm *vm);

/* Power-on again: vCPUs, memory and devices as new, same images, same
 * devices. The guest runs on return. -errno with a message. */
int vm_reset(struct vm *vm, struct error *err);

/* Press the ACPI power button; the guest decides what it means. Main thread. */
void vm_power_button(struct vm *vm);

/*
 * Stop all vCPUs and devices where they are: no thread touches guest memory
 * and no request is in flight when this returns. -EALREADY when paused. Main
 * thread.
 */
int vm_pause(struct vm *vm, struct error *err);
/* Undo vm_pause(). -EALREADY when not paused. Main thread. */
int vm_resume(struct vm *vm, struct error *err);

/* A non-maskable interrupt to every vCPU. Main thread. -errno. */
int vm_nmi(struct vm *vm, struct error *err);

/*
 * Give a disk another size, in bytes, a multiple of its block: a file is made
 * longer or cut, a block device has to have that size already. The guest is
 * told. -ENOENT: no such device, -EINVAL: no such size, else -errno of the
 * host; with a message, nothing changed. Main thread.
 */
int vm_resize_disk(struct vm *vm, const char *id, uint64_t bytes,
		   struct error *err);

#endif
