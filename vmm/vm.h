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
#include "vmm/kvm.h"
#include "vmm/loop.h"

struct hotplug;
struct plug;
struct resize;

#define VM_BDF_LEN 16

/* A device that was plugged. */
struct vm_plugged {
	char id[64];
	char bdf[VM_BDF_LEN]; /* "0000:00:SS.0" */
	bool pending; /* no driver has bound yet: on_plugged() will follow */
};

/* How a request for another size came out. */
struct vm_resize {
	bool memory; /* else vCPUs */
	uint64_t wanted; /* bytes, or vCPUs */
	uint64_t actual;
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
	bool running; /* vCPU threads are there */
	bool paused;
	struct hotplug *hotplug;
	struct plug *plug;
	struct resize *resize;
	/* The guest stopped, on the main thread: vm_event() says why. */
	void (*on_event)(struct vm *vm, enum vm_event event);
	/* How a vm_plug() with `pending` ended: why NULL, a driver has bound,
	 * or nothing is left of it, and its config is the caller's again. As
	 * for on_removed(), below. */
	void (*on_plugged)(struct vm *vm, const struct vm_plugged *at,
			   const char *why);
	/* A driver took the device, or gave it up. */
	void (*on_driver)(struct vm *vm, const char *id, bool active);
	/* Each vm_unplug() that returned 0 ends in one of these, except what
	 * vm_destroy() ends. They may call any verb but vm_destroy() and
	 * vm_reset(). id, bdf, why: good for the call. NULL: nobody listens. */
	void (*on_removed)(struct vm *vm, const char *id, const char *bdf);
	void (*on_remove_failed)(struct vm *vm, const char *id,
				 const char *why);
	/* The same for resize verbs. */
	void (*on_resize_done)(struct vm *vm, const struct vm_resize *r);
	void (*on_resize_failed)(struct vm *vm, const struct vm_resize *r,
				 const char *why);
	void *opaque; /* the caller's */
};

/*
 * Open KVM, kernel and images, reserve memory, build vCPUs and devices; the
 * guest does not run yet. config is borrowed for the VM's life.
 * Returns 0 or -errno with a message for the person who wrote the config;
 * nothing is left behind on failure.
 */
int vm_create(struct vm **out, const struct vm_config *config,
	      struct loop *main_loop, struct error *err);
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
 * Wait until every vCPU has left the access to a device that it may be in.
 * They run on afterwards, unless paused. Main thread.
 */
void vm_quiesce_vcpus(struct vm *vm);

/*
 * Add a device to the machine, running or paused, and tell the guest. config:
 * as for class->create(), so borrowed until on_removed() or vm_destroy().
 * out->pending: the guest listens, and has PLUG_DEADLINE_NS to bind a driver;
 * on_plugged() tells how that ended, at the latest from vm_stop(). A guest that
 * does not listen yet, or stands still, finds the device later.
 * -errno with a message: nothing is left behind. Main thread.
 */
int vm_plug(struct vm *vm, const struct device_class *class, const void *config,
	    struct vm_plugged *out, struct error *err);

/*
 * Ask the guest to let go of a device. It and its id stay until the guest
 * ejects it: then the device is destroyed, its files are closed, and
 * on_removed() is called. A guest that does not for HOTPLUG_DEADLINE_NS keeps
 * it: on_remove_failed(); asking again later is fine. While a request is
 * pending, another one only reminds the guest: there is one answer to both. A
 * guest that reboots has let go.
 * force: take it away at once, on_removed() is called before this returns.
 * -ENOENT: no such device; -EBUSY: it is still being added. Main thread.
 */
int vm_unplug(struct vm *vm, const char *id, bool force, struct error *err);

/*
 * Give a disk another size, in bytes, a multiple of its block: a file is made
 * longer or cut, a block device has to have that size already. The guest is
 * told. -ENOENT: no such device, -EINVAL: no such size, else -errno of the
 * host; with a message, nothing changed. Main thread.
 */
int vm_resize_disk(struct vm *vm, const char *id, uint64_t bytes,
		   struct error *err);

/*
 * Have nr vCPUs, 1 to cpus.max. 0: on_resize_done() or on_resize_failed() will
 * follow, also when there was nothing to do. More are there at once, and the guest may
 * bring them up; fewer need its help, and wait HOTPLUG_DEADLINE_NS for each.
 * A request waits for those before it. -errno with a message. Main thread.
 */
int vm_resize_vcpus(struct vm *vm, unsigned int nr, struct error *err);

/*
 * Have `bytes` of memory: the size at start and a multiple of 128 MiB, up to
 * hotplug_size. Otherwise as vm_resize_vcpus(); pages that the guest gives back
 * are the host's at once.
 */
int vm_resize_memory(struct vm *vm, uint64_t bytes, struct error *err);
uint64_t vm_memory_size(const struct vm *vm); /* now, bytes */

/* ---- for vmm/resize.c ---- */

/* The thread of vCPU index, new or stopped before: it waits for the guest to
 * start it. -errno with a message. */
int vm_start_vcpu(struct vm *vm, unsigned int index, struct error *err);
/* End it; KVM's vCPU stays for another time. One that is not there is fine. */
void vm_stop_vcpu(struct vm *vm, unsigned int index);
#endif
