/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A device that comes is there at once; the plug is complete when a driver has
 * bound to it, and is taken back when none does in time. One that goes does so
 * when the guest lets go of it.
 */
#include "vmm/plug.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/hotplug.h"
#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/vm.h"

/* A device that no driver has bound to yet. */
struct plug_comer {
	struct vm *vm;
	struct device *dev;
	struct loop_timer deadline;
	uint64_t end_ns; /* when the deadline moves no further */
	struct list_node node;
};

/* A device that the guest was asked to let go of. */
struct plug_leaver {
	struct hotplug_ask ask;
	struct device *dev;
	struct list_node node;
};

struct plug {
	struct vm *vm;
	struct list_node coming; /* struct plug_comer */
	struct list_node leaving; /* struct plug_leaver */
	uint64_t deadline_ns;
	struct loop_call news; /* posted from any thread */
};

static struct vm_plugged plug_place(const struct device *dev)
{
	struct vm_plugged at = { .pending = false };

	snprintf(at.id, sizeof(at.id), "%s", dev->id);
	snprintf(at.bdf, sizeof(at.bdf), "0000:00:%02x.0", dev->slot & 0x1f);
	return at;
}

/* forced: the guest did not let go of it. */
static void plug_take_away(struct vm *vm, struct device *dev, bool forced)
{
	unsigned int slot = dev->slot;

	dev->ops->unplug(dev, forced);
	vm_quiesce_vcpus(vm);
	list_remove(&dev->node);
	dev->ops->destroy(dev);
	/* Linux looks for what is missing only when it is to let go. */
	if (forced && vm->running)
		hotplug_tell_gone(vm, HOTPLUG_PCI, slot);
}

/* ---- coming ---- */

static struct plug_comer *plug_find_comer(struct vm *vm,
					  const struct device *dev)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->plug->coming) {
		struct plug_comer *c =
			container_of(pos, struct plug_comer, node);

		if (c->dev == dev)
			return c;
	}
	return NULL;
}

static void comer_free(struct plug_comer *c)
{
	loop_timer_cancel(&c->deadline);
	list_remove(&c->node);
	free(c);
}

static void comer_complete(struct plug_comer *c)
{
	struct vm_plugged at = plug_place(c->dev);
	struct vm *vm = c->vm;

	comer_free(c);
	log_info("%s: plugged at %s", at.id, at.bdf);
	if (vm->on_plugged)
		vm->on_plugged(vm, &at, NULL);
}

static void comer_fail(struct plug_comer *c, const char *why)
{
	struct vm_plugged at = plug_place(c->dev);
	struct device *dev = c->dev;
	struct vm *vm = c->vm;

	comer_free(c);
	plug_take_away(vm, dev, true);
	log_warn("%s: not plugged: %s", at.id, why);
	if (vm->on_plugged)
		vm->on_plugged(vm, &at, why);
}

static void comer_on_deadline(struct loop_timer *lt)
{
	comer_fail(container_of(lt, struct plug_comer, deadline),
		   "no driver of the guest took it in time");
}

static void comer_set_deadline(struct plug_comer *c)
{
	loop_timer_set(
		c->vm->board.main_loop, &c->deadline,
		MIN(loop_now_ns() + c->vm->plug->deadline_ns, c->end_ns));
}

static int comer_create(struct vm *vm, struct device *dev, struct error *err)
{
	struct plug_comer *c = calloc(1, sizeof(*c));

	if (!c)
		return error_set(err, ENOMEM, "out of memory");
	c->vm = vm;
	c->dev = dev;
	c->end_ns = loop_now_ns() + PLUG_DEADLINE_MAX_NS;
	c->deadline.on_expire = comer_on_deadline;
	list_insert(&vm->plug->coming, &c->node);
	comer_set_deadline(c);
	return 0;
}

int vm_plug(struct vm *vm, const struct device_class *class, const void *config,
	    struct vm_plugged *out, struct error *err)
{
	struct device *dev = NULL;
	int r = hotplug_check_guest(vm, err);

	if (r)
		return r;
	r = board_add_device(&vm->board, class, config, &dev, err);
	if (r)
		return error_prefix(err, r, "--%s", class->option);
	*out = plug_place(dev);
	/* Whoever does not listen yet finds it when it looks at the bus. */
	out->pending = vm->running && !vm->paused && hotplug_is_heard(vm);
	if (out->pending)
		r = comer_create(vm, dev, err);
	if (r) {
		plug_take_away(vm, dev, true);
		return r;
	}
	if (vm->running)
		hotplug_check(vm, HOTPLUG_PCI, dev->slot);
	if (!out->pending)
		log_info("%s: plugged at %s", out->id, out->bdf);
	return 0;
}

/* ---- going ---- */

static void plug_remove(struct vm *vm, struct device *dev, bool forced)
{
	struct vm_plugged was = plug_place(dev);

	plug_take_away(vm, dev, forced);
	log_info("%s: removed from %s", was.id, was.bdf);
	if (vm->on_removed)
		vm->on_removed(vm, was.id, was.bdf);
}

static void leaver_free(struct plug_leaver *l)
{
	hotplug_drop(&l->ask);
	list_remove(&l->node);
	free(l);
}

static void leaver_on_answer(struct hotplug_ask *ask,
			     enum hotplug_answer answer)
{
	struct plug_leaver *l = container_of(ask, struct plug_leaver, ask);
	struct device *dev = l->dev;
	struct vm *vm = ask->vm;

	leaver_free(l);
	if (answer == HOTPLUG_EJECTED) {
		plug_remove(vm, dev, false);
		return;
	}
	log_warn("%s: not removed: %s", dev->id, hotplug_answer_text(answer));
	if (vm->on_remove_failed)
		vm->on_remove_failed(vm, dev->id, hotplug_answer_text(answer));
}

static struct device *plug_find(struct vm *vm, const char *id)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->board.devices) {
		struct device *dev = container_of(pos, struct device, node);

		if (dev->ops->unplug && !strcmp(dev->id, id))
			return dev;
	}
	return NULL;
}

static struct plug_leaver *plug_find_leaver(struct vm *vm,
					    const struct device *dev)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->plug->leaving) {
		struct plug_leaver *l =
			container_of(pos, struct plug_leaver, node);

		if (l->dev == dev)
			return l;
	}
	return NULL;
}

/* Ask the guest to let go of it. */
static int leaver_create(struct vm *vm, struct device *dev, struct error *err)
{
	struct plug_leaver *l = calloc(1, sizeof(*l));

	if (!l)
		return error_set(err, ENOMEM, "out of memory");
	l->dev = dev;
	l->ask = (struct hotplug_ask){
		.vm = vm,
		.kind = HOTPLUG_PCI,
		.index = dev->slot,
		.done = leaver_on_answer,
	};
	list_insert(&vm->plug->leaving, &l->node);
	hotplug_ask(&l->ask);
	return 0;
}

int vm_unplug(struct vm *vm, const char *id, bool force, struct error *err)
{
	struct device *dev = plug_find(vm, id);
	struct plug_leaver *l;
	int r = hotplug_check_guest(vm, err);

	if (r)
		return r;
	if (!dev)
		return error_set(err, ENOENT, "id %s: there is no such device",
				 error_value(id).text);
	if (plug_find_comer(vm, dev))
		return error_set(
			err, EBUSY,
			"id %s: is still being added; remove it after the reply to that",
			dev->id);
	l = plug_find_leaver(vm, dev);
	if (force || !vm->running) {
		if (l)
			leaver_free(l);
		plug_remove(vm, dev, true);
	} else if (l) {
		hotplug_ask_again(&l->ask);
	} else {
		r = leaver_create(vm, dev, err);
	}
	return r;
}

int vm_resize_disk(struct vm *vm, const char *id, uint64_t bytes,
		   struct error *err)
{
	struct device *dev = plug_find(vm, id);

	if (!dev)
		return error_set(err, ENOENT, "id %s: there is no such device",
				 error_value(id).text);
	if (!dev->ops->resize)
		return error_set(err, EINVAL, "id %s: is not a disk", dev->id);
	return dev->ops->resize(dev, bytes, err);
}

/* ---- what drivers do ---- */

void plug_driver_news(struct vm *vm, struct device *dev, enum device_news news)
{
	if (news != DEVICE_FOUND)
		atomic_store(&dev->driver_active, news == DEVICE_ACTIVATED);
	atomic_fetch_or(&dev->news, (unsigned int)news);
	loop_post(vm->board.main_loop, &vm->plug->news);
}

/* The guest is at work: all that wait get more time. */
static void plug_extend(struct vm *vm)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->plug->coming)
		comer_set_deadline(container_of(pos, struct plug_comer, node));
}

static void plug_tell(struct vm *vm, struct device *dev, bool active)
{
	dev->active = active;
	if (vm->on_driver)
		vm->on_driver(vm, dev->id, active);
}

/* More than one thing may have happened since we looked. */
static void plug_on_driver(struct vm *vm, struct device *dev, unsigned int news)
{
	struct plug_comer *c = plug_find_comer(vm, dev);

	if (news & DEVICE_RESET && dev->active)
		plug_tell(vm, dev, false);
	if (news & DEVICE_ACTIVATED && !dev->active)
		plug_tell(vm, dev, true);
	if (dev->active && !atomic_load(&dev->driver_active))
		plug_tell(vm, dev, false);
	if (!c)
		return;
	plug_extend(vm);
	if (news & DEVICE_ACTIVATED)
		comer_complete(c);
}

/* Callbacks may change the list of devices: look from the start after each. */
static bool plug_one_news(struct vm *vm)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->board.devices) {
		struct device *dev = container_of(pos, struct device, node);
		unsigned int news = atomic_exchange(&dev->news, 0);

		if (!news)
			continue;
		plug_on_driver(vm, dev, news);
		return true;
	}
	return false;
}

static void plug_on_news(struct loop_call *lc)
{
	struct vm *vm = container_of(lc, struct plug, news)->vm;

	while (plug_one_news(vm))
		;
}

/* ---- life ---- */

void plug_set_deadline(struct vm *vm, uint64_t ns)
{
	vm->plug->deadline_ns = ns;
}

void plug_stop(struct vm *vm)
{
	struct list_node *pos, *tmp;

	/* What a driver did at the last moment counts. */
	while (plug_one_news(vm))
		;
	list_for_each (pos, tmp, &vm->plug->coming)
		comer_fail(container_of(pos, struct plug_comer, node),
			   "the guest stopped before a driver took it");
}

void plug_reset(struct vm *vm)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->board.devices) {
		struct device *dev = container_of(pos, struct device, node);

		atomic_store(&dev->news, 0);
		atomic_store(&dev->driver_active, false);
		dev->active = false;
	}
}

void plug_pause(struct vm *vm)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->plug->coming)
		comer_complete(container_of(pos, struct plug_comer, node));
}

int plug_create(struct vm *vm, struct error *err)
{
	struct plug *plug = calloc(1, sizeof(*plug));

	if (!plug)
		return error_set(err, ENOMEM, "out of memory");
	plug->vm = vm;
	plug->deadline_ns = PLUG_DEADLINE_NS;
	plug->news.fn = plug_on_news;
	list_init(&plug->coming);
	list_init(&plug->leaving);
	vm->plug = plug;
	return 0;
}

void plug_destroy(struct vm *vm)
{
	struct plug *plug = vm->plug;

	if (!plug)
		return;
	while (!list_is_empty(&plug->leaving))
		leaver_free(container_of(list_take(&plug->leaving),
					 struct plug_leaver, node));
	loop_cancel(vm->board.main_loop, &plug->news);
	free(plug);
	vm->plug = NULL;
}
