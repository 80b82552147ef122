/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/config.h"
#include "vmm/error.h"
#include "vmm/events.h"
#include "vmm/loop.h"
#include "vmm/vm.h"

/*
 * The one machine of the process, as its owner sees it: a state, and verbs
 * that move it on. Command line and control socket use the same verbs. Main
 * thread only.
 *
 *   EMPTY --create--> CREATED --boot--> RUNNING <--pause, resume--> PAUSED
 *     ^---delete---------'---<--shutdown---'-------------<------------'
 *
 * Verbs return 0 or -errno with a message, and change nothing when they fail:
 *   -ENOENT   there is no machine, or no device of that id
 *   -EEXIST   the id is taken
 *   -EINVAL   the configuration is refused
 *   -ENOTSUP  this program cannot do that (yet)
 *   -EIO      everything else: wrong state, the host refuses
 */
enum machine_state {
	MACHINE_EMPTY,
	MACHINE_CREATED,
	MACHINE_RUNNING,
	MACHINE_PAUSED,
	MACHINE_SHUTDOWN, /* the guest has stopped, the process is to end */
};

/* The machine behind the verbs; tests have a fake one. All as in vmm/vm.h.
 * Members that are NULL stand for what cannot be done. */
struct machine_ops {
	int (*open_serial)(struct serial_config *sc, struct error *err);
	int (*create)(struct vm **out, const struct vm_config *config,
		      struct loop *main_loop, struct error *err);
	void (*destroy)(struct vm *vm);
	int (*boot)(struct vm *vm, struct error *err);
	void (*stop)(struct vm *vm);
	int (*reset)(struct vm *vm, struct error *err);
	int (*pause)(struct vm *vm, struct error *err);
	int (*resume)(struct vm *vm, struct error *err);
	int (*nmi)(struct vm *vm, struct error *err);
	void (*power_button)(struct vm *vm);
	int (*plug)(struct vm *vm, const struct device_class *class,
		    const void *config, struct vm_plugged *out,
		    struct error *err);
	int (*unplug)(struct vm *vm, const char *id, bool force,
		      struct error *err);
	int (*resize_disk)(struct vm *vm, const char *id, uint64_t bytes,
			   struct error *err);
	int (*resize_vcpus)(struct vm *vm, unsigned int nr, struct error *err);
	int (*resize_memory)(struct vm *vm, uint64_t bytes, struct error *err);
};

extern const struct machine_ops machine_vm_ops; /* KVM */

struct machine {
	/* set by machine_init(), borrowed */
	const struct machine_ops *ops;
	struct loop *loop;
	struct events *events; /* NULL: nobody listens */
	/* The guest stopped for good; the process is to end. event is why. */
	void (*on_end)(struct machine *m, enum vm_event event);
	void *opaque; /* the caller's */
	/* How a machine_add_device() with `pending` ended; why NULL: well. No
	 * verbs from in here. NULL: nobody wants to know. */
	void (*on_added)(void *opaque, const struct vm_plugged *at,
			 const char *why);
	/* The configuration has this device no more. As on_added(). */
	void (*on_dropped)(void *opaque, const char *id);
	void *watcher; /* opaque of these two */

	/* for reading only */
	enum machine_state state;
	struct vm_config config; /* unless EMPTY */
	struct vm *vm; /* RUNNING, PAUSED */
	unsigned int next_id; /* of made-up device ids */
};

/* m: caller's storage, zeroed but for the fields that the caller sets. */
void machine_init(struct machine *m);
/* Tears down what there is. */
void machine_fini(struct machine *m);

/* "Created", "Running", ...; NULL when there is no machine. */
const char *machine_state_name(const struct machine *m);

/*
 * Keep *vc as the machine's configuration; it is taken over, fds too, and left
 * empty, only when 0 is returned. Devices without an id get one.
 */
int machine_create(struct machine *m, struct vm_config *vc, struct error *err);
int machine_boot(struct machine *m, struct error *err);
int machine_pause(struct machine *m, struct error *err);
int machine_resume(struct machine *m, struct error *err);
int machine_reboot(struct machine *m, struct error *err);
int machine_shutdown(struct machine *m, struct error *err);
/* Nothing there: nothing to do. */
int machine_delete(struct machine *m, struct error *err);
int machine_power_button(struct machine *m, struct error *err);
int machine_nmi(struct machine *m, struct error *err);

/*
 * Add a device: *config is a struct of class->params, on the heap. It is taken
 * over, and *config set to NULL, only when 0 is returned. out->bdf is "" when
 * the machine does not run yet. out->pending: it is there, but on_added() will
 * tell whether it stays.
 */
int machine_add_device(struct machine *m, const struct device_class *class,
		       void **config, struct vm_plugged *out,
		       struct error *err);
/*
 * Remove a device; from a machine that runs, ask the guest to let go of it.
 * Then 0 means that it was asked, and an event tells how it ended. force: do
 * not ask.
 */
int machine_remove_device(struct machine *m, const char *id, bool force,
			  struct error *err);

/* Give a disk another size, in bytes, while the machine runs. */
int machine_resize_disk(struct machine *m, const char *id, uint64_t bytes,
			struct error *err);

/* What is wanted; has_x false: as it is. */
struct machine_size {
	bool has_vcpus, has_ram;
	uint64_t vcpus;
	uint64_t ram; /* bytes */
};
int machine_resize(struct machine *m, const struct machine_size *size,
		   struct error *err);

/* A device's id as the configuration has it; NULL: none yet. */
const char *machine_device_id(const struct device_config *dc);

/* Free one device's config struct with all it owns, fds too. */
void machine_free_device(const struct device_class *class, void *config);
/* Free a configuration that was not taken over, fds too. */
void machine_free_config(struct vm_config *vc);

#endif
