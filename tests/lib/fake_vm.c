/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/lib/fake_vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "arch/arch.h"
#include "vmm/byteorder.h"
#include "vmm/hotplug.h"
#include "vmm/irq.h"
#include "vmm/resize.h"
#include "vmm/util.h"
#include "vmm/vcpu.h"

/* Turns in which whatever was posted or signalled has come to rest. */
#define FAKE_TURNS 6
#define FAKE_TIMEOUT_NS 5000000000ull

static struct fake_vm *fake_of(struct vm *vm)
{
	return container_of(vm, struct fake_vm, vm);
}

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* ---- doubles of vmm/irq.h ---- */

void irq_msi(struct vm *vm, uint64_t addr, uint32_t data)
{
	struct fake_vm *fv = fake_of(vm);

	if (fv->nr_msi < FAKE_MAX_MSI)
		fv->msi[fv->nr_msi] = (struct fake_msi){ addr, data };
	fv->nr_msi++;
}

void irq_line(struct vm *vm, uint32_t gsi, bool level)
{
	struct fake_vm *fv = fake_of(vm);

	require(gsi < 32);
	fv->lines = (fv->lines & ~(1u << gsi)) | (uint32_t)level << gsi;
	fv->line_changes++;
	if (vm->line_sink)
		vm->line_sink(vm->line_opaque, gsi, level);
}

void irq_set_line_sink(struct vm *vm,
		       void (*sink)(void *opaque, uint32_t gsi, bool level),
		       void *opaque)
{
	vm->line_opaque = opaque;
	vm->line_sink = sink;
}

/* ---- doubles of vmm/vm.h ---- */

void vm_raise(struct vm *vm, enum vm_event event)
{
	if (fake_of(vm)->raised == VM_EVENT_NONE)
		fake_of(vm)->raised = event;
}

/* Memory never grows in units, but in that of it. */
__attribute__((weak)) unsigned int
resize_dimms(const struct vm *vm unused_param, const struct resize_dimm **out)
{
	*out = NULL;
	return 0;
}

/* The hot-plug chip's way to the machine; its unit links the real one. */
__attribute__((weak)) void
hotplug_set_guest(struct vm *vm unused_param,
		  const struct hotplug_guest_ops *ops unused_param,
		  void *opaque unused_param)
{
}

__attribute__((weak)) void hotplug_on_eject(struct vm *vm unused_param,
					    enum hotplug_kind kind unused_param,
					    unsigned int index unused_param)
{
}

__attribute__((weak)) void
hotplug_on_refuse(struct vm *vm unused_param,
		  enum hotplug_kind kind unused_param,
		  unsigned int index unused_param)
{
}

/* The unit of plugs links the real one. */
__attribute__((weak)) void vm_driver_news(struct vm *vm unused_param,
					  struct device *dev unused_param,
					  enum device_news news unused_param)
{
}

void vm_report_fault(struct vcpu *vcpu unused_param,
		     const char *what unused_param)
{
	abort();
}

int vm_ioeventfd(struct vm *vm, gpa_t gpa, int event_fd, bool assign)
{
	struct fake_vm *fv = fake_of(vm);
	unsigned int i;

	if (assign) {
		if (fv->refuse_ioeventfds ||
		    fv->nr_ioeventfds == FAKE_MAX_IOEVENTFD)
			return -ENOSPC;
		fv->ioeventfds[fv->nr_ioeventfds++] =
			(struct fake_ioeventfd){ gpa, event_fd };
		return 0;
	}
	for (i = 0; i < fv->nr_ioeventfds; i++) {
		struct fake_ioeventfd *io = &fv->ioeventfds[i];

		if (io->gpa != gpa || io->fd != event_fd)
			continue;
		*io = fv->ioeventfds[--fv->nr_ioeventfds];
		return 0;
	}
	return -ENOENT;
}

struct loop *vm_io_loop(struct vm *vm, struct error *err unused_param)
{
	return vm->io_loops[0];
}

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

int vm_assign_id(struct vm *vm, struct device *dev, const char *wanted,
		 struct error *err unused_param)
{
	if (wanted)
		snprintf(dev->id, sizeof(dev->id), "%s", wanted);
	else
		snprintf(dev->id, sizeof(dev->id), "_%s%u", dev->class->option,
			 vm->next_id++);
	return 0;
}

/* ---- life ---- */

void fake_vm_init(struct fake_vm *fv)
{
	const struct gmem_config gc = { .size = 3 * FAKE_RAM_LEN };

	memset(fv, 0, sizeof(*fv));
	vm_config_init(&fv->config);
	fv->vm.config = &fv->config;
	fv->vm.vm_fd = fv->vm.kvm_fd = -1;
	list_init(&fv->vm.devices);
	bus_init(&fv->vm.pio);
	bus_init(&fv->vm.mmio);
	gmem_init(&fv->vm.gmem, &gc);
	require(!gmem_add(&fv->vm.gmem, 0, FAKE_RAM_LEN, NULL));
	require(!gmem_add(&fv->vm.gmem, FAKE_RAM_BORDER, FAKE_RAM_LEN, NULL));
	require(!gmem_add(&fv->vm.gmem, FAKE_RAM_HIGH, FAKE_RAM_LEN, NULL));
	fv->vm.io_loops[0] = loop_create("io0", NULL);
	require(fv->vm.io_loops[0]);
	fv->vm.nr_io_loops = 1;
	fv->vm.main_loop = fv->vm.io_loops[0];
}

void fake_vm_fini(struct fake_vm *fv)
{
	while (!list_is_empty(&fv->vm.devices))
		fake_vm_remove(fv, container_of(fv->vm.devices.prev,
						struct device, node));
	loop_destroy(fv->vm.io_loops[0]);
	require(!fv->nr_ioeventfds);
	require(!fv->vm.pio.nr && !fv->vm.mmio.nr);
	gmem_fini(&fv->vm.gmem);
	bus_fini(&fv->vm.pio);
	bus_fini(&fv->vm.mmio);
	vm_config_free(&fv->config);
}

struct device *fake_vm_add(struct fake_vm *fv, const struct device_class *class,
			   const void *config)
{
	struct device *dev = NULL;

	fv->err.msg[0] = '\0';
	if (class->create(&fv->vm, config, &dev, &fv->err))
		return NULL;
	list_insert(&fv->vm.devices, &dev->node);
	return dev;
}

struct device *fake_vm_add_pci(struct fake_vm *fv)
{
	static const struct chip_place place = { .class_name = "pci_root" };
	struct device *dev =
		fake_vm_add(fv, device_class_find("pci_root"), &place);

	require(dev);
	return dev;
}

void fake_vm_remove(struct fake_vm *fv, struct device *dev)
{
	struct loop *loop = fv->vm.io_loops[0];

	list_remove(&dev->node);
	if (!fv->single_thread)
		require(!loop_thread_start(loop, NULL));
	dev->ops->destroy(dev);
	loop_thread_stop(loop);
}

/* ---- the loop ---- */

struct fake_stop {
	struct loop_call call;
	struct loop *loop;
};

static void fake_on_stop(struct loop_call *lc)
{
	loop_quit(container_of(lc, struct fake_stop, call)->loop);
}

void fake_vm_turn(struct fake_vm *fv)
{
	struct fake_stop stop = { .call.fn = fake_on_stop,
				  .loop = fv->vm.io_loops[0] };
	unsigned int i;

	for (i = 0; i < FAKE_TURNS; i++) {
		loop_post(stop.loop, &stop.call);
		loop_run(stop.loop);
	}
}

bool fake_vm_turn_until(struct fake_vm *fv, bool (*done)(void *arg), void *arg)
{
	uint64_t end = loop_now_ns() + FAKE_TIMEOUT_NS;

	while (!done(arg)) {
		if (loop_now_ns() > end)
			return false;
		fake_vm_turn(fv);
	}
	return true;
}

/* ---- a vCPU ---- */

uint64_t fake_mmio_read(struct fake_vm *fv, gpa_t gpa, unsigned int len)
{
	uint8_t data[8] = { 0 };

	bus_read(&fv->vm.mmio, gpa, data, len);
	return le_load(data, len);
}

void fake_mmio_write(struct fake_vm *fv, gpa_t gpa, uint64_t v,
		     unsigned int len)
{
	uint8_t data[8];
	unsigned int i;

	for (i = 0; i < fv->nr_ioeventfds; i++) {
		if (fv->ioeventfds[i].gpa != gpa)
			continue;
		require(!eventfd_write(fv->ioeventfds[i].fd, 1));
		return;
	}
	le_store(data, v, len);
	bus_write(&fv->vm.mmio, gpa, data, len);
}

uint64_t fake_pio_read(struct fake_vm *fv, uint16_t port, unsigned int len)
{
	uint8_t data[8] = { 0 };

	bus_read(&fv->vm.pio, port, data, len);
	return le_load(data, len);
}

void fake_pio_write(struct fake_vm *fv, uint16_t port, uint64_t v,
		    unsigned int len)
{
	uint8_t data[8];

	le_store(data, v, len);
	bus_write(&fv->vm.pio, port, data, len);
}

static gpa_t fake_ecam(unsigned int slot, unsigned int off)
{
	return arch_pci.ecam_base + (slot << 15 | off);
}

uint64_t fake_cfg_read(struct fake_vm *fv, unsigned int slot, unsigned int off,
		       unsigned int len)
{
	return fake_mmio_read(fv, fake_ecam(slot, off), len);
}

void fake_cfg_write(struct fake_vm *fv, unsigned int slot, unsigned int off,
		    uint64_t v, unsigned int len)
{
	fake_mmio_write(fv, fake_ecam(slot, off), v, len);
}
