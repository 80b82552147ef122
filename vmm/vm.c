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
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/hotplug.h"
#include "vmm/log.h"
#include "vmm/plug.h"
#include "vmm/resize.h"
#include "vmm/util.h"
#include "vmm/vcpu.h"

/* ---- events ---- */

void vm_raise(struct vm *vm, enum vm_event event)
{
	int now = atomic_load(&vm->event);

	/* A guest that resets does not outrun what ends it. */
	while (now == VM_EVENT_NONE ||
	       (now == VM_EVENT_RESET && event != VM_EVENT_RESET)) {
		if (!atomic_compare_exchange_weak(&vm->event, &now, event))
			continue;
		loop_post(vm->main_loop, &vm->event_call);
		return;
	}
}

static void vm_on_event(struct loop_call *lc)
{
	struct vm *vm = container_of(lc, struct vm, event_call);

	vm_stop(vm);
	/* What another vCPU raised meanwhile is in vm->event. */
	loop_cancel(vm->main_loop, &vm->event_call);
	if (vm->on_event)
		vm->on_event(vm, (enum vm_event)atomic_load(&vm->event));
}

void vm_report_fault(struct vcpu *vcpu, const char *what)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out;
	int speed;

	/* One vCPU reports; the others are stopped by the event. */
	if (atomic_load(&vcpu->vm->event) != VM_EVENT_NONE)
		return;
	log_error("vcpu%u: KVM gave up on the guest: %s", vcpu->index, what);
	out = open_memstream(&text, &len);
	if (out) {
		arch_vcpu_dump(vcpu, out);
		fclose(out);
		for (char *line = text, *end; line && *line; line = end) {
			end = strchr(line, '\n');
			if (end)
				*end++ = '\0';
			log_error("%s", line);
		}
		free(text);
	}
	speed = arch_kernel_speed(vcpu->vm->kvm_fd);
	if (speed >= 0 && speed < 20)
		log_error(
			"this host interprets guest kernels (kvm-pvm, no nested virtualisation): Linux guests do not get through boot here; see --check-host");
	vm_raise(vcpu->vm, VM_EVENT_FAULT);
}

/* ---- the KVM side: built at create and at reset ---- */

int vm_set_slot(struct vm *vm, unsigned int slot, gpa_t gpa, uint64_t len,
		struct error *err)
{
	uint64_t got = 1;
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)gmem_span(&vm->gmem, gpa, &got),
	};

	if (ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region))
		return error_set(
			err, errno,
			"--memory: of %llu MiB KVM refuses %llu MiB at %#llx: %s; give less",
			(unsigned long long)(vm->gmem.config.size / MIB),
			(unsigned long long)(len / MIB),
			(unsigned long long)gpa, strerror(errno));
	return 0;
}

static int vm_set_slots(struct vm *vm, struct error *err)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < atomic_load(&vm->gmem.nr) && !r; i++)
		r = vm_set_slot(vm, i, vm->gmem.regions[i].gpa,
				vm->gmem.regions[i].len, err);
	return r ? r : resize_set_slots(vm, err);
}

static void vm_unbuild(struct vm *vm)
{
	unsigned int i;

	for (i = 0; vm->vcpus && i < vm->nr_vcpus; i++)
		vcpu_destroy(vm->vcpus[i]);
	free(vm->vcpus);
	vm->vcpus = NULL;
	vm->nr_vcpus = 0;
	close_fd(&vm->vm_fd);
	vm->built = false;
}

/* The order is worth milliseconds: slots before interrupt controllers. */
static int vm_build(struct vm *vm, struct error *err)
{
	unsigned int i, max = cpus_max(&vm->config->cpus);
	int r;

	vm->vm_fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	if (vm->vm_fd < 0)
		return error_set(err, errno, "KVM cannot make a machine: %s",
				 error_text(errno));
	r = arch_vm_init(vm, err);
	if (!r)
		r = vm_set_slots(vm, err);
	if (!r)
		r = arch_irqchip_create(vm, err);
	if (r)
		goto fail;
	vm->vcpus = calloc(max, sizeof(struct vcpu *));
	if (!vm->vcpus) {
		r = error_set(err, ENOMEM, "out of memory");
		goto fail;
	}
	for (i = 0; i < vm->cpus_present; i++) {
		r = vcpu_create(vm, i, &vm->vcpus[i], err);
		if (r)
			goto fail;
		vm->nr_vcpus++;
	}
	vm->built = true;
	return 0;
fail:
	vm_unbuild(vm);
	return r;
}

/* ---- devices ---- */

struct device *vm_find_class(struct vm *vm, const char *class_name)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->devices) {
		struct device *dev = container_of(pos, struct device, node);

		if (!strcmp(dev->class->name, class_name))
			return dev;
	}
	return NULL;
}

static bool vm_id_is_taken(struct vm *vm, const char *id)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->devices)
		if (!strcmp(container_of(pos, struct device, node)->id, id))
			return true;
	return false;
}

int vm_assign_id(struct vm *vm, struct device *dev, const char *wanted,
		 struct error *err)
{
	if (!wanted) {
		do
			snprintf(dev->id, sizeof(dev->id), "_%s%u",
				 dev->class->option, vm->next_id++);
		while (vm_id_is_taken(vm, dev->id));
		return 0;
	}
	if (!*wanted || !strncmp(wanted, "__", 2) ||
	    strlen(wanted) >= sizeof(dev->id))
		return error_set(
			err, EINVAL,
			"id=%s: an id has 1 to %zu characters and does not start with \"__\"",
			wanted, sizeof(dev->id) - 1);
	if (vm_id_is_taken(vm, wanted))
		return error_set(
			err, EEXIST,
			"id=%s: another device has this id; choose one of its own",
			wanted);
	snprintf(dev->id, sizeof(dev->id), "%s", wanted);
	return 0;
}

static int vm_add_device(struct vm *vm, const struct device_class *class,
			 const void *config, struct error *err)
{
	struct device *dev = NULL;
	int r = class->create(vm, config, &dev, err);

	if (r)
		return r;
	list_insert(&vm->devices, &dev->node);
	return 0;
}

static int vm_add_devices(struct vm *vm, struct error *err)
{
	const struct chip_place *place;
	unsigned int i;
	int r;

	for (place = arch_chips; place->class_name; place++) {
		const struct device_class *class =
			device_class_find(place->class_name);

		r = vm_add_device(vm, class, place, err);
		if (r)
			return r;
	}
	for (i = 0; i < vm->config->nr_devices; i++) {
		const struct device_config *dc = &vm->config->devices[i];

		r = vm_add_device(vm, dc->class, dc->config, err);
		if (r)
			return error_prefix(err, r, "--%s",
					    vm_config_option(vm->config, i));
	}
	return 0;
}

/* Last created, first destroyed: virtio devices before their bus. */
static void vm_remove_devices(struct vm *vm)
{
	while (!list_is_empty(&vm->devices)) {
		struct device *dev =
			container_of(vm->devices.prev, struct device, node);

		list_remove(&dev->node);
		dev->ops->destroy(dev);
	}
}

int vm_ioeventfd(struct vm *vm, gpa_t gpa, int event_fd, bool assign)
{
	struct kvm_ioeventfd io = {
		.addr = gpa,
		.len = 0, /* any width, and the fastest match */
		.fd = event_fd,
		.flags = assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	return ioctl(vm->vm_fd, KVM_IOEVENTFD, &io) ? -errno : 0;
}

struct loop *vm_io_loop(struct vm *vm, struct error *err)
{
	unsigned int cpus = usable_cpus();
	unsigned int most = MIN(cpus, (unsigned int)VM_MAX_IO_THREADS);
	unsigned int max = (unsigned int)MIN(most, vm->config->cpus.boot);
	/* max follows the number of vCPUs: the next new one comes in order. */
	unsigned int wanted = vm->next_io_loop++ % max;
	unsigned int i = MIN(wanted, vm->nr_io_loops);
	char name[16];

	if (i < vm->nr_io_loops)
		return vm->io_loops[i];
	snprintf(name, sizeof(name), "io%u", i);
	vm->io_loops[i] = loop_create(name, err);
	if (!vm->io_loops[i])
		return NULL;
	if (loop_thread_start(vm->io_loops[i], err)) {
		loop_destroy(vm->io_loops[i]);
		return NULL;
	}
	vm->nr_io_loops++;
	return vm->io_loops[i];
}

/* ---- create and destroy ---- */

static int vm_open_kvm(struct vm *vm, struct error *err)
{
	int size;

	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return error_set(
			err, errno, "/dev/kvm: %s; %s", strerror(errno),
			errno == EACCES
				? "join the group that owns it (usually kvm) or run as root"
				: "load the module kvm-intel or kvm-amd; --check-host tells more");
	if (ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return error_set(err, ENOSYS,
				 "/dev/kvm: not the KVM API version %d",
				 KVM_API_VERSION);
	size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return error_set(err, ENOSYS, "/dev/kvm: bad vCPU area size");
	vm->vcpu_mmap_size = (unsigned int)size;
	return 0;
}

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

	gmem_init(&vm->gmem, &gc);
	for (i = 0; i < nr; i++) {
		r = gmem_add(&vm->gmem, ram[i].gpa, ram[i].len, err);
		if (r)
			return r;
	}
	if (hot) {
		r = gmem_reserve(&vm->gmem, arch_hotplug_base(mc->size), hot,
				 err);
		if (r)
			return r;
	}
	return arch_check_memory(vm, err);
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
		r = vm_open_kvm(vm, err);
	if (!r)
		r = arch_host_ask(&vm->host, vm->kvm_fd, err);
	if (!r)
		r = vm_add_memory(vm, err);
	if (!r)
		r = resize_create(vm, err);
	if (!r)
		r = vm_build(vm, err);
	if (!r)
		r = vm_add_devices(vm, err);
	return r;
}

int vm_create(struct vm **out, const struct vm_config *config,
	      struct loop *main_loop, struct error *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return error_set(err, ENOMEM, "out of memory");
	vm->config = config;
	vm->cpus_present = (unsigned int)config->cpus.boot;
	vm->main_loop = main_loop;
	vm->kvm_fd = vm->vm_fd = vm->kernel_fd = vm->initramfs_fd = -1;
	vm->event_call.fn = vm_on_event;
	list_init(&vm->devices);
	bus_init(&vm->pio);
	bus_init(&vm->mmio);
	r = hotplug_create(vm, err);
	if (!r)
		r = plug_create(vm, err);
	if (!r)
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
	unsigned int i;

	if (!vm)
		return;
	vm_stop(vm);
	loop_cancel(vm->main_loop, &vm->event_call);
	vm_remove_devices(vm);
	resize_destroy(vm);
	plug_destroy(vm);
	hotplug_destroy(vm);
	for (i = 0; i < vm->nr_io_loops; i++) {
		loop_thread_stop(vm->io_loops[i]);
		loop_destroy(vm->io_loops[i]);
	}
	vm_unbuild(vm);
	gmem_fini(&vm->gmem);
	bus_fini(&vm->pio);
	bus_fini(&vm->mmio);
	arch_host_free(vm->host);
	close_fd(&vm->kvm_fd);
	close_fd(&vm->kernel_fd);
	close_fd(&vm->initramfs_fd);
	free(vm);
}

/* ---- run ---- */

static int vm_start_vcpus(struct vm *vm, struct error *err)
{
	unsigned int i;
	int r;

	vm->running = true;
	for (i = vm->cpus_present; i-- > 0;) {
		r = vcpu_start(vm->vcpus[i], err);
		if (r) {
			vm_stop(vm);
			return r;
		}
	}
	return 0;
}

int vm_start_vcpu(struct vm *vm, unsigned int index, struct error *err)
{
	int r = 0;

	if (index == vm->nr_vcpus) {
		r = vcpu_create(vm, index, &vm->vcpus[index], err);
		vm->nr_vcpus += !r;
	}
	if (!r)
		r = arch_vcpu_rest(vm->vcpus[index], err);
	if (r || !vm->running)
		return r;
	r = vcpu_start(vm->vcpus[index], err);
	if (!r && vm->paused) {
		vcpu_request_pause(vm->vcpus[index]);
		vcpu_wait_paused(vm->vcpus[index]);
	}
	return r;
}

void vm_stop_vcpu(struct vm *vm, unsigned int index)
{
	if (index >= vm->nr_vcpus)
		return;
	vcpu_request_stop(vm->vcpus[index]);
	vcpu_join(vm->vcpus[index]);
}

int vm_boot(struct vm *vm, struct error *err)
{
	char *cmdline = vm_config_cmdline(vm->config, arch_console);
	int r;

	if (!cmdline)
		return error_set(err, ENOMEM, "out of memory");
	r = arch_boot(vm, cmdline, err);
	free(cmdline);
	if (r)
		return r;
	return vm_start_vcpus(vm, err);
}

void vm_stop(struct vm *vm)
{
	unsigned int i;

	if (!vm->running)
		return;
	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_request_stop(vm->vcpus[i]);
	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_join(vm->vcpus[i]);
	vm->running = false;
	vm->paused = false;
	plug_stop(vm);
	hotplug_reset(vm);
	resize_stop(vm);
}

int vm_pause(struct vm *vm, struct error *err)
{
	struct list_node *pos, *tmp;
	unsigned int i;

	if (vm->paused)
		return error_set(err, EALREADY, "the machine is paused");
	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_request_pause(vm->vcpus[i]);
	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_wait_paused(vm->vcpus[i]);
	list_for_each (pos, tmp, &vm->devices) {
		struct device *dev = container_of(pos, struct device, node);

		if (dev->ops->pause)
			dev->ops->pause(dev);
	}
	vm->paused = true;
	plug_pause(vm);
	hotplug_pause(vm);
	return 0;
}

int vm_resume(struct vm *vm, struct error *err)
{
	struct list_node *pos, *tmp;
	unsigned int i;

	if (!vm->paused)
		return error_set(err, EALREADY, "the machine is not paused");
	list_for_each (pos, tmp, &vm->devices) {
		struct device *dev = container_of(pos, struct device, node);

		if (dev->ops->resume)
			dev->ops->resume(dev);
	}
	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_resume(vm->vcpus[i]);
	vm->paused = false;
	hotplug_resume(vm);
	return 0;
}

void vm_quiesce_vcpus(struct vm *vm)
{
	unsigned int i;

	if (vm->paused || !vm->running)
		return;
	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_request_pause(vm->vcpus[i]);
	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_wait_paused(vm->vcpus[i]);
	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_resume(vm->vcpus[i]);
}

int vm_nmi(struct vm *vm, struct error *err)
{
	unsigned int i;

	if (!vm->running)
		return error_set(err, EINVAL, "the machine does not run");
	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_nmi(vm->vcpus[i]);
	return 0;
}

void vm_power_button(struct vm *vm)
{
	struct list_node *pos, *tmp;

	list_for_each (pos, tmp, &vm->devices) {
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
	loop_cancel(vm->main_loop, &vm->event_call);
	list_for_each (pos, tmp, &vm->devices) {
		struct device *dev = container_of(pos, struct device, node);

		if (dev->ops->reset)
			dev->ops->reset(dev);
	}
	plug_reset(vm);
	vm_unbuild(vm);
	r = gmem_clear(&vm->gmem);
	if (r)
		return error_set(err, r, "cannot clear guest memory: %s",
				 strerror(-r));
	r = vm_build(vm, err);
	if (r)
		return r;
	atomic_store(&vm->event, VM_EVENT_NONE);
	return vm_boot(vm, err);
}
