/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The interrupt controllers: KVM's GICv3 and, for messages of PCI devices, its
 * ITS (Linux, Documentation/virt/kvm/devices/arm-vgic-v3.rst and -its.rst). The
 * GIC is finished when all vCPUs are made; none can be made after that.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/aarch64/layout.h"
#include "arch/aarch64/vm.h"
#include "arch/arch.h"
#include "vmm/util.h"
#include "vmm/vcpu.h"

const bool arch_msi_has_devid = true;

int arch_vm_create(struct arch_vm **out, int vm_fd, struct error *err)
{
	struct arch_vm *vm = malloc(sizeof(*vm));

	if (!vm)
		return error_set(err, ENOMEM, "out of memory");
	*vm = (struct arch_vm){ .vm_fd = vm_fd, .gic_fd = -1, .its_fd = -1 };
	pthread_mutex_init(&vm->lock, NULL);
	*out = vm;
	return 0;
}

void arch_vm_destroy(struct arch_vm *vm)
{
	if (!vm)
		return;
	psci_fini(vm);
	pthread_mutex_destroy(&vm->lock);
	close_fd(&vm->its_fd);
	close_fd(&vm->gic_fd);
	free(vm);
}

bool gic_is_there(int kvm_fd)
{
	struct kvm_create_device make = { .type = KVM_DEV_TYPE_ARM_VGIC_V3,
					  .flags = KVM_CREATE_DEVICE_TEST };
	cleanup_fd int vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);

	return vm_fd >= 0 && !ioctl(vm_fd, KVM_CREATE_DEVICE, &make);
}

static int gic_make(const struct arch_vm *vm, uint32_t type, int *fd)
{
	struct kvm_create_device make = { .type = type };

	if (ioctl(vm->vm_fd, KVM_CREATE_DEVICE, &make))
		return -errno;
	*fd = (int)make.fd;
	return 0;
}

int kvm_attr_set(int fd, uint32_t group, uint64_t attr, const void *value)
{
	const struct kvm_device_attr set = {
		.group = group,
		.attr = attr,
		.addr = (uintptr_t)value,
	};

	return ioctl(fd, KVM_SET_DEVICE_ATTR, &set) ? -errno : 0;
}

int arch_irqchip_create(struct arch_vm *vm, struct error *err)
{
	const uint64_t distributor = A64_GICD_BASE,
		       redistributors = A64_GICR_BASE;
	const uint32_t nr_irqs = 32 + A64_NR_SPIS;
	int r = gic_make(vm, KVM_DEV_TYPE_ARM_VGIC_V3, &vm->gic_fd);

	if (r == -ENODEV)
		return error_set(
			err, r,
			"this host has no GICv3 for guests (a GICv2 is not enough); use a host that has one");
	if (!r)
		r = kvm_attr_set(vm->gic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0,
				 &nr_irqs);
	if (!r)
		r = kvm_attr_set(vm->gic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
				 KVM_VGIC_V3_ADDR_TYPE_DIST, &distributor);
	if (!r)
		r = kvm_attr_set(vm->gic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
				 KVM_VGIC_V3_ADDR_TYPE_REDIST, &redistributors);
	if (r)
		return error_set(err, r, "KVM cannot make a GICv3: %s",
				 strerror(-r));
	return 0;
}

int arch_irqchip_finish(struct arch_vm *vm, struct vcpu *const *vcpus,
			unsigned int nr, struct error *err)
{
	const uint64_t its = A64_ITS_BASE;
	int r = kvm_attr_set(vm->gic_fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
			     KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);

	if (!r)
		r = gic_make(vm, KVM_DEV_TYPE_ARM_VGIC_ITS, &vm->its_fd);
	if (!r)
		r = kvm_attr_set(vm->its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
				 KVM_VGIC_ITS_ADDR_TYPE, &its);
	if (!r)
		r = kvm_attr_set(vm->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
				 KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	if (r)
		return error_set(err, r, "KVM cannot finish a GICv3: %s",
				 strerror(-r));
	vm->vcpus = vcpus;
	vm->nr_vcpus = nr;
	vm->board = vcpus[0]->config.board;
	for (unsigned int i = 0; i < nr && !r; i++)
		r = cpu_finish(vcpus[i], err);
	return r ? r : psci_init(vm, err);
}

/* A shared peripheral interrupt: INTID 32 and up. */
uint32_t arch_irq_line(uint32_t gsi)
{
	return (uint32_t)KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT |
	       (gsi + 32);
}
