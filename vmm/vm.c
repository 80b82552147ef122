/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The machine's life: create, boot, stop, reset, destroy. A reset throws the
 * KVM side away and builds it anew with the code that built it first, so there
 * is no second path that could forget a register; memory and devices stay and
 * go back to their power-on state.
 */
#include "vmm/vm.h"

#include <fcntl.h>
#include <stdlib.h>

#include "vmm/log.h"
#include "vmm/opening.h"
#include "vmm/util.h"

/* ---- one operation at a time ---- */

static void vm_begin(struct vm *vm, enum vm_operation busy, uint64_t timeout_ns)
{
	vm->busy = busy;
	loop_timer_set(vm->board.main_loop, &vm->deadline,
		       loop_now_ns() + timeout_ns);
}

/* It ended. A guest that has reset meanwhile has its turn next. */
static void vm_end(struct vm *vm, int r, struct error *err)
{
	loop_timer_cancel(&vm->deadline);
	vm->busy = VM_IDLE;
	if (vm_has_event(vm) && vm->board.run != BOARD_STOPPED)
		loop_post(vm->board.main_loop, &vm->event_call);
	vm->done(vm->opaque, r, err);
}

bool vm_has_event(const struct vm *vm)
{
	return atomic_load(&vm->board.event) != VM_EVENT_NONE;
}

/* It is of no use any more: done() will not be called. */
static void vm_give_up(struct vm *vm)
{
	loop_timer_cancel(&vm->deadline);
	opening_drop(vm->opening);
	vm->opening = NULL;
	if (vm->load.running)
		pages_stop(&vm->load.pages);
	vm->busy = VM_IDLE;
}

static void vm_on_event(struct loop_call *lc)
{
	struct vm *vm = container_of(lc, struct vm, event_call);

	/* One that resets waits for what is under way, nothing else does. */
	if (vm->busy && atomic_load(&vm->board.event) == VM_EVENT_RESET)
		return;
	vm_give_up(vm);
	vm_stop(vm);
	/* What another vCPU raised meanwhile is in board.event. */
	loop_cancel(vm->board.main_loop, &vm->event_call);
	vm->listener->stopped(vm->opaque,
			      (enum vm_event)atomic_load(&vm->board.event));
}

static void vm_on_deadline(struct loop_timer *lt)
{
	struct vm *vm = container_of(lt, struct vm, deadline);
	struct error err;
	int r;

	if (vm->busy == VM_SETTLING) {
		vm->settled(vm, board_find_busy(&vm->board));
		return;
	}
	r = error_set(
		&err, ETIMEDOUT,
		"the host has not read the kernel in time; see what holds up its file system");
	vm_end(vm, r, &err);
}

/* ---- devices ---- */

static int vm_add_chips(struct vm *vm, struct error *err)
{
	const struct chip_place *place;
	int r = 0;

	for (place = arch_chips; place->class && !r; place++)
		r = board_add_device(&vm->board, place->class, place, NULL,
				     NULL, err);
	return r;
}

/* What is asked for and can never come is refused before the guest runs. */
static int vm_check_hotplug(const struct vm *vm, struct error *err)
{
	int r = 0;

	if (vm->board.gmem.reserved.len)
		r = hotplug_check_kind(&vm->hotplug, HOTPLUG_MEMORY, err);
	if (r)
		return error_prefix(err, r, "--memory hotplug_size");
	if (vm->kvm.max_vcpus > vm->board.nr_cpus)
		r = hotplug_check_kind(&vm->hotplug, HOTPLUG_CPU, err);
	return r ? error_prefix(err, r, "--cpus max") : 0;
}

static int vm_add_devices(struct vm *vm, struct opening *o, struct error *err)
{
	const struct vm_config *vc = vm->config;
	int r = 0;

	for (unsigned int i = 0; i < vc->nr_devices && !r; i++) {
		r = opening_make_device(o, OPENING_FILES + i, &vm->board, NULL,
					err);
		if (r)
			error_prefix(err, r, "--%s", vm_config_option(vc, i));
	}
	return r;
}

/* A bus has to stay as long as what stands on it. */
static void vm_remove_device(struct board *board, struct device *dev)
{
	if (dev->class->is_bus &&
	    (!list_is_empty(&board->gone) || dev->node.next != &board->devices))
		return;
	if (!board_may_destroy(dev))
		return;
	list_remove(&dev->node);
	dev->ops->destroy(dev);
}

/* Destroy what is ready for it, last created first. True: nothing is left. */
static bool vm_remove_devices(struct vm *vm)
{
	struct board *board = &vm->board;
	struct list_node *pos, *next;

	list_for_each_entry (struct device, dev, &board->gone, node)
		vm_remove_device(board, dev);
	for (pos = board->devices.prev; pos != &board->devices; pos = next) {
		next = pos->prev;
		vm_remove_device(board, container_of(pos, struct device, node));
	}
	return list_is_empty(&board->gone) && list_is_empty(&board->devices);
}

static void vm_quiesce_devices(struct vm *vm)
{
	list_for_each_entry (struct device, dev, &vm->board.devices, node) {
		if (dev->ops->quiesce)
			dev->ops->quiesce(dev);
	}
}

/* Have the devices come to rest; settled() follows. */
static void vm_settle(struct vm *vm, uint64_t timeout_ns, vm_done_fn done,
		      void (*settled)(struct vm *vm, struct device *late))
{
	vm->settled = settled;
	vm->done = done;
	vm_begin(vm, VM_SETTLING, timeout_ns);
	vm_quiesce_devices(vm);
	/* Not from in here: whoever asked is told later. */
	loop_post(vm->board.main_loop, &vm->quiet_call);
}

static int vm_late(const struct device *late, struct error *err)
{
	return error_set(
		err, EBUSY,
		"id %s: the host has not finished its requests; see what holds up its file, or remove it by force",
		late->id);
}

static void vm_on_quiesced(struct vm *vm, struct device *late)
{
	struct error err;

	vm_end(vm, late ? vm_late(late, &err) : 0, &err);
}

/* All is quiet, and before the end, closed. */
static bool vm_is_settled(struct vm *vm)
{
	bool r = !board_find_busy(&vm->board);

	if (!r || vm->settled != vm_on_quiesced)
		return r;
	list_for_each_entry (struct device, dev, &vm->board.devices, node) {
		r &= board_may_destroy(dev);
	}
	return r;
}

static void vm_free(struct vm *vm);

/* One more is quiet. */
static void vm_on_quiet(struct loop_call *lc)
{
	struct vm *vm = container_of(lc, struct vm, quiet_call);

	if (vm->ended) {
		vm_free(vm);
		return;
	}
	hotplug_reap(&vm->hotplug);
	if (vm->busy == VM_SETTLING && vm_is_settled(vm))
		vm->settled(vm, NULL);
}

/* ---- create and destroy ---- */

static int vm_add_memory(struct vm *vm, struct error *err)
{
	const struct gmem_config *mc = &vm->config->memory;
	uint64_t hot = ALIGN_DOWN(mc->hotplug_size, GMEM_BLOCK);
	struct arch_ram ram[2];
	unsigned int i, nr = arch_ram_layout(mc->size, ram);
	int r;

	gmem_init(&vm->board.gmem, mc);
	for (i = 0; i < nr; i++) {
		r = gmem_add(&vm->board.gmem, ram[i].gpa, ram[i].len, err);
		if (r)
			return r;
	}
	if (hot != mc->hotplug_size)
		log_warn(
			"--memory hotplug_size: %llu MiB are used, as memory comes in pieces of 128 MiB",
			mib(hot));
	if (hot) {
		r = gmem_reserve(&vm->board.gmem, arch_hotplug_base(mc->size),
				 hot, err);
		if (r)
			return r;
	}
	return arch_check_memory(&vm->board.gmem, err);
}

int vm_create(struct vm **out, const struct vm_config *config,
	      struct loop *main_loop, const struct vm_listener *listener,
	      void *opaque, struct error *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return error_set(err, ENOMEM, "out of memory");
	vm->config = config;
	vm->listener = listener;
	vm->opaque = opaque;
	vm->kernel_fd = vm->initramfs_fd = -1;
	vm->event_call.fn = vm_on_event;
	vm->quiet_call.fn = vm_on_quiet;
	vm->deadline.on_expire = vm_on_deadline;
	board_init(&vm->board, main_loop);
	vm->board.on_event = &vm->event_call;
	vm->board.on_quiet = &vm->quiet_call;
	vm->board.serial = &config->serial;
	vm->board.nr_cpus = (unsigned int)config->cpus.boot;
	vm->board.nr_ports = vm_config_ports(config);
	kvm_init(&vm->kvm, &vm->board, cpus_max(&config->cpus));
	vm->kvm.vcpu.nested = config->cpus.nested;
	vm->kvm.vcpu.core_sched = (enum core_sched)config->cpus.core_sched;
	hotplug_init(&vm->hotplug, &vm->board, &vm->kvm, &listener->hotplug,
		     opaque);
	*out = vm;
	return 0;
}

/* If nothing is held any more. */
static void vm_free(struct vm *vm)
{
	void (*released)(void *opaque) = vm->listener->released;
	void *opaque = vm->opaque;

	if (vm->load.running || !vm_remove_devices(vm))
		return;
	/* A thread whose device is gone may be about to say something. */
	board_fini(&vm->board);
	hotplug_free(&vm->hotplug);
	loop_cancel(vm->board.main_loop, &vm->quiet_call);
	gmem_fini(&vm->board.gmem);
	close_fd(&vm->kernel_fd);
	close_fd(&vm->initramfs_fd);
	free(vm->load.cmdline);
	free(vm);
	released(opaque);
}

void vm_destroy(struct vm *vm)
{
	struct device *late;

	if (!vm)
		return;
	vm_give_up(vm);
	vm_stop(vm);
	loop_cancel(vm->board.main_loop, &vm->event_call);
	vm->ended = true;
	hotplug_fini(&vm->hotplug);
	vm_quiesce_devices(vm);
	late = board_find_busy(&vm->board);
	vm_remove_devices(vm);
	kvm_close(&vm->kvm);
	if (late)
		log_info(
			"%s: the host has requests of it; memory and files stay until they end",
			late->id);
	vm_free(vm);
}

/* ---- boot ---- */

static int vm_start(struct vm *vm, struct error *err)
{
	int r = 0;

	if (vm->kvm.vm_fd < 0)
		r = kvm_build(&vm->kvm, vm->board.nr_cpus, err);
	if (!r)
		r = arch_enter(vm->kvm.vcpus[0], &vm->load.entry, err);
	if (r)
		return r;
	vm->board.run = vm->start_paused ? BOARD_PAUSED : BOARD_RUNNING;
	board_hold_irqs(&vm->board, vm->start_paused);
	r = kvm_start(&vm->kvm, vm->board.nr_cpus, err);
	if (r)
		vm->board.run = BOARD_STOPPED;
	return r;
}

/* A thread of the pool. Nobody else uses guest memory. */
static void vm_load_run(struct pool_job *job)
{
	struct vm_load *load = container_of(job, struct vm_load, job);
	struct gmem *gm = load->boot.req.gm;
	struct error *err = &load->err;
	int r = 0;

	if (load->clear)
		r = gmem_clear(gm, &load->pages);
	else
		gmem_populate(gm, &load->pages);
	if (r)
		r = error_set(err, r, "cannot clear guest memory: %s",
			      error_text(-r));
	pages_start(&load->pages);
	if (!r)
		r = pages_end(&load->pages, err);
	if (!r)
		r = arch_load(&load->boot, &load->entry, err);
	load->result = r;
}

static void vm_on_loaded(struct pool_job *job)
{
	struct vm *vm = container_of(job, struct vm, load.job);
	struct error err = vm->load.err; /* vm may be gone before it is read */
	int r = vm->load.result;

	vm->load.running = false;
	if (vm->ended) {
		vm_free(vm);
		return;
	}
	if (vm->busy != VM_LOADING)
		return; /* it was given up */
	if (!r)
		r = vm_start(vm, &err);
	vm_end(vm, r, &err);
}

static int vm_load_begin(struct vm *vm, bool clear, struct error *err)
{
	const struct vm_config *vc = vm->config;
	struct vm_load *load = &vm->load;
	int r;

	free(load->cmdline);
	load->cmdline = vm_config_cmdline(vc, arch_console);
	if (!load->cmdline)
		return error_set(err, ENOMEM, "out of memory");
	load->clear = clear;
	load->pages = (struct pages_job){ .op = PAGES_POPULATE };
	load->boot = (struct arch_boot){
		.req = { .gm = &vm->board.gmem,
			 .kernel_fd = vm->kernel_fd,
			 .kernel_name = vc->kernel ? vc->kernel : "fd",
			 .initramfs_fd = vm->initramfs_fd,
			 .initramfs_name = vc->initramfs ? vc->initramfs : "fd",
			 .cmdline = load->cmdline },
		.nr_cpus = vm->board.nr_cpus,
		.max_cpus = vm->kvm.max_vcpus,
		.has_serial = vc->serial.mode != SERIAL_OFF,
		.host = vm->kvm.vcpu.host,
	};
	load->owner.name = "loading the kernel";
	load->job.run = vm_load_run;
	load->job.done = vm_on_loaded;
	load->job.loop = vm->board.main_loop;
	r = pool_submit(&load->owner, &load->job);
	if (r)
		return error_set(err, r, "cannot load the kernel: %s",
				 error_text(-r));
	load->running = true;
	vm_begin(vm, VM_LOADING, VM_LOAD_NS);
	return 0;
}

static void vm_on_opened(void *opaque, struct opening *o, int r,
			 struct error *err)
{
	struct vm *vm = opaque;

	vm->opening = NULL;
	if (!r) {
		vm->kernel_fd = opening_take_file(o, 0);
		vm->initramfs_fd = opening_take_file(o, 1);
		r = vm_load_begin(vm, false, err);
	}
	/* The host reads the kernel while devices are made. */
	if (!r)
		r = vm_add_devices(vm, o, err);
	if (r)
		vm_end(vm, r, err);
}

static int vm_open(struct vm *vm, struct error *err)
{
	const struct vm_config *vc = vm->config;
	struct opening *o;
	int r;

	o = vm->opening = opening_create(vm->board.main_loop, vm_on_opened, vm);
	if (!o)
		return error_set(err, ENOMEM, "out of memory");
	r = opening_add_file(o, "kernel", vc->kernel, vc->kernel_fd, err);
	if (!r)
		r = opening_add_file(o, "initramfs", vc->initramfs,
				     vc->initramfs_fd, err);
	for (unsigned int i = 0; i < vc->nr_devices && !r; i++)
		r = opening_add_device(o, vm_config_option(vc, i),
				       &vc->devices[i], err);
	return r ? r : opening_start(o, VM_OPEN_NS, err);
}

int vm_boot(struct vm *vm, vm_done_fn done, struct error *err)
{
	int r = vm_open(vm, err);

	/* The host opens files while KVM makes the machine. */
	if (!r)
		r = kvm_open(&vm->kvm, err);
	if (!r)
		r = vm_add_memory(vm, err);
	if (!r)
		r = kvm_build(&vm->kvm, vm->board.nr_cpus, err);
	if (!r)
		r = vm_add_chips(vm, err);
	if (!r)
		r = vm_check_hotplug(vm, err);
	if (r)
		return r;
	vm->busy = VM_OPENING;
	vm->done = done;
	return 0;
}

/* ---- run ---- */

void vm_stop(struct vm *vm)
{
	if (vm->board.run == BOARD_STOPPED)
		return;
	kvm_stop(&vm->kvm);
	board_hold_irqs(&vm->board, false);
	vm->board.run = BOARD_STOPPED;
	hotplug_on_run(&vm->hotplug);
}

/* The guest runs on, from a pause or from what was to become one. */
static void vm_go_on(struct vm *vm)
{
	board_hold_irqs(&vm->board, false);
	list_for_each_entry (struct device, dev, &vm->board.devices, node) {
		if (dev->ops->resume)
			dev->ops->resume(dev);
	}
	vm->board.run = BOARD_RUNNING;
	kvm_release(&vm->kvm);
}

static void vm_on_paused(struct vm *vm, struct device *late)
{
	struct error err;
	int r = 0;

	if (late) {
		r = vm_late(late, &err);
		vm_go_on(vm);
	} else {
		vm->board.run = BOARD_PAUSED;
		hotplug_on_run(&vm->hotplug);
	}
	vm_end(vm, r, &err);
}

void vm_pause(struct vm *vm, vm_done_fn done)
{
	kvm_hold(&vm->kvm);
	board_hold_irqs(&vm->board, true);
	vm_settle(vm, VM_PAUSE_NS, done, vm_on_paused);
}

void vm_resume(struct vm *vm)
{
	vm_go_on(vm);
	hotplug_on_run(&vm->hotplug);
}

void vm_quiesce(struct vm *vm, vm_done_fn done)
{
	vm_settle(vm, VM_SHUTDOWN_NS, done, vm_on_quiesced);
}

static void vm_on_reset(struct vm *vm, struct device *late)
{
	struct error err;
	int r;

	if (late) {
		vm_end(vm, vm_late(late, &err), &err);
		return;
	}
	list_for_each_entry (struct device, dev, &vm->board.devices, node) {
		if (dev->ops->reset)
			dev->ops->reset(dev);
		if (vm->start_paused && dev->ops->quiesce)
			dev->ops->quiesce(dev);
	}
	hotplug_on_reset(&vm->hotplug);
	kvm_unbuild(&vm->kvm);
	r = vm_load_begin(vm, true, &err);
	if (r)
		vm_end(vm, r, &err);
}

void vm_reset(struct vm *vm, bool paused, vm_done_fn done)
{
	int reset = VM_EVENT_RESET;

	vm->start_paused = paused;
	vm_stop(vm);
	/* A reset that the guest did at the same moment is this one; what ends it
	 * is still to be told. */
	if (!vm_has_event(vm) ||
	    atomic_compare_exchange_strong(&vm->board.event, &reset,
					   VM_EVENT_NONE))
		loop_cancel(vm->board.main_loop, &vm->event_call);
	vm_settle(vm, VM_RESET_NS, done, vm_on_reset);
}

void vm_power_button(struct vm *vm)
{
	list_for_each_entry (struct device, dev, &vm->board.devices, node) {
		if (dev->ops->power_button)
			dev->ops->power_button(dev);
	}
}

/* ---- the size of a disk ---- */

struct vm_disk_job {
	struct pool_job job;
	struct loop_timer deadline;
	struct vm *vm;
	struct device *dev; /* pinned */
	uint64_t bytes;
	uint64_t ticket;
	bool told;
	/* the worker's meanwhile */
	int result;
	struct error err;
};

static void vm_disk_tell(struct vm_disk_job *dj, int r, struct error *err)
{
	struct vm *vm = dj->vm;

	loop_timer_cancel(&dj->deadline);
	if (!dj->told && !vm->ended)
		vm->listener->disk_resized(vm->opaque, dj->ticket, r, err);
	dj->told = true;
}

static void vm_disk_run(struct pool_job *job)
{
	struct vm_disk_job *dj = container_of(job, struct vm_disk_job, job);

	dj->result = dj->dev->ops->resize(dj->dev, dj->bytes, &dj->err);
}

static void vm_on_disk_done(struct pool_job *job)
{
	struct vm_disk_job *dj = container_of(job, struct vm_disk_job, job);
	struct vm *vm = dj->vm;

	if (!dj->result)
		dj->dev->ops->resized(dj->dev, dj->bytes);
	vm_disk_tell(dj, dj->result, &dj->err);
	dj->dev->pins--;
	free(dj);
	loop_post(vm->board.main_loop, &vm->quiet_call);
}

static void vm_on_disk_deadline(struct loop_timer *lt)
{
	struct vm_disk_job *dj = container_of(lt, struct vm_disk_job, deadline);
	struct error err;
	int r = error_set(&err, ETIMEDOUT,
			  "id %s: the host has not resized it in time",
			  dj->dev->id);

	vm_disk_tell(dj, r, &err);
}

int vm_resize_disk(struct vm *vm, const char *id, uint64_t bytes,
		   uint64_t ticket, struct error *err)
{
	struct device *dev = hotplug_find(&vm->hotplug, id);
	struct vm_disk_job *dj;
	int r;

	if (!dev)
		return error_set(err, ENOENT, "id %s: there is no such device",
				 error_value(id).text);
	dj = calloc(1, sizeof(*dj));
	if (!dj)
		return error_set(err, ENOMEM, "out of memory");
	*dj = (struct vm_disk_job){
		.job = { .run = vm_disk_run,
			 .done = vm_on_disk_done,
			 .loop = vm->board.main_loop },
		.deadline.on_expire = vm_on_disk_deadline,
		.vm = vm,
		.dev = dev,
		.bytes = bytes,
		.ticket = ticket,
	};
	dev->pool.name = dev->id;
	r = pool_submit(&dev->pool, &dj->job);
	if (r) {
		free(dj);
		return error_set(err, r, "id %s: %s", dev->id, error_text(-r));
	}
	dev->pins++;
	loop_timer_set(vm->board.main_loop, &dj->deadline,
		       loop_now_ns() + VM_PAUSE_NS);
	return 0;
}

/* ---- what may be changed ---- */

int vm_set_device(struct vm *vm, const char *id, const void *config,
		  struct error *err)
{
	struct device *dev = hotplug_find(&vm->hotplug, id);
	int r;

	if (!dev)
		return error_set(err, ENOENT,
				 "id %s: is still being added; try again",
				 error_value(id).text);
	r = dev->ops->set(dev, config, err);
	return r ? error_prefix(err, r, "id %s", dev->id) : 0;
}
