/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/config.h"
#include "vmm/error.h"
#include "vmm/events.h"
#include "vmm/list.h"
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
 * Verbs return 0, MACHINE_LATER, or -errno with a message, and change nothing
 * when they fail at once. Nothing waits for the host or the guest: what takes
 * time ends in one call of on_done(), by its deadline at the latest. One of
 * create, boot, pause, reboot, shutdown and delete is under way at a time; until
 * then, other verbs are refused:
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
	/* The owner's to set, borrowed; all else is zero at first. */
	struct loop *loop;
	struct events *events; /* NULL: nobody listens */
	/* The guest stopped for good; the process is to end. event is why. */
	void (*on_end)(struct machine *m, enum vm_event event);
	/* A machine_boot() ended; r and err as of on_done(). NULL: nobody wants
	 * to know. */
	void (*on_boot)(struct machine *m, int r, const struct error *err);
	/* ... a machine_create() that took time. Verbs may follow from in here. */
	void (*on_create)(struct machine *m, int r, const struct error *err);
	void *opaque; /* the caller's */
	/* How a verb that returned MACHINE_LATER ended: 0, or -errno with a
	 * message. at: where an added device is, NULL of other verbs. No verbs
	 * from in here. NULL: nobody wants to know. */
	void (*on_done)(void *opaque, uint64_t ticket, int r, struct error *err,
			const struct hotplug_place *at);
	/* machine_is_busy() says no again. As on_done(). */
	void (*on_idle)(void *opaque);
	void *watcher; /* opaque of these two */

	/* for reading only */
	enum machine_state state;
	struct vm_config config; /* unless EMPTY */
	struct vm *vm; /* RUNNING, PAUSED */
	unsigned int next_id; /* of made-up device ids */
	uint64_t last_ticket; /* of the last verb that returned MACHINE_LATER */

	/* machine.c's own */
	struct opening *opening; /* of the configuration to be; or NULL */
	const char *doing; /* "booting": under way; NULL: nothing is */
	uint64_t ticket; /* of that; 0: nobody asked for it */
	bool deleting; /* the end under way is that of the configuration, too */
	uint64_t nr_tickets; /* that were given */
	unsigned int nr_ending; /* machines that the host still holds some of */
	bool waits; /* for them, in machine_fini() */
	struct loop_timer end; /* of the wait for these */
};

/* What a verb returns that takes time: on_done() with last_ticket follows. */
#define MACHINE_LATER 1
/* What the host holds at the end is waited for, up to this. */
#define MACHINE_END_NS 400000000ull

/* Tear down what there is, with the events of it; nothing is asked of the
 * guest. Turns the loop for up to MACHINE_END_NS, for what the host holds. m is
 * EMPTY afterwards. False: the host still holds some of it, and the loop has to
 * stay until the process ends. */
bool machine_fini(struct machine *m);

/* Something is under way, for which most verbs have to wait. */
bool machine_is_busy(const struct machine *m);

/* "Created", "Running", "Paused", "Shutdown"; NULL when there is no machine. */
const char *machine_state_name(const struct machine *m);

/*
 * Keep *vc as the machine's configuration; it is taken over, and left empty,
 * unless it is refused: 0, or MACHINE_LATER when the host is asked for files. Devices
 * without an id get one, "_<option><N>"; the serial port's other end is opened, and
 * what the configuration bounds is bounded (vmm/bounds.h).
 */
int machine_create(struct machine *m, struct vm_config *vc, struct error *err);
/* Build a machine of the configuration, and start the guest. MACHINE_LATER. */
int machine_boot(struct machine *m, struct error *err);
/* Hold the guest where it is. One that resets at the same moment is held at its
 * new start. MACHINE_LATER: -EIO when the host does not finish the requests of
 * a device in time; then the guest runs on. */
int machine_pause(struct machine *m, struct error *err);
/* Undo machine_pause(). */
int machine_resume(struct machine *m, struct error *err);
/* Reset the machine, paused or not; the guest starts anew and runs.
 * MACHINE_LATER: when it fails the machine has ended. */
int machine_reboot(struct machine *m, struct error *err);
/* Destroy the machine without asking the guest; its configuration stays, and
 * can be booted again. MACHINE_LATER, when the last requests have ended; what
 * the host does not finish in time is kept aside. */
int machine_shutdown(struct machine *m, struct error *err);
/* Shut down what runs, and forget the configuration. Nothing there: 0, nothing
 * to do. MACHINE_LATER when something runs. */
int machine_delete(struct machine *m, struct error *err);
/* Press the power button; what that means is up to the guest. */
int machine_power_button(struct machine *m, struct error *err);
/* A non-maskable interrupt to every vCPU. */
int machine_nmi(struct machine *m, struct error *err);

/*
 * Add a device. What *new owns is taken over, and it is left empty, only when
 * it is not refused: 0 when the machine does not run yet, MACHINE_LATER when it
 * does. One that is there (device_class.is_same) is not added again, and *new
 * stays the caller's: *at is where it is, or MACHINE_LATER. at->id is "" when
 * there is no such place.
 */
int machine_add_device(struct machine *m, struct device_config *new,
		       struct hotplug_place *at, struct error *err);
/*
 * Remove a device; from a machine that runs, ask the guest to let go of it.
 * Then 0 means that it was asked, and an event tells how it ended. force: do
 * not ask; MACHINE_LATER, when it is gone.
 */
int machine_remove_device(struct machine *m, const char *id, bool force,
			  struct error *err);

/* Give a disk another size, in bytes, while the machine runs. MACHINE_LATER. */
int machine_resize_disk(struct machine *m, const char *id, uint64_t bytes,
			struct error *err);

/* Where the device of this id is in m->config.devices; -ENOENT with a message. */
int machine_find_device(const struct machine *m, const char *id,
			struct error *err);
/* Change what may be changed of a device (device_class.set_params), whether the
 * machine runs or not. changed: a copy of it with the changes; when 0 is
 * returned, it has what there was before. */
int machine_set_device(struct machine *m, const char *id,
		       struct device_config *changed, struct error *err);

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
