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

struct machine {
	/* set by machine_init(), borrowed */
	struct loop *loop;
	struct events *events; /* NULL: nobody listens */
	/* The guest stopped for good; the process is to end. event is why. */
	void (*on_end)(struct machine *m, enum vm_event event);
	void *opaque; /* the caller's */
	/* A machine_add_device() that was `pending` has ended; why NULL: the
	 * device stays, else: it is gone, for that reason. The callee calls no
	 * verb. NULL: nobody wants to know. */
	void (*on_added)(void *opaque, const struct hotplug_place *at,
			 const char *why);
	void *watcher; /* first argument of on_added() */

	/* for reading only */
	enum machine_state state;
	struct vm_config config; /* unless EMPTY */
	struct vm *vm; /* RUNNING, PAUSED */
	unsigned int next_id; /* of made-up device ids */
};

/* Start with no machine. m: caller's storage, zeroed but for the fields that the
 * caller sets. */
void machine_init(struct machine *m);
/* Tear down what there is, with the events of it; nothing is asked of the
 * guest. m is EMPTY afterwards. */
void machine_fini(struct machine *m);

/* "Created", "Running", "Paused", "Shutdown"; NULL when there is no machine. */
const char *machine_state_name(const struct machine *m);

/*
 * Keep *vc as the machine's configuration; it is taken over, and left empty,
 * only when 0 is returned. Devices without an id get one, "_<option><N>"; the
 * serial port's other end is opened.
 */
int machine_create(struct machine *m, struct vm_config *vc, struct error *err);
/* Build a machine of the configuration, and start the guest. */
int machine_boot(struct machine *m, struct error *err);
/* Hold the guest where it is. One that resets at the same moment is held at its
 * new start. */
int machine_pause(struct machine *m, struct error *err);
/* Undo machine_pause(). */
int machine_resume(struct machine *m, struct error *err);
/* Reset the machine, paused or not; the guest starts anew and runs. */
int machine_reboot(struct machine *m, struct error *err);
/* Destroy the machine without asking the guest; its configuration stays, and
 * can be booted again. */
int machine_shutdown(struct machine *m, struct error *err);
/* Shut down what runs, and forget the configuration. Nothing there: 0, nothing
 * to do. */
int machine_delete(struct machine *m, struct error *err);
/* Press the power button; what that means is up to the guest. */
int machine_power_button(struct machine *m, struct error *err);
/* A non-maskable interrupt to every vCPU. */
int machine_nmi(struct machine *m, struct error *err);

/*
 * Add a device. What *new owns is taken over, and it is left empty, only when
 * 0 is returned. out->bdf is "" when the machine does not run yet.
 * out->pending: it is there, but on_added() will tell whether it stays.
 */
int machine_add_device(struct machine *m, struct device_config *new,
		       struct hotplug_place *out, struct error *err);
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
	uint64_t vcpus; /* 1 to the configuration's max */
	uint64_t ram; /* bytes */
};
/* Change the configuration, or ask the guest of a machine that runs: an event
 * tells how that ended. */
int machine_resize(struct machine *m, const struct machine_size *size,
		   struct error *err);

#endif
