/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_HOTPLUG_H
#define VMM_HOTPLUG_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/gmem.h"
#include "vmm/hotplug_chip.h"
#include "vmm/list.h"
#include "vmm/loop.h"

/*
 * Hot-plug between the machine and its guest. What comes is there before the
 * guest is told. What goes is asked for: the guest lets go (it ejects), says
 * no, or does not answer in time; only then it is taken, or stays.
 *
 * A chip of the port carries messages; verbs for users are in vmm/vm.h.
 * Devices that come and go: vmm/plug.h; vCPUs and memory: vmm/resize.h.
 */
struct vm;
struct hotplug;

#define HOTPLUG_DEADLINE_NS 30000000000ull

/* As board_eject_answer(). Any thread. */
void hotplug_answer(struct vm *vm, enum hotplug_kind kind, unsigned int index,
		    bool ejected);

/* ---- for the verbs: main thread ---- */

enum hotplug_answer {
	HOTPLUG_EJECTED,
	HOTPLUG_REFUSED,
	HOTPLUG_LATE, /* no answer in time */
};

/* A question to the guest; the caller's storage until done() or the drop. */
struct hotplug_ask {
	struct vm *vm;
	enum hotplug_kind kind;
	unsigned int index;
	void (*done)(struct hotplug_ask *ask, enum hotplug_answer answer);
	struct loop_timer deadline;
	struct list_node node;
	bool pending;
};

/* Life, with that of the machine. -errno with a message. */
int hotplug_create(struct vm *vm, struct error *err);
void hotplug_destroy(struct vm *vm);
/* vm->paused has changed: questions are due only while the guest runs, and have
 * all their time after a pause. */
void hotplug_pause(struct vm *vm);
void hotplug_resume(struct vm *vm);
/* The guest is gone: it has let go of all that it was asked for. No vCPU
 * runs. */
void hotplug_reset(struct vm *vm);

/* Is there a chip? -ENOTSUP with a message. */
int hotplug_check_guest(struct vm *vm, struct error *err);
/* Does the guest listen yet? False while it boots, and for one that has no
 * driver for the chip. */
bool hotplug_is_heard(struct vm *vm);
void hotplug_check(struct vm *vm, enum hotplug_kind kind, unsigned int index);
/* Something was taken away from under the guest: have it look. */
void hotplug_tell_gone(struct vm *vm, enum hotplug_kind kind,
		       unsigned int index);
void hotplug_set_cpu(struct vm *vm, unsigned int index, bool present);
void hotplug_set_memory(struct vm *vm, unsigned int index, gpa_t gpa,
			uint64_t len);
/* vm, kind, index and done are filled in. */
void hotplug_ask(struct hotplug_ask *ask);
/* Again, with the deadline it has. */
void hotplug_ask_again(struct hotplug_ask *ask);
/* done() will not be called. */
void hotplug_drop(struct hotplug_ask *ask);

/* Of later questions; HOTPLUG_DEADLINE_NS unless set. For tests. */
void hotplug_set_deadline(struct vm *vm, uint64_t ns);

/* "did not answer in time", ... */
const char *hotplug_answer_text(enum hotplug_answer answer);

#endif
