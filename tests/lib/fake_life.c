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

void fake_life_came(const char *why)
{
	struct hotplug_place at = fake_life.coming[0];

	assert(fake_life.nr_coming);
	memmove(&fake_life.coming[0], &fake_life.coming[1],
		--fake_life.nr_coming * sizeof(at));
	fake_life.vm.listener->hotplug.plugged(fake_life.vm.opaque, &at, why);
}

bool fake_life_is_coming(const char *id)
{
	for (unsigned int i = 0; i < fake_life.nr_coming; i++)
		if (!strcmp(fake_life.coming[i].id, id))
			return true;
	return false;
}

void fake_life_stop(void)
{
	while (fake_life.nr_coming)
		fake_life_came("the guest stopped");
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
	fake_life.paused = false;
	*out = &fake_life.vm;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	assert(fake_life.exists && vm == &fake_life.vm);
	fake_life_stop();
	fake_life.exists = false;
}

int vm_boot(struct vm *vm unused_param, struct error *err)
{
	return fake_answer(err);
}

void vm_stop(struct vm *vm unused_param)
{
	assert(fake_life.exists);
	fake_life_stop();
}

int vm_reset(struct vm *vm, struct error *err)
{
	vm->event_call.pending = false;
	fake_life.paused = false;
	fake_life_stop();
	return fake_answer(err);
}

int vm_pause(struct vm *vm unused_param, struct error *err)
{
	assert(!fake_life.paused);
	fake_life.paused = !fake_life.refuse;
	while (fake_life.paused && fake_life.nr_coming)
		fake_life_came(NULL);
	return fake_answer(err);
}

int vm_resume(struct vm *vm unused_param, struct error *err)
{
	assert(fake_life.paused);
	fake_life.paused = fake_life.refuse;
	return fake_answer(err);
}

int vm_nmi(struct vm *vm unused_param, struct error *err)
{
	return fake_answer(err);
}

void vm_power_button(struct vm *vm unused_param)
{
	assert(fake_life.exists);
}

int hotplug_add(struct hotplug *hp unused_param,
		const struct device_class *class, const void *config,
		struct hotplug_place *out, struct error *err)
{
	const struct device_config dc = { .class = class,
					  .config = (void *)(uintptr_t)config };

	if (fake_answer(err))
		return -EPERM;
	snprintf(out->bdf, sizeof(out->bdf), "%s", FAKE_BDF);
	snprintf(out->id, sizeof(out->id), "%s", *device_config_id(&dc));
	out->pending = !fake_life.paused && fake_life.listens;
	if (out->pending)
		fake_life.coming[fake_life.nr_coming++] = *out;
	return 0;
}

int hotplug_remove(struct hotplug *hp unused_param, const char *id, bool force,
		   struct error *err)
{
	struct hotplug_place was = { .bdf = FAKE_BDF };

	if (fake_answer(err))
		return -EPERM;
	if (fake_life_is_coming(id))
		return error_set(err, EBUSY, "it is still coming");
	/* The caller's one may go with the device. */
	snprintf(was.id, sizeof(was.id), "%s", id);
	if (force)
		fake_life.vm.listener->hotplug.removed(fake_life.vm.opaque,
						       &was);
	return 0;
}

int vm_resize_disk(struct vm *vm unused_param, const char *id unused_param,
		   uint64_t bytes unused_param, struct error *err)
{
	return fake_answer(err);
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
