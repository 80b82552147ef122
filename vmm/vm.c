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
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/hotplug.h"
#include "vmm/irq.h"
#include "vmm/log.h"
#include "vmm/util.h"

/* ---- events ---- */

static void vm_on_event(struct loop_call *lc)
{
	struct vm *vm = container_of(lc, struct vm, event_call);

	vm_stop(vm);
	/* What another vCPU raised meanwhile is in board.event. */
	loop_cancel(vm->board.main_loop, &vm->event_call);
	vm->listener->stopped(vm->opaque,
			      (enum vm_event)atomic_load(&vm->board.event));
}

/* ---- what the board asks of its owner: any thread ---- */

static struct vm *vm_of(struct board *board)
{
	return container_of(board, struct vm, board);
}

static void vm_msi(struct board *board, uint32_t devid, uint64_t addr,
		   uint32_t data)
{
	kvm_msi(&vm_of(board)->kvm, devid, addr, data);
}

static void vm_line(struct board *board, uint32_t gsi, bool level)
{
	kvm_line(&vm_of(board)->kvm, gsi, level);
}

static int vm_ioeventfd(struct board *board, gpa_t gpa, int event_fd,
			bool assign)
{
	return kvm_ioeventfd(&vm_of(board)->kvm, gpa, event_fd, assign);
}

static void vm_stopped(struct board *board)
{
	loop_post(board->main_loop, &vm_of(board)->event_call);
}

static void vm_quiet(struct board *board unused_param)
{
}

static void vm_eject_answer(struct board *board, enum hotplug_kind kind,
			    unsigned int index, bool ejected)
{
	asks_answer(&vm_of(board)->hotplug.asks, kind, index, ejected);
}

static void vm_driver_news(struct board *board, struct device *dev,
			   enum device_news news)
{
	plug_driver_news(&vm_of(board)->hotplug.plug, dev, news);
}

static const struct board_ops vm_board_ops = {
	.msi = vm_msi,
	.line = vm_line,
	.ioeventfd = vm_ioeventfd,
	.stopped = vm_stopped,
	.quiet = vm_quiet,
	.driver_news = vm_driver_news,
	.eject_answer = vm_eject_answer,
};

/* ---- parts ---- */

static int vm_build(struct vm *vm, struct error *err)
{
	return kvm_build(&vm->kvm, vm->board.nr_cpus, err);
}

static int vm_add_one(struct vm *vm, const struct device_config *dc,
		      struct error *err)
{
	const struct device_class *class = dc->class;
	void *opened = NULL;
	int r = class->open ? class->open(dc->config, &opened, err) : 0;

	if (r)
		return r;
	r = board_add_device(&vm->board, class, dc->config, opened, NULL, err);
	if (r && class->close)
		class->close(opened);
	return r;
}

static int vm_add_devices(struct vm *vm, struct error *err)
{
	const struct chip_place *place;
	unsigned int i;
	int r;

	for (place = arch_chips; place->class_name; place++) {
		const struct device_class *class =
			device_class_find(place->class_name);

		r = board_add_device(&vm->board, class, place, NULL, NULL, err);
		if (r)
			return r;
	}
	for (i = 0; i < vm->config->nr_devices; i++) {
		r = vm_add_one(vm, &vm->config->devices[i], err);
		if (r)
			return error_prefix(err, r, "--%s",
					    vm_config_option(vm->config, i));
	}
	return 0;
}

/* Last created, first destroyed: virtio devices before their bus. */
static void vm_remove_devices(struct vm *vm)
{
	while (!list_is_empty(&vm->board.devices)) {
		struct device *dev = container_of(vm->board.devices.prev,
						  struct device, node);

		list_remove(&dev->node);
		dev->ops->destroy(dev);
	}
}

/* All devices at rest. */
static void vm_settle(struct vm *vm)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->board.devices) {
		struct device *dev = container_of(pos, struct device, node);

		if (dev->ops->quiesce)
			dev->ops->quiesce(dev);
	}
	/* To become a job that is answered. */
	while (board_find_busy(&vm->board))
		usleep(100);
}

/* ---- create and destroy ---- */

/* fd: -1, or the file itself, of which *out is a copy. */
static int vm_open_file(const char *option, const char *path, int fd, int *out,
			struct error *err)
{
	*out = fd < 0 ? open(path, O_RDONLY | O_CLOEXEC)
		      : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (*out < 0)
		return error_set(err, errno, "--%s %s: %s", option,
				 path ? error_value(path).text : "fd",
				 error_text(errno));
	return 0;
}

static int vm_add_memory(struct vm *vm, struct error *err)
{
	const struct memory_config *mc = &vm->config->memory;
	const struct gmem_config gc = {
		.size = mc->size,
		.shared = mc->shared,
		.hugepages = mc->hugepages,
		.prefault = mc->prefault,
		.thp = mc->thp,
		.mergeable = mc->mergeable,
	};
	uint64_t hot = ALIGN_DOWN(mc->hotplug_size, GMEM_BLOCK);
	struct arch_ram ram[2];
	unsigned int i, nr = arch_ram_layout(mc->size, ram);
	int r;

	gmem_init(&vm->board.gmem, &gc);
	for (i = 0; i < nr; i++) {
		r = gmem_add(&vm->board.gmem, ram[i].gpa, ram[i].len, err);
		if (r)
			return r;
	}
	gmem_populate(&vm->board.gmem, &vm->pages);
	pages_start(&vm->pages);
	if (hot != mc->hotplug_size)
		log_warn(
			"--memory hotplug_size: %llu MiB are used, as memory comes in pieces of 128 MiB",
			(unsigned long long)(hot / MIB));
	if (hot) {
		r = gmem_reserve(&vm->board.gmem, arch_hotplug_base(mc->size),
				 hot, err);
		if (r)
			return r;
	}
	return arch_check_memory(&vm->board.gmem, err);
}

static int vm_construct(struct vm *vm, struct error *err)
{
	const struct vm_config *vc = vm->config;
	int r;

	r = vm_open_file("kernel", vc->kernel, vc->kernel_fd, &vm->kernel_fd,
			 err);
	if (!r && (vc->initramfs || vc->initramfs_fd >= 0))
		r = vm_open_file("initramfs", vc->initramfs, vc->initramfs_fd,
				 &vm->initramfs_fd, err);
	if (!r)
		r = kvm_open(&vm->kvm, err);
	if (!r)
		r = vm_add_memory(vm, err);
	if (!r) {
		hotplug_init(&vm->hotplug, &vm->board, &vm->kvm,
			     &vm->listener->hotplug, vm->opaque);
		r = vm_build(vm, err);
	}
	if (!r)
		r = vm_add_devices(vm, err);
	return r;
}

int vm_create(struct vm **out, const struct vm_config *config,
	      struct loop *main_loop, const struct vm_listener *listener,
	      void *opaque, struct error *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return error_set(err, ENOMEM, "out of memory");
	vm->config = config;
	vm->listener = listener;
	vm->opaque = opaque;
	vm->kernel_fd = vm->initramfs_fd = -1;
	vm->event_call.fn = vm_on_event;
	board_init(&vm->board, &vm_board_ops, main_loop);
	vm->board.serial = &config->serial;
	vm->board.nr_cpus = (unsigned int)config->cpus.boot;
	kvm_init(&vm->kvm, &vm->board, cpus_max(&config->cpus));
	r = vm_construct(vm, err);
	if (r) {
		vm_destroy(vm);
		return r;
	}
	*out = vm;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	vm_stop(vm);
	loop_cancel(vm->board.main_loop, &vm->event_call);
	vm_settle(vm);
	vm_remove_devices(vm);
	hotplug_fini(&vm->hotplug);
	board_fini(&vm->board);
	kvm_close(&vm->kvm);
	pages_stop(&vm->pages);
	pages_end(&vm->pages, NULL);
	gmem_fini(&vm->board.gmem);
	close_fd(&vm->kernel_fd);
	close_fd(&vm->initramfs_fd);
	free(vm);
}

/* ---- run ---- */

int vm_boot(struct vm *vm, struct error *err)
{
	const struct vm_config *vc = vm->config;
	char *cmdline = vm_config_cmdline(vc, arch_console);
	const struct arch_boot boot = {
		.gmem = &vm->board.gmem,
		.kernel_fd = vm->kernel_fd,
		.kernel_name = vc->kernel ? vc->kernel : "fd",
		.initramfs_fd = vm->initramfs_fd,
		.initramfs_name = vc->initramfs ? vc->initramfs : "fd",
		.cmdline = cmdline,
		.nr_cpus = vm->board.nr_cpus,
		.max_cpus = vm->kvm.max_vcpus,
		.has_serial = vc->serial.mode != SERIAL_OFF,
	};
	int r;

	if (!cmdline)
		return error_set(err, ENOMEM, "out of memory");
	r = pages_end(&vm->pages, err);
	if (!r)
		r = arch_boot(&boot, vm->kvm.vcpus[0], err);
	free(cmdline);
	if (r)
		return r;
	vm->board.run = BOARD_RUNNING;
	r = kvm_start(&vm->kvm, vm->board.nr_cpus, err);
	if (r)
		vm->board.run = BOARD_STOPPED;
	return r;
}

void vm_stop(struct vm *vm)
{
	if (vm->board.run == BOARD_STOPPED)
		return;
	kvm_stop(&vm->kvm);
	irq_hold(&vm->board, false);
	vm->board.run = BOARD_STOPPED;
	hotplug_on_run(&vm->hotplug);
}

int vm_pause(struct vm *vm, struct error *err)
{
	if (vm->board.run == BOARD_PAUSED)
		return error_set(err, EALREADY, "the machine is paused");
	kvm_hold(&vm->kvm);
	irq_hold(&vm->board, true);
	vm_settle(vm);
	vm->board.run = BOARD_PAUSED;
	hotplug_on_run(&vm->hotplug);
	return 0;
}

int vm_resume(struct vm *vm, struct error *err)
{
	struct list_node *pos, *tmp;

	if (vm->board.run != BOARD_PAUSED)
		return error_set(err, EALREADY, "the machine is not paused");
	irq_hold(&vm->board, false);
	list_for_each (pos, tmp, &vm->board.devices) {
		struct device *dev = container_of(pos, struct device, node);

		if (dev->ops->resume)
			dev->ops->resume(dev);
	}
	vm->board.run = BOARD_RUNNING;
	kvm_release(&vm->kvm);
	hotplug_on_run(&vm->hotplug);
	return 0;
}

int vm_nmi(struct vm *vm, struct error *err)
{
	if (vm->board.run == BOARD_STOPPED)
		return error_set(err, EINVAL, "the machine does not run");
	kvm_nmi(&vm->kvm);
	return 0;
}

int vm_resize_disk(struct vm *vm, const char *id, uint64_t bytes,
		   struct error *err)
{
	struct device *dev = plug_find(&vm->hotplug.plug, id);

	if (!dev)
		return error_set(err, ENOENT, "id %s: there is no such device",
				 error_value(id).text);
	if (!dev->ops->resize)
		return error_set(err, EINVAL, "id %s: is not a disk", dev->id);
	return dev->ops->resize(dev, bytes, err);
}

void vm_power_button(struct vm *vm)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->board.devices) {
		struct device *dev = container_of(pos, struct device, node);

		if (dev->ops->power_button)
			dev->ops->power_button(dev);
	}
}

int vm_reset(struct vm *vm, struct error *err)
{
	struct list_node *pos, *tmp;
	int r;

	vm_stop(vm);
	/* A reset that the guest did at the same moment is this one. */
	loop_cancel(vm->board.main_loop, &vm->event_call);
	vm_settle(vm);
	list_for_each (pos, tmp, &vm->board.devices) {
		struct device *dev = container_of(pos, struct device, node);

		if (dev->ops->reset)
			dev->ops->reset(dev);
	}
	hotplug_on_reset(&vm->hotplug);
	kvm_unbuild(&vm->kvm);
	r = gmem_clear(&vm->board.gmem, &vm->pages);
	if (r)
		return error_set(err, r, "cannot clear guest memory: %s",
				 strerror(-r));
	pages_start(&vm->pages);
	r = vm_build(vm, err);
	if (r)
		return r;
	atomic_store(&vm->board.event, VM_EVENT_NONE);
	return vm_boot(vm, err);
}
