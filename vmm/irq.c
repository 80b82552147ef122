/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/irq.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/log.h"
#include "vmm/vm.h"

void irq_msi(struct vm *vm, uint64_t addr, uint32_t data)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)addr,
		.address_hi = (uint32_t)(addr >> 32),
		.data = data,
	};

	/* 0 means that the guest blocked it: not an error. */
	if (ioctl(vm->vm_fd, KVM_SIGNAL_MSI, &msi) < 0)
		log_debug("MSI %#llx/%#x: %s", (unsigned long long)addr, data,
			  strerror(errno));
}

void irq_line(struct vm *vm, uint32_t gsi, bool level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	if (vm->line_sink)
		vm->line_sink(vm->line_opaque, gsi, level);
	else if (ioctl(vm->vm_fd, KVM_IRQ_LINE, &line) < 0)
		log_debug("interrupt line %u: %s", gsi, strerror(errno));
}

void irq_set_line_sink(struct vm *vm,
		       void (*sink)(void *opaque, uint32_t gsi, bool level),
		       void *opaque)
{
	vm->line_opaque = opaque;
	vm->line_sink = sink;
}
