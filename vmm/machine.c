/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bounds.h"
#include "vmm/log.h"
#include "vmm/opening.h"
#include "vmm/serial.h"
#include "vmm/util.h"

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
	bool known = !r || r == -EINVAL || r == -ENOENT || r == -ENOTSUP;

	return known ? r : -EIO;
}

/* ---- what takes time ---- */

bool machine_is_busy(const struct machine *m)
{
	return m->doing != NULL;
}

static int machine_need_idle(const struct machine *m, struct error *err)
{
	if (!machine_is_busy(m))
		return 0;
	return error_set(err, EIO, "VM is %s; try again", m->doing);
}

static void machine_tell(struct machine *m, uint64_t ticket, int r,
			 struct error *err, const struct hotplug_place *at)
{
	if (ticket && m->on_done)
		m->on_done(m->watcher, ticket, r, err, at);
}

/* Of a verb that takes time: the last one. */
static uint64_t machine_ticket(struct machine *m)
{
	m->last_ticket = ++m->nr_tickets;
	return m->last_ticket;
}

static int machine_begin(struct machine *m, const char *doing)
{
	m->doing = doing;
	m->ticket = machine_ticket(m);
	return MACHINE_LATER;
}

/* Nothing is under way any more; the ticket of what was. */
static uint64_t machine_rest(struct machine *m)
{
	uint64_t ticket = m->ticket;

	m->doing = NULL;
	m->ticket = 0;
	return ticket;
}

static void machine_finish(struct machine *m, int r, struct error *err)
{
	machine_tell(m, machine_rest(m), r ? -EIO : 0, err, NULL);
	if (m->on_idle)
		m->on_idle(m->watcher);
}

/* What was asked of a device for the last ticket has begun; or not (r). */
static int machine_later(int r)
{
	return r ? machine_host_code(r) : MACHINE_LATER;
}

/* The machine is gone, and what the host holds of it goes when it can. */
static void machine_drop_vm(struct machine *m)
{
	struct vm *vm = m->vm;

	m->vm = NULL;
	m->nr_ending++;
	vm_destroy(vm);
}

static void machine_on_released(void *opaque)
{
	struct machine *m = opaque;

	m->nr_ending--;
	if (m->waits && !m->nr_ending)
		loop_quit(m->loop);
}

/* ---- configuration ---- */

/* m->config is there. */
static void machine_created(struct machine *m)
{
	/* boot will follow what there is, max is what was asked for. */
	m->config.cpus.max = cpus_max(&m->config.cpus);
	m->state = MACHINE_CREATED;
}

static void machine_on_opened(void *opaque, struct opening *o, int r,
			      struct error *err)
{
	struct machine *m = opaque;
	uint64_t ticket = machine_rest(m);

	m->opening = NULL;
	if (r) {
		m->next_id = 0;
	} else {
		opening_take_config(o, &m->config);
		machine_created(m);
	}
	if (m->on_create)
		m->on_create(m, r, err);
	machine_tell(m, ticket, machine_host_code(r), err, NULL);
	if (m->on_idle && !machine_is_busy(m))
		m->on_idle(m->watcher);
}

/* Ask the host for what vc needs from now on. */
static int machine_open(struct machine *m, struct vm_config *vc,
			struct error *err)
{
	struct opening *o = opening_create(m->loop, machine_on_opened, m);
	int r;

	if (!o)
		return error_set(err, ENOMEM, "out of memory");
	opening_add_config(o, vc);
	r = opening_start(o, VM_OPEN_NS, err);
	if (r) {
		opening_take_config(o, vc);
		opening_drop(o);
		return -EIO;
	}
	m->opening = o;
	return machine_begin(m, "being created");
}

int machine_create(struct machine *m, struct vm_config *vc, struct error *err)
{
	int r = machine_need_idle(m, err);

	if (r)
		return r;
	if (m->state != MACHINE_EMPTY)
		return error_set(err, EIO, "VM is already created");
	r = vm_config_assign_ids(vc, 0, &m->next_id, err);
	if (!r && serial_open_pty(&vc->serial, err))
		r = -EIO;
	if (!r)
		r = bounds_check(vc, err);
	if (!r && (vc->landlock || vc->serial.mode == SERIAL_FILE))
		r = machine_open(m, vc, err);
	if (r < 0)
		m->next_id = 0;
	if (r)
		return r;
	m->config = *vc;
	vm_config_init(vc);
	machine_created(m);
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

static void machine_on_reset(void *opaque, int r, struct error *err)
{
	struct machine *m = opaque;

	if (r) {
		log_error("reboot: %s", err->msg);
		machine_finish(m, r, err);
		machine_end(m, VM_EVENT_FAULT);
		return;
	}
	m->state = MACHINE_RUNNING;
	events_emit(m->events, "vm", "rebooted", NULL);
	machine_finish(m, 0, err);
}

static void machine_reset(struct machine *m)
{
	m->doing = "rebooting";
	events_emit(m->events, "vm", "rebooting", NULL);
	vm_reset(m->vm, false, machine_on_reset);
}

static void machine_on_stopped(void *opaque, enum vm_event event)
{
	struct machine *m = opaque;
	struct error err;

	if (machine_is_busy(m))
		machine_finish(
			m,
			error_set(&err, EIO, "the guest is stopping by itself"),
			&err);
	if (event == VM_EVENT_RESET && m->config.on_reset != RESET_EXIT) {
		log_info("the guest reboots");
		machine_reset(m);
		return;
	}
	if (event == VM_EVENT_FAULT)
		events_emit(m->events, "guest", "panic", "event", "fault",
			    NULL);
	machine_end(m, event);
}

/* ---- devices ---- */

/* It is in the configuration: say where it is, when it is there. Who asks for
 * one on its way hears the same as who asked first. */
static int machine_add_again(struct machine *m, const char *id,
			     struct hotplug_place *at, struct error *err)
{
	if (!m->vm || hotplug_where(&m->vm->hotplug, id, at))
		return 0;
	m->last_ticket = hotplug_coming(&m->vm->hotplug, id);
	if (m->last_ticket)
		return MACHINE_LATER;
	return error_set(err, EIO, "id %s: is being removed; try again",
			 error_value(id).text);
}

int machine_add_device(struct machine *m, struct device_config *new,
		       struct hotplug_place *at, struct error *err)
{
	struct vm_config *vc = &m->config;
	struct device_config *dc = &vc->devices[vc->nr_devices];
	unsigned int next_id = m->next_id;
	int same = vm_config_find_same(vc, new);
	int r = machine_need_created(m, err);

	*at = (struct hotplug_place){ .id = "" };
	if (!r)
		r = machine_need_idle(m, err);
	if (!r && same < 0)
		r = vm_config_check_single(vc, new->class, err);
	if (r)
		return r;
	if (m->state == MACHINE_SHUTDOWN)
		return error_set(err, EIO, "VM is not running");
	if (same >= 0)
		return machine_add_again(
			m, *device_config_id(&vc->devices[same]), at, err);
	if (vc->nr_devices == CONFIG_MAX_DEVICES)
		return error_set(err, EIO,
				 "all %u slots of the machine are taken",
				 CONFIG_MAX_DEVICES);
	*dc = *new;
	r = vm_config_assign_ids(vc, vc->nr_devices++, &next_id, err);
	if (!r && m->vm)
		r = machine_later(hotplug_add(&m->vm->hotplug, dc,
					      machine_ticket(m), err));
	if (r < 0) {
		vc->nr_devices--;
		return r;
	}
	new->config = NULL;
	new->echo = NULL;
	if (!r)
		m->next_id = next_id;
	return r;
}

static void machine_drop_device(struct machine *m, unsigned int i)
{
	struct vm_config *vc = &m->config;

	device_config_free(&vc->devices[i]);
	vc->nr_devices--;
	memmove(&vc->devices[i], &vc->devices[i + 1],
		(vc->nr_devices - i) * sizeof(vc->devices[0]));
}

/* A device came or went, or did not. */
static void machine_on_plugged(void *opaque, bool add,
			       const struct hotplug_place *at, const char *why,
			       uint64_t ticket)
{
	static const char *const events[2][2] = {
		{ "device-removed", "device-remove-failed" },
		{ "device-added", "device-add-failed" },
	};
	struct machine *m = opaque;
	int i = vm_config_find(&m->config, at->id);
	struct error err;

	events_emit(m->events, "vm", events[add][why != NULL], "id", at->id,
		    why ? "error" : "bdf", why ? why : at->bdf, NULL);
	/* One that does not come uses no id up. */
	if (add && !why && *at->id == '_')
		m->next_id++;
	if (i >= 0 && add == (why != NULL))
		machine_drop_device(m, (unsigned int)i);
	machine_tell(m, ticket, why ? error_set(&err, EIO, "%s", why) : 0, &err,
		     add ? at : NULL);
}

static void machine_on_link(void *opaque, const char *id, bool up)
{
	struct machine *m = opaque;

	events_emit(m->events, "virtio-device", up ? "link-up" : "link-down",
		    "id", id, NULL);
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
	snprintf(wanted, sizeof(wanted), "%llu", llu(size->wanted));
	snprintf(actual, sizeof(actual), "%llu", llu(size->actual));
	if (why)
		log_warn("%s: %s wanted, %s there: %s",
			 size->memory ? "memory" : "vCPUs", wanted, actual,
			 why);
	events_emit(m->events, "vm", why ? "resize-failed" : "resize-done",
		    "what", size->memory ? "memory" : "vcpus", "wanted", wanted,
		    "actual", actual, why ? "error" : NULL, why, NULL);
}

static void machine_on_disk_resized(void *opaque, uint64_t ticket, int r,
				    struct error *err)
{
	machine_tell(opaque, ticket, machine_host_code(r), err, NULL);
}

int machine_find_device(const struct machine *m, const char *id,
			struct error *err)
{
	int r = machine_need_created(m, err);
	int i = r ? r : vm_config_find(&m->config, id);

	if (r || i >= 0)
		return i;
	return error_set(err, ENOENT, "id %s: there is no such device",
			 error_value(id).text);
}

int machine_remove_device(struct machine *m, const char *id, bool force,
			  struct error *err)
{
	int i = machine_find_device(m, id, err);
	int r = i < 0 ? i : machine_need_idle(m, err);

	if (r)
		return r;
	if (!m->vm) {
		machine_drop_device(m, (unsigned int)i);
		return 0;
	}
	r = hotplug_remove(&m->vm->hotplug, id, force,
			   force ? machine_ticket(m) : 0, err);
	return force ? machine_later(r) : machine_host_code(r);
}

int machine_resize_disk(struct machine *m, const char *id, uint64_t bytes,
			struct error *err)
{
	int i = machine_find_device(m, id, err);
	int r = i < 0 ? i : machine_need_booted(m, err);

	if (r)
		return r;
	return machine_later(
		vm_resize_disk(m->vm, id, bytes, machine_ticket(m), err));
}

int machine_set_device(struct machine *m, const char *id,
		       struct device_config *changed, struct error *err)
{
	int i = machine_find_device(m, id, err);
	int r = i < 0 ? i : machine_need_idle(m, err);
	void *old;

	if (!r && m->vm)
		r = vm_set_device(m->vm, id, changed->config, err);
	if (r)
		return machine_host_code(r);
	old = m->config.devices[i].config;
	m->config.devices[i].config = changed->config;
	changed->config = old;
	return 0;
}

/* ---- how operations of the machine end ---- */

static void machine_forget(struct machine *m)
{
	opening_close_config(m->loop, &m->config);
	m->state = MACHINE_EMPTY;
	m->next_id = 0;
	events_emit(m->events, "vm", "deleted", NULL);
}

/* The guest stopped or reset by itself, and that is not a reset in place. */
static bool machine_is_ending(const struct machine *m)
{
	return vm_has_event(m->vm) &&
	       (atomic_load(&m->vm->board.event) != VM_EVENT_RESET ||
		m->config.on_reset == RESET_EXIT);
}

static int machine_refuse_ending(struct error *err)
{
	return error_set(err, EIO,
			 "the guest is stopping by itself; try again");
}

/* No vCPU runs on success, and what one has still to tell does not matter. Else
 * it has its turn first. */
static int machine_stop(struct machine *m, struct error *err)
{
	if (m->state == MACHINE_SHUTDOWN)
		return 0;
	vm_stop(m->vm);
	return machine_is_ending(m) ? machine_refuse_ending(err) : 0;
}

static void machine_on_booted(void *opaque, int r, struct error *err)
{
	struct machine *m = opaque;

	if (r) {
		machine_drop_vm(m);
	} else {
		m->state = MACHINE_RUNNING;
		events_emit(m->events, "vm", "booted", NULL);
	}
	if (m->on_boot)
		m->on_boot(m, r, err);
	machine_finish(m, r, err);
}

/* Of the pause, or of the reset that it met; then the guest is held at its new
 * start. */
static void machine_on_paused(void *opaque, int r, struct error *err)
{
	struct machine *m = opaque;
	bool reset = m->vm->board.run == BOARD_STOPPED;

	if (r && reset) {
		machine_on_reset(m, r, err);
		return;
	}
	if (!r && machine_is_ending(m)) {
		vm_resume(m->vm);
		r = machine_refuse_ending(err);
	} else if (!r && vm_has_event(m->vm)) {
		events_emit(m->events, "vm", "rebooting", NULL);
		vm_reset(m->vm, true, machine_on_paused);
		return;
	}
	if (r) {
		events_emit(m->events, "vm", "pause-failed", "error", err->msg,
			    NULL);
	} else {
		m->state = MACHINE_PAUSED;
		events_emit(m->events, "vm", "paused", NULL);
	}
	machine_finish(m, r, err);
}

/* r: a device whose requests the host has not finished; they are kept aside. */
static void machine_on_quiesced(void *opaque, int r, struct error *err)
{
	struct machine *m = opaque;

	if (r)
		log_warn("%s", err->msg);
	machine_drop_vm(m);
	m->state = MACHINE_CREATED;
	events_emit(m->events, "vm", "shutdown", r ? "held" : NULL,
		    r ? err->msg : NULL, NULL);
	if (m->deleting)
		machine_forget(m);
	machine_finish(m, 0, err);
}

/* ---- verbs ---- */

static const struct vm_listener machine_listener = {
	.stopped = machine_on_stopped,
	.disk_resized = machine_on_disk_resized,
	.released = machine_on_released,
	.hotplug = {
		.plugged = machine_on_plugged,
		.driver = machine_on_driver,
		.link = machine_on_link,
		.resized = machine_on_resized,
	},
};

int machine_boot(struct machine *m, struct error *err)
{
	int r = machine_need_idle(m, err);

	if (r)
		return r;
	if (m->state == MACHINE_EMPTY)
		return error_set(err, EIO, "VM config is missing");
	if (m->state != MACHINE_CREATED)
		return error_set(err, EIO, "VM is already created");
	events_emit(m->events, "vm", "booting", NULL);
	r = vm_create(&m->vm, &m->config, m->loop, &machine_listener, m, err);
	if (r)
		return -EIO;
	if (vm_boot(m->vm, machine_on_booted, err)) {
		machine_drop_vm(m);
		return -EIO;
	}
	return machine_begin(m, "booting");
}

static int machine_need_state(const struct machine *m, struct error *err)
{
	int r = machine_need_idle(m, err);

	return r ? r : machine_need_booted(m, err);
}

int machine_pause(struct machine *m, struct error *err)
{
	int r = machine_need_state(m, err);

	if (r)
		return r;
	if (m->state == MACHINE_PAUSED)
		return error_set(err, EIO, "VM is paused already");
	events_emit(m->events, "vm", "pausing", NULL);
	vm_pause(m->vm, machine_on_paused);
	return machine_begin(m, "being paused");
}

int machine_resume(struct machine *m, struct error *err)
{
	int r = machine_need_state(m, err);

	if (r)
		return r;
	if (m->state == MACHINE_RUNNING)
		return error_set(err, EIO, "VM is not paused");
	events_emit(m->events, "vm", "resuming", NULL);
	vm_resume(m->vm);
	m->state = MACHINE_RUNNING;
	events_emit(m->events, "vm", "resumed", NULL);
	return 0;
}

int machine_reboot(struct machine *m, struct error *err)
{
	int r = machine_need_state(m, err);

	if (!r)
		r = machine_stop(m, err);
	if (r)
		return r;
	machine_reset(m);
	return machine_begin(m, "rebooting");
}

static int machine_quiesce(struct machine *m, bool delete, struct error *err)
{
	int r = machine_need_idle(m, err);

	if (!r)
		r = machine_stop(m, err);
	if (r)
		return r;
	m->deleting = delete;
	vm_quiesce(m->vm, machine_on_quiesced);
	return machine_begin(m, "shutting down");
}

int machine_shutdown(struct machine *m, struct error *err)
{
	int r = machine_need_state(m, err);

	return r ? r : machine_quiesce(m, false, err);
}

int machine_delete(struct machine *m, struct error *err)
{
	if (m->vm)
		return machine_quiesce(m, true, err);
	if (m->opening)
		return machine_need_idle(m, err);
	if (m->state != MACHINE_EMPTY)
		machine_forget(m);
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
	int r = machine_need_state(m, err);

	return r ? r : machine_host_code(kvm_nmi(&m->vm->kvm, err));
}

/* ---- size ---- */

/* Before boot the configuration is all there is. */
static int machine_set_memory(struct machine *m, uint64_t bytes,
			      struct error *err)
{
	struct gmem_config memory = m->config.memory;
	char text[24];
	int r;

	snprintf(text, sizeof(text), "%llu", llu(bytes));
	r = param_assign(param_find(&memory_params, "size"), &memory, text,
			 err);
	if (!r)
		r = param_check(&memory_params, &memory, err);
	if (!r)
		m->config.memory.size = bytes;
	return r ? -EIO : 0;
}

/* Not compared with what there is: a request may be under way. Memory first:
 * the number of vCPUs was found good, and only a host in trouble refuses it. */
static int machine_resize_parts(struct machine *m,
				const struct machine_size *size,
				struct error *err)
{
	int r = 0;

	if (size->has_ram)
		r = m->vm ? hotplug_resize_memory(&m->vm->hotplug, size->ram,
						  err)
			  : machine_set_memory(m, size->ram, err);
	if (r)
		return error_prefix(err, r == -EINVAL ? EINVAL : EIO,
				    "desired_ram %llu", llu(size->ram));
	if (size->has_vcpus && !m->vm)
		m->config.cpus.boot = size->vcpus;
	else if (size->has_vcpus)
		r = hotplug_resize_vcpus(&m->vm->hotplug,
					 (unsigned int)size->vcpus, err);
	return r ? error_prefix(err, EIO, "desired_vcpus %llu",
				llu(size->vcpus))
		 : 0;
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
			llu(size->vcpus), max);
	events_emit(m->events, "vm", "resizing", NULL);
	r = machine_resize_parts(m, size, err);
	if (!r)
		events_emit(m->events, "vm", "resized", NULL);
	return r;
}

/* ---- life ---- */

static void machine_on_end_of_wait(struct loop_timer *lt)
{
	loop_quit(container_of(lt, struct machine, end)->loop);
}

bool machine_fini(struct machine *m)
{
	opening_drop(m->opening);
	m->opening = NULL;
	if (m->vm)
		machine_drop_vm(m);
	if (machine_is_booted(m))
		events_emit(m->events, "vm", "shutdown", NULL);
	if (m->state != MACHINE_EMPTY)
		machine_forget(m);
	if (m->nr_ending) {
		m->waits = true;
		m->end.on_expire = machine_on_end_of_wait;
		loop_timer_set(m->loop, &m->end,
			       loop_now_ns() + MACHINE_END_NS);
		loop_run(m->loop);
		loop_timer_cancel(&m->end);
	}
	return !m->nr_ending;
}
