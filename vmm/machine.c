/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"
#include "vmm/serial.h"
#include "vmm/util.h"

/* Resets of the guest that a pause may meet. */
#define PAUSE_TRIES 8

const char *machine_state_name(const struct machine *m)
{
	static const char *const names[] = {
		[MACHINE_CREATED] = "Created",
		[MACHINE_RUNNING] = "Running",
		[MACHINE_PAUSED] = "Paused",
		[MACHINE_SHUTDOWN] = "Shutdown",
	};

	return names[m->state];
}

static bool machine_is_booted(const struct machine *m)
{
	return m->state == MACHINE_RUNNING || m->state == MACHINE_PAUSED;
}

static int machine_need_booted(const struct machine *m, struct error *err)
{
	if (machine_is_booted(m))
		return 0;
	return error_set(err, EIO, "VM is not running");
}

static int machine_need_created(const struct machine *m, struct error *err)
{
	if (m->state != MACHINE_EMPTY)
		return 0;
	return error_set(err, ENOENT, "VM is not created");
}

/* What a verb returns when the machine behind it said r. */
static int machine_host_code(int r)
{
	return !r || r == -ENOTSUP ? r : -EIO;
}

/* ---- configuration ---- */

static const char *machine_id_of(const struct device_config *dc)
{
	char **id = device_config_id(dc);

	return id ? *id : NULL;
}

/* The device of that id among the first nr. */
static int machine_find(const struct vm_config *vc, unsigned int nr,
			const char *id)
{
	for (unsigned int i = 0; i < nr; i++) {
		const char *other = machine_id_of(&vc->devices[i]);

		if (other && strcmp(other, id) == 0)
			return (int)i;
	}
	return -1;
}

static int machine_check_id(const char *option, const char *id,
			    struct error *err)
{
	char plain[sizeof(((struct device *)NULL)->id)];
	size_t len = strlen(id);

	if (len >= sizeof(plain))
		return error_set(err, EINVAL,
				 "--%s id=%s: is longer than %zu bytes", option,
				 error_value(id).text, sizeof(plain) - 1);
	memcpy(plain, id, len + 1);
	error_make_plain(plain, len);
	if (!len || strcmp(id, plain) != 0)
		return error_set(
			err, EINVAL,
			"--%s id=%s: is empty, has control characters or is no UTF-8; leave it out, or give a name",
			option, error_value(id).text);
	if (strncmp(id, "__", 2) == 0)
		return error_set(
			err, EINVAL,
			"--%s id=%s: ids that start with '__' are the machine's own; choose another",
			option, error_value(id).text);
	return 0;
}

/* Devices [first, nr_devices) get ids that no other has. */
static int machine_assign_ids(struct machine *m, struct vm_config *vc,
			      unsigned int first, struct error *err)
{
	unsigned int i;
	char made[64];
	char **id;
	int r;

	for (i = first; i < vc->nr_devices; i++) {
		id = device_config_id(&vc->devices[i]);
		if (!id || !*id)
			continue;
		r = machine_check_id(vc->devices[i].class->option, *id, err);
		if (r)
			return r;
		if (machine_find(vc, i, *id) >= 0)
			return error_set(
				err, EEXIST,
				"--%s id=%s: another device has it; choose another",
				vc->devices[i].class->option,
				error_value(*id).text);
	}
	for (i = first; i < vc->nr_devices; i++) {
		id = device_config_id(&vc->devices[i]);
		if (!id || *id)
			continue;
		do
			snprintf(made, sizeof(made), "_%s%u",
				 vc->devices[i].class->option, m->next_id++);
		while (machine_find(vc, vc->nr_devices, made) >= 0);
		*id = strdup(made);
		if (!*id)
			return error_set(err, EIO, "out of memory");
	}
	return 0;
}

int machine_create(struct machine *m, struct vm_config *vc, struct error *err)
{
	int r;

	if (m->state != MACHINE_EMPTY)
		return error_set(err, EIO, "VM is already created");
	r = machine_assign_ids(m, vc, 0, err);
	if (!r && serial_open(&vc->serial, err))
		r = -EIO;
	if (r) {
		m->next_id = 0;
		return r;
	}
	m->config = *vc;
	/* boot will follow what there is, max is what was asked for. */
	m->config.cpus.max = cpus_max(&vc->cpus);
	vm_config_init(vc);
	m->state = MACHINE_CREATED;
	return 0;
}

static void machine_forget(struct machine *m)
{
	vm_config_free(&m->config);
	m->state = MACHINE_EMPTY;
	m->next_id = 0;
	events_emit(m->events, "vm", "deleted", NULL);
}

int machine_delete(struct machine *m, struct error *err)
{
	int r;

	if (m->state == MACHINE_EMPTY)
		return 0;
	if (m->vm) {
		r = machine_shutdown(m, err);
		if (r)
			return r;
	}
	machine_forget(m);
	return 0;
}

/* ---- the guest's own doing ---- */

static void machine_end(struct machine *m, enum vm_event event)
{
	m->state = MACHINE_SHUTDOWN;
	events_emit(m->events, "vm", "shutdown", NULL);
	if (m->on_end)
		m->on_end(m, event);
}

static int machine_reset(struct machine *m, struct error *err)
{
	int r;

	events_emit(m->events, "vm", "rebooting", NULL);
	r = vm_reset(m->vm, err);
	if (r) {
		log_error("reboot: %s", err->msg);
		machine_end(m, VM_EVENT_FAULT);
		return error_set(err, EIO, "%s", strdupa(err->msg));
	}
	m->state = MACHINE_RUNNING;
	events_emit(m->events, "vm", "rebooted", NULL);
	return 0;
}

static void machine_on_stopped(void *opaque, enum vm_event event)
{
	struct machine *m = opaque;
	struct error err;

	if (event == VM_EVENT_RESET && m->config.on_reset != RESET_EXIT) {
		log_info("the guest reboots");
		machine_reset(m, &err);
		return;
	}
	if (event == VM_EVENT_FAULT)
		events_emit(m->events, "guest", "panic", "event", "fault",
			    NULL);
	machine_end(m, event);
}

/* ---- devices ---- */

static void machine_event_added(struct machine *m,
				const struct hotplug_place *at)
{
	events_emit(m->events, "vm", "device-added", "id", at->id, "bdf",
		    at->bdf, NULL);
}

int machine_add_device(struct machine *m, struct device_config *new,
		       struct hotplug_place *out, struct error *err)
{
	struct vm_config *vc = &m->config;
	struct device_config *dc = &vc->devices[vc->nr_devices];
	unsigned int next_id = m->next_id;
	int r = machine_need_created(m, err);

	if (r)
		return r;
	if (m->state == MACHINE_SHUTDOWN)
		return error_set(err, EIO, "VM is not running");
	if (vc->nr_devices == CONFIG_MAX_DEVICES)
		return error_set(err, EIO,
				 "all %u slots of the machine are taken",
				 CONFIG_MAX_DEVICES);
	*dc = *new;
	memset(out, 0, sizeof(*out));
	r = machine_assign_ids(m, vc, vc->nr_devices++, err);
	if (!r && m->vm)
		r = machine_host_code(hotplug_add(&m->vm->hotplug, dc->class,
						  dc->config, out, err));
	if (r) {
		vc->nr_devices--;
		m->next_id = next_id;
		return r;
	}
	new->config = NULL;
	new->echo = NULL;
	snprintf(out->id, sizeof(out->id), "%s", machine_id_of(dc));
	if (m->vm && !out->pending)
		machine_event_added(m, out);
	return 0;
}

static void machine_drop_device(struct machine *m, unsigned int i)
{
	struct vm_config *vc = &m->config;

	device_config_free(&vc->devices[i]);
	vc->nr_devices--;
	memmove(&vc->devices[i], &vc->devices[i + 1],
		(vc->nr_devices - i) * sizeof(vc->devices[0]));
}

static void machine_on_plugged(void *opaque, const struct hotplug_place *at,
			       const char *why)
{
	struct machine *m = opaque;
	int i = machine_find(&m->config, m->config.nr_devices, at->id);

	if (!why) {
		machine_event_added(m, at);
	} else {
		events_emit(m->events, "vm", "device-add-failed", "id", at->id,
			    "error", why, NULL);
		if (i >= 0)
			machine_drop_device(m, (unsigned int)i);
	}
	if (m->on_added)
		m->on_added(m->watcher, at, why);
}

static void machine_on_driver(void *opaque, const char *id, bool active,
			      unsigned int nr_untold)
{
	struct machine *m = opaque;
	char text[16];

	snprintf(text, sizeof(text), "%u", nr_untold);
	events_emit(m->events, "virtio-device", active ? "activated" : "reset",
		    "id", id, nr_untold ? "coalesced" : NULL, text, NULL);
}

/* The guest let go of it, or it was taken away. */
static void machine_on_removed(void *opaque, const struct hotplug_place *was)
{
	struct machine *m = opaque;
	int i = machine_find(&m->config, m->config.nr_devices, was->id);

	events_emit(m->events, "vm", "device-removed", "id", was->id, "bdf",
		    was->bdf, NULL);
	if (i >= 0)
		machine_drop_device(m, (unsigned int)i);
}

static void machine_on_remove_failed(void *opaque, const char *id,
				     const char *why)
{
	struct machine *m = opaque;

	events_emit(m->events, "vm", "device-remove-failed", "id", id, "error",
		    why, NULL);
}

/* vm.info shows what there is; it is also what the next boot starts with. */
static void machine_on_resized(void *opaque, const struct hotplug_size *size,
			       const char *why)
{
	struct machine *m = opaque;
	char wanted[24], actual[24];

	if (size->memory)
		m->config.memory.size = size->actual;
	else
		m->config.cpus.boot = size->actual;
	snprintf(wanted, sizeof(wanted), "%llu",
		 (unsigned long long)size->wanted);
	snprintf(actual, sizeof(actual), "%llu",
		 (unsigned long long)size->actual);
	if (why)
		log_warn("%s: %s wanted, %s there: %s",
			 size->memory ? "memory" : "vCPUs", wanted, actual,
			 why);
	events_emit(m->events, "vm", why ? "resize-failed" : "resize-done",
		    "what", size->memory ? "memory" : "vcpus", "wanted", wanted,
		    "actual", actual, why ? "error" : NULL, why, NULL);
}

static const struct vm_listener machine_listener = {
	.stopped = machine_on_stopped,
	.hotplug = {
		.plugged = machine_on_plugged,
		.driver = machine_on_driver,
		.removed = machine_on_removed,
		.remove_failed = machine_on_remove_failed,
		.resized = machine_on_resized,
	},
};

int machine_remove_device(struct machine *m, const char *id, bool force,
			  struct error *err)
{
	int r = machine_need_created(m, err);
	int i;

	if (r)
		return r;
	i = machine_find(&m->config, m->config.nr_devices, id);
	if (i < 0)
		return error_set(err, ENOENT, "id %s: there is no such device",
				 error_value(id).text);
	if (!m->vm) {
		machine_drop_device(m, (unsigned int)i);
		return 0;
	}
	return machine_host_code(
		hotplug_remove(&m->vm->hotplug, id, force, err));
}

int machine_resize_disk(struct machine *m, const char *id, uint64_t bytes,
			struct error *err)
{
	int r = machine_need_created(m, err);

	if (!r && machine_find(&m->config, m->config.nr_devices, id) < 0)
		return error_set(err, ENOENT, "id %s: there is no such device",
				 error_value(id).text);
	if (!r)
		r = machine_need_booted(m, err);
	if (r)
		return r;
	r = vm_resize_disk(m->vm, id, bytes, err);
	return r == -EINVAL || r == -ENOENT ? r : machine_host_code(r);
}

/* ---- verbs ---- */

int machine_boot(struct machine *m, struct error *err)
{
	int r;

	if (m->state == MACHINE_EMPTY)
		return error_set(err, EIO, "VM config is missing");
	if (m->state != MACHINE_CREATED)
		return error_set(err, EIO, "VM is already created");
	events_emit(m->events, "vm", "booting", NULL);
	r = vm_config_check(&m->config, err);
	if (!r)
		r = vm_create(&m->vm, &m->config, m->loop, &machine_listener, m,
			      err);
	if (r)
		return -EIO;
	r = vm_boot(m->vm, err);
	if (r) {
		vm_destroy(m->vm);
		m->vm = NULL;
		return -EIO;
	}
	m->state = MACHINE_RUNNING;
	events_emit(m->events, "vm", "booted", NULL);
	return 0;
}

/*
 * Of vCPUs that are held: did the guest stop by itself at the same moment? Then
 * that has its turn first. A reset in place does not count.
 */
static int machine_check_event(const struct machine *m, struct error *err)
{
	if (!atomic_load(&m->vm->event_call.pending) ||
	    (atomic_load(&m->vm->board.event) == VM_EVENT_RESET &&
	     m->config.on_reset != RESET_EXIT))
		return 0;
	return error_set(err, EIO,
			 "the guest is stopping by itself; try again");
}

/* A guest that resets meanwhile is held at its new start. */
static int machine_hold(struct machine *m, struct error *err)
{
	unsigned int try;
	int r;

	for (try = 0; try < PAUSE_TRIES; try++) {
		if (vm_pause(m->vm, err))
			return -EIO;
		if (!atomic_load(&m->vm->event_call.pending))
			return 0;
		vm_resume(m->vm, NULL);
		r = machine_check_event(m, err);
		if (!r)
			r = machine_reset(m, err);
		if (r)
			return r;
	}
	return error_set(err, EIO, "the guest resets all the time; try again");
}

int machine_pause(struct machine *m, struct error *err)
{
	int r = machine_need_booted(m, err);

	if (r)
		return r;
	if (m->state == MACHINE_PAUSED)
		return error_set(err, EIO, "VM is paused already");
	events_emit(m->events, "vm", "pausing", NULL);
	r = machine_hold(m, err);
	if (r)
		return r;
	m->state = MACHINE_PAUSED;
	events_emit(m->events, "vm", "paused", NULL);
	return 0;
}

int machine_resume(struct machine *m, struct error *err)
{
	int r = machine_need_booted(m, err);

	if (r)
		return r;
	if (m->state == MACHINE_RUNNING)
		return error_set(err, EIO, "VM is not paused");
	events_emit(m->events, "vm", "resuming", NULL);
	if (vm_resume(m->vm, err))
		return -EIO;
	m->state = MACHINE_RUNNING;
	events_emit(m->events, "vm", "resumed", NULL);
	return 0;
}

/* No vCPU runs on success, and what one has still to tell does not matter. */
static int machine_stop(struct machine *m, struct error *err)
{
	if (m->state == MACHINE_PAUSED) {
		if (vm_resume(m->vm, err))
			return -EIO;
		m->state = MACHINE_RUNNING;
	}
	vm_stop(m->vm);
	return machine_check_event(m, err);
}

int machine_reboot(struct machine *m, struct error *err)
{
	int r = machine_need_booted(m, err);

	if (!r)
		r = machine_stop(m, err);
	return r ? r : machine_reset(m, err);
}

int machine_shutdown(struct machine *m, struct error *err)
{
	int r = machine_need_booted(m, err);

	if (!r)
		r = machine_stop(m, err);
	if (r)
		return r;
	vm_destroy(m->vm);
	m->vm = NULL;
	m->state = MACHINE_CREATED;
	events_emit(m->events, "vm", "shutdown", NULL);
	return 0;
}

int machine_power_button(struct machine *m, struct error *err)
{
	int r = machine_need_booted(m, err);

	if (!r)
		vm_power_button(m->vm);
	return r;
}

int machine_nmi(struct machine *m, struct error *err)
{
	int r = machine_need_booted(m, err);

	if (r)
		return r;
	return vm_nmi(m->vm, err) ? -EIO : 0;
}

/* ---- size ---- */

/* Before boot the configuration is all there is. */
static int machine_resize_config(struct machine *m,
				 const struct machine_size *size,
				 struct error *err)
{
	struct memory_config memory = m->config.memory;
	char text[24];

	if (size->has_ram) {
		snprintf(text, sizeof(text), "%llu",
			 (unsigned long long)size->ram);
		if (param_assign(param_find(&memory_params, "size"), &memory,
				 text, err))
			return error_prefix(err, EIO, "desired_ram %s", text);
		if (param_check(&memory_params, &memory, err))
			return error_prefix(err, EIO, "desired_ram %s", text);
		m->config.memory.size = memory.size;
	}
	if (size->has_vcpus)
		m->config.cpus.boot = size->vcpus;
	return 0;
}

static int machine_resize_vm(struct machine *m, const struct machine_size *size,
			     struct error *err)
{
	int r = 0;

	/* Not compared with what there is: a request may be under way. Memory
	 * first: the number of vCPUs was found good, and only a host in trouble
	 * refuses it. */
	if (size->has_ram)
		r = hotplug_resize_memory(&m->vm->hotplug, size->ram, err);
	if (r)
		return error_prefix(err, r == -EINVAL ? EINVAL : EIO,
				    "desired_ram %llu",
				    (unsigned long long)size->ram);
	if (size->has_vcpus)
		r = hotplug_resize_vcpus(&m->vm->hotplug,
					 (unsigned int)size->vcpus, err);
	if (r)
		return error_prefix(err, EIO, "desired_vcpus %llu",
				    (unsigned long long)size->vcpus);
	return 0;
}

int machine_resize(struct machine *m, const struct machine_size *size,
		   struct error *err)
{
	unsigned int max = cpus_max(&m->config.cpus);
	int r = machine_need_created(m, err);

	if (r)
		return r;
	if (size->has_vcpus && (size->vcpus < 1 || size->vcpus > max))
		return error_set(
			err, EIO,
			"desired_vcpus %llu: must be between 1 and max_vcpus, which is %u",
			(unsigned long long)size->vcpus, max);
	events_emit(m->events, "vm", "resizing", NULL);
	r = m->vm ? machine_resize_vm(m, size, err)
		  : machine_resize_config(m, size, err);
	if (!r)
		events_emit(m->events, "vm", "resized", NULL);
	return r;
}

/* ---- life ---- */

void machine_init(struct machine *m)
{
	m->state = MACHINE_EMPTY;
	m->vm = NULL;
	m->next_id = 0;
}

void machine_fini(struct machine *m)
{
	if (m->vm)
		vm_destroy(m->vm);
	m->vm = NULL;
	if (machine_is_booted(m))
		events_emit(m->events, "vm", "shutdown", NULL);
	if (m->state != MACHINE_EMPTY)
		machine_forget(m);
}
