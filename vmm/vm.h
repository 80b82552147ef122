/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "devices/device.h"
#include "vmm/board.h"
#include "vmm/config.h"
#include "vmm/error.h"
#include "vmm/hotplug.h"
#include "vmm/kvm.h"
#include "vmm/loop.h"
#include "vmm/pages.h"
#include "vmm/pool.h"

/* How an operation ended: 0, or -errno with a message, which stays during the
 * call even if the machine is destroyed in it. opaque: the listener's. */
typedef void (*vm_done_fn)(void *opaque, int r, struct error *err);

/* What a machine reports to its owner. All members are set; main thread. */
struct vm_listener {
	/* The guest stopped, by itself or by board_raise(): no vCPU runs, and
	 * what was under way is given up. */
	void (*stopped)(void *opaque, enum vm_event event);
	/* How the vm_resize_disk() of that ticket ended, as vm_done_fn. */
	void (*disk_resized)(void *opaque, uint64_t ticket, int r,
			     struct error *err);
	/* After vm_destroy(): the host holds nothing of it any more. */
	void (*released)(void *opaque);
	struct hotplug_listener hotplug;
};

/* An operation fails when this much time was not enough for it. */
#define VM_OPEN_NS 60000000000ull /* the host opens its files */
#define VM_LOAD_NS 300000000000ull /* memory is made, and the kernel read */
#define VM_PAUSE_NS 10000000000ull /* requests in flight end: for a pause, */
#define VM_RESET_NS 30000000000ull /* a reset, */
#define VM_SHUTDOWN_NS 5000000000ull /* or the end */

enum vm_operation {
	VM_IDLE,
	VM_OPENING,
	VM_LOADING,
	VM_SETTLING, /* devices come to rest */
};

/* Memory and kernel are made ready by a thread of the pool. */
struct vm_load {
	struct pool_job job;
	struct pool_owner owner;
	bool running; /* the worker has it, whoever still wants it */
	/* the worker's meanwhile */
	bool clear; /* memory was in use */
	struct pages_job pages;
	char *cmdline;
	struct arch_boot boot;
	struct boot_result entry;
	int result;
	struct error err;
};

/*
 * The order of a machine's life: create, boot, pause, reset, destroy. One per
 * process, besides those that have ended and whose last requests the host has
 * not finished. Everything is built, changed and torn down on the main thread;
 * what other threads use says so.
 *
 * What takes time (boot, pause, reset, quiesce) is one operation at a time: it
 * is begun here, and its done() tells how it ended. The main thread waits
 * for nothing.
 */
struct vm {
	struct board board; /* what devices see */
	struct kvm kvm; /* what runs the guest */

	/* set at creation, borrowed until vm_destroy() */
	const struct vm_config *config;
	const struct vm_listener *listener;
	void *opaque; /* the listener's */

	/* any thread */
	struct loop_call event_call;
	struct loop_call quiet_call;

	/* main thread */
	int kernel_fd;
	int initramfs_fd;
	struct hotplug hotplug;
	enum vm_operation busy;
	vm_done_fn done; /* of the operation */
	struct loop_timer deadline; /* of the operation */
	struct opening *opening;
	struct vm_load load;
	bool start_paused; /* the reset under way is of a paused machine */
	/* Devices are at rest, or late is the first that is not in time. */
	void (*settled)(struct vm *vm, struct device *late);
	bool ended; /* vm_destroy() was called */
};

/*
 * A machine that is not built yet. config: borrowed until vm_destroy(),
 * listener as well. -ENOMEM with a message.
 */
int vm_create(struct vm **out, const struct vm_config *config,
	      struct loop *main_loop, const struct vm_listener *listener,
	      void *opaque, struct error *err);

/*
 * The end, whatever is under way; done() is not called any more. What is at
 * rest is freed at once. What the host has not finished is kept, with the
 * memory it lies in, until it has; released() is called then, or from in here.
 * The configuration is not used any more. NULL is accepted.
 */
void vm_destroy(struct vm *vm);

/* Open KVM, kernel and images, build vCPUs and devices, load the kernel, and
 * start the guest. 0: done() follows. -errno with a message. */
int vm_boot(struct vm *vm, vm_done_fn done, struct error *err);

/* Stop the vCPU threads; the guest's state is kept nowhere. What it was asked
 * for, it has let go of. */
void vm_stop(struct vm *vm);

/*
 * Stop all vCPUs and devices where they are: when done() says 0, no thread
 * touches guest memory and no request is in flight. When it says -EBUSY, the
 * host did not finish a device's requests in VM_PAUSE_NS, and the guest runs on.
 */
void vm_pause(struct vm *vm, vm_done_fn done);
/* Undo vm_pause(), after its done(). */
void vm_resume(struct vm *vm);

/*
 * Power-on again: vCPUs, memory and devices as new, same images, same devices.
 * paused: the guest is held at its first instruction. After done() with an
 * error no vCPU runs: -EBUSY when the host did not finish a device's requests
 * in VM_RESET_NS.
 */
void vm_reset(struct vm *vm, bool paused, vm_done_fn done);

/* After vm_stop(): have devices come to rest. done() follows, -EBUSY when one
 * has not in VM_SHUTDOWN_NS. */
void vm_quiesce(struct vm *vm, vm_done_fn done);

/* The guest has stopped or reset, by itself or by board_raise(), since it was
 * started. */
bool vm_has_event(const struct vm *vm);

/* Press the ACPI power button; the guest decides what it means. */
void vm_power_button(struct vm *vm);

/*
 * Give a disk another size, in bytes, a multiple of its block: a file is made
 * longer or cut, a block device has to have that size already. 0:
 * disk_resized() follows; with an error nothing has changed, but for -ETIMEDOUT,
 * when the host is still at it. -ENOENT: no such device, -EINVAL: it is no disk;
 * with a message.
 */
int vm_resize_disk(struct vm *vm, const char *id, uint64_t bytes,
		   uint64_t ticket, struct error *err);

/* Have a device be as config says, a struct of its class (device_ops.set).
 * -ENOENT: there is no such device yet, -errno: nothing has changed; with a
 * message. */
int vm_set_device(struct vm *vm, const char *id, const void *config,
		  struct error *err);

#endif
