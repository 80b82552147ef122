/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/lib/fake_life.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "vmm/util.h"

#define FAKE_BDF "0000:00:05.0"

struct fake_life fake_life;

static int fake_answer(struct error *err)
{
	assert(fake_life.exists);
	return fake_life.refuse ? error_set(err, EPERM, "the host refuses") : 0;
}

static const struct vm_listener *fake_listener(void)
{
	return fake_life.vm.listener;
}

void fake_life_came(const char *why)
{
	struct fake_comer first = fake_life.coming[0];

	assert(fake_life.nr_coming);
	memmove(&fake_life.coming[0], &fake_life.coming[1],
		--fake_life.nr_coming * sizeof(first));
	fake_listener()->hotplug.plugged(fake_life.vm.opaque, true, &first.at,
					 why, first.ticket);
}

uint64_t hotplug_coming(struct hotplug *hp unused_param, const char *id)
{
	for (unsigned int i = 0; i < fake_life.nr_coming; i++)
		if (!strcmp(fake_life.coming[i].at.id, id))
			return fake_life.coming[i].ticket;
	return 0;
}

bool fake_life_is_coming(const char *id)
{
	return hotplug_coming(NULL, id) != 0;
}

void fake_life_raise(enum vm_event event)
{
	fake_life.vm.board.event = (int)event;
}

void fake_life_stop(void)
{
	fake_life.vm.board.run = BOARD_STOPPED;
	while (fake_life.nr_coming)
		fake_life_came("the guest stopped");
}

static void fake_end_operation(void)
{
	enum fake_operation was = fake_life.busy;
	struct board *board = &fake_life.vm.board;
	struct error err;
	int r = fake_answer(&err);

	fake_life.busy = FAKE_IDLE;
	if (!r && was == FAKE_PAUSE)
		board->run = BOARD_PAUSED;
	if (!r && (was == FAKE_BOOT || was == FAKE_RESET)) {
		board->event = VM_EVENT_NONE;
		board->run = fake_life.start_paused ? BOARD_PAUSED
						    : BOARD_RUNNING;
	}
	fake_life.vm.done(fake_life.vm.opaque, r, &err);
}

void fake_life_turn(void)
{
	struct hotplug_place was = { .bdf = FAKE_BDF };
	struct error err;

	if (fake_life.exists && *fake_life.leaving) {
		strcpy(was.id, fake_life.leaving);
		*fake_life.leaving = '\0';
		fake_listener()->hotplug.plugged(fake_life.vm.opaque, false,
						 &was, NULL,
						 fake_life.leaving_ticket);
	}
	if (fake_life.exists && *fake_life.resizing) {
		*fake_life.resizing = '\0';
		fake_listener()->disk_resized(fake_life.vm.opaque,
					      fake_life.resizing_ticket,
					      fake_answer(&err), &err);
	}
	while (fake_life.exists && fake_life.busy)
		fake_end_operation();
}

/* ---- doubles of vmm/vm.h and vmm/hotplug.h ---- */

int vm_create(struct vm **out, const struct vm_config *config,
	      struct loop *main_loop unused_param,
	      const struct vm_listener *listener, void *opaque,
	      struct error *err)
{
	assert(!fake_life.exists);
	if (fake_life.refuse)
		return error_set(err, EPERM, "the host refuses");
	memset(&fake_life.vm, 0, sizeof(fake_life.vm));
	fake_life.vm.config = config;
	fake_life.vm.listener = listener;
	fake_life.vm.opaque = opaque;
	fake_life.vm.kvm.vm_fd = -1;
	list_init(&fake_life.vm.board.devices);
	fake_life.exists = true;
	fake_life.start_paused = false;
	*out = &fake_life.vm;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	assert(fake_life.exists && vm == &fake_life.vm);
	fake_life_stop();
	fake_life.exists = false;
	fake_life.busy = FAKE_IDLE;
	*fake_life.leaving = *fake_life.resizing = '\0';
	if (!fake_life.holds)
		vm->listener->released(vm->opaque);
}

void fake_life_let_go(void)
{
	fake_life.holds = false;
	fake_life.vm.listener->released(fake_life.vm.opaque);
}

static void fake_begin(enum fake_operation busy, vm_done_fn done)
{
	assert(fake_life.exists && !fake_life.busy);
	fake_life.busy = busy;
	fake_life.vm.done = done;
}

int vm_boot(struct vm *vm unused_param, vm_done_fn done, struct error *err)
{
	int r = fake_answer(err);

	if (!r)
		fake_begin(FAKE_BOOT, done);
	return r;
}

void vm_stop(struct vm *vm unused_param)
{
	assert(fake_life.exists);
	fake_life_stop();
}

void vm_reset(struct vm *vm unused_param, bool paused, vm_done_fn done)
{
	fake_life_stop();
	fake_life.start_paused = paused;
	fake_begin(FAKE_RESET, done);
}

void vm_pause(struct vm *vm, vm_done_fn done)
{
	assert(vm->board.run == BOARD_RUNNING);
	fake_begin(FAKE_PAUSE, done);
}

void vm_resume(struct vm *vm)
{
	assert(vm->board.run == BOARD_PAUSED && !fake_life.busy);
	vm->board.run = BOARD_RUNNING;
}

void vm_quiesce(struct vm *vm unused_param, vm_done_fn done)
{
	fake_begin(FAKE_QUIESCE, done);
}

bool vm_has_event(const struct vm *vm)
{
	return vm->board.event != VM_EVENT_NONE;
}

void vm_power_button(struct vm *vm unused_param)
{
	assert(fake_life.exists);
}

int hotplug_add(struct hotplug *hp unused_param, const struct device_config *dc,
		uint64_t ticket, struct error *err)
{
	struct fake_comer *comer = &fake_life.coming[fake_life.nr_coming];
	struct hotplug_place *at = &comer->at;

	if (fake_answer(err))
		return -EPERM;
	snprintf(at->bdf, sizeof(at->bdf), "%s", FAKE_BDF);
	snprintf(at->id, sizeof(at->id), "%s", *device_config_id(dc));
	comer->ticket = ticket;
	fake_life.nr_coming++;
	return 0;
}

/* What does not come is there. */
bool hotplug_where(struct hotplug *hp unused_param, const char *id,
		   struct hotplug_place *at)
{
	if (fake_life_is_coming(id) || !strcmp(fake_life.leaving, id))
		return false;
	snprintf(at->bdf, sizeof(at->bdf), "%s", FAKE_BDF);
	snprintf(at->id, sizeof(at->id), "%s", id);
	return true;
}

int hotplug_remove(struct hotplug *hp unused_param, const char *id, bool force,
		   uint64_t ticket, struct error *err)
{
	if (fake_answer(err))
		return -EPERM;
	if (fake_life_is_coming(id) || *fake_life.leaving)
		return error_set(err, EBUSY, "it is still coming");
	if (force)
		snprintf(fake_life.leaving, sizeof(fake_life.leaving), "%s",
			 id);
	fake_life.leaving_ticket = ticket;
	return 0;
}

int vm_resize_disk(struct vm *vm unused_param, const char *id,
		   uint64_t bytes unused_param, uint64_t ticket,
		   struct error *err)
{
	if (fake_answer(err))
		return -EPERM;
	if (fake_life_is_coming(id) || *fake_life.resizing)
		return error_set(err, EBUSY, "it is still coming");
	snprintf(fake_life.resizing, sizeof(fake_life.resizing), "%s", id);
	fake_life.resizing_ticket = ticket;
	return 0;
}

int hotplug_resize_vcpus(struct hotplug *hp unused_param, unsigned int nr,
			 struct error *err)
{
	fake_life.vcpus = nr;
	return fake_answer(err);
}

int hotplug_resize_memory(struct hotplug *hp unused_param, uint64_t bytes,
			  struct error *err)
{
	if (bytes % MIB)
		return error_set(err, EINVAL, "no multiple");
	fake_life.memory = bytes;
	return fake_answer(err);
}

int vm_set_device(struct vm *vm unused_param, const char *id,
		  const void *config unused_param, struct error *err)
{
	if (fake_answer(err))
		return -EPERM;
	if (fake_life_is_coming(id))
		return error_set(err, ENOENT, "it is still coming");
	fake_life.nr_set++;
	return 0;
}
